//! What consumers note of the ends of runs in the database that they fill, so that all who read
//! the same queues know it. What follows from the notes; pure.

use std::time::Duration;

use super::{Kind, Ordinal, Run, Timestamp, Version};

/// Who notes, and when the type of a complete run is cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noter {
    /// The consumer's name: `tableinator`.
    pub consumer: String,
    /// How long after completion a type's consumers are cancelled; none for never.
    pub cancel_after: Option<Duration>,
}

impl Noter {
    /// When a type that is complete now is cancelled.
    pub fn cancel_at(&self, now: Timestamp) -> Option<Timestamp> {
        let after = u64::try_from(self.cancel_after?.as_millis()).unwrap_or(u64::MAX);
        Some(Timestamp(now.0.saturating_add(after)))
    }
}

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
}

/// What is noted of one announced run of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The end as it was announced.
    pub announced: Announced,
    /// How many of its ordinals are written.
    pub written: u64,
    /// When all of it was written.
    pub completed_at: Option<Timestamp>,
    /// When the type's consumers are to be cancelled.
    pub cancel_at: Option<Timestamp>,
    /// When the first of them was.
    pub cancelled_at: Option<Timestamp>,
    /// What is to be done about the rows that the version no longer has.
    pub sweep: Option<Sweep>,
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
    /// As the table holds it.
    pub const fn name(self) -> &'static str {
        match self {
            Sweep::Owed => "owed",
            Sweep::Done => "done",
            Sweep::Refused => "refused",
        }
    }

    /// What the table holds; none for anything else.
    pub fn named(name: &str) -> Option<Sweep> {
        [Sweep::Owed, Sweep::Done, Sweep::Refused].into_iter().find(|sweep| sweep.name() == name)
    }
}

/// What is to become of a type's consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// They go on.
    Never,
    /// They are cancelled then.
    At(Timestamp),
    /// They are cancelled, whoever was the first.
    Cancelled,
}

impl Note {
    /// How many records are missing; none if that is not known.
    pub fn missing(&self) -> Option<u64> {
        let (_, last, bad_records) = self.announced.proof?;
        Some(last.0.saturating_sub(bad_records).saturating_sub(self.written))
    }

    /// The note after records of some sources were written: those of the run itself put a
    /// cancellation off, all others call it off.
    #[must_use]
    pub fn after_data(
        self,
        noter: &Noter,
        sources: &[Option<(Version, Run)>],
        now: Timestamp,
    ) -> Note {
        if self.cancel_at.is_none() || sources.is_empty() {
            return self;
        }
        let run = self.announced.proof.map(|(run, ..)| run);
        let own = self.announced.version.zip(run);
        let only_own = own.is_some() && sources.iter().all(|source| *source == own);
        let cancel_at = if only_own { noter.cancel_at(now) } else { None };
        Note { cancel_at, cancelled_at: None, ..self }
    }
}

/// The highest complete run of the note's version, if that is higher than the note's own: nothing of
/// the note's run was written then, whatever it said.
pub fn dropped_for(note: &Note, notes: &[Note]) -> Option<Run> {
    let (version, (own, ..)) = note.announced.version.zip(note.announced.proof)?;
    let others = notes
        .iter()
        .filter(|other| other.announced.version == Some(version) && other.completed_at.is_some());
    let highest = others.filter_map(|other| other.announced.proof.map(|(run, ..)| run)).max();
    highest.filter(|highest| *highest > own)
}

/// What is to become of a type's consumers: the run that was completed last decides.
pub fn due(notes: &[Note]) -> Due {
    let last = notes.iter().filter(|note| note.completed_at.is_some());
    match last.max_by_key(|note| note.completed_at) {
        Some(Note { cancelled_at: Some(_), .. }) => Due::Cancelled,
        Some(Note { cancel_at: Some(at), .. }) => Due::At(*at),
        Some(_) | None => Due::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(100_000);

    type Source = Option<(Version, Run)>;

    fn note(completed_at: Option<u64>, cancel_at: Option<u64>, cancelled_at: Option<u64>) -> Note {
        let version = Some("20260101".parse().unwrap());
        let proof = Some((Run(5), Ordinal(10), 2));
        Note {
            announced: Announced { kind: Kind::Labels, version, proof },
            written: 7,
            completed_at: completed_at.map(Timestamp),
            cancel_at: cancel_at.map(Timestamp),
            cancelled_at: cancelled_at.map(Timestamp),
            sweep: None,
        }
    }

    #[test]
    fn the_run_that_was_completed_last_decides() {
        assert_eq!(due(&[]), Due::Never);
        assert_eq!(due(&[note(None, None, None)]), Due::Never);
        assert_eq!(due(&[note(Some(1), None, None)]), Due::Never);
        assert_eq!(due(&[note(Some(1), Some(5), None)]), Due::At(Timestamp(5)));
        assert_eq!(due(&[note(Some(1), Some(5), Some(6))]), Due::Cancelled);
        let two = [note(Some(1), Some(5), Some(6)), note(Some(9), Some(12), None)];
        assert_eq!(due(&two), Due::At(Timestamp(12)));
    }

    #[test]
    fn a_run_is_dropped_for_a_higher_one_of_its_version_that_is_complete() {
        let run = |version: &str, run, completed_at| {
            let mut note = note(completed_at, None, None);
            note.announced.version = Some(version.parse().unwrap());
            note.announced.proof = Some((Run(run), Ordinal(10), 0));
            note
        };
        let own = run("20260101", 5, None);
        let dropped_for = |other| dropped_for(&own, &[own, other]);
        assert_eq!(dropped_for(run("20260101", 6, Some(1))), Some(Run(6)));
        assert_eq!(dropped_for(run("20260101", 6, None)), None);
        assert_eq!(dropped_for(run("20260101", 4, Some(1))), None);
        assert_eq!(dropped_for(run("20260201", 6, Some(1))), None);
    }

    #[test]
    fn records_of_the_run_put_its_cancellation_off_and_others_call_it_off() {
        let noter =
            Noter { consumer: "tableinator".into(), cancel_after: Some(Duration::from_mins(5)) };
        let version = "20260101".parse().unwrap();
        let own = Some((version, Run(5)));
        let rows: [(&[Source], Option<u64>); 5] = [
            (&[own], Some(400_000)),
            (&[None], None),
            (&[Some((version, Run(6)))], None),
            (&[own, None], None),
            (&[], Some(150_000)),
        ];
        for (sources, cancel_at) in rows {
            let after = note(Some(1), Some(150_000), None).after_data(&noter, sources, NOW);
            assert_eq!(after.cancel_at, cancel_at.map(Timestamp), "{sources:?}");
        }
        let never = note(Some(1), None, None);
        assert_eq!(never.after_data(&noter, &[None], NOW), never);
        assert_eq!(never.missing(), Some(1));
    }
}
