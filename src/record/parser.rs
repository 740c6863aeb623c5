//! One record in, one document out.

use std::borrow::Cow;

use crate::model::{Document, Kind};

use super::flatten;
use super::hash::hash;
use super::json::{Entry, Writer};
use super::scan::{Malformed, Scratch, scan};
use super::tree::{Element, ROOT, Tree};

/// Turns records into canonical documents. Make one a thread: it keeps its memory from record to
/// record and allocates nothing per element.
#[derive(Default)]
pub struct Parser {
    tree: Tree,
    scratch: Scratch,
    order: Vec<Entry>,
}

impl Parser {
    /// A parser that has not reserved any memory yet.
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Reads one record and makes nothing of it.
    ///
    /// # Errors
    /// If the record is not well-formed or too deeply nested.
    pub fn check(&mut self, record: &[u8]) -> Result<(), Malformed> {
        self.read(record).map(drop)
    }

    /// Reads one record into the tree; its text, of which the tree holds places.
    fn read<'a>(&mut self, record: &'a [u8]) -> Result<Cow<'a, str>, Malformed> {
        let record = match std::str::from_utf8(record) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(String::from_utf8_lossy(record).into_owned()),
        };
        scan(&record, &mut self.tree, &mut self.scratch).map_err(|fault| *fault)?;
        Ok(record)
    }

    /// Appends the canonical JSON of one record (the bytes from its `<` to its `>`) to `out`.
    ///
    /// # Errors
    /// If the record is not well-formed, too deeply nested, or no object; `out` is as before.
    pub fn parse(
        &mut self,
        kind: Kind,
        record: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Document, Malformed> {
        let record = self.read(record)?;
        if !self.tree.node(ROOT).is_object() {
            return Err(Malformed::NoObject);
        }
        let element = Element { record: record.as_bytes(), tree: &self.tree };
        let start = out.len();
        out.reserve(record.len() + record.len() / 4);
        let id_member = Writer { element, order: &mut self.order, out }.record(kind);
        let json = start..out.len();
        let id = String::from_utf8_lossy(flatten::id(element)).into();
        Ok(Document { hash: hash(&out[json.clone()]), json, id, id_member })
    }
}

#[cfg(test)]
mod tests;
