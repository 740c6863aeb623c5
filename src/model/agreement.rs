//! What all who read the same queues agree on about the end of a type: which runs were announced, which
//! of them are complete, when the type's consumers are cancelled, who sweeps. It is kept in the
//! database that they fill, which holds its lock while [`next`] decides. Pure: no database decides
//! anything by itself.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Kind, Ordinal, Run, Timestamp, Version};

/// Who notes, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noter {
    /// The consumer's name: `tableinator`.
    pub consumer: String,
    /// The rules.
    pub rules: Rules,
}

/// What is not the same for every consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long after completion a type's consumers are cancelled; none for never.
    pub cancel_after: Option<Duration>,
    /// After which runs a sweep is owed.
    pub sweep_owed: SweepOwed,
}

/// After which complete runs a sweep is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepOwed {
    /// After those of which is proven what belongs to them: rows go only on proof.
    Proven,
    /// After all: without proof nothing is removed from a graph either, but what many records say
    /// together is settled by its sweep.
    Always,
}

impl Noter {
    /// A consumer of rows: those go only on proof.
    pub fn new(consumer: &str, cancel_after: Option<Duration>) -> Noter {
        let rules = Rules { cancel_after, sweep_owed: SweepOwed::Proven };
        Noter { consumer: consumer.to_owned(), rules }
    }
}

impl Rules {
    /// When a type that is complete now is cancelled.
    fn cancel_at(&self, now: Timestamp) -> Option<Timestamp> {
        Some(now.after(self.cancel_after?))
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

impl Announced {
    /// What tells two of a type apart. Without proof nothing is known of a run: it is the lowest.
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
    /// When all of it was written.
    pub completed_at: Option<Timestamp>,
    /// When the type's consumers are to be cancelled.
    pub cancel_at: Option<Timestamp>,
    /// When the first of them was.
    pub cancelled_at: Option<Timestamp>,
    /// What is to be done about the rows that the version no longer has.
    pub sweep: Option<Sweep>,
    /// How that ended, for people.
    pub sweep_words: Option<String>,
    /// Who sweeps.
    pub claim: Option<Claim>,
}

/// Whoever sweeps, and until when the others leave it to him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Names one process.
    pub by: String,
    /// It lasts until then, unless it is renewed.
    pub until: Timestamp,
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
    /// They are cancelled then.
    At(Timestamp),
    /// They are cancelled, whoever was the first.
    Cancelled,
}

impl Note {
    /// What is noted of an end that was just announced.
    pub const fn new(announced: Announced) -> Note {
        Note {
            announced,
            written: 0,
            completed_at: None,
            cancel_at: None,
            cancelled_at: None,
            sweep: None,
            sweep_words: None,
            claim: None,
        }
    }

    /// How many records are missing; none if that is not known.
    pub fn missing(&self) -> Option<u64> {
        let (_, last, bad_records) = self.announced.proof?;
        Some(last.0.saturating_sub(bad_records).saturating_sub(self.written))
    }
}

/// All that is noted of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// A note for each run that was announced, in no order.
    pub notes: Vec<Note>,
}

impl Completion {
    /// The note of an announced end.
    pub fn of(&self, announced: &Announced) -> Option<&Note> {
        self.notes.iter().find(|note| note.announced.key() == announced.key())
    }

    /// The notes that are not as they were, new ones too.
    pub fn changed_from<'a>(&'a self, before: &'a Completion) -> impl Iterator<Item = &'a Note> {
        self.notes.iter().filter(|note| before.of(&note.announced) != Some(*note))
    }

    /// The highest complete run of an announced version, if that is higher than the announced one:
    /// nothing of that was written then, whatever it said.
    pub fn dropped_for(&self, announced: &Announced) -> Option<Run> {
        let (version, (own, ..)) = announced.version.zip(announced.proof)?;
        let complete = self
            .notes
            .iter()
            .filter(|note| note.announced.version == Some(version) && note.completed_at.is_some());
        let highest = complete.filter_map(|note| note.announced.proof.map(|(run, ..)| run)).max();
        highest.filter(|highest| *highest > own)
    }

    /// What is to become of the type's consumers: the run that was completed last decides.
    pub fn due(&self) -> Due {
        let complete = self.notes.iter().filter(|note| note.completed_at.is_some());
        match complete.max_by_key(|note| note.completed_at) {
            Some(Note { cancelled_at: Some(_), .. }) => Due::Cancelled,
            Some(Note { cancel_at: Some(at), .. }) => Due::At(*at),
            Some(_) | None => Due::Never,
        }
    }
}

