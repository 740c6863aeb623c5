//! The thread that reads one dump: inflates it, cuts it at record boundaries, and hands the records
//! in chunks to the parse threads. It alone sees the text, so it proves what no one after it can:
//! that the places it gives out touch, with nothing between them that could be a record; that what
//! came before the mark is what it was; that the last place, the epilog and nothing else are all
//! that was inflated.

mod checks;
mod end;
mod outgoing;
mod text;
mod way;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::{io, thread};

use metrics::{Counter, counter};
use tokio::sync::oneshot;

pub use self::end::{ReadEnd, ReadError};
pub use self::outgoing::Outlet;

use self::checks::{Awaited, Checks};
use self::outgoing::{CutText, Outgoing};
use self::text::Text;
use self::way::{StoredMark, Way};
use super::sizes::Sizes;
use super::source::Source;
use super::workers::Cut;
use crate::gzip::{GzipError, Inflater, Step};
use crate::model::{
    BadRecord, Boundary, Checkpoint, Ending, Ordinal, Place, Position, ResumePoint, XmlOffset,
    metric,
};
use crate::record::{Split, Splitter};

/// A record larger than this goes through alone: the reader waits until nothing else is on its way
/// before it reads on. With records of 64 MiB the process then stays under 256 MiB.
const LARGE: usize = 2 << 20;

/// Between so many records the reader looks whether it is to stop: asking costs 20 ns.
const LOOK_EVERY: usize = 64;

/// Where a reader starts.
pub struct Start {
    /// The mark to go on from.
    pub from: Checkpoint,
    /// A resume point at or before it. Without one, or if the mark's check is not known, the dump is
    /// read from its start, and the records before the mark are counted.
    pub point: Option<ResumePoint>,
    /// Records to give out before it ends with [`ReadEnd::Limit`].
    pub limit: Option<u64>,
    /// Bad records that the file may have; those up to the mark count.
    pub max_bad_records: u64,
    /// Most records in a chunk, so that a small window is kept.
    pub chunk_records: usize,
    /// The measures it works with.
    pub sizes: Sizes,
}

/// How a reader ended, told when it has: as it says itself, or as its panic does.
pub type ReaderHandle = oneshot::Receiver<thread::Result<Result<ReadEnd, ReadError>>>;

/// Starts the thread that reads one dump from `start` to its end.
///
/// # Errors
/// If the system gives no thread.
pub fn start(source: Source, start: Start, outlet: Outlet) -> io::Result<ReaderHandle> {
    let (tell, ended) = oneshot::channel();
    let name = format!("read-{}", outlet.kind);
    let run = move || {
        let read = catch_unwind(AssertUnwindSafe(|| read(source, &start, &outlet)));
        // Delivery sees the channel close only after this.
        _ = tell.send(read);
        drop(outlet);
    };
    thread::Builder::new().name(name).spawn(run)?;
    Ok(ended)
}

/// Reads one dump from `start` to its end, on the calling thread.
///
/// # Errors
/// If the file is damaged as gzip or as XML, or is not the one the checkpoint was made of. What came
/// before the fault is given out.
fn read(source: Source, start: &Start, outlet: &Outlet) -> Result<ReadEnd, ReadError> {
    let end = Reader::open(source, start, outlet).and_then(|mut reader| {
        let end = reader.run();
        if end.is_err() {
            reader.dispatch();
        }
        end
    });
    match end {
        // So ends a reader that waits for a download.
        Err(ReadError::Gzip(GzipError::Io { .. })) if outlet.reading.budget.is_stopped() => {
            Ok(ReadEnd::Stopped)
        }
        end => end,
    }
}

struct Reader<'a> {
    outlet: &'a Outlet,
    start: &'a Start,
    inflater: Inflater<Source>,
    gzip_bytes: Counter,
    /// The input ended with the text that is here.
    at_end: bool,
    text: Text,
    checks: Checks,
    splitter: Splitter,
    way: Way,
    /// The last record that was cut, and where it ended.
    last: Ordinal,
    reached: XmlOffset,
    /// Those that the splitter called bad; the parse threads find others.
    bad_records: u64,
    /// What is cut and not sent.
    outgoing: Outgoing,
    /// Whether an element that is no record was met.
    foreign: bool,
}

/// Why cutting paused.
enum Pause {
    /// More text is needed.
    NeedsMore,
    Ended(ReadEnd),
    /// The document ended with the text.
    AllCut,
}

