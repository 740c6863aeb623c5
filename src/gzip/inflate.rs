use std::io::{self, Read, Seek, SeekFrom};

use super::error::{GzipError, HeaderFault, Part};
use super::input::{Input, READ_AT_ONCE};
use super::member::{Trailer, header_length};
use super::point;
use super::raw::{RawInflate, Stop};
use crate::model::{GzipOffset, InflatePoint, XmlOffset};

/// Compressed bytes between resume points, at least. Going on from the one before any place then
/// costs inflating about 8 MiB at most, which takes 0.05 s, and a dump of 11 GB has 1,400 points of
/// about 7 kB.
pub const POINT_EVERY: u64 = 8 * 1024 * 1024;

/// Why [`Inflater::fill`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The room is used up; there is more.
    More,
    /// The text so far ends at a place from which inflating can start: the end of a deflate block
    /// that is not its member's last. `gzip` ends one every 6 to 60 kB; a packer
    /// may also put a whole member into one block, which then has no such place.
    Point(InflatePoint),
    /// The text so far ends a member, and must be as the trailer says. Another member may follow.
    MemberEnd(Trailer),
    /// The file ended, right after a member.
    End,
}

/// What comes next in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    FirstHeader,
    Data,
    Trailer,
    HeaderOrEnd,
}

/// Inflates a gzip file, all members of it, from its beginning or from a resume point.
pub struct Inflater<R> {
    input: Input<R>,
    raw: RawInflate,
    next: Next,
    xml: XmlOffset,
    points_every: u64,
    /// Where the last point was offered, or inflating began.
    last_point: GzipOffset,
}

