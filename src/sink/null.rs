//! Nowhere, as a sink.

use super::{Lane, LaneEnds, LaneStart, Outcome, Sink, SinkError, join, spawn};
use crate::model::Job;

/// `null:`, which takes everything and keeps nothing.
pub struct Null {
    job: Job,
}

impl Null {
    /// The one there is.
    pub fn new() -> Null {
        Null { job: Job::new("null:") }
    }
}

impl Default for Null {
    fn default() -> Null {
        Null::new()
    }
}

impl Sink for Null {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &'static str {
        "null:"
    }

    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError> {
        let (lane, ends) = Lane::new(start.from.ordinal(), start.depth);
        spawn("null", move || confirm_all(ends))?;
        Ok(lane)
    }
}

fn confirm_all(mut ends: LaneEnds) {
    while let Some(documents) = ends.batches.blocking_recv() {
        let mut outcomes = Vec::new();
        for (ordinal, _) in &documents.all {
            join(&mut outcomes, Outcome::durable(*ordinal, None));
        }
        if !ends.send(outcomes) {
            return;
        }
    }
}