/// What somebody has to say to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The end of a run was announced, perhaps not for the first time.
    Announced(Announced),
    /// Records were written that come from these versions and runs; none for those that do not say.
    Written(Vec<Option<(Version, Run)>>),
    /// All of a run is written.
    Complete(Announced),
    /// The time that was agreed on has come, for whoever finds that it has.
    Time,
    /// There are messages for a type whose consumers are cancelled.
    Found,
    /// Somebody is to sweep after a run, or goes on to.
    Sweeps(Announced, Claim),
    /// A sweep after a run ended so, in words.
    Swept(Announced, Sweep, String),
}

/// What is agreed on after something happened. Whatever comes twice changes nothing the second
/// time.
#[must_use]
pub fn next(before: &Completion, event: &Event, rules: &Rules, now: Timestamp) -> Completion {
    let mut after = before.clone();
    match event {
        Event::Announced(announced) => match noted(&mut after, announced) {
            Some(note) => announce(note, announced, rules, now),
            None => after.notes.push(Note::new(*announced)),
        },
        Event::Written(sources) => {
            after.notes.iter_mut().for_each(|note| written(note, sources, rules, now));
        }
        Event::Complete(announced) => {
            if let Some(note) = noted(&mut after, announced) {
                complete(note, rules, now);
            }
        }
        Event::Time => {
            for note in &mut after.notes {
                let is_due = note.cancel_at.is_some_and(|at| at <= now);
                note.cancelled_at = note.cancelled_at.or(is_due.then_some(now));
            }
        }
        Event::Found => {
            for note in after.notes.iter_mut().filter(|note| note.cancelled_at.is_some()) {
                note.cancelled_at = None;
                note.cancel_at = rules.cancel_at(now);
            }
        }
        Event::Sweeps(announced, claim) => {
            if let Some(note) = noted(&mut after, announced) {
                claimed(note, claim, now);
            }
        }
        Event::Swept(announced, sweep, words) => {
            if let Some(note) = noted(&mut after, announced) {
                note.sweep = Some(*sweep);
                note.sweep_words = Some(words.clone());
                note.claim = None;
            }
        }
    }
    after
}

fn noted<'a>(completion: &'a mut Completion, announced: &Announced) -> Option<&'a mut Note> {
    completion.notes.iter_mut().find(|note| note.announced.key() == announced.key())
}

/// The end of a run that is complete schedules its cancellation, if there is none; without proof it
/// has to be found complete again.
fn announce(note: &mut Note, announced: &Announced, rules: &Rules, now: Timestamp) {
    note.announced = *announced;
    if announced.proof.is_none() && note.cancel_at.is_none() {
        note.completed_at = None;
    }
    if announced.proof.is_some() && note.completed_at.is_some() {
        note.cancel_at = note.cancel_at.or_else(|| rules.cancel_at(now));
    }
}

/// Records of the run itself put its cancellation off, all others call it off.
fn written(note: &mut Note, sources: &[Option<(Version, Run)>], rules: &Rules, now: Timestamp) {
    if note.cancel_at.is_none() || sources.is_empty() {
        return;
    }
    let run = note.announced.proof.map(|(run, ..)| run);
    let own = note.announced.version.zip(run);
    let only_own = own.is_some() && sources.iter().all(|source| *source == own);
    note.cancel_at = if only_own { rules.cancel_at(now) } else { None };
    note.cancelled_at = None;
}

fn complete(note: &mut Note, rules: &Rules, now: Timestamp) {
    if note.completed_at.is_some() {
        return;
    }
    note.completed_at = Some(now);
    note.cancel_at = rules.cancel_at(now);
    note.cancelled_at = None;
    let is_owed = note.announced.proof.is_some() || rules.sweep_owed == SweepOwed::Always;
    note.sweep = is_owed.then_some(Sweep::Owed);
}

/// One sweeps at a time, and who has it may go on.
fn claimed(note: &mut Note, claim: &Claim, now: Timestamp) {
    let is_open = matches!(note.sweep, Some(Sweep::Owed | Sweep::Refused));
    let is_free = note.claim.as_ref().is_none_or(|held| held.by == claim.by || held.until < now);
    if is_open && is_free {
        note.claim = Some(claim.clone());
    }
}
