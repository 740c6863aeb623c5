use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, counter};
use tokio::sync::mpsc;

use super::budget::{BYTES, Budget, Share};
use super::source::Source;
use super::workers::{Chunk, Cut, Done, Pool};
use crate::gzip::{GzipError, Inflater, MemberHasher, Step};
use crate::model::{
    BadRecord, Checkpoint, InflatePoint, Kind, MemberCheck, Ordinal, Place, Position, ResumePoint,
    XmlOffset, metric,
};
use crate::record::{Split, SplitError, Splitter};

/// How much text is inflated before its records go to the parse threads: 120 releases, 1.3 ms of
/// parsing. With 256 KiB a run took 5 % longer.
const CHUNK: usize = 512 << 10;

/// The least that a chunk takes of the budget, so that it bounds how many there are as well.
const MIN_SHARE: usize = 64 << 10;

/// A record larger than this goes through alone: the reader waits until nothing else is on its way
/// before it reads on. With records of 64 MiB the process then stays under 256 MiB.
const LARGE: usize = 2 << 20;

/// Where a reader starts.
pub struct Start {
    /// The mark to go on from.
    pub from: Checkpoint,
    /// The nearest resume point at or before it.
    pub point: Option<ResumePoint>,
    /// Records to give out before it ends with [`ReadEnd::Limit`].
    pub limit: Option<u64>,
    /// Most records in a chunk, so that a small window is kept.
    pub chunk_records: usize,
}

/// How reading ended, if not with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The root element closed, all trailers matched, and nothing came after. The last ordinal.
    End(Ordinal),
    /// The limit was reached, and there are more records.
    Limit,
    /// It was stopped.
    Stopped,
}

/// Why reading failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file as gzip.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// The text as XML.
    #[error(transparent)]
    Xml(#[from] SplitError),
    /// The bytes before the mark are not those that were read before.
    #[error("the text before the checkpoint at xml offset {0} is not what it was")]
    NotTheSame(XmlOffset),
}

/// What a reader needs around it.
pub struct Surroundings {
    /// What the records are.
    pub kind: Kind,
    /// Bounds what is in memory.
    pub budget: Budget,
    /// Takes the chunks.
    pub pool: Pool,
    /// Where the parse threads send what they made of them.
    pub done: mpsc::Sender<Done>,
    /// Counts bytes of text that are read only to get to the mark again.
    pub skipped: Arc<AtomicU64>,
}

/// Reads one dump from `start` to its end, on the calling thread.
///
/// # Errors
/// If the file is damaged as gzip or as XML, or is not the one the checkpoint was made of.
pub fn read(source: Source, start: &Start, around: &Surroundings) -> Result<ReadEnd, ReadError> {
    let end = Reader::open(source, start, around).and_then(|mut reader| {
        reader.skip_to(start)?;
        let end = reader.run(start);
        if end.is_err() {
            // What came before the fault is delivered all the same; another fault adds nothing.
            _ = reader.split(false);
            reader.dispatch(start.chunk_records);
        }
        end
    });
    match end {
        // So ends a reader that waits for a download.
        Err(ReadError::Gzip(GzipError::Io { .. })) if around.budget.is_stopped() => {
            Ok(ReadEnd::Stopped)
        }
        end => end,
    }
}

struct Reader<'a> {
    around: &'a Surroundings,
    inflater: Inflater<Source>,
    gzip_bytes: Counter,
    hasher: MemberHasher,
    splitter: Splitter,
    /// Text that is not in a chunk yet.
    text: Vec<u8>,
    /// Where `text` begins in the dump.
    base: u64,
    /// Up to where the hasher has seen the text.
    hashed: u64,
    last: Ordinal,
    cuts: Vec<Cut>,
    /// Points that wait for the first record boundary after them.
    open_points: Vec<(InflatePoint, MemberCheck)>,
    /// Points that have it, with the ordinal before it.
    points: VecDeque<ResumePoint>,
    chunks: u64,
    /// A share taken ahead, for a record larger than the budget.
    share: Option<Share>,
    /// Whether an element that is no record was met.
    foreign: bool,
    /// A step of the inflater whose text is here but which is not settled yet.
    step: Option<Step>,
}

