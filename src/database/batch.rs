//! What goes into a table, whatever the database: rows that come from one place, and what is noted
//! with them in their transaction.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;

use super::LeftOut;
use crate::model::agreement::Noter;
use crate::model::{DumpName, Kind, Ordinal, Ranges, Run, Sha256, Version};

/// One record on its way into its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: Box<str>,
    /// Its place in its dump, if that is known.
    pub ordinal: Option<Ordinal>,
    /// SHA-256 of the canonical JSON.
    pub hash: Sha256,
    /// The canonical JSON, UTF-8.
    pub json: Bytes,
}

/// Rows that come from one place, in the order of their ordinals.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Their table.
    pub kind: Kind,
    /// Their version and run; none if they do not say.
    pub source: Option<(Version, Run)>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The ordinals that are dealt with by this, bad records' too.
    pub ordinals: Ranges,
    /// Records of that place that came and could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// A record that came and could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its place in its dump.
    pub ordinal: Ordinal,
    /// Why.
    pub why: String,
}

/// A record that will never be written, by its place in its dump, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Its ordinal.
    pub ordinal: Ordinal,
    /// Whoever refused it said this.
    pub words: &'a str,
}

/// Ranges of refused records that are kept of a run. The direct sink gives a file up long before.
pub const MOST_REFUSED: u64 = 10_000;

/// Bytes that are kept of the words about a refused record, which may quote it.
const WORDS: usize = 500;

impl Refusal<'_> {
    /// The words, cut where they are long.
    pub fn short(&self) -> &str {
        &self.words[..self.words.floor_char_boundary(WORDS)]
    }

    /// The range that it makes together with those that it touches, and the words about the first.
    pub(super) fn joined(
        &self,
        touched: Vec<(RangeInclusive<Ordinal>, String)>,
    ) -> (Ordinal, Ordinal, String) {
        let last = touched.iter().map(|(range, _)| *range.end()).max();
        let last = last.map_or(self.ordinal, |last| last.max(self.ordinal));
        // Of one that was noted before the words stay.
        let before = touched.into_iter().map(|(range, words)| (*range.start(), words));
        let own = (self.ordinal, self.short().to_owned());
        let first = before.chain([own.clone()]).min_by_key(|(first, _)| *first);
        let (first, words) = first.unwrap_or(own);
        (first, last, words)
    }
}

/// Ordinals of several runs of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRanges(BTreeMap<(String, Run), Ranges>);

impl RunRanges {
    /// Adds a range.
    pub fn insert(&mut self, version: &str, run: Run, range: RangeInclusive<Ordinal>) {
        self.0.entry((version.to_owned(), run)).or_default().insert(range);
    }

    /// Those of a run.
    pub fn of(&self, version: Version, run: Run) -> Ranges {
        self.0.get(&(version.to_string(), run)).cloned().unwrap_or_default()
    }
}

/// What is noted with rows, in their transaction.
#[derive(Clone, Copy, Debug)]
pub enum Notes<'a> {
    /// The batch's ordinals are dealt with, whatever becomes of its rows.
    Dealt,
    /// The rows' own ordinals, but for those that are refused, and what the rows mean for the
    /// cancellations of whoever notes.
    Messages(&'a Noter),
}

/// The rows that the database refused for themselves, with its words: by their index.
pub type Refused = BTreeMap<usize, String>;

/// What of a batch's rows was not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Those that the database refused.
    pub refused: Refused,
    /// Those that a later row or sweep stands against.
    pub left_out: LeftOut,
}

impl Batch {
    /// The dump that they are of, if they say so, and the run.
    pub fn of(&self) -> Option<(DumpName, Run)> {
        let (version, run) = self.source?;
        Some((DumpName { version, kind: self.kind }, run))
    }

    /// The records that will never be written, where it is known which they are.
    pub fn refusals<'a>(&'a self, refused: &'a Refused) -> Vec<Refusal<'a>> {
        let rows = refused.iter().filter_map(|(index, words)| {
            Some(Refusal { ordinal: self.rows.get(*index)?.ordinal?, words })
        });
        let unreadable = self.unreadable.iter();
        let unreadable =
            unreadable.map(|Unreadable { ordinal, why }| Refusal { ordinal: *ordinal, words: why });
        rows.chain(unreadable).collect()
    }

    /// The ordinals that are to be noted.
    pub(super) fn noted(
        &self,
        notes: Notes<'_>,
        refused: &Refused,
    ) -> Vec<RangeInclusive<Ordinal>> {
        match notes {
            Notes::Dealt => self.ordinals.iter().collect(),
            Notes::Messages(_) => {
                let written = self.rows.iter().enumerate();
                let written = written.filter(|(index, _)| !refused.contains_key(index));
                let ordinals = written.filter_map(|(_, row)| Some(row.ordinal?..=row.ordinal?));
                ordinals.collect::<Ranges>().iter().collect()
            }
        }
    }
}
