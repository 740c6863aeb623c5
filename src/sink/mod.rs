//! Where records go. A sink has one lane a file: batches go in, in order, and outcomes come out.
//! What happens in between, its connections, transactions, retries, is the sink's own affair.

use std::ops::RangeInclusive;

use tokio::sync::mpsc;

use crate::model::{Checkpoint, Delivery, DumpName, Job, Ordinal, Parsed, Run};

/// Somewhere records can be delivered to. All methods may block; none is called on a runtime
/// thread.
pub trait Sink: Send + Sync {
    /// The sink's own identity, under which state is kept.
    fn job(&self) -> &Job;

    /// The sink as a person names it, without secrets: `sqlite:discogs.db`.
    fn location(&self) -> &str;

    /// Opens the lane of one file, on a thread or task of the sink's own. It ends when
    /// [`Lane::batches`] is dropped and everything sent before is settled.
    ///
    /// # Errors
    /// If the sink cannot be reached or does not fit what the checkpoint claims.
    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError>;

    /// Makes the file's output final after every record is confirmed, before it is called
    /// complete. It may be called again after a crash.
    ///
    /// # Errors
    /// If the output cannot be made final.
    fn finish(&self, _file: DumpName, _run: Run) -> Result<(), SinkError> {
        Ok(())
    }

    /// Whether rows that a version no longer has are to be removed after completion.
    fn sweeps(&self) -> bool {
        false
    }

    /// Removes, in bounded steps, what `sweep.file`'s version no longer has. It may be called
    /// again after a crash.
    ///
    /// # Errors
    /// If the sink fails; a refusal is no error.
    fn sweep(&self, _sweep: &Sweep) -> Result<Swept, SinkError> {
        Ok(Swept::Removed(0))
    }
}

/// What a lane must know to go on where it was.
#[derive(Clone, Debug)]
pub struct LaneStart {
    /// The dump.
    pub file: DumpName,
    /// The run.
    pub run: Run,
    /// What the store holds as confirmed; [`Checkpoint::BEGINNING`] for a new run.
    pub from: Checkpoint,
    /// How many batches may wait in the lane's channel.
    pub depth: usize,
}

/// The two ends of an open lane.
pub struct Lane {
    /// The last ordinal up to which the sink itself holds every record of this run; never above
    /// the checkpoint. Below it, the sink lost what it had confirmed, and gets it again.
    pub holds: Ordinal,
    /// Takes batches in order.
    pub batches: mpsc::Sender<Parsed>,
    /// Gives what became of them. An error is the lane's end.
    pub outcomes: mpsc::Receiver<Result<Outcome, SinkError>>,
}

/// What became of some records.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub ordinals: RangeInclusive<Ordinal>,
    /// How it ended.
    pub delivery: Delivery,
    /// The sink's own position after the last of them, where it has one.
    pub position: Option<u64>,
}

/// What to sweep, and how far a sweep may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The version and type that are now complete.
    pub file: DumpName,
    /// The run that completed it.
    pub run: Run,
    /// Its last ordinal.
    pub last: Ordinal,
    /// Records of that run that were set aside.
    pub bad_records: u64,
    /// The highest part of the rows that may go, 0 to 1.
    pub max_fraction: f64,
    /// Whether to sweep without proof and above that part.
    pub anyway: bool,
}

/// How a sweep ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swept {
    /// So many rows were removed.
    Removed(u64),
    /// Nothing was, for this reason.
    Refused(String),
}

/// A sink that cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub struct SinkError {
    /// What could not be done, where.
    pub what: String,
    /// What to do next.
    pub hint: Option<&'static str>,
    /// Why.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}
