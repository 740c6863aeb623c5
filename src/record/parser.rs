//! One record in, one document out. What is in memory meanwhile is bounded by what may come
//! ([`super::MAX_RECORD`], [`super::MAX_NODES`]) and by what may go out ([`MAX_DOCUMENT`]): no text
//! is kept a second time beside the record.

use std::borrow::Cow;

use crate::model::{Document, Kind};

use super::flatten;
use super::hash::hash;
use super::json::{Entry, LONG, Writer};
use super::reference;
use super::scan::{Fault, Malformed, Scan, Scratch};
use super::tree::{Element, KEPT_NODES, ROOT, Tree};
use super::value::lossy_copy;
use super::{MAX_COPY, MAX_DOCUMENT, MAX_ID};

/// From a larger record on, room for the largest document is reserved at once: what is not written
/// to takes no memory, and nothing has to grow, which some allocators do by copying.
const HUGE: usize = 1 << 20;

/// Turns records into canonical documents. Make one a thread: it keeps its memory from record to
/// record and allocates nothing per element.
pub struct Parser {
    /// The most bytes that a document may have.
    limit: usize,
    tree: Tree,
    scratch: Scratch,
    order: Vec<Entry>,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser::with_limit(MAX_DOCUMENT)
    }
}

impl Parser {
    /// A parser that has not reserved any memory yet, for documents of [`MAX_DOCUMENT`] at most.
    pub fn new() -> Parser {
        Parser::default()
    }

    /// A parser of documents whose canonical JSON has so many bytes at most.
    pub fn with_limit(limit: usize) -> Parser {
        Parser { limit, tree: Tree::default(), scratch: Scratch::default(), order: Vec::default() }
    }

    /// Reads one record and makes nothing of it.
    ///
    /// # Errors
    /// If the record is not well-formed or too deeply nested.
    pub fn check(&mut self, record: &[u8]) -> Result<(), Malformed> {
        self.read(record).map(drop)
    }

    /// Reads one record into the tree; its text, of which the tree holds places.
    fn read<'a>(&mut self, record: &'a [u8]) -> Result<Cow<'a, [u8]>, Malformed> {
        let scanned = scan(record, &mut self.tree, &mut self.scratch).map_err(|fault| *fault);
        if str::from_utf8(record).is_ok() {
            return scanned.map(|()| record.into());
        }
        let scanned = match self.tree.mark_invalid(record) {
            None => scanned,
            Some(name) => scanned.and(Err(Malformed::Syntax {
                what: "a name that is not UTF-8 (in a record of more than 32 MiB)",
                offset: name.offset(),
            })),
        };
        let Err(fault) = scanned else { return Ok(record.into()) };
        // Names are compared and sorted, and so must be what they are with U+FFFD in them.
        let copy = lossy_copy(record, MAX_COPY).ok_or(fault)?;
        scan(&copy, &mut self.tree, &mut self.scratch).map_err(|fault| *fault)?;
        Ok(copy.into())
    }

    /// Appends the canonical JSON of one record (the bytes from its `<` to its `>`) to `out`.
    ///
    /// # Errors
    /// If the record is not well-formed, too deeply nested, or no object, or its document or id is
    /// too large; `out` is as before.
    pub fn parse(
        &mut self,
        kind: Kind,
        record: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Document, Malformed> {
        let start = out.len();
        let document = self.document(kind, record, out);
        if document.is_err() {
            out.truncate(start);
        }
        // What a huge record needed is given back now: its sink will need that memory.
        self.tree.clear();
        self.order.clear();
        self.order.shrink_to(KEPT_NODES);
        document
    }

    fn document(
        &mut self,
        kind: Kind,
        record: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Document, Malformed> {
        let record = self.read(record)?;
        if !self.tree.node(ROOT).is_object() {
            return Err(Malformed::NoObject);
        }
        self.tree.has_odd_names |= record.len() > LONG;
        let element = Element { record: &record, tree: &self.tree };
        let id = id(element)?;
        let start = out.len();
        out.reserve(if record.len() > HUGE {
            self.limit.min(MAX_DOCUMENT)
        } else {
            record.len() + record.len() / 4
        });
        let end = start.saturating_add(self.limit);
        let mut writer = Writer { element, order: &mut self.order, out, end };
        let id_member = writer.record(kind);
        if writer.is_full() {
            return Err(Malformed::TooLarge { limit: self.limit });
        }
        let json = start..out.len();
        Ok(Document { hash: hash(&out[json.clone()]), json, id, id_member })
    }
}

/// A record's id, which is `unknown` if it has none.
fn id(element: Element<'_>) -> Result<Box<str>, Malformed> {
    let Some(node) = flatten::id(element) else { return Ok("unknown".into()) };
    let value = element.tree.node(node).value;
    if value.is_plain() && value.range().len() <= MAX_ID {
        return Ok(String::from_utf8_lossy(&element.record[value.range()]).into());
    }
    let mut id = Vec::new();
    element.decode(value, &mut |bits| {
        if id.len() + bits.len() > MAX_ID {
            return Err(Malformed::LongId);
        }
        id.extend_from_slice(bits);
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&id).into())
}

/// Reads the one element that `record` is into `tree`.
fn scan(record: &[u8], tree: &mut Tree, scratch: &mut Scratch) -> Result<(), Fault> {
    if !Scan::new(record, tree, scratch).plain()? {
        reference::read(&as_text(record), Scan::new(record, tree, scratch))?;
    }
    Ok(())
}

/// The record as text in which everything stands where it stands in the record. If it is not
/// UTF-8, it is a copy without anything that is not ASCII, which means nothing to markup.
fn as_text(record: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(record) {
        return text.into();
    }
    let ascii: Vec<u8> =
        record.iter().map(|byte| if byte.is_ascii() { *byte } else { b'x' }).collect();
    String::from_utf8(ascii).unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
