//! Where the records of a dump begin and end, found without parsing them.

mod doctype;
mod line;
mod marks;
mod recover;
mod tag;
#[cfg(test)]
mod tests;

use std::ops::Range;

use memchr::{memchr, memmem};

use crate::model::{BadRecord, Kind, XmlOffset};

use self::doctype::Doctype;
use self::line::Line;
use self::marks::{Mark, Marks};
use self::tag::{Tag, TagEnd};
use super::{MAX_RECORD, is_name_byte, is_space};

/// A tag outside of records, or a name, is looked at no further than this.
const MAX_TAG: usize = 1 << 20;

/// Finds the records in the text of a dump. It does no I/O and looks at no byte twice: the caller
/// owns a buffer with a contiguous part of the text, appends to it when asked, and drops from its
/// front what is not needed any more:
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
    /// Everything before is dealt with, but for the record that is open.
    at: usize,
    level: Level,
    inside: Inside,
    line: Line,
    marks: Marks,
}

/// What the splitter found next. Ranges are places in the buffer it was given.
#[derive(Debug, PartialEq, Eq)]
pub enum Split {
    /// A record, from its `<` to its `>`. Whether it is well-formed is not known yet.
    Record(Range<usize>),
    /// Something in the place of a record that cannot be one; it ends at `start + length`.
    Bad(BadRecord),
    /// The name of an element that is no record, at a record's place: it is skipped, with
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

/// Which part of the document the splitter is in.
enum Level {
    Prolog,
    /// Inside the root element, between records.
    Between,
    /// Inside an element that is no record, so many levels deep.
    Foreign(u64),
    Record(Open),
    Epilog,
}

/// What the text at `at` is inside of.
enum Inside {
    Text,
    Tag(Tag),
    /// A comment, a processing instruction, CDATA, up to and with this mark.
    Until(&'static [u8]),
    Doctype(Doctype),
}

/// A record whose end has not been found yet.
struct Open {
    /// Where it begins; meaningless once it is being discarded.
    start: usize,
    /// How many elements of the record's name are open.
    depth: u64,
    /// It is too large: only its end is still looked for.
    discarded: Option<Discarded>,
}

struct Discarded {
    start: u64,
    raw: Vec<u8>,
}

/// Why a record's end cannot be found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Limit,
    RootCloses,
    InputEnds,
}

const OUTSIDE: &str = "a tag that does not end";
const STRAY: &str = "an end tag where nothing is open";
const OVERRUN: &str = "the record is not closed where the next one begins";
const TOO_LARGE: &str = "the record is larger than 64 MiB";

impl Splitter {
    /// A splitter at the beginning of a dump.
    pub fn new(kind: Kind) -> Splitter {
        Splitter::with(kind, Level::Prolog, XmlOffset(0), MAX_RECORD)
    }

    /// A splitter that goes on after a record that ends at `offset`, where the buffer begins.
    pub fn between_records(kind: Kind, offset: XmlOffset) -> Splitter {
        Splitter::with(kind, Level::Between, offset, MAX_RECORD)
    }

    fn with(kind: Kind, level: Level, offset: XmlOffset, limit: usize) -> Splitter {
        let line = Line::new(matches!(level, Level::Prolog));
        let marks = Marks::new(kind);
        Splitter { kind, limit, base: offset.0, at: 0, level, inside: Inside::Text, line, marks }
    }

    /// The place in the text of a place in the buffer.
    pub const fn offset(&self, at: usize) -> XmlOffset {
        XmlOffset(self.base + at as u64)
    }

    /// How many bytes at the buffer's front are not needed any more. If the caller is not to run
    /// out of memory, it drops them before it appends.
    pub fn unneeded(&self) -> usize {
        match (&self.level, &self.inside) {
            (Level::Record(Open { start, discarded: None, .. }), _) => *start,
            (Level::Record(_), Inside::Tag(tag)) => tag.unneeded(self.at),
            _ => self.at,
        }
    }

