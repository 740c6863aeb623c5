//! What a living owner says of itself, beyond its files.

use serde::{Deserialize, Serialize};

use crate::model::{Kind, Timestamp};

/// What the owner is at. Whatever is missing, an older release did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doing {
    /// Who it is: `discogs-extractor`, `tableinator`.
    pub service: String,
    /// What it is at, if it extracts.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// What its consumers are at, if it has any.
    #[serde(default)]
    pub types: Vec<TypeEntry>,
}

/// What whoever extracts is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing was begun yet.
    #[default]
    Idle,
    /// A pass is under way.
    Running,
    /// The last pass did all there was to do, and the next one is due then, or when it is asked
    /// for.
    Waiting(Timestamp),
    /// The last pass failed, at least in part, and is tried again then.
    Failed(Timestamp),
}

/// A type's consumer at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeEntry {
    /// The type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Whether its queue is being read.
    pub reads: bool,
    /// Whether its consumers are cancelled, since the type is complete.
    pub cancelled: bool,
    /// Whether its messages are not written although they should be.
    pub stalled: bool,
    /// Records that this process wrote.
    pub records: u64,
    /// Messages that came to this process.
    pub messages: u64,
    /// Messages that are not acknowledged.
    pub in_flight: u64,
    /// Messages that went to the dead letters.
    pub dead_letters: u64,
    /// When the last message came.
    pub last_message: Option<Timestamp>,
    /// When the type was complete, if it is.
    pub completed_at: Option<Timestamp>,
}