impl<'a> Reader<'a> {
    fn open(source: Source, start: &Start, around: &'a Surroundings) -> Result<Self, ReadError> {
        let (inflater, hasher, base) = match &start.point {
            Some(point) => (
                Inflater::resume(source, &point.place)?,
                MemberHasher::resume(point.member),
                point.place.xml.0,
            ),
            None => (Inflater::new(source)?, MemberHasher::new(), 0),
        };
        let (splitter, last) = match start.from.position {
            // A file at its end is not read; if it were, it would be from its beginning.
            Position::Beginning | Position::End => (Splitter::new(around.kind), Ordinal(0)),
            Position::At(ordinal, xml) => (Splitter::between_records(around.kind, xml), ordinal),
        };
        Ok(Reader {
            around,
            inflater,
            gzip_bytes: counter!(metric::GZIP_BYTES, "type" => around.kind.name()),
            hasher,
            splitter,
            text: Vec::with_capacity(2 * CHUNK),
            base,
            hashed: base,
            last,
            cuts: Vec::new(),
            open_points: Vec::new(),
            points: VecDeque::new(),
            chunks: 0,
            share: None,
            foreign: false,
            step: None,
        })
    }

    /// Inflates up to the mark, and checks that the text before it is what it was.
    fn skip_to(&mut self, start: &Start) -> Result<(), ReadError> {
        let Position::At(_, mark) = start.from.position else { return Ok(()) };
        while self.base < mark.0 {
            let step = self.fill()?;
            let upto = mark.0.min(self.base + self.text.len() as u64);
            self.hash_up_to(upto);
            let skipped = upto - self.base;
            self.around.skipped.fetch_add(skipped, Ordering::Relaxed);
            self.text.drain(..to_index(skipped));
            self.base = upto;
            if upto == mark.0 {
                self.step = Some(step);
            } else if matches!(step, Step::End) {
                return Err(ReadError::NotTheSame(mark));
            } else {
                self.settle(step)?;
            }
        }
        match start.from.check {
            Some(check) if check != self.hasher.check() => Err(ReadError::NotTheSame(mark)),
            _ => Ok(()),
        }
    }

    /// Inflates the next piece of text.
    fn fill(&mut self) -> Result<Step, GzipError> {
        let before = self.inflater.gzip_offset();
        let step = self.inflater.fill(&mut self.text, CHUNK);
        self.gzip_bytes.increment(self.inflater.gzip_offset().0 - before.0);
        step
    }

    fn run(&mut self, start: &Start) -> Result<ReadEnd, ReadError> {
        let limit = start.limit.map(|limit| Ordinal(self.last.0.saturating_add(limit)));
        loop {
            let step = match self.step.take() {
                Some(step) => step,
                None => self.fill()?,
            };
            let ended = self.split(matches!(step, Step::End))?;
            self.settle(step)?;
            let over = limit.filter(|limit| self.last > *limit);
            if let Some(limit) = over {
                self.cuts.retain(|cut| cut.place.ordinal <= limit);
            }
            let full = self.text.len() >= CHUNK && !self.cuts.is_empty();
            if (full || ended || over.is_some()) && !self.dispatch(start.chunk_records) {
                return Ok(ReadEnd::Stopped);
            }
            if over.is_some() {
                return Ok(ReadEnd::Limit);
            }
            if ended {
                return Ok(ReadEnd::End(self.last));
            }
            if self.text.len() > LARGE && self.share.is_none() {
                let Some(share) = self.around.budget.wait_for(BYTES) else {
                    return Ok(ReadEnd::Stopped);
                };
                self.share = Some(share);
            }
        }
    }

    /// Cuts what is complete in the text; whether the document ended with it.
    fn split(&mut self, at_end: bool) -> Result<bool, ReadError> {
        loop {
            match self.splitter.next(&self.text, at_end)? {
                Split::Record(range) => {
                    let end = self.splitter.offset(range.end);
                    self.cut(end, Ok(range));
                }
                Split::Bad(bad) => {
                    let end = XmlOffset(bad.start.0 + bad.length);
                    self.cut(end, Err(bad));
                }
                Split::Foreign(name) => self.foreign(name),
                Split::NeedMore => {
                    self.forget();
                    return Ok(false);
                }
                Split::End => return Ok(true),
            }
        }
    }

