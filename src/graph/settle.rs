//! What many records assert together, settled when a version is complete: who is the same as which
//! artist, which style is part of which genre, how much there is of everything, and what nobody names
//! any more. The steps are those of `settling`, each in one transaction, which first looks whether
//! anybody wrote meanwhile or took the settling over.
//!
//! How far it came is noted in the graph from time to time, with what was gathered by then, so that it
//! goes on there after a kill. A step that is repeated changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::activity::{self, Activity, ProgressNote};
use super::aggregate::probed;
use super::fault::{Fault, GraphError};
use super::gathered::Gathered;
use super::link::{Link, patiently};
use super::recategorize::recategorize;
use super::settling::{Act, End, Event, Nodes, Spot, Stage, State, Stepping, next};
use super::step::{Step, give, walked};
use super::walk::keys;

/// How large steps are, and how often it is noted how far they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nodes of a step at most.
    pub nodes: usize,
    /// Relationships that may lead to the nodes of a step; with those that the step follows from
    /// there a transaction touches about five times as many.
    pub relationships: usize,
    /// Between two notes.
    pub note_every: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { nodes: usize::MAX, relationships: 2_000, note_every: Duration::from_secs(5) }
    }
}

/// Settles what no record alone decides. It may be stopped anywhere and begun again. `go_on` is told
/// the nodes looked at, and ends it by saying no. True if everything is settled.
///
/// # Errors
/// If the server is away, or does not do what it is asked.
pub async fn settle(
    link: &Link,
    go_on: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<bool, GraphError> {
    Ok(settle_at(link, Pace::default(), go_on).await? == End::Settled)
}

/// The same at a pace, and how it ended.
///
/// # Errors
/// If the server is away, or does not do what it is asked.
pub async fn settle_at(
    link: &Link,
    pace: Pace,
    go_on: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<End, GraphError> {
    if !recategorize(link, go_on).await? {
        return Ok(End::Stopped);
    }
    let me = Uuid::new_v4().to_string();
    let begun = activity::take(link, &me).await?;
    let noted = begun.progress().and_then(|progress| serde_json::from_str(progress).ok());
    let Progress { at, gathered } = noted.unwrap_or_default();
    let settler = Settler {
        link,
        me,
        pace,
        of: begun.writes,
        gathered,
        noted: Instant::now(),
        failing: None,
    };
    settler.run(at, go_on).await
}

/// How far a settling came, as it is noted.
#[derive(Serialize, Deserialize)]
struct Progress {
    at: Spot,
    gathered: Gathered,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress { at: Spot::BEGINNING, gathered: Gathered::default() }
    }
}

/// A settling under way.
struct Settler<'a> {
    link: &'a Link,
    me: String,
    pace: Pace,
    /// As of how many writes.
    of: i64,
    gathered: Gathered,
    noted: Instant,
    failing: Option<Failing>,
}

/// What is said once when steps fail, and once when that is over.
struct Failing {
    since: Instant,
    /// Why the last one did.
    error: GraphError,
    /// The last node of the first one: until it is passed, halves of that step come and go.
    stage: Stage,
    last: String,
}

