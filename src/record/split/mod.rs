//! Where the records of a dump begin and end, found without parsing them.
//!
//! Outside of records (`between`) every markup is looked at; inside (`element`) only what decides
//! where the record ends (`marks`), which is several times faster; `level` says which of it is so. A record that does not end is
//! given up as far as it must be (`recover`), and what its scan has proved beyond stays known
//! (`ahead`), as does in which text no comment ends (`unclosed`): so every byte is looked at a
//! bounded number of times, whatever the text (`looked` counts it in the tests).
//!
//! INVARIANT: whatever stands between two places that are given out is white space, comments,
//! processing instructions and elements that are no records, each of them whole. Text and end tags
//! are places of their own.

mod ahead;
mod between;
mod doctype;
mod element;
mod level;
mod line;
mod looked;
mod marks;
mod recover;
mod stray;
mod tag;
#[cfg(test)]
mod tests;
mod unclosed;

use std::collections::VecDeque;
use std::ops::Range;

use memchr::memchr;

use crate::model::{BadRecord, Kind, XmlOffset};

use self::ahead::Aheads;
use self::level::{Inside, Level};
use self::line::Line;
use self::marks::Marks;
use self::unclosed::Unclosed;
use super::{MAX_RECORD, is_name_byte, is_space};

/// A tag outside of records, or a name, is looked at no further than this.
const MAX_TAG: usize = 1 << 20;

/// Finds the records in the text of a dump. It does no I/O: the caller owns a buffer with a
/// contiguous part of the text, appends to it when asked, and drops from its front what is not
/// needed any more:
///
/// ```
/// # use discogs_extractor::{model::Kind, record::{Split, SplitError, Splitter}};
/// # fn main() -> Result<(), SplitError> {
/// let mut chunks = ["<artists>\n<artist><id>1</", "id></artist>\n</artists>"].iter();
/// let (mut splitter, mut buf, mut at_end) = (Splitter::new(Kind::Artists), Vec::new(), false);
/// let mut records = Vec::new();
/// loop {
///     match splitter.next(&buf, at_end)? {
///         Split::Record(range) => records.push(buf[range].to_vec()),
///         Split::Bad(bad) => println!("byte {}: {}", bad.start, bad.reason),
///         Split::Foreign(name) => println!("<{}> is no record", buf[name].escape_ascii()),
///         Split::NeedMore => {
///             let unneeded = splitter.unneeded();
///             buf.drain(..unneeded);
///             splitter.drained(unneeded);
///             match chunks.next() {
///                 Some(chunk) => buf.extend_from_slice(chunk.as_bytes()),
///                 None => at_end = true,
///             }
///         }
///         Split::End => break,
///     }
/// }
/// assert_eq!(records, [b"<artist><id>1</id></artist>"]);
/// # Ok(())
/// # }
/// ```
pub struct Splitter {
    kind: Kind,
    /// A record may be so long.
    limit: usize,
    /// Where the buffer begins in the text.
    base: u64,
    /// Everything before is dealt with, but for the element that is open.
    at: usize,
    level: Level,
    inside: Inside,
    line: Line,
    marks: Marks,
    /// Where the tags begin in the text that are open at `at` and decide where the element ends:
    /// those of the record's name, or all of an element that is no record. The first is its own.
    tags: VecDeque<u64>,
    aheads: Aheads,
    unclosed: Unclosed,
}

/// What the splitter found next. Ranges are places in the buffer it was given.
#[derive(Debug, PartialEq, Eq)]
pub enum Split {
    /// A record, from its `<` to its `>`. Whether it is well-formed is not known yet.
    Record(Range<usize>),
    /// Something in the place of a record that cannot be one; it ends at `start + length`.
    Bad(BadRecord),
    /// The name of an element at a record's place that is no record and was skipped, with
    /// everything in it.
    Foreign(Range<usize>),
    /// Nothing more can be said without more text.
    NeedMore,
    /// The root element closed and the input ended.
    End,
}

/// A dump that is not what it should be as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Another root element, or no XML at all.
    #[error(
        "the XML begins with {found:?} at byte {at} instead of <{wanted}>\nhint: is this really a \
         dump of {wanted}?"
    )]
    WrongRoot {
        /// The first bytes of what was found.
        found: String,
        /// The root element that dumps of this type have.
        wanted: Kind,
        /// Where it was found.
        at: XmlOffset,
    },
    /// The input ended before the root element closed.
    #[error(
        "the XML ends at byte {at}, before </{wanted}>\nhint: the file was probably cut off; \
         download it again"
    )]
    EndsEarly {
        /// The root element.
        wanted: Kind,
        /// Where the input ended.
        at: XmlOffset,
    },
    /// Something other than white space and comments after the root element.
    #[error(
        "the XML goes on at byte {at}, after </{wanted}>\nhint: the file is damaged; download it \
         again"
    )]
    AfterRoot {
        /// The root element.
        wanted: Kind,
        /// Where it goes on.
        at: XmlOffset,
    },
}

