//! The XML of one record, read once from front to back into the tree.

use memchr::{memchr, memchr2, memmem};

use super::tree::{Index, NONE, Node, Tree};
use super::value::{Form, Value};
use super::{MAX_DEPTH, is_name_byte, is_space};

/// Why a record is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something that is no XML.
    #[error("{what} at byte {offset} of the record")]
    Syntax {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the record's `<`.
        offset: usize,
    },
    /// An end tag that belongs to another element than the one that is open.
    #[error("<{open}> is closed by </{found}> at byte {offset} of the record")]
    Mismatched {
        /// The element that is open.
        open: String,
        /// The name in the end tag.
        found: String,
        /// Where the end tag begins, in bytes from the record's `<`.
        offset: usize,
    },
    /// Well-formed, but no object: there is no key to put anything under.
    #[error("the record has neither attributes nor children")]
    NoObject,
}

/// What the scanner keeps from record to record, so that it need not allocate.
#[derive(Default)]
pub(super) struct Scratch {
    open: Vec<Open>,
    segments: Vec<Segment>,
}

/// An element whose end tag has not come yet.
struct Open {
    node: Index,
    /// Its last member so far.
    last: Index,
    /// Its text up to the first markup inside it.
    text: Value,
    /// The first and last of its further pieces of text.
    more: Option<(usize, usize)>,
}

/// A further piece of an element's text, and where the next one is.
struct Segment {
    text: Value,
    next: Option<usize>,
}

/// Reads the one element that `record` is into `tree`.
pub(super) fn scan(record: &[u8], tree: &mut Tree, scratch: &mut Scratch) -> Result<(), Malformed> {
    tree.clear();
    scratch.open.clear();
    scratch.segments.clear();
    Scan { record, tree, open: &mut scratch.open, segments: &mut scratch.segments }.run()
}