impl<'a> Reader<'a> {
    fn open(source: Source, start: &'a Start, outlet: &'a Outlet) -> Result<Self, ReadError> {
        let kind = outlet.kind;
        let Sizes { record, chunk, points_every, .. } = start.sizes;
        let mark = match start.from.position {
            Position::At(ordinal, xml) => {
                Some(StoredMark { ordinal, xml, check: start.from.check })
            }
            // A file at its end is not read; if it were, it would be from its beginning.
            Position::Beginning | Position::End => None,
        };
        let point = start.point.as_ref().filter(|point| point.is_before(start.from.position));
        let (inflater, checks, base, splitter, way) = match (mark, point) {
            (Some(mark @ StoredMark { check: Some(_), .. }), Some(point)) => {
                let base = point.place().xml.0;
                (
                    Inflater::resume(source, point.place())?,
                    Checks::resume(point.member(), base),
                    base,
                    Splitter::between_records(kind, mark.xml),
                    Way::FromPoint(mark),
                )
            }
            (mark, _) => (
                Inflater::new(source)?,
                Checks::new(),
                0,
                Splitter::new(kind),
                mark.map_or(Way::Beyond, Way::FromStart),
            ),
        };
        let (last, reached) = match way {
            Way::FromPoint(mark) => (mark.ordinal, mark.xml),
            Way::FromStart(_) | Way::Beyond => (Ordinal(0), XmlOffset(0)),
        };
        Ok(Reader {
            outlet,
            start,
            inflater: inflater.points_every(points_every),
            gzip_bytes: counter!(metric::GZIP_BYTES, "type" => kind.name()),
            at_end: false,
            text: Text::at(base, 2 * chunk),
            checks,
            splitter: splitter.limit(record),
            way,
            last,
            reached,
            bad_records: start.from.bad_records,
            outgoing: Outgoing::default(),
            foreign: false,
        })
    }

    fn run(&mut self) -> Result<ReadEnd, ReadError> {
        if let Way::FromPoint(mark) = self.way {
            if !self.skip_to(mark)? {
                return Ok(ReadEnd::Stopped);
            }
            self.way = Way::Beyond;
        }
        loop {
            match self.split()? {
                Pause::NeedsMore => {}
                Pause::AllCut => return self.all_cut(),
                Pause::Ended(end) => {
                    return Ok(if self.dispatch() { end } else { ReadEnd::Stopped });
                }
            }
            let full = self.text.len() >= self.start.sizes.chunk;
            if full && !self.outgoing.is_empty() && !self.dispatch()
                || self.outlet.reading.budget.is_stopped()
            {
                return Ok(ReadEnd::Stopped);
            }
            if self.text.len() > LARGE && !self.outgoing.take_all(self.outlet) {
                return Ok(ReadEnd::Stopped);
            }
            if let Err(error) = self.fill() {
                // What came before the fault is given out all the same; another fault adds nothing.
                _ = self.split();
                return Err(error.into());
            }
        }
    }

    /// Inflates up to the mark, and checks that the text before it is what it was; false if it was
    /// stopped.
    fn skip_to(&mut self, mark: StoredMark) -> Result<bool, ReadError> {
        while self.text.base() < mark.xml.0 {
            if self.outlet.reading.budget.is_stopped() {
                return Ok(false);
            }
            self.fill()?;
            let upto = mark.xml.0.min(self.text.end());
            self.checks.at(upto, &self.text)?;
            self.skip(self.text.index(upto));
            if self.at_end && upto < mark.xml.0 {
                return Err(ReadError::PrefixChanged(mark.xml));
            }
        }
        let check = self.checks.at(mark.xml.0, &self.text)?;
        // The boundaries of points on the way were not looked at.
        self.checks.forget_points();
        if check == mark.check { Ok(true) } else { Err(ReadError::PrefixChanged(mark.xml)) }
    }

    /// Drops text that was only read to get to the mark.
    fn skip(&mut self, count: usize) {
        self.outlet.reading.skipped.fetch_add(count as u64, Ordering::Relaxed);
        self.text.drop_front(count);
    }

    /// Inflates the next piece of text.
    fn fill(&mut self) -> Result<(), GzipError> {
        let before = self.inflater.gzip_offset();
        let step = self.inflater.fill(self.text.end_mut(), self.start.sizes.chunk);
        self.gzip_bytes.increment(self.inflater.gzip_offset().0 - before.0);
        match step? {
            Step::More => Ok(()),
            Step::Point(point) => self.checks.met(Awaited::Point(point), &self.text),
            Step::MemberEnd(trailer) => self.checks.met(Awaited::MemberEnd(trailer), &self.text),
            Step::End => {
                self.at_end = true;
                Ok(())
            }
        }
    }

    /// Cuts what is complete in the text.
    fn split(&mut self) -> Result<Pause, ReadError> {
        loop {
            let ended = match self.splitter.next(self.text.bytes(), self.at_end)? {
                Split::Record(range) => {
                    let start = self.splitter.offset(range.start);
                    let end = self.splitter.offset(range.end);
                    self.cut(start, end, Ok(range))?
                }
                Split::Bad(bad) => {
                    let (start, end) = (bad.start, XmlOffset(bad.start.0 + bad.length));
                    self.cut(start, end, Err(bad))?
                }
                Split::Foreign(name) => {
                    self.foreign(name);
                    None
                }
                Split::NeedMore => {
                    self.forget()?;
                    return Ok(Pause::NeedsMore);
                }
                Split::End => return Ok(Pause::AllCut),
            };
            if let Some(end) = ended {
                return Ok(Pause::Ended(end));
            }
        }
    }

