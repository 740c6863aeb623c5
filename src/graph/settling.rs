//! How a settling gets over a graph of any size: stage by stage, in each over the nodes of a label in
//! the order of their keys, some nodes a step. A step that touches too much, or is too much for the
//! server, is tried again with half the nodes, down to one; that one is gathered from the other side
//! (`gathered`) or left out. Pure: `settle` takes the steps, and says here what came of each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::Label;

/// A part of a settling; later ones use what earlier ones found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Genres are counted, but for those that too much leads to.
    Genres,
    /// So are styles, and what they are part of is looked at.
    Styles,
    /// So are labels; and each counts for the genres and styles that were left.
    Labels,
    /// Each artist counts for the genres, styles and labels that were left.
    Artists,
    /// People are counted, and who they are is looked at, but for those with too many credits.
    People,
    /// Each master counts for the styles that were left.
    Masters,
    /// Each release counts for all that were left.
    Releases,
    /// What was left gets what was counted for it.
    Gathered,
    /// What nothing leads to any more goes.
    Orphans(Label),
}

impl Stage {
    /// All of them, in order.
    const ORDER: [Stage; 15] = [
        Stage::Genres,
        Stage::Styles,
        Stage::Labels,
        Stage::Artists,
        Stage::People,
        Stage::Masters,
        Stage::Releases,
        Stage::Gathered,
        Stage::Orphans(Label::Artist),
        Stage::Orphans(Label::Label),
        Stage::Orphans(Label::Master),
        Stage::Orphans(Label::Release),
        Stage::Orphans(Label::Genre),
        Stage::Orphans(Label::Style),
        Stage::Orphans(Label::Person),
    ];

    /// The one that follows; none after the last.
    fn following(self) -> Option<Stage> {
        let mut rest = Stage::ORDER.into_iter().skip_while(|stage| *stage != self);
        rest.nth(1)
    }

    /// Nodes of its first step, and of its largest.
    const fn most(self) -> usize {
        match self {
            Stage::Genres | Stage::Styles | Stage::Gathered => 50,
            Stage::Labels | Stage::Artists | Stage::People => 500,
            Stage::Releases => 400,
            Stage::Masters | Stage::Orphans(_) => 2_000,
        }
    }
}

/// Where the next step begins. The keys of [`Stage::Gathered`] are those of `gathered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spot {
    /// The stage.
    pub(super) stage: Stage,
    /// The last key that is done with.
    pub(super) after: String,
}

impl Spot {
    /// Where every settling begins.
    pub(super) const BEGINNING: Spot = Spot { stage: Stage::Genres, after: String::new() };
}

/// How a settling stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It takes steps.
    Stepping(Stepping),
    /// It is over.
    Over(End),
}

/// A settling that takes steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stepping {
    /// Where the next one begins.
    pub(super) at: Spot,
    /// How many nodes it takes.
    pub(super) nodes: usize,
    /// Tries of this step that failed.
    tries: u32,
    /// Tries that failed since the last one that did not.
    failures: u32,
    /// Nodes that were left out.
    left_out: u32,
}

/// How a settling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is settled, as of the last record that was written.
    Settled,
    /// It was told to stop.
    Stopped,
    /// Somebody wrote records meanwhile: it is to begin again when that is over.
    Written,
    /// Somebody else settles.
    TakenOver,
    /// Too many nodes were left out: something else is wrong.
    GivenUp,
}

/// The nodes of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nodes {
    /// How many; none if it is not even known which.
    pub(super) nodes: usize,
    /// The key of the last.
    pub(super) last: String,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It is done.
    Stepped(Nodes),
    /// The stage has no more nodes, or nothing to do.
    Ended,
    /// More leads to these than a step may touch.
    TooMany(Nodes),
    /// It failed, though the server is there; whether that may pass.
    Failed(Nodes, bool),
    /// Somebody wrote records.
    Written,
    /// Somebody else settles.
    TakenOver,
    /// It is to stop.
    Stopped,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The next step.
    Step,
    /// Gather what leads to this node from the other side; then the next step.
    Gather(Nodes),
    /// Say that this node is left out; then the next step.
    LeaveOut(Nodes),
    /// Rest; then the next step.
    Rest(Duration),
    /// Nothing more.
    End,
}

