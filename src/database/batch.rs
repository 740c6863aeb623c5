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
