//! Outside of records: the prolog, what may stand between two records, the epilog.

use std::ops::Range;

use memchr::memchr;

use super::doctype::Doctype;
use super::level::{Inside, Level, What};
use super::looked::looked;
use super::marks::pass;
use super::stray::Stray;
use super::tag::{Tag, TagEnd, is_name_start, name};
use super::{MAX_TAG, Split, SplitError, Splitter, is_name_byte, is_space};

const OUTSIDE: &str = "a tag that does not end";
const STRAY_TAG: &str = "an end tag where nothing is open";

impl Splitter {
    /// One step outside of records.
    pub(super) fn outside(
        &mut self,
        buf: &[u8],
        at_end: bool,
    ) -> Result<Option<Split>, SplitError> {
        match &mut self.inside {
            Inside::Text => self.text(buf, at_end),
            Inside::Until(mark) => {
                let before = self.at;
                let passed = pass(mark, buf, &mut self.at);
                if let Level::Stray(stray) = &mut self.level {
                    stray.take(self.base + before as u64, &buf[before..self.at]);
                }
                if passed {
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
        looked(text.len());
        if let Level::Stray(stray) = &mut self.level {
            stray.take(self.base + self.at as u64, text);
        } else if let Some(first) = text.iter().position(|byte| !is_space(*byte)) {
            self.stray(buf, self.at + first..self.at + text.len())?;
        }
        self.line.text(text);
        self.at += text.len();
        let markup = &buf[self.at..];
        match markup {
            [] => return self.more(buf, at_end),
            [_] if !at_end || matches!(self.level, Level::Prolog) => {
                return self.more(buf, at_end);
            }
            [b'<', b'!', ..] if !markup.starts_with(b"<!--") => {
                return self.declaration(buf, at_end);
            }
            [b'<', byte, ..] if b"/?!".contains(byte) || is_name_start(*byte) => {}
            _ => {
                self.stray(buf, self.at..self.at + 1)?;
                self.line.markup();
                self.at += 1;
                return Ok(None);
            }
        }
        if let Level::Stray(stray) = &mut self.level {
            let bad = stray.end();
            self.level = Level::Between;
            return Ok(Some(Split::Bad(bad)));
        }
        let (inside, len) = match markup {
            [b'<', b'?', ..] => (Inside::Until(b"?>"), 2),
            [b'<', b'!', ..] => (Inside::Until(b"-->"), 4),
            _ => return self.begin_tag(buf, at_end),
        };
        self.line.markup();
        self.inside = inside;
        self.at += len;
        Ok(None)
    }

    /// A tag begins at `at`: a record's own begins the record.
    fn begin_tag(&mut self, buf: &[u8], at_end: bool) -> Result<Option<Split>, SplitError> {
        if matches!(self.level, Level::Epilog) {
            self.only_between(buf, self.at)?;
        }
        let markup = &buf[self.at..];
        if matches!(self.level, Level::Between) {
            match self.begins_record(markup, at_end) {
                Some(true) => {
                    self.open(What::Record, self.at);
                    return Ok(None);
                }
                Some(false) => {}
                None => return Ok(Some(Split::NeedMore)),
            }
        }
        self.inside = Inside::Tag(Tag::new(markup, self.at));
        Ok(None)
    }

    /// `<!` that begins no comment. Between records it is text, CDATA too.
    fn declaration(&mut self, buf: &[u8], at_end: bool) -> Result<Option<Split>, SplitError> {
        const CDATA: &[u8] = b"<![CDATA[";
        const DOCTYPE: &[u8] = b"<!DOCTYPE";
        let rest = &buf[self.at..];
        let may_become = |mark: &[u8]| mark.starts_with(rest) && !at_end;
        if may_become(CDATA) || may_become(DOCTYPE) || may_become(b"<!--") {
            return self.more(buf, at_end);
        }
        let (inside, len) = if matches!(self.level, Level::Prolog) && rest.starts_with(DOCTYPE) {
            (Inside::Doctype(Doctype::default()), DOCTYPE.len())
        } else {
            let (inside, len) = if rest.starts_with(CDATA) {
                (Inside::Until(b"]]>"), CDATA.len())
            } else {
                (Inside::Text, 2)
            };
            self.stray(buf, self.at..self.at + len)?;
            (inside, len)
        };
        self.line.markup();
        self.inside = inside;
        self.at += len;
        Ok(None)
    }

    /// Text that belongs nowhere: a place of its own if it stands between records.
    fn stray(&mut self, buf: &[u8], range: Range<usize>) -> Result<(), SplitError> {
        self.only_between(buf, range.start)?;
        let start = self.base + range.start as u64;
        if matches!(self.level, Level::Between) {
            self.level = Level::Stray(Stray::new(start));
        }
        if let Level::Stray(stray) = &mut self.level {
            stray.take(start, &buf[range]);
        }
        Ok(())
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
        let name_start = range.start + if closes { 2 } else { 1 };
        let name = name(&buf[name_start..range.end]);
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
            Level::Between if closes => split = Some(self.bad(buf, range.clone(), STRAY_TAG)),
            Level::Between if is_empty => {
                split = Some(Split::Foreign(name_start..name_start + name.len()));
            }
            Level::Between => {
                self.open(What::Foreign, range.end);
                return Ok(None);
            }
            Level::Stray(_) | Level::Element(_) | Level::Epilog => {}
        }
        self.line.markup();
        self.at = range.end;
        Ok(split)
    }
}
