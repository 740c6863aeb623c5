//! What is owed to the sink: messages to announce, sweeps to do. An entry lies in the store from
//! the transaction that makes it true until the sink has confirmed it.

use serde::{Deserialize, Serialize};

use crate::model::{Kind, Ordinal, Run, Timestamp, Version};

use super::{FileKey, FileState, Status};

/// One thing owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Owed {
    /// The `file_complete` message of a file.
    FileComplete {
        /// The dump's version.
        version: Version,
        /// Its type.
        #[serde(rename = "type")]
        kind: Kind,
        /// Its file name.
        file: String,
        /// The run that completed it.
        run: Run,
        /// Its last ordinal.
        last: Ordinal,
        /// Records delivered.
        records: u64,
        /// Records set aside.
        bad_records: u64,
        /// When it became complete.
        at: Timestamp,
    },
    /// The removal of rows that the version no longer has.
    Sweep {
        /// The dump's version.
        version: Version,
        /// Its type.
        #[serde(rename = "type")]
        kind: Kind,
        /// The run that completed it.
        run: Run,
        /// Its last ordinal.
        last: Ordinal,
        /// Records set aside.
        bad_records: u64,
    },
    /// The `extraction_complete` message of a version, due on every exchange.
    ExtractionComplete {
        /// The version.
        version: Version,
        /// The earliest first start among its files.
        started_at: Timestamp,
        /// Records delivered, by type in the usual order.
        record_counts: [u64; 4],
        /// When the fourth type became complete.
        at: Timestamp,
    },
}

impl Owed {
    /// The version it is about.
    pub const fn version(&self) -> Version {
        match self {
            Owed::FileComplete { version, .. }
            | Owed::Sweep { version, .. }
            | Owed::ExtractionComplete { version, .. } => *version,
        }
    }

    /// The type it is about; none if it is about all four.
    pub const fn kind(&self) -> Option<Kind> {
        match self {
            Owed::FileComplete { kind, .. } | Owed::Sweep { kind, .. } => Some(*kind),
            Owed::ExtractionComplete { .. } => None,
        }
    }

    /// Whether it is no longer true once files of these types are forgotten.
    pub(super) fn falls_with(&self, kinds: &[Kind]) -> bool {
        self.kind().is_none_or(|kind| kinds.contains(&kind))
    }
}

/// Names an entry of the outbox; later entries have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutboxId(pub u64);

/// What a sink wants to be told when a file is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owes {
    /// `file_complete`, and `extraction_complete` after the fourth type.
    pub announcements: bool,
    /// The sweep of rows that the version no longer has.
    pub sweep: bool,
}

/// What becomes owed when `key` has become complete as `state`; `others` are the version's other
/// files in the same job. `file_complete` comes before `extraction_complete`.
pub(super) fn owed_at_completion(
    key: &FileKey,
    state: &FileState,
    others: &[(FileKey, FileState)],
    owes: Owes,
) -> Vec<Owed> {
    let (Some(run), Some(at)) = (state.run, state.completed_at) else { return Vec::new() };
    let (version, kind) = (key.version, key.kind);
    let last = state.checkpoint.ordinal();
    let bad_records = state.checkpoint.bad_records;
    let mut due = Vec::new();
    if owes.announcements {
        let (file, records) = (key.file.clone(), state.checkpoint.records);
        due.push(Owed::FileComplete { version, kind, file, run, last, records, bad_records, at });
    }
    if owes.sweep {
        due.push(Owed::Sweep { version, kind, run, last, bad_records });
    }
    if owes.announcements {
        due.extend(extraction_complete(key, state, others, at));
    }
    due
}

fn extraction_complete(
    key: &FileKey,
    state: &FileState,
    others: &[(FileKey, FileState)],
    at: Timestamp,
) -> Option<Owed> {
    let others = others.iter().filter(|(other, _)| other != key).map(|(key, state)| (key, state));
    let complete: Vec<_> = others
        .chain([(key, state)])
        .filter(|(_, state)| state.status == Status::Complete)
        .collect();
    let all = Kind::ALL.iter().all(|kind| complete.iter().any(|(key, _)| key.kind == *kind));
    let records = |kind| {
        let of_kind = complete.iter().filter(|(key, _)| key.kind == kind);
        of_kind.map(|(_, state)| state.checkpoint.records).sum()
    };
    all.then(|| Owed::ExtractionComplete {
        version: key.version,
        started_at: complete.iter().filter_map(|(_, s)| s.first_start).min().unwrap_or(at),
        record_counts: Kind::ALL.map(records),
        at,
    })
}