impl Splitter {
    /// A splitter at the beginning of a dump.
    pub fn new(kind: Kind) -> Splitter {
        Splitter::with(kind, Level::Prolog, XmlOffset(0))
    }

    /// A splitter that goes on after a record that ends at `offset`, where the buffer begins.
    pub fn between_records(kind: Kind, offset: XmlOffset) -> Splitter {
        Splitter::with(kind, Level::Between, offset)
    }

    /// The same with another limit than [`MAX_RECORD`], in bytes of XML.
    #[must_use]
    pub fn limit(self, limit: usize) -> Splitter {
        Splitter { limit, ..self }
    }

    fn with(kind: Kind, level: Level, offset: XmlOffset) -> Splitter {
        let line = Line::new(matches!(level, Level::Prolog));
        Splitter {
            kind,
            limit: MAX_RECORD,
            base: offset.0,
            at: 0,
            level,
            inside: Inside::Text,
            line,
            marks: Marks::new(kind),
            tags: VecDeque::new(),
            aheads: Aheads::default(),
            unclosed: Unclosed::default(),
        }
    }

    /// The place in the text of a place in the buffer.
    pub const fn offset(&self, at: usize) -> XmlOffset {
        XmlOffset(self.base + at as u64)
    }

    /// The place in the buffer of a place in the text.
    fn index(&self, offset: u64) -> usize {
        usize::try_from(offset - self.base).unwrap_or(usize::MAX)
    }

    /// How far the text is dealt with; at [`Split::End`] that is all of it.
    pub const fn reached(&self) -> XmlOffset {
        self.offset(self.at)
    }

    /// How many bytes at the buffer's front are not needed any more. If the caller is not to run
    /// out of memory, it drops them before it appends.
    pub fn unneeded(&self) -> usize {
        match (&self.level, &self.inside) {
            (Level::Element(open), inside) => match (open.held_from(), inside) {
                (Some(start), _) => self.index(start),
                (None, Inside::Tag(tag)) if open.is_record() => tag.unneeded(self.at),
                (None, _) => self.at,
            },
            _ => self.at,
        }
    }

    /// Says that the caller dropped the buffer's first `count` bytes, not more than are unneeded.
    pub fn drained(&mut self, count: usize) {
        self.base += count as u64;
        self.at = self.at.saturating_sub(count);
        self.marks.shift(count);
        self.aheads.shift(count);
        if let Inside::Tag(tag) = &mut self.inside {
            tag.shift(count);
        }
    }

    /// Looks on in the buffer; `at_end` says that the text ends with it.
    ///
    /// # Errors
    /// If the document as a whole is broken. Everything before has been given out by then.
    pub fn next(&mut self, buf: &[u8], at_end: bool) -> Result<Split, SplitError> {
        loop {
            let found = match self.level {
                Level::Element(_) => self.in_element(buf, at_end),
                _ => self.outside(buf, at_end)?,
            };
            if let Some(split) = found {
                return Ok(split);
            }
        }
    }

    fn bad(&self, buf: &[u8], range: Range<usize>, reason: &str) -> Split {
        let raw = &buf[range.clone()];
        Split::Bad(BadRecord {
            reason: reason.to_owned(),
            start: self.offset(range.start),
            length: raw.len() as u64,
            raw: raw[..raw.len().min(BadRecord::RAW_LIMIT)].to_vec(),
        })
    }

    /// Fails if the document has not got to its root element yet, or is past it.
    fn only_between(&self, buf: &[u8], at: usize) -> Result<(), SplitError> {
        match self.level {
            Level::Prolog => Err(self.wrong_root(buf, at)),
            Level::Epilog => Err(SplitError::AfterRoot { wanted: self.kind, at: self.offset(at) }),
            Level::Between | Level::Stray(_) | Level::Element(_) => Ok(()),
        }
    }

    fn wrong_root(&self, buf: &[u8], at: usize) -> SplitError {
        const SHOWN: usize = 40;
        let found = &buf[at..buf.len().min(at + SHOWN)];
        let len = memchr(b'>', found).map_or(found.len(), |end| end + 1);
        SplitError::WrongRoot {
            found: String::from_utf8_lossy(&found[..len]).into_owned(),
            wanted: self.kind,
            at: self.offset(at),
        }
    }

    /// Nothing was found: asks for more, or says what the end of the input means here.
    fn more(&self, buf: &[u8], at_end: bool) -> Result<Option<Split>, SplitError> {
        match (&self.level, &self.inside) {
            _ if !at_end => Ok(Some(Split::NeedMore)),
            (Level::Epilog, Inside::Text) => Ok(Some(Split::End)),
            _ => Err(SplitError::EndsEarly { wanted: self.kind, at: self.offset(buf.len()) }),
        }
    }
}