/// Tries of a step that fails in passing before it is halved.
const TRIES: u32 = 3;

/// Rests double from the first to the longest.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// So many nodes that are left out are no matter of single nodes any more.
const MOST_LEFT_OUT: u32 = 100;

impl State {
    /// A settling that begins, or goes on, at a place.
    pub(super) const fn begin(at: Spot) -> State {
        let nodes = at.stage.most();
        State::Stepping(Stepping { at, nodes, tries: 0, failures: 0, left_out: 0 })
    }
}

impl Stepping {
    /// Past some nodes. What was halved grows again.
    fn past(self, tried: &Nodes) -> Stepping {
        let most = self.at.stage.most();
        let more = if self.nodes < most / 8 { self.nodes } else { (self.nodes / 8).max(1) };
        let nodes = (self.nodes + more).min(most);
        let at = Spot { after: tried.last.clone(), ..self.at };
        Stepping { at, nodes, tries: 0, failures: 0, ..self }
    }

    fn halved(self, tried: &Nodes) -> Stepping {
        Stepping { nodes: (tried.nodes / 2).max(1), tries: 0, ..self }
    }

    fn rest(&self) -> Act {
        let due = FIRST_REST.saturating_mul(1 << self.failures.min(16));
        Act::Rest(due.min(LONGEST_REST))
    }
}

/// What becomes of a settling, and what is to be done.
pub(super) fn next(state: State, event: Event) -> (State, Act) {
    match (state, event) {
        (State::Stepping(now), Event::Stepped(tried)) => {
            (State::Stepping(now.past(&tried)), Act::Step)
        }
        (State::Stepping(now), Event::Ended) => match now.at.stage.following() {
            Some(following) => {
                let at = Spot { stage: following, after: String::new() };
                let nodes = following.most();
                let begun = Stepping { at, nodes, tries: 0, failures: 0, ..now };
                (State::Stepping(begun), Act::Step)
            }
            None => (State::Over(End::Settled), Act::End),
        },
        (State::Stepping(now), Event::TooMany(tried)) if tried.nodes > 1 => {
            (State::Stepping(now.halved(&tried)), Act::Step)
        }
        (State::Stepping(now), Event::TooMany(tried)) => {
            (State::Stepping(now.past(&tried)), Act::Gather(tried))
        }
        (State::Stepping(now), Event::Failed(tried, passing)) => failed(now, tried, passing),
        (State::Stepping(_), Event::Written) => (State::Over(End::Written), Act::End),
        (State::Stepping(_), Event::TakenOver) => (State::Over(End::TakenOver), Act::End),
        (State::Stepping(_), Event::Stopped) => (State::Over(End::Stopped), Act::End),
        (
            State::Over(end),
            Event::Stepped(_)
            | Event::Ended
            | Event::TooMany(_)
            | Event::Failed(..)
            | Event::Written
            | Event::TakenOver
            | Event::Stopped,
        ) => (State::Over(end), Act::End),
    }
}

/// A step that failed is tried again, then halved, and a single node is left out in the end. Where it
/// is not even known which nodes there are, nothing can be left out.
fn failed(now: Stepping, tried: Nodes, passing: bool) -> (State, Act) {
    let now = Stepping { tries: now.tries + 1, failures: now.failures + 1, ..now };
    let rest = now.rest();
    if passing && now.tries < TRIES {
        return (State::Stepping(now), rest);
    }
    match tried.nodes {
        0 => (State::Over(End::GivenUp), Act::End),
        1 if now.left_out >= MOST_LEFT_OUT => (State::Over(End::GivenUp), Act::End),
        1 => {
            let left_out = now.left_out + 1;
            let past = Stepping { left_out, ..now.past(&tried) };
            (State::Stepping(past), Act::LeaveOut(tried))
        }
        _ => (State::Stepping(now.halved(&tried)), rest),
    }
}

#[cfg(test)]
mod tests;
