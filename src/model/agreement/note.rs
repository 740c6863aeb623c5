//! What is noted of the end of one run: what was announced of it, and how far its completion, its
//! cancellation and its sweep have come.

use crate::model::{Kind, Ordinal, Ranges, Run, Timestamp, Version};

/// The end of a run as it was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The type.
    pub kind: Kind,
    /// The version, if the message said so.
    pub version: Option<Version>,
    /// The run, its last ordinal, and how many ordinals up to there never come; none if the
    /// message did not say so.
    pub proof: Option<(Run, Ordinal, u64)>,
    /// What the message said otherwise.
    pub unproven: Unproven,
}

/// What the end of a run says whose sender does not number its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unproven {
    /// The pass that it ends; whoever announces it does not know.
    pub pass: u64,
    /// How many records were sent.
    pub sent: Option<u64>,
}

impl Announced {
    /// What tells two of a type apart. Without proof nothing is known of a run: it is the lowest,
    /// and there is one of each version.
    pub fn key(&self) -> (Option<Version>, Run) {
        (self.version, self.proof.map_or(Run(0), |(run, ..)| run))
    }
}

/// What is noted of one announced run of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The end as it was announced.
    pub announced: Announced,
    /// How many of its ordinals are written, as far as that was asked for: nothing that is agreed on
    /// depends on it.
    pub written: u64,
    /// How many of them the database refused for good, or nobody could read: they count like bad
    /// records, until they are taken after all. Likewise.
    pub refused: u64,
    /// When all of it was written.
    pub completed_at: Option<Timestamp>,
    /// About when the type's consumers are to be cancelled, for people; none if that is not agreed
    /// on.
    pub cancel_at: Option<Timestamp>,
    /// How often that was agreed on or put off. Who waits goes by this, and by a clock of his own:
    /// as long as it stays, nothing has come.
    pub cancel_turn: u64,
    /// When the first of them was.
    pub cancelled_at: Option<Timestamp>,
    /// What is to be done about the rows that the version no longer has.
    pub sweep: Option<Sweep>,
    /// How that ended, for people.
    pub sweep_words: Option<String>,
    /// Who sweeps.
    pub claim: Option<Claim>,
}

/// Whoever sweeps. The others leave it to that process as long as they see the claim change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Names one process.
    pub by: String,
    /// About how long it lasts unless it is renewed, for people.
    pub until: Timestamp,
    /// Goes up whenever it is taken or renewed.
    pub turn: u64,
}

/// How the removal of what a version no longer has stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// It is to be done.
    Owed,
    /// It is done.
    Done,
    /// It was refused.
    Refused,
}

impl Sweep {
    /// As the databases hold it.
    pub const fn name(self) -> &'static str {
        match self {
            Sweep::Owed => "owed",
            Sweep::Done => "done",
            Sweep::Refused => "refused",
        }
    }

    /// What a database holds; none for anything else.
    pub fn named(name: &str) -> Option<Sweep> {
        [Sweep::Owed, Sweep::Done, Sweep::Refused].into_iter().find(|sweep| sweep.name() == name)
    }
}

/// What is to become of a type's consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// They go on.
    Never,
    /// They are cancelled when this has stood for as long as was agreed on.
    Scheduled(Cancellation),
    /// They are cancelled, whoever was the first.
    Cancelled,
}

/// A cancellation that is agreed on. Put off, it is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// The run after which it comes.
    pub after: (Option<Version>, Run),
    /// Which one after that run it is.
    pub turn: u64,
    /// About when it is due, for people.
    pub at: Timestamp,
}

impl Note {
    /// What is noted of an end that was just announced.
    pub const fn new(announced: Announced) -> Note {
        Note {
            announced,
            written: 0,
            refused: 0,
            completed_at: None,
            cancel_at: None,
            cancel_turn: 0,
            cancelled_at: None,
            sweep: None,
            sweep_words: None,
            claim: None,
        }
    }

    /// Whether nothing says what belongs to it, and it was not found to be written.
    pub const fn waits_for_silence(&self) -> bool {
        self.announced.proof.is_none() && self.completed_at.is_none()
    }

    /// Whether it is to be counted what of its run is written, when only the newest runs are looked at.
    pub const fn is_open(&self) -> bool {
        self.announced.proof.is_some() && self.completed_at.is_none()
    }

    /// Counts what of its run is written, and what of it was refused and not taken since.
    pub fn count(&mut self, held: &Ranges, refused: &Ranges) {
        if let Some((_, last, _)) = self.announced.proof {
            self.written = held.count_to(last);
            self.refused = refused.count_beside(held, last);
        }
    }

    /// How many records are missing; none if that is not known.
    pub fn missing(&self) -> Option<u64> {
        let (_, last, bad_records) = self.announced.proof?;
        let dealt_with = bad_records.saturating_add(self.written).saturating_add(self.refused);
        Some(last.0.saturating_sub(dealt_with))
    }

    /// Whether it is or was complete, so that its cancellation counts.
    pub(super) const fn decides(&self) -> bool {
        self.completed_at.is_some() || self.cancel_turn > 0
    }

    /// The cancellation that is agreed on and has not come.
    pub fn cancellation(&self) -> Option<Cancellation> {
        let at = self.cancel_at.filter(|_| self.cancelled_at.is_none())?;
        Some(Cancellation { after: self.announced.key(), turn: self.cancel_turn, at })
    }
}