    /// Takes a record or a bad one; how reading ends, if it ends with that.
    fn cut(
        &mut self,
        start: XmlOffset,
        end: XmlOffset,
        raw: Result<Range<usize>, BadRecord>,
    ) -> Result<Option<ReadEnd>, ReadError> {
        let ordinal = self.last.next();
        if self.limit() == Some(self.last) {
            return Ok(Some(ReadEnd::Limit));
        }
        let check = self.checks.at(end.0, &self.text)?;
        let points = match check {
            Some(check) => self.checks.points(Boundary { after: ordinal, xml: end, check })?,
            None => Vec::new(),
        };
        let place = Place { ordinal, from: self.reached, start, end, check };
        (self.last, self.reached) = (ordinal, end);
        if let Way::FromStart(mark) = self.way {
            self.outgoing.pass(points);
            return self.counted(&place, mark);
        }
        let is_bad = raw.is_err();
        self.bad_records += u64::from(is_bad);
        self.outgoing.push(Cut { place, raw }, points);
        if is_bad && self.bad_records > self.start.max_bad_records {
            return Ok(Some(ReadEnd::TooManyBad));
        }
        let many = self.outgoing.records() >= self.start.sizes.cuts
            || self.outgoing.bytes() >= 2 * self.start.sizes.chunk;
        let look = is_bad || self.outgoing.records().is_multiple_of(LOOK_EVERY);
        let stopped =
            (many && !self.dispatch()) || (look && self.outlet.reading.budget.is_stopped());
        Ok(stopped.then_some(ReadEnd::Stopped))
    }

    /// The last record to give out, if there is a limit.
    fn limit(&self) -> Option<Ordinal> {
        let limit = self.start.limit?;
        Some(Ordinal(self.start.from.ordinal().0.saturating_add(limit)))
    }

    /// A record before the mark, or the one at it, was cut: the mark must be where it was.
    fn counted(&mut self, place: &Place, mark: StoredMark) -> Result<Option<ReadEnd>, ReadError> {
        self.way = mark.after(place).ok_or(ReadError::PrefixChanged(mark.xml))?;
        Ok(self.outlet.reading.budget.is_stopped().then_some(ReadEnd::Stopped))
    }

    /// The document ended: adds up what it was.
    fn all_cut(&mut self) -> Result<ReadEnd, ReadError> {
        self.checks.finish(&self.text)?;
        if let Way::FromPoint(mark) | Way::FromStart(mark) = self.way {
            return Err(ReadError::PrefixChanged(mark.xml));
        }
        let (inflated, cut) = (self.inflater.xml_offset(), self.splitter.reached());
        if inflated != cut || inflated.0 != self.text.end() {
            return Err(ReadError::Unaccounted { inflated, cut });
        }
        let ending = Ending { last: self.last, end: self.reached, length: inflated };
        Ok(if self.dispatch() { ReadEnd::End(ending) } else { ReadEnd::Stopped })
    }

    fn foreign(&mut self, name: Range<usize>) {
        if !std::mem::replace(&mut self.foreign, true) {
            let element = String::from_utf8_lossy(&self.text.bytes()[name.clone()]);
            let xml_offset = self.splitter.offset(name.start).0;
            tracing::warn!(
                r#type = %self.outlet.kind, %element, xml_offset,
                "an element in a record's place is none, and is left out with all like it"
            );
        }
    }

    /// Drops text that is not needed, as of a record that is too large to be kept.
    fn forget(&mut self) -> Result<(), GzipError> {
        let unneeded = self.splitter.unneeded();
        if self.outgoing.is_empty() && unneeded >= self.start.sizes.chunk {
            self.checks.at(self.text.base() + unneeded as u64, &self.text)?;
            match self.way {
                Way::FromStart(_) => self.skip(unneeded),
                Way::FromPoint(_) | Way::Beyond => self.text.drop_front(unneeded),
            }
            self.splitter.drained(unneeded);
        }
        Ok(())
    }

    /// Sends the records cut so far to the parse threads; false if it was stopped.
    fn dispatch(&mut self) -> bool {
        let Some(end) = self.outgoing.end() else { return true };
        let cut = self.text.index(end.0.max(self.text.base()));
        let (base, gzip) = (XmlOffset(self.text.base()), self.inflater.gzip_offset());
        let piece = CutText { text: self.text.take(cut), base, gzip };
        self.splitter.drained(cut);
        self.outgoing.send(piece, self.start.chunk_records, self.outlet)
    }
}
