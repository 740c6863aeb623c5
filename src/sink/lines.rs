//! Records as JSON lines, into a folder's file or to standard output.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Lane, LaneEnds, LaneStart, Outcome, Sink, SinkError, join, spawn};
use crate::model::{Documents, Job, message};

/// Appends the line of every document of a batch to `out`, each ended by a line feed, and returns
/// what is durable once all that was written: with positions if `at` says where the first of the
/// lines will stand.
pub(super) fn write_lines(
    documents: &Documents,
    at: Option<u64>,
    out: &mut Vec<u8>,
) -> Vec<Outcome> {
    let begin = out.len();
    out.reserve(documents.json.len() + documents.all.len() * 128);
    let mut outcomes = Vec::new();
    for (ordinal, document) in &documents.all {
        message::write_data(&documents.json, document, out);
        out.push(b'\n');
        let position = at.map(|at| at + (out.len() - begin) as u64);
        join(&mut outcomes, Outcome::durable(*ordinal, position));
    }
    outcomes
}

/// Empties a buffer of lines; what huge ones needed is given back.
pub(super) fn empty(lines: &mut Vec<u8>) {
    const KEPT: usize = 4 << 20;
    lines.clear();
    lines.shrink_to(KEPT);
}

/// `jsonl:-`: the lines of all files to one output, confirmed when they are written. Batches of
/// several files alternate; a line is never torn.
pub struct Lines {
    job: Job,
    output: Arc<Mutex<dyn Write + Send>>,
}

impl Lines {
    /// Lines to this process's standard output.
    pub fn to_standard_output() -> Lines {
        Lines::to(io::stdout())
    }

    /// Lines to any output.
    pub fn to(output: impl Write + Send + 'static) -> Lines {
        Lines { job: Job::new("jsonl:-"), output: Arc::new(Mutex::new(output)) }
    }
}

impl Sink for Lines {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &'static str {
        "jsonl:-"
    }

    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError> {
        let (lane, ends) = Lane::new(start.from.ordinal(), start.depth);
        let output = Arc::clone(&self.output);
        spawn("jsonl", move || write_all(ends, &output))?;
        Ok(lane)
    }
}

fn write_all(mut ends: LaneEnds, output: &Mutex<dyn Write + Send>) {
    let mut lines = Vec::new();
    while let Some(documents) = ends.batches.blocking_recv() {
        let outcomes = write_lines(&documents, None, &mut lines);
        drop(documents);
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let written = output.write_all(&lines).and_then(|()| output.flush());
        drop(output);
        empty(&mut lines);
        if let Err(error) = written {
            let error = SinkError::io("cannot write to standard output", &error);
            // Whoever dropped the receiver has given up already.
            let _ = ends.outcomes.blocking_send(Err(error));
            return;
        }
        if !ends.send(outcomes) {
            return;
        }
    }
}