impl Settler<'_> {
    async fn run(
        mut self,
        at: Spot,
        go_on: &mut (dyn FnMut(u64) -> bool + Send),
    ) -> Result<End, GraphError> {
        let mut state = State::begin(at);
        loop {
            let now = match state {
                State::Stepping(now) => now,
                State::Over(end) => return self.end(end).await,
            };
            let event = self.step(&now).await?;
            let rows = match &event {
                Event::Stepped(tried) => tried.nodes as u64,
                Event::Ended
                | Event::TooMany(_)
                | Event::Failed(..)
                | Event::Written
                | Event::TakenOver
                | Event::Stopped => 0,
            };
            let of = now.at.stage;
            let act;
            (state, act) = next(State::Stepping(now), event);
            self.act(of, act).await;
            let goes_on = go_on(rows);
            if let State::Stepping(now) = &state {
                if !goes_on || self.noted.elapsed() >= self.pace.note_every {
                    self.note(Some(&now.at)).await?;
                }
                if !goes_on {
                    (state, _) = next(state, Event::Stopped);
                }
            }
        }
    }

    /// What is to be done before the next step, and before it is noted where that is.
    async fn act(&mut self, stage: Stage, act: Act) {
        match act {
            Act::Step | Act::End => {}
            Act::Gather(one) => {
                if let Some((label, _)) = probed(stage) {
                    self.gathered.add(label, &one.last);
                }
            }
            Act::LeaveOut(one) => {
                let error = self.failing.as_ref().map(|it| tracing::field::display(&it.error));
                let (id, stage) = (one.last, format!("{stage:?}"));
                tracing::warn!(stage, id, error, "what leads to it cannot be counted: left out");
            }
            Act::Rest(pause) => sleep(pause).await,
        }
    }

    /// Takes a step, and finds out whether the server is there if that fails.
    async fn step(&mut self, now: &Stepping) -> Result<Event, GraphError> {
        let mut tried = Nodes { nodes: 0, last: now.at.after.clone() };
        let error = match self.attempt(now, &mut tried).await {
            Ok(event) => {
                self.passed(now.at.stage, &tried);
                return Ok(event);
            }
            Err(error) => error,
        };
        if patiently(self.link, || self.link.ask()).await.is_err() {
            return Err(error);
        }
        let passing = error.fault == Fault::Passing;
        if let Some(failing) = &mut self.failing {
            failing.error = error;
        } else {
            let (stage, last) = (now.at.stage, tried.last.clone());
            let what = "what many records say together is held up, trying again";
            tracing::warn!(stage = format!("{stage:?}"), %error, "{what}");
            self.failing = Some(Failing { since: Instant::now(), error, stage, last });
        }
        Ok(Event::Failed(tried, passing))
    }

    /// Says that it is over, once the nodes are passed of which a step failed first.
    fn passed(&mut self, stage: Stage, tried: &Nodes) {
        let is_over = |it: &mut Failing| stage != it.stage || tried.last >= it.last;
        if let Some(Failing { since, .. }) = self.failing.take_if(is_over) {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "what many records say together goes on");
        }
    }

    async fn attempt(&mut self, now: &Stepping, tried: &mut Nodes) -> Result<Event, GraphError> {
        let Spot { stage, after } = &now.at;
        let nodes = now.nodes.min(self.pace.nodes);
        let mut tx = self.link.begin().await?;
        if let Some(event) = self.hindered(&activity::within(&mut tx).await?) {
            tx.rollback().await?;
            return Ok(event);
        }
        if !self.gathered.needs(*stage) {
            tx.commit().await?;
            return Ok(Event::Ended);
        }
        let Some(label) = walked(*stage) else {
            let due = self.gathered.due(after, nodes);
            let Some(last) = due.last() else {
                tx.commit().await?;
                return Ok(Event::Ended);
            };
            *tried = Nodes { nodes: due.len(), last: last.place.clone() };
            give(&mut tx, &due).await?;
            tx.commit().await?;
            return Ok(Event::Stepped(tried.clone()));
        };
        let keys = keys(&mut tx, label, after, nodes).await?;
        let Some(last) = keys.last() else {
            tx.commit().await?;
            return Ok(Event::Ended);
        };
        *tried = Nodes { nodes: keys.len(), last: last.clone() };
        let step = Step { tx: &mut tx, stage: *stage, label, keys: &keys };
        let Some(found) = step.take(self.pace.relationships, &self.gathered).await? else {
            tx.rollback().await?;
            return Ok(Event::TooMany(tried.clone()));
        };
        tx.commit().await?;
        for found in found {
            found.counts(&mut self.gathered);
        }
        Ok(Event::Stepped(tried.clone()))
    }

    /// Whether somebody else is at work.
    fn hindered(&self, now: &Activity) -> Option<Event> {
        if now.by.as_deref() != Some(&self.me) {
            Some(Event::TakenOver)
        } else if now.writes != self.of {
            Some(Event::Written)
        } else {
            None
        }
    }

    /// Notes how far it came, or that it is over.
    async fn note(&mut self, at: Option<&Spot>) -> Result<Option<Event>, GraphError> {
        let progress = at.map(|at| Progress { at: at.clone(), gathered: self.gathered.clone() });
        let progress = progress.and_then(|progress| serde_json::to_string(&progress).ok());
        let place = at.map_or_else(
            || (String::new(), ""),
            |at| (format!("{:?}", at.stage), at.after.as_str()),
        );
        let note = ProgressNote { of: self.of, progress: progress.as_deref(), place };
        let before = activity::note(self.link, &self.me, &note).await?;
        self.noted = Instant::now();
        Ok(self.hindered(&before))
    }

    async fn end(mut self, end: End) -> Result<End, GraphError> {
        match (end, self.failing.take()) {
            (End::GivenUp, Some(Failing { error, .. })) => return Err(error),
            (End::GivenUp, None)
            | (End::Settled | End::Stopped | End::Written | End::TakenOver, _) => {}
        }
        if end != End::Settled {
            return Ok(end);
        }
        let hindered = self.note(None).await?;
        let state = hindered.map(|event| next(State::begin(Spot::BEGINNING), event).0);
        match state {
            Some(State::Over(end)) => Ok(end),
            Some(State::Stepping(_)) | None => Ok(End::Settled),
        }
    }
}
