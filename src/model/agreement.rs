//! What all who read the same queues agree on about the end of a type: which runs were announced, which
//! of them are complete, when the type's consumers are cancelled, who sweeps. It is kept in the
//! database that they fill, which holds its lock while [`next`] decides. Pure: no database decides
//! anything by itself.

mod note;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Run, Timestamp, Version};

pub use note::{Announced, Claim, Due, Note, Sweep};

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