impl<R: Read> Inflater<R> {
    /// Inflates what `reader` gives, which is a whole file.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(reader: R) -> Result<Inflater<R>, GzipError> {
        Ok(Inflater {
            input: Input::new(reader, GzipOffset(0)),
            raw: RawInflate::new().map_err(GzipError::Setup)?,
            next: Next::FirstHeader,
            xml: XmlOffset(0),
            points_every: POINT_EVERY,
            last_point: GzipOffset(0),
        })
    }

    /// Offers a resume point at the first possible place after every `bytes` of compressed input,
    /// instead of [`POINT_EVERY`].
    #[must_use]
    pub fn points_every(mut self, bytes: u64) -> Inflater<R> {
        self.points_every = bytes;
        self
    }

    /// Compressed bytes used so far, headers and trailers included.
    pub const fn gzip_offset(&self) -> GzipOffset {
        self.input.offset()
    }

    /// Bytes of text given out so far, those before a resume point included.
    pub const fn xml_offset(&self) -> XmlOffset {
        self.xml
    }

    /// Appends at most `room` bytes of text to `out` and says why it stopped; the text may be
    /// none. After an error the file can only be inflated anew.
    ///
    /// # Errors
    /// If the file is damaged or cannot be read. The text up to there has been appended.
    pub fn fill(&mut self, out: &mut Vec<u8>, room: usize) -> Result<Step, GzipError> {
        out.reserve(room);
        let full = out.len() + room;
        loop {
            match self.next {
                Next::FirstHeader | Next::HeaderOrEnd => {
                    if !self.header()? {
                        return Ok(Step::End);
                    }
                    self.next = Next::Data;
                }
                Next::Data => {
                    if let Some(step) = self.data(out, full)? {
                        return Ok(step);
                    }
                    self.next = Next::Trailer;
                }
                Next::Trailer => {
                    let trailer = self.trailer()?;
                    self.raw.reset().map_err(GzipError::Setup)?;
                    self.next = Next::HeaderOrEnd;
                    return Ok(Step::MemberEnd(trailer));
                }
            }
        }
    }

    /// Passes a header; false if the file ended before it.
    fn header(&mut self) -> Result<bool, GzipError> {
        let at = self.input.offset();
        let first = self.next == Next::FirstHeader;
        loop {
            match header_length(self.input.unused()) {
                Ok(Some(length)) => {
                    self.input.advance(length);
                    return Ok(true);
                }
                Ok(None) if self.input.is_full() => {
                    return Err(GzipError::Header { at, why: HeaderFault::Long(READ_AT_ONCE) });
                }
                Ok(None) if self.input.more()? => {}
                Ok(None) if !self.input.unused().is_empty() => {
                    return Err(self.truncated(Part::Header));
                }
                Ok(None) if first => return Err(GzipError::Empty),
                Ok(None) => return Ok(false),
                Err(HeaderFault::Magic) if first => return Err(GzipError::NotGzip),
                Err(HeaderFault::Magic) => return Err(GzipError::Garbage { at }),
                Err(why) => return Err(GzipError::Header { at, why }),
            }
        }
    }

    /// Inflates until `out` has `full` bytes or a point is due; none at the end of the data.
    fn data(&mut self, out: &mut Vec<u8>, full: usize) -> Result<Option<Step>, GzipError> {
        loop {
            let unused = self.input.unused();
            // stopping at every block would cost a copy of the window each time
            let may_be_due = self.since_point() + unused.len() as u64 >= self.points_every;
            let inflated = self.raw.inflate(unused, out, full - out.len(), may_be_due);
            self.input.advance(inflated.consumed);
            self.xml.0 += inflated.produced as u64;
            let at = self.input.offset();
            match inflated.stop.map_err(|why| GzipError::Data { at, why })? {
                Stop::StreamEnd => return Ok(None),
                Stop::BlockEnd { bits, last } => {
                    if !last && self.since_point() >= self.points_every {
                        return self.point(bits).map(|point| Some(Step::Point(point)));
                    }
                }
                Stop::Hungry if out.len() == full => return Ok(Some(Step::More)),
                Stop::Hungry => {
                    if self.input.unused().is_empty() && !self.input.more()? {
                        return Err(self.truncated(Part::Data));
                    }
                }
            }
        }
    }

    fn since_point(&self) -> u64 {
        self.input.offset().0 - self.last_point.0
    }

    /// The place where the data stands, which is the end of a block.
    fn point(&mut self, bits: u8) -> Result<InflatePoint, GzipError> {
        let at = self.input.offset();
        let window = self
            .raw
            .window()
            .and_then(|window| point::pack(&window).map_err(|error| error.to_string()));
        let window = window.map_err(|why| GzipError::Point { at, why })?;
        self.last_point = at;
        Ok(InflatePoint { gzip: at, bits, xml: self.xml, window })
    }

    fn trailer(&mut self) -> Result<Trailer, GzipError> {
        loop {
            if let Some(trailer) = Trailer::parse(self.input.unused(), self.input.offset()) {
                self.input.advance(Trailer::SIZE);
                return Ok(trailer);
            }
            if !self.input.more()? {
                return Err(self.truncated(Part::Trailer));
            }
        }
    }

    fn truncated(&self, inside: Part) -> GzipError {
        GzipError::Truncated { at: self.input.read_to(), inside }
    }
}

impl<R: Read + Seek> Inflater<R> {
    /// Goes on from a point that inflating the same file once offered.
    ///
    /// # Errors
    /// If the point cannot be one of this file, or the file cannot be read.
    pub fn resume(mut reader: R, from: &InflatePoint) -> Result<Inflater<R>, GzipError> {
        let at = from.gzip;
        let unusable = |why: String| GzipError::Point { at, why };
        if from.bits > 7 || (from.bits > 0 && at.0 == 0) {
            return Err(unusable(format!("it begins {} bits early", from.bits)));
        }
        let window = point::unpack(&from.window).map_err(|error| unusable(error.to_string()))?;
        let before = seek(&mut reader, from).map_err(|cause| GzipError::Io { at, cause })?;
        let mut raw = RawInflate::new().map_err(GzipError::Setup)?;
        raw.stand_at(from.bits, before, &window).map_err(unusable)?;
        Ok(Inflater {
            input: Input::new(reader, at),
            raw,
            next: Next::Data,
            xml: from.xml,
            points_every: POINT_EVERY,
            last_point: at,
        })
    }
}

/// Makes the reader stand at the point; the byte before it, if some of its bits are to come.
fn seek(reader: &mut (impl Read + Seek), point: &InflatePoint) -> io::Result<u8> {
    let mut before = [0];
    if point.bits == 0 {
        reader.seek(SeekFrom::Start(point.gzip.0))?;
    } else {
        reader.seek(SeekFrom::Start(point.gzip.0 - 1))?;
        reader.read_exact(&mut before)?;
    }
    Ok(before[0])
}
