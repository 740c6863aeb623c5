//! A record on its way: where it stood, what became of it, and why one was set aside.

use std::ops::Range;

use super::{MemberCheck, Ordinal, Ranges, Sha256, XmlOffset};

/// Where a record stands in its dump. Places touch: each begins `from` where the one before ended,
/// so that every byte of the text up to the last `end` belongs to exactly one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its place among the records, from 1.
    pub ordinal: Ordinal,
    /// The `end` of the place before; 0 for the first. Between here and `start` stands nothing that
    /// could be a record or a part of one: the reader, which alone sees the text, has proved it.
    pub from: XmlOffset,
    /// The record's first byte.
    pub start: XmlOffset,
    /// The first byte after it.
    pub end: XmlOffset,
    /// The gzip member's check at `end`; none where the record was not read from a dump.
    pub check: Option<MemberCheck>,
}

impl Place {
    /// The place of a record among records that are `length` bytes long each and touch: for tests
    /// of what comes after the reader.
    pub const fn counted(ordinal: Ordinal, length: u64) -> Place {
        let from = XmlOffset((ordinal.0 - 1) * length);
        Place { ordinal, from, start: from, end: XmlOffset(ordinal.0 * length), check: None }
    }
}

/// A batch of consecutive records of one dump, parsed: the documents lie one after the other in
/// one buffer.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The canonical JSON of all documents.
    pub json: Vec<u8>,
    /// The records in order, without gaps.
    pub items: Vec<Item>,
}

/// What of consecutive records of one dump goes into a sink: their documents.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// The canonical JSON of all.
    pub json: Vec<u8>,
    /// The documents in order, and which records they are.
    pub all: Vec<(Ordinal, Document)>,
    /// The records that are dealt with once these are delivered: bad ones among them too.
    pub ordinals: Ranges,
}

impl Parsed {
    /// The documents. Of its bad records only their ordinals are left.
    pub fn documents(self) -> Documents {
        let Parsed { json, items } = self;
        let mut ordinals = Ranges::default();
        if let Some((first, last)) = items.first().zip(items.last()) {
            ordinals.insert(first.place.ordinal..=last.place.ordinal);
        }
        let document = |Item { place, body }| match body {
            Body::Document(document) => Some((place.ordinal, document)),
            Body::Bad(_) => None,
        };
        Documents { json, all: items.into_iter().filter_map(document).collect(), ordinals }
    }
}

/// One record of a batch.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it stood.
    pub place: Place,
    /// What became of it.
    pub body: Body,
}

/// What became of a record.
#[derive(Clone, Debug)]
pub enum Body {
    /// A canonical document, ready to be delivered.
    Document(Document),
    /// Not a record that can be delivered.
    Bad(BadRecord),
}

/// A canonical record inside the JSON of its batch.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where its JSON lies.
    pub json: Range<usize>,
    /// Its id: attribute, else child, else `unknown`.
    pub id: Box<str>,
    /// SHA-256 of the JSON.
    pub hash: Sha256,
    /// Where the member `"id":…` lies in that JSON, without the commas around it, if the
    /// record has one.
    pub id_member: Option<Range<usize>>,
}

/// A record that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Why, for the person who looks at it.
    pub reason: String,
    /// Where it begins.
    pub start: XmlOffset,
    /// How long it is.
    pub length: u64,
    /// Its bytes, the first [`BadRecord::RAW_LIMIT`] of them.
    pub raw: Vec<u8>,
}

impl BadRecord {
    /// At most 1 MiB of a bad record is kept.
    pub const RAW_LIMIT: usize = 1 << 20;
}
