//! What all who read the same queues agree on about the end of a type: which runs were announced, which
//! of them are complete, when the type's consumers are cancelled, who sweeps. It is kept in the
//! database that they fill, which holds its lock while [`next`] decides. Pure: no database decides
//! anything by itself.
//!
//! INVARIANT: no clock decides, so that one that is hours ahead or behind changes nothing. Of two runs
//! the later version, then the higher run is the newer one; whoever waits waits by a clock of his own
//! for a number to stay as it is ([`Note::cancel_turn`], [`Claim::turn`]); the times that are noted are
//! for people.

mod note;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Run, Timestamp, Version};

pub use note::{Announced, Claim, Due, Note, Schedule, Sweep};

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

    /// What is to become of the type's consumers: the newest complete run decides.
    pub fn due(&self) -> Due {
        let Some(newest) = self.newest() else { return Due::Never };
        let scheduled = newest.schedule().map_or(Due::Never, Due::Scheduled);
        if newest.cancelled_at.is_some() { Due::Cancelled } else { scheduled }
    }

    /// The note of the newest run that is complete.
    fn newest(&self) -> Option<&Note> {
        let complete = self.notes.iter().filter(|note| note.completed_at.is_some());
        complete.max_by_key(|note| note.announced.key())
    }

    fn newest_mut(&mut self) -> Option<&mut Note> {
        let complete = self.notes.iter_mut().filter(|note| note.completed_at.is_some());
        complete.max_by_key(|note| note.announced.key())
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
    /// A cancellation has stood for as long as was agreed on, as somebody found by a clock of his
    /// own.
    Time(Schedule),
    /// There are messages for a type whose consumers are cancelled.
    Found,
    /// Somebody is to sweep after a run, or goes on to.
    Sweeps {
        /// The run.
        after: Announced,
        /// Names the process.
        by: String,
        /// For how long it does not renew its claim.
        during: Duration,
        /// The claim of another that was not renewed for longer than that.
        abandoned: Option<Claim>,
    },
    /// A sweep after a run ended so, in words.
    Swept(Announced, Sweep, String),
}

/// What is agreed on after something happened. Whatever comes twice changes nothing the second
/// time but turns: records that come again put a cancellation off again. `now` is noted for people.
#[must_use]
pub fn next(before: &Completion, event: &Event, rules: &Rules, now: Timestamp) -> Completion {
    let mut after = before.clone();
    match event {
        Event::Announced(announced) => match noted(&mut after, announced) {
            Some(note) => announce(note, announced, rules, now),
            None => after.notes.push(Note::new(*announced)),
        },
        Event::Written(sources) => {
            if let Some(newest) = after.newest_mut() {
                written(newest, sources, rules, now);
            }
        }
        Event::Complete(announced) => {
            if let Some(note) = noted(&mut after, announced) {
                complete(note, rules, now);
            }
        }
        Event::Time(schedule) => {
            let newest = after.newest_mut();
            if let Some(newest) = newest.filter(|note| note.schedule() == Some(*schedule)) {
                newest.cancelled_at = Some(now);
            }
        }
        Event::Found => {
            if let Some(newest) = after.newest_mut().filter(|note| note.cancelled_at.is_some()) {
                schedule(newest, rules, now);
            }
        }
        Event::Sweeps { after: announced, by, during, abandoned } => {
            if let Some(note) = noted(&mut after, announced) {
                claimed(note, by, abandoned.as_ref(), now.after(*during));
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
    if announced.proof.is_some() && note.completed_at.is_some() && note.cancel_at.is_none() {
        schedule(note, rules, now);
    }
}

/// Agrees on another cancellation than there was, if there is to be one.
fn schedule(note: &mut Note, rules: &Rules, now: Timestamp) {
    note.cancelled_at = None;
    note.cancel_at = rules.cancel_after.map(|delay| now.after(delay));
    note.cancel_turn += u64::from(note.cancel_at.is_some());
}

/// Records put the cancellation off, if there is one. Those of a newer run call it off: that run's
/// end schedules its own. A straggler of an older run never does, nor one of which nothing is known,
/// since no end of theirs need come.
fn written(newest: &mut Note, sources: &[Option<(Version, Run)>], rules: &Rules, now: Timestamp) {
    if newest.cancel_at.is_none() || sources.is_empty() {
        return;
    }
    let key = newest.announced.key();
    let is_newer = |source: &Option<(Version, Run)>| {
        source.is_some_and(|(version, run)| (Some(version), run) > key)
    };
    if sources.iter().any(is_newer) {
        newest.cancel_at = None;
        newest.cancelled_at = None;
    } else {
        schedule(newest, rules, now);
    }
}

fn complete(note: &mut Note, rules: &Rules, now: Timestamp) {
    if note.completed_at.is_some() {
        return;
    }
    note.completed_at = Some(now);
    schedule(note, rules, now);
    let is_owed = note.announced.proof.is_some() || rules.sweep_owed == SweepOwed::Always;
    note.sweep = is_owed.then_some(Sweep::Owed);
}

/// One sweeps at a time, and who has it may go on.
fn claimed(note: &mut Note, by: &str, abandoned: Option<&Claim>, until: Timestamp) {
    let is_open = matches!(note.sweep, Some(Sweep::Owed | Sweep::Refused));
    let is_free = |held: &Claim| held.by == by || Some(held) == abandoned;
    if is_open && note.claim.as_ref().is_none_or(is_free) {
        let turn = note.claim.as_ref().map_or(0, |held| held.turn) + 1;
        note.claim = Some(Claim { by: by.to_owned(), until, turn });
    }
}
