//! What a consumer tells of itself: a few words to people, and how each type stands.

use crate::model::agreement::Note;
use crate::model::{Kind, Run, Timestamp, Version};

/// What is told to people, word for word in `observe/lines`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// All of a type is written.
    Complete(Kind),
    /// A type's consumer is cancelled.
    Canceling(Kind),
}

/// One type's consumer at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeNow {
    /// The type.
    pub kind: Kind,
    /// Whether its queue is being read.
    pub reads: bool,
    /// Whether its consumers are cancelled, since the type is complete.
    pub cancelled: bool,
    /// Messages that came to this process.
    pub messages: u64,
    /// Records that this process wrote.
    pub records: u64,
    /// Messages that went to the dead letters.
    pub poison: u64,
    /// Messages that are not acknowledged.
    pub in_flight: usize,
    /// Why the database does not do what it is asked, while it does not.
    pub held_up: Option<String>,
    /// When the last one came.
    pub last_message: Option<Timestamp>,
    /// What is noted of its runs.
    pub notes: Vec<Note>,
    /// The run that is being read, of which the end was not announced yet, and how many of its
    /// records are written.
    pub reading: Option<(Version, Run, u64)>,
}

impl TypeNow {
    /// A consumer that did nothing yet.
    pub(super) fn new(kind: Kind) -> TypeNow {
        TypeNow {
            kind,
            reads: false,
            cancelled: false,
            messages: 0,
            records: 0,
            poison: 0,
            in_flight: 0,
            held_up: None,
            last_message: None,
            notes: Vec::new(),
            reading: None,
        }
    }
}