struct Scan<'a> {
    record: &'a [u8],
    tree: &'a mut Tree,
    open: &'a mut Vec<Open>,
    segments: &'a mut Vec<Segment>,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), Malformed> {
        if !self.record.starts_with(b"<") {
            return Err(syntax("no tag", 0));
        }
        let mut at = self.start_tag(0)?;
        while !self.open.is_empty() {
            let Some(len) = memchr(b'<', &self.record[at..]) else {
                let open = self.open.last().map_or(0, |open| self.tree.node(open.node).offset());
                return Err(syntax("an element that does not end", open.saturating_sub(1)));
            };
            if len > 0 {
                self.text(at, at + len, Form::Text);
                at += len;
            }
            at = match self.record.get(at + 1) {
                Some(b'/') => self.end_tag(at)?,
                Some(b'!') => self.comment_or_cdata(at)?,
                Some(b'?') => 2 + self.find(b"?>", at, at + 2)?,
                _ => self.start_tag(at)?,
            };
        }
        if at < self.record.len() { Err(syntax("something after its end", at)) } else { Ok(()) }
    }

    /// Reads the start tag that begins at `at` and returns where it ends.
    fn start_tag(&mut self, at: usize) -> Result<usize, Malformed> {
        let mut end = self.name(at + 1)?;
        if self.open.len() == MAX_DEPTH {
            return Err(syntax("an element nested deeper than 64", at));
        }
        let node = self.tree.add(self.record, (at + 1, end), Value::NONE, false);
        if let Some(parent) = self.open.last_mut() {
            link(self.tree, parent.node, parent.last, node);
            parent.last = node;
        }
        let mut last = NONE;
        loop {
            let space = end;
            end = self.skip_space(end);
            match self.record.get(end) {
                Some(b'>') => break,
                Some(b'/') if self.record.get(end + 1) == Some(&b'>') => {
                    self.check_distinct(node)?;
                    return Ok(end + 2);
                }
                Some(byte) if end > space && is_name_byte(*byte) => {
                    let attribute;
                    (attribute, end) = self.attribute(end)?;
                    link(self.tree, node, last, attribute);
                    last = attribute;
                }
                _ => return Err(syntax("a tag that does not end as a tag", end)),
            }
        }
        self.check_distinct(node)?;
        self.open.push(Open { node, last, text: Value::NONE, more: None });
        Ok(end + 1)
    }

    /// Reads the attribute whose name begins at `start`; the node and where it ends.
    fn attribute(&mut self, start: usize) -> Result<(Index, usize), Malformed> {
        let name_end = self.name(start)?;
        let equals = self.skip_space(name_end);
        if self.record.get(equals) != Some(&b'=') {
            return Err(syntax("an attribute without a value", start));
        }
        let open = self.skip_space(equals + 1);
        let quote = match self.record.get(open) {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Err(syntax("an attribute value without quotes", open)),
        };
        let rest = &self.record[open + 1..];
        let close = match memchr2(quote, b'<', rest) {
            Some(len) if rest[len] == quote => open + 1 + len,
            Some(len) => return Err(syntax("'<' in an attribute value", open + 1 + len)),
            None => return Err(syntax("an attribute value that does not end", open)),
        };
        let decoded = &mut self.tree.decoded;
        let value = Value::read(self.record, open + 1, close, Form::Attribute, decoded);
        Ok((self.tree.add(self.record, (start, name_end), value, true), close + 1))
    }

    /// Fails if two attributes of the element that was added last have one name.
    fn check_distinct(&self, element: Index) -> Result<(), Malformed> {
        const FEW: usize = 16;
        let attributes = &self.tree.nodes[element as usize + 1..];
        let twice = if attributes.len() <= FEW {
            let mut later = attributes.iter();
            attributes.iter().find(|one| {
                later.next();
                later.clone().any(|other| one.compare_names(other, self.record).is_eq())
            })
        } else {
            let mut sorted: Vec<&Node> = attributes.iter().collect();
            sorted.sort_unstable_by(|a, b| a.compare_names(b, self.record));
            let mut pairs = sorted.windows(2);
            pairs
                .find(|pair| pair[0].compare_names(pair[1], self.record).is_eq())
                .map(|pair| pair[1])
        };
        match twice {
            Some(twice) => Err(syntax("an attribute that is there twice", twice.offset())),
            None => Ok(()),
        }
    }

    /// Reads the end tag that begins at `at` and returns where it ends.
    fn end_tag(&mut self, at: usize) -> Result<usize, Malformed> {
        let start = at + 2;
        let Some(open) = self.open.pop() else { return Err(syntax("a stray end tag", at)) };
        let name = self.tree.node(open.node).name(self.record);
        let end = start + name.len();
        if !self.record[start..].starts_with(name)
            || self.record.get(end).is_some_and(|byte| is_name_byte(*byte))
        {
            let shown = |name: &[u8]| String::from_utf8_lossy(&name[..name.len().min(80)]).into();
            let found = &self.record[start..self.name(start)?];
            return Err(Malformed::Mismatched {
                open: shown(name),
                found: shown(found),
                offset: at,
            });
        }
        let close = self.skip_space(end);
        if self.record.get(close) != Some(&b'>') {
            return Err(syntax("a tag that does not end as a tag", close));
        }
        self.close(&open);
        Ok(close + 1)
    }

    /// Gives an element its text, unless that is white space only.
    fn close(&mut self, open: &Open) {
        let decoded = &mut self.tree.decoded;
        let mut text = open.text;
        if let Some((first, _)) = open.more {
            let start = decoded.len();
            text.append_to(self.record, decoded);
            let mut next = Some(first);
            while let Some(segment) = next.and_then(|index| self.segments.get(index)) {
                segment.text.append_to(self.record, decoded);
                next = segment.next;
            }
            text = Value::of_decoded(start, decoded);
        }
        if text.is_some() && !is_white(text.bytes(self.record, decoded)) {
            self.tree.node_mut(open.node).value = text;
        }
    }

    /// Adds a piece of text to the element that is open.
    fn text(&mut self, start: usize, end: usize, form: Form) {
        let text = Value::read(self.record, start, end, form, &mut self.tree.decoded);
        let Some(open) = self.open.last_mut() else { return };
        if !open.text.is_some() {
            open.text = text;
            return;
        }
        let index = self.segments.len();
        self.segments.push(Segment { text, next: None });
        open.more = match open.more {
            Some((first, last)) => {
                self.segments[last].next = Some(index);
                Some((first, index))
            }
            None => Some((index, index)),
        };
    }

    fn comment_or_cdata(&mut self, at: usize) -> Result<usize, Malformed> {
        const CDATA: &[u8] = b"<![CDATA[";
        let rest = &self.record[at..];
        if rest.starts_with(b"<!--") {
            return Ok(3 + self.find(b"-->", at, at + 4)?);
        }
        if !rest.starts_with(CDATA) {
            return Err(syntax("a declaration", at));
        }
        let start = at + CDATA.len();
        let end = self.find(b"]]>", at, start)?;
        if end > start {
            self.text(start, end, Form::Cdata);
        }
        Ok(end + 3)
    }

    /// Where the mark that ends the markup at `at` stands.
    fn find(&self, mark: &[u8], at: usize, from: usize) -> Result<usize, Malformed> {
        let found = memmem::find(&self.record[from..], mark);
        found.map(|len| from + len).ok_or(syntax("markup that does not end", at))
    }

    /// Where the name that begins at `start` ends. `@` and `#` are what the keys of attributes and
    /// text begin with, so no name may.
    fn name(&self, start: usize) -> Result<usize, Malformed> {
        let rest = &self.record[start..];
        let len = rest.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(rest.len());
        if len == 0 || matches!(rest[0], b'@' | b'#' | b'!' | b'?') {
            return Err(syntax("something that is no name", start));
        }
        Ok(start + len)
    }

    fn skip_space(&self, mut at: usize) -> usize {
        while self.record.get(at).is_some_and(|byte| is_space(*byte)) {
            at += 1;
        }
        at
    }
}

/// Makes `node` the member of `parent` that follows `last`.
fn link(tree: &mut Tree, parent: Index, last: Index, node: Index) {
    if last == NONE {
        tree.node_mut(parent).first = node;
    } else {
        tree.node_mut(last).next = node;
    }
}

/// Whether text is nothing but Unicode's white space.
fn is_white(text: &[u8]) -> bool {
    if text.first().is_some_and(u8::is_ascii_graphic) {
        return false;
    }
    std::str::from_utf8(text).is_ok_and(|text| text.trim_start().is_empty())
}

const fn syntax(what: &'static str, offset: usize) -> Malformed {
    Malformed::Syntax { what, offset }
}
