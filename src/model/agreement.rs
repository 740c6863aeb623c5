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
mod unnumbered;

use std::time::Duration;

use super::{Run, Timestamp, Version};

pub use note::{Announced, Cancellation, Claim, Due, Note, Sweep, Unproven};
pub use unnumbered::{Counted, Unnumbered};

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
    /// The pass of those who do not number their records.
    pub unnumbered: Unnumbered,
}

/// An end without proof, which is found to be reached when nothing was written for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The end.
    pub of: Announced,
    /// What [`Unnumbered::turn`] must stay at.
    pub turn: u64,
    /// For how long.
    pub lasts: Duration,
}

impl Completion {
    /// The note of an announced end.
    pub fn of(&self, announced: &Announced) -> Option<&Note> {
        self.notes.iter().find(|note| note.announced.key() == announced.key())
    }

    /// All that is known after the newest runs were looked at, of which only those were counted that
    /// are not complete: what was counted of the others stays. None if a run became complete, so that
    /// all of them are to be looked at.
    #[must_use]
    pub fn looked_at(&self, newest: Completion) -> Option<Completion> {
        let mut known = Completion { unnumbered: newest.unnumbered, ..self.clone() };
        for note in newest.notes {
            let same = |known: &&mut Note| known.announced.key() == note.announced.key();
            let counted = note.is_open() || note.waits_for_silence();
            match known.notes.iter_mut().find(same) {
                Some(before) if counted => *before = note,
                Some(before) if before.completed_at == note.completed_at => {
                    let (written, refused) = (before.written, before.refused);
                    *before = Note { written, refused, ..note };
                }
                None if counted => known.notes.push(note),
                Some(_) | None => return None,
            }
        }
        Some(known)
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

    /// The first end that waits for silence.
    pub fn silence(&self) -> Option<Silence> {
        let note = self.notes.iter().find(|note| note.waits_for_silence())?;
        let Unproven { pass, sent, .. } = note.announced.unproven;
        let (turn, lasts) = (self.unnumbered.turn, self.unnumbered.silence(pass, sent));
        Some(Silence { of: note.announced, turn, lasts })
    }

    /// What is to become of the type's consumers: the newest complete run decides. For an end that
    /// waits for silence somebody must listen.
    pub fn due(&self) -> Due {
        let waits = self.notes.iter().any(Note::waits_for_silence);
        let Some(newest) = self.newest().filter(|_| !waits) else { return Due::Never };
        let scheduled = newest.cancellation().map_or(Due::Never, Due::Scheduled);
        if newest.cancelled_at.is_some() { Due::Cancelled } else { scheduled }
    }

    /// The note of the newest run that is complete; or was, of a sender that sends it again.
    fn newest(&self) -> Option<&Note> {
        self.notes.iter().filter(|note| note.decides()).max_by_key(|note| note.announced.key())
    }

    fn newest_mut(&mut self) -> Option<&mut Note> {
        self.notes.iter_mut().filter(|note| note.decides()).max_by_key(|note| note.announced.key())
    }
}

/// What somebody has to say to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The end of a run was announced, perhaps not for the first time.
    Announced(Announced),
    /// Records were written.
    Written(Sources),
    /// All of a run is written.
    Complete(Announced),
    /// Nothing was written for as long as that takes.
    Silent(Silence),
    /// A cancellation has stood for as long as was agreed on, as somebody found by a clock of his
    /// own.
    Time(Cancellation),
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

/// Where the records come from that were written in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The versions and runs.
    pub runs: Vec<(Version, Run)>,
    /// What is counted of those that do not say.
    pub unnumbered: Option<Counted>,
}

impl Event {
    /// Whether it is about senders that do not number their records.
    pub const fn is_unnumbered(&self) -> bool {
        match self {
            Event::Announced(announced) | Event::Complete(announced) => announced.proof.is_none(),
            Event::Written(sources) => sources.unnumbered.is_some(),
            Event::Silent(_) => true,
            Event::Time(_) | Event::Found | Event::Sweeps { .. } | Event::Swept(..) => false,
        }
    }
}

/// What is agreed on after something happened. Whatever comes twice changes nothing the second
/// time but turns: records that come again put a cancellation off again. `now` is noted for people.
#[must_use]
pub fn next(before: &Completion, event: &Event, rules: &Rules, now: Timestamp) -> Completion {
    let mut after = before.clone();
    match event {
        Event::Announced(announced) => {
            if after.of(announced).is_none() {
                let unproven = Unproven::default();
                after.notes.push(Note::new(Announced { unproven, ..*announced }));
            }
            announce(&mut after, announced, rules, now);
        }
        Event::Written(sources) => {
            if let Some(counted) = sources.unnumbered {
                after.unnumbered = after.unnumbered.counted(counted);
            }
            if let Some(newest) = after.newest_mut() {
                put_off(newest, sources, rules, now);
            }
        }
        Event::Silent(silence) => {
            let Unnumbered { pass, turn, .. } = after.unnumbered;
            if turn == silence.turn
                && let Some(note) = noted(&mut after, &silence.of)
            {
                complete(note, rules, now);
                after.unnumbered.is_open &= pass != silence.of.unproven.pass;
            }
        }
        Event::Complete(announced) => {
            if let Some(note) = noted(&mut after, announced) {
                complete(note, rules, now);
            }
        }
        Event::Time(cancellation) => {
            let newest = after.newest_mut();
            if let Some(newest) = newest.filter(|note| note.cancellation() == Some(*cancellation)) {
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

/// The note of that end. Of a sender that sends a version again it is the same note, of another
/// pass.
fn noted<'a>(completion: &'a mut Completion, announced: &Announced) -> Option<&'a mut Note> {
    let is_same =
        |of: &Announced| of.key() == announced.key() && of.unproven.pass == announced.unproven.pass;
    completion.notes.iter_mut().find(|note| is_same(&note.announced))
}

/// The end of a run that is complete schedules its cancellation, if there is none. Without proof it
/// has to be found complete again, unless that message came before.
fn announce(completion: &mut Completion, announced: &Announced, rules: &Rules, now: Timestamp) {
    let unnumbered = completion.unnumbered;
    let same = |note: &&mut Note| note.announced.key() == announced.key();
    let Some(note) = completion.notes.iter_mut().find(same) else { return };
    if announced.proof.is_some() {
        note.announced = *announced;
        if note.completed_at.is_some() && note.cancel_at.is_none() {
            schedule(note, rules, now);
        }
        return;
    }
    let Unproven { pass, .. } = note.announced.unproven;
    // It is another end if records came since.
    if pass > 0 && pass == unnumbered.pass {
        note.announced.unproven.sent = announced.unproven.sent;
        return;
    }
    completion.unnumbered = unnumbered.opened();
    let unproven = Unproven { pass: completion.unnumbered.pass, ..announced.unproven };
    note.announced = Announced { unproven, ..*announced };
    (note.sweep, note.sweep_words) = (None, None);
    if note.completed_at.take().is_some() {
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
fn put_off(newest: &mut Note, sources: &Sources, rules: &Rules, now: Timestamp) {
    let Sources { runs, unnumbered } = sources;
    if newest.cancel_at.is_none() || (runs.is_empty() && unnumbered.is_none()) {
        return;
    }
    let key = newest.announced.key();
    if runs.iter().any(|(version, run)| (Some(*version), *run) > key) {
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
    note.sweep_words = None;
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