    fn cut(&mut self, end: XmlOffset, raw: Result<Range<usize>, BadRecord>) {
        // A record that recovery found lies behind what is hashed; its check stays unknown, and
        // a restart from it relies on the trailer alone.
        let check = (self.hashed <= end.0).then(|| {
            self.hash_up_to(end.0);
            self.hasher.check()
        });
        self.last = self.last.next();
        self.cuts.push(Cut { place: Place { ordinal: self.last, end, check }, raw });
        let (after, boundary) = (self.last, end);
        let passed = self.open_points.drain(..).map(|(place, member)| ResumePoint {
            place,
            member,
            after,
            boundary,
        });
        self.points.extend(passed);
    }

    fn foreign(&mut self, name: Range<usize>) {
        if !std::mem::replace(&mut self.foreign, true) {
            let element = String::from_utf8_lossy(&self.text[name.clone()]);
            let xml_offset = self.splitter.offset(name.start).0;
            tracing::warn!(
                r#type = %self.around.kind, %element, xml_offset,
                "an element in a record's place is none, and is left out with all like it"
            );
        }
    }

    /// Drops text that nobody needs, as of a record that is too large to be kept.
    fn forget(&mut self) {
        let unneeded = self.splitter.unneeded();
        if self.cuts.is_empty() && unneeded >= CHUNK {
            self.hash_up_to(self.base + unneeded as u64);
            self.text.drain(..unneeded);
            self.base += unneeded as u64;
            self.splitter.drained(unneeded);
        }
    }

    /// Hashes what the step brought, and does what it asks for.
    fn settle(&mut self, step: Step) -> Result<(), ReadError> {
        match step {
            Step::More | Step::End => {}
            Step::Point(point) => {
                self.hash_up_to(self.base + self.text.len() as u64);
                self.open_points.push((point, self.hasher.check()));
            }
            Step::MemberEnd(trailer) => {
                self.hash_up_to(self.base + self.text.len() as u64);
                self.hasher.finish(&trailer)?;
            }
        }
        Ok(())
    }

    fn hash_up_to(&mut self, end: u64) {
        if end > self.hashed {
            let from = to_index(self.hashed - self.base);
            self.hasher.update(&self.text[from..to_index(end - self.base)]);
            self.hashed = end;
        }
    }

    /// Sends the records cut so far to the parse threads; false if it was stopped.
    fn dispatch(&mut self, chunk_records: usize) -> bool {
        let Some(last) = self.cuts.last() else { return true };
        let cut = to_index(last.place.end.0.max(self.base) - self.base);
        let rest = self.text[cut..].to_vec();
        let text = Arc::new(std::mem::replace(&mut self.text, rest));
        self.text.reserve(2 * CHUNK);
        let base = XmlOffset(self.base);
        self.base += cut as u64;
        self.splitter.drained(cut);
        let mut cuts = std::mem::take(&mut self.cuts).into_iter().peekable();
        while cuts.peek().is_some() {
            let records: Vec<_> = cuts.by_ref().take(chunk_records).collect();
            let size = records.iter().map(Cut::length).sum::<usize>().max(MIN_SHARE);
            let taken = self.share.take().or_else(|| self.around.budget.wait_for(size));
            let Some(share) = taken else { return false };
            let upto = records.last().map_or(self.last, |cut| cut.place.ordinal);
            let points = self.points.partition_point(|point| point.after <= upto);
            let chunk = Chunk {
                number: self.chunks,
                text: Arc::clone(&text),
                base,
                records,
                points: self.points.drain(..points).collect(),
                gzip: self.inflater.gzip_offset(),
                share,
            };
            self.chunks += 1;
            if !self.around.pool.parse(self.around.kind, chunk, &self.around.done) {
                return false;
            }
        }
        true
    }
}

/// A difference of two places in the text that is in memory.
fn to_index(difference: u64) -> usize {
    usize::try_from(difference).unwrap_or(usize::MAX)
}