    /// Says that the caller dropped the buffer's first `count` bytes, not more than are unneeded.
    pub fn drained(&mut self, count: usize) {
        self.base += count as u64;
        self.at = self.at.saturating_sub(count);
        self.marks.shift(count);
        if let Level::Record(open) = &mut self.level {
            open.start = open.start.saturating_sub(count);
        }
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
                Level::Record(_) => self.in_record(buf, at_end),
                _ => self.outside(buf, at_end)?,
            };
            if let Some(split) = found {
                return Ok(split);
            }
        }
    }

    /// One step outside of records.
    fn outside(&mut self, buf: &[u8], at_end: bool) -> Result<Option<Split>, SplitError> {
        match &mut self.inside {
            Inside::Text => self.text(buf, at_end),
            Inside::Until(mark) => {
                if pass(mark, buf, &mut self.at) {
                    self.inside = Inside::Text;
                    Ok(None)
                } else {
                    self.more(buf, at_end)
                }
            }
            Inside::Doctype(doctype) => {
                if doctype.pass(buf, &mut self.at, at_end) {
                    self.inside = Inside::Text;
                    Ok(None)
                } else {
                    self.more(buf, at_end)
                }
            }
            Inside::Tag(tag) => {
                let end = self.at.saturating_add(MAX_TAG);
                let view = &buf[..end.min(buf.len())];
                let (tag_end, broken) = match tag.end(view) {
                    Some(TagEnd::At(end)) => (end, false),
                    Some(TagEnd::Broken(end)) => (end, true),
                    None if view.len() == end => (end, true),
                    None => return self.more(buf, at_end),
                };
                self.inside = Inside::Text;
                self.tag(buf, self.at..tag_end, broken)
            }
        }
    }

    /// Text outside of records up to the next markup, and what kind of markup that is.
    fn text(&mut self, buf: &[u8], at_end: bool) -> Result<Option<Split>, SplitError> {
        const BOM: &[u8] = b"\xEF\xBB\xBF";
        if self.base == 0 && self.at == 0 && matches!(self.level, Level::Prolog) {
            if buf.len() < BOM.len() && !at_end {
                return Ok(Some(Split::NeedMore));
            }
            self.at = if buf.starts_with(BOM) { BOM.len() } else { 0 };
        }
        let text = &buf[self.at..];
        let text = &text[..memchr(b'<', text).unwrap_or(text.len())];
        if let Some(at) = text.iter().position(|byte| !is_space(*byte)) {
            self.only_between(buf, self.at + at)?;
        }
        self.line.text(text);
        self.at += text.len();
        let markup = &buf[self.at..];
        let (inside, len) = match markup {
            [b'<', b'?', ..] => (Inside::Until(b"?>"), 2),
            [b'<', b'!', b'-', b'-', ..] => (Inside::Until(b"-->"), 4),
            [b'<', b'!', ..] => match self.declaration(buf, at_end)? {
                Some(declaration) => declaration,
                None => return self.more(buf, at_end),
            },
            [b'<', byte, ..] if *byte == b'/' || is_name_start(*byte) => {
                if matches!(self.level, Level::Epilog) {
                    self.only_between(buf, self.at)?;
                }
                if matches!(self.level, Level::Between) {
                    match self.begins_record(markup, at_end) {
                        Some(true) => {
                            let open = Open { start: self.at, depth: 0, discarded: None };
                            self.level = Level::Record(open);
                            return Ok(None);
                        }
                        Some(false) => {}
                        None => return Ok(Some(Split::NeedMore)),
                    }
                }
                (Inside::Tag(Tag::new(markup, self.at)), 0)
            }
            [] => return self.more(buf, at_end),
            [_] if !at_end || matches!(self.level, Level::Prolog) => {
                return self.more(buf, at_end);
            }
            _ => {
                self.only_between(buf, self.at)?;
                (Inside::Text, 1)
            }
        };
        self.line.markup();
        self.inside = inside;
        self.at += len;
        Ok(None)
    }

    /// What `<!` at `at` begins, if it is no comment, and how much of it is read thereby; `None` if
    /// more text is needed to tell.
    fn declaration(&self, buf: &[u8], at_end: bool) -> Result<Option<(Inside, usize)>, SplitError> {
        const CDATA: &[u8] = b"<![CDATA[";
        const DOCTYPE: &[u8] = b"<!DOCTYPE";
        let rest = &buf[self.at..];
        let may_become = |mark: &[u8]| mark.starts_with(rest) && !at_end;
        if may_become(CDATA) || may_become(DOCTYPE) || may_become(b"<!--") {
            return Ok(None);
        }
        if matches!(self.level, Level::Prolog) && rest.starts_with(DOCTYPE) {
            return Ok(Some((Inside::Doctype(Doctype::default()), DOCTYPE.len())));
        }
        self.only_between(buf, self.at)?;
        let cdata = rest.starts_with(CDATA);
        Ok(Some(if cdata { (Inside::Until(b"]]>"), CDATA.len()) } else { (Inside::Text, 2) }))
    }

    /// Whether the tag that `markup` begins with is a record's; `None` if that cannot be told yet.
    fn begins_record(&self, markup: &[u8], at_end: bool) -> Option<bool> {
        let tag = self.kind.record_tag().as_bytes();
        let rest = &markup[1..];
        match rest.strip_prefix(tag) {
            Some([next, ..]) => Some(!is_name_byte(*next)),
            Some([]) => at_end.then_some(true),
            None if tag.starts_with(rest) && !at_end => None,
            None => Some(false),
        }
    }

    /// A whole tag outside of records.
    fn tag(
        &mut self,
        buf: &[u8],
        range: Range<usize>,
        broken: bool,
    ) -> Result<Option<Split>, SplitError> {
        let raw = &buf[range.clone()];
        let closes = raw.starts_with(b"</");
        let name_start = if closes { 2 } else { 1 };
        let rest = &raw[name_start..];
        let name = &rest[..rest.iter().position(|b| !is_name_byte(*b)).unwrap_or(rest.len())];
        let is_empty = raw.ends_with(b"/>") && !closes && !broken;
        let is_root = name == self.kind.name().as_bytes();
        let mut split = None;
        match &mut self.level {
            Level::Prolog if closes || !is_root => return Err(self.wrong_root(buf, range.start)),
            Level::Prolog => {
                self.level = if is_empty { Level::Epilog } else { Level::Between };
            }
            Level::Between if broken => split = Some(self.bad(buf, range.clone(), OUTSIDE)),
            Level::Between if closes && is_root => self.level = Level::Epilog,
            Level::Between if closes => split = Some(self.bad(buf, range.clone(), STRAY)),
            Level::Between => {
                if !is_empty {
                    self.level = Level::Foreign(1);
                }
                let start = range.start + name_start;
                split = Some(Split::Foreign(start..start + name.len()));
            }
            Level::Foreign(depth) => {
                match (broken, closes) {
                    (true, _) => {}
                    (_, true) => *depth -= 1,
                    (_, false) => *depth += u64::from(!is_empty),
                }
                if *depth == 0 {
                    self.level = Level::Between;
                }
            }
            Level::Record(_) | Level::Epilog => {}
        }
        self.at = range.end;
        Ok(split)
    }

    /// One step inside a record.
    fn in_record(&mut self, buf: &[u8], at_end: bool) -> Option<Split> {
        let Level::Record(open) = &mut self.level else { return None };
        let limit = match open.discarded {
            None => open.start.saturating_add(self.limit),
            Some(_) => usize::MAX,
        };
        let view = &buf[..limit.min(buf.len())];
        let is_all = at_end || view.len() == limit;
        let found = match &mut self.inside {
            Inside::Until(mark) => {
                let passed = pass(mark, view, &mut self.at);
                if passed {
                    self.inside = Inside::Text;
                }
                passed
            }
            Inside::Tag(tag) => match tag.end(view) {
                Some(end) => {
                    let closes = tag.closes();
                    let (end, is_empty) = match end {
                        TagEnd::At(end) => (end, !closes && view[..end].ends_with(b"/>")),
                        TagEnd::Broken(end) => (end, false),
                    };
                    self.inside = Inside::Text;
                    self.at = end;
                    match (closes, is_empty) {
                        (true, _) => open.depth -= 1,
                        (_, false) => open.depth += 1,
                        (_, true) => {}
                    }
                    if open.depth == 0 {
                        return self.complete(end);
                    }
                    true
                }
                None => false,
            },
            Inside::Text | Inside::Doctype(_) => match self.marks.next(view, self.at) {
                Some((at, Mark::RootCloses)) => {
                    return self.recover(buf, at, Cause::RootCloses);
                }
                Some((at, Mark::Tag)) => {
                    self.at = at;
                    self.inside = Inside::Tag(Tag::new(&view[at..], at));
                    true
                }
                Some((at, Mark::Opens { len, until })) => {
                    self.at = at + len;
                    self.inside = Inside::Until(until);
                    true
                }
                None => {
                    self.at = self.at.max(self.marks.passed());
                    false
                }
            },
        };
        match (found, is_all) {
            (true, _) => None,
            (false, false) => Some(Split::NeedMore),
            (false, true) if view.len() == limit => self.recover(buf, limit, Cause::Limit),
            (false, true) => self.recover(buf, buf.len(), Cause::InputEnds),
        }
    }

    /// The record that is open ends at `end`.
    fn complete(&mut self, end: usize) -> Option<Split> {
        let Level::Record(open) = std::mem::replace(&mut self.level, Level::Between) else {
            return None;
        };
        self.line.markup();
        Some(match open.discarded {
            None => Split::Record(open.start..end),
            Some(Discarded { start, raw }) => {
                let length = self.offset(end).0 - start;
                Split::Bad(BadRecord {
                    reason: TOO_LARGE.to_owned(),
                    start: XmlOffset(start),
                    length,
                    raw,
                })
            }
        })
    }

    /// The record that is open does not end before `end`. Only as much of it is given up as must
    /// be: up to the next place where a record plausibly begins.
    fn recover(&mut self, buf: &[u8], end: usize, cause: Cause) -> Option<Split> {
        let Level::Record(open) = &mut self.level else { return None };
        let start = open.start;
        let mut next = None;
        if open.discarded.is_none() {
            let tag = self.kind.record_tag().as_bytes();
            next = recover::next_record(&buf[start..end], tag, self.line.indent());
        }
        if next.is_none() && cause == Cause::Limit {
            let raw = buf[start..end.min(start + BadRecord::RAW_LIMIT)].to_vec();
            open.discarded = Some(Discarded { start: self.base + start as u64, raw });
            return None;
        }
        self.inside = Inside::Text;
        let end = match next {
            Some(next) => start + buf[start..start + next].trim_ascii_end().len(),
            None => end,
        };
        self.at = end;
        self.marks.restart(end);
        if let Level::Record(Open { discarded: Some(_), .. }) = self.level {
            return self.complete(end);
        }
        self.level = Level::Between;
        self.line.markup();
        let reason = match (next, cause) {
            (Some(_), _) => OVERRUN,
            (None, Cause::InputEnds) => "the input ends inside the record",
            (None, _) => "the root element is closed inside the record",
        };
        Some(self.bad(buf, start..end, reason))
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
            _ => Ok(()),
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

/// Moves `at` past the next `mark`; if there is none, as far as none can begin.
fn pass(mark: &[u8], view: &[u8], at: &mut usize) -> bool {
    let rest = view.get(*at..).unwrap_or_default();
    let found = memmem::find(rest, mark);
    *at += found.map_or_else(|| rest.len().saturating_sub(mark.len() - 1), |len| len + mark.len());
    found.is_some()
}

/// What begins no name is text: a `<` that is nothing is no reason to give up the records after it.
const fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || byte >= 0x80
}
