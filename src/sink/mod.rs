//! Where records go. A sink has one lane a file: batches go in, in order, and outcomes come out.
//! What happens in between, its connections, transactions, retries, is the sink's own affair.

mod amqp;
mod batch;
mod database;
mod jsonl;
mod lines;
mod null;
mod target;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::database::{OpenError, hints};
use crate::model::message::Announcement;
use crate::model::{
    Checkpoint, Clock, Delivery, Documents, DumpName, FirstConnection, Job, Limits, Ordinal, Run,
    parted,
};

pub use amqp::Amqp;
pub use database::Filled;
pub use jsonl::Jsonl;
pub use lines::Lines;
pub use null::Null;
pub use target::{Target, TargetError};

pub use crate::database::sweep::{Sweep, Swept};
pub use crate::database::{LeftOut, Need};

/// What opening a sink takes.
#[derive(Clone)]
pub struct Opening {
    /// Dates rows and messages.
    pub clock: Arc<dyn Clock>,
    /// Where tasks and sockets live.
    pub runtime: Handle,
    /// How long a first connection may take.
    pub first: FirstConnection,
    /// Says that everything is to stop: what would wait for as long as it takes gives up then.
    pub stop: CancellationToken,
    /// What the names of exchanges and queues begin with.
    pub prefix: String,
    /// The consumers whose queues are declared before the first record.
    pub consumers: Vec<String>,
}

/// Somewhere records can be delivered to. All methods may block; none is called on a runtime
/// thread. A sink is dropped after its lanes; that waits until what it wrote is settled.
pub trait Sink: Send + Sync {
    /// The sink's own identity, under which state is kept.
    fn job(&self) -> &Job;

    /// The sink as a person names it, without secrets: `sqlite:discogs.db`.
    fn location(&self) -> &str;

    /// Whether its lanes keep to the window by themselves, and are handed half as much again: where
    /// every record is confirmed on its own, the next is then at hand when a confirm comes.
    fn reads_ahead(&self) -> bool {
        false
    }

    /// Opens the lane of one file, on a thread or task of the sink's own. It ends when
    /// [`Lane::batches`] is dropped and everything sent before is settled.
    ///
    /// # Errors
    /// If the sink cannot be reached or does not fit what the checkpoint claims.
    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError>;

    /// Makes the file's output final after every record is confirmed and the lane has ended,
    /// before it is called complete. It may be called again after a crash.
    ///
    /// # Errors
    /// If the output cannot be made final.
    fn finish(&self, _file: DumpName, _run: Run) -> Result<(), SinkError> {
        Ok(())
    }

    /// Whether everything up to `last` of a run that was complete is still there: an older copy
    /// of a database may have been put back, or a finished file removed.
    ///
    /// # Errors
    /// If the sink fails.
    fn still_holds(&self, _file: DumpName, _run: Run, _last: Ordinal) -> Result<bool, SinkError> {
        Ok(true)
    }

    /// The highest run of the version and type that the sink knows of, whoever wrote it: a new run
    /// begins above it. None where a sink cannot be asked, or knows none.
    ///
    /// # Errors
    /// If the sink fails.
    fn last_run(&self, _file: DumpName) -> Result<Option<Run>, SinkError> {
        Ok(None)
    }

    /// What of a file this process delivered without its being written.
    fn left_out(&self, _file: DumpName) -> LeftOut {
        LeftOut::default()
    }

    /// Whether completion is announced to whoever reads from the sink.
    fn announces(&self) -> bool {
        false
    }

    /// Tells whoever reads from the sink, and waits until that is durable, for as long as it
    /// takes. It may be called again after a crash. False if it was stopped before that.
    ///
    /// # Errors
    /// If it will not get better by waiting.
    fn announce(&self, _what: &Announcement) -> Result<bool, SinkError> {
        Ok(true)
    }

    /// Whether rows that a version no longer has are to be removed after completion.
    fn sweeps(&self) -> bool {
        false
    }

    /// Removes, in bounded steps, what `sweep.file`'s version no longer has. It may be called
    /// again after a crash. After every step `go_on` is told how many rows were looked at or
    /// removed in it, which is activity, and may stop the sweep by returning false.
    ///
    /// # Errors
    /// If the sink fails; a refusal is no error.
    fn sweep(
        &self,
        _sweep: &Sweep,
        _go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Swept, SinkError> {
        Ok(Swept::Removed(0))
    }

    /// Takes leave of whoever is at the other end, in a second at most.
    fn close(&self) {}

    /// What delivering a dump of `gzip_bytes` will roughly need on disk; none if nothing is
    /// written to a disk of this machine.
    fn needs(&self, _gzip_bytes: u64) -> Option<Need> {
        None
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
    /// How much may be on its way to the sink, for a lane that is handed more than that.
    pub window: Limits,
}

/// The two ends of an open lane.
pub struct Lane {
    /// The last ordinal up to which the sink itself holds every record of this run; never above
    /// the checkpoint. Below it, the sink lost what it had confirmed, and gets everything after
    /// `holds` again; 0 means from the beginning.
    pub holds: Ordinal,
    /// Takes batches in order.
    pub batches: mpsc::Sender<Documents>,
    /// Gives what became of them; they must be taken while batches are being sent. An error is
    /// the lane's end. Dropping the receiver abandons the lane.
    pub outcomes: mpsc::Receiver<Result<Outcome, SinkError>>,
}

/// What a sink keeps of a lane.
struct LaneEnds {
    batches: mpsc::Receiver<Documents>,
    outcomes: mpsc::Sender<Result<Outcome, SinkError>>,
}

impl Lane {
    /// A lane whose channels hold `depth` batches, and as many outcomes.
    fn new(holds: Ordinal, depth: usize) -> (Lane, LaneEnds) {
        let (batches, from_pipeline) = mpsc::channel(depth.max(1));
        let (to_pipeline, outcomes) = mpsc::channel(depth.max(1));
        let ends = LaneEnds { batches: from_pipeline, outcomes: to_pipeline };
        (Lane { holds, batches, outcomes }, ends)
    }
}

impl LaneEnds {
    /// Hands outcomes over; false if nobody wants them any more.
    fn send(&self, outcomes: impl IntoIterator<Item = Outcome>) -> bool {
        outcomes.into_iter().all(|outcome| self.outcomes.blocking_send(Ok(outcome)).is_ok())
    }
}

/// What became of some documents. No bad record lies between them: of those a sink says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which.
    pub ordinals: RangeInclusive<Ordinal>,
    /// How it ended.
    pub delivery: Delivery,
    /// The sink's own position after the last of them, where it has one.
    pub position: Option<u64>,
}

impl Outcome {
    fn durable(ordinal: Ordinal, position: Option<u64>) -> Outcome {
        Outcome { ordinals: ordinal..=ordinal, delivery: Delivery::Durable, position }
    }
}

/// Appends an outcome; of neighbours that are both durable it makes one.
fn join(outcomes: &mut Vec<Outcome>, next: Outcome) {
    match outcomes.last_mut() {
        Some(last)
            if last.delivery == Delivery::Durable
                && next.delivery == Delivery::Durable
                && last.ordinals.end().next() == *next.ordinals.start() =>
        {
            last.ordinals = *last.ordinals.start()..=*next.ordinals.end();
            last.position = next.position;
        }
        _ => outcomes.push(next),
    }
}

/// Starts a thread of a sink.
fn spawn(
    name: impl Into<String>,
    work: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, SinkError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| SinkError::io("the sink's thread cannot be started", &error))
}

/// A sink that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", .hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub struct SinkError {
    /// What could not be done, where and why.
    pub what: String,
    /// What to do next.
    pub hint: Option<Cow<'static, str>>,
    /// What kind of an end this is.
    pub end: SinkEnd,
}

/// Why a sink cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkEnd {
    /// Something is wrong.
    Fault,
    /// Whoever read the output went away, as `head` does: nothing needs to be said about it.
    ReaderGone,
    /// Everything was told to stop before it could be done.
    Stopped,
}

impl From<OpenError> for SinkError {
    fn from(error: OpenError) -> SinkError {
        SinkError { hint: error.hint, ..SinkError::new(error.what) }
    }
}

impl SinkError {
    /// An error without a hint.
    pub fn new(what: impl Into<String>) -> SinkError {
        SinkError { what: what.into(), hint: None, end: SinkEnd::Fault }
    }

    /// Everything was told to stop before it could be done.
    fn stopped() -> SinkError {
        SinkError { end: SinkEnd::Stopped, ..SinkError::new("stopped before the sink answered") }
    }

    /// An error of ours in a sink's place.
    fn of(error: &dyn std::error::Error) -> SinkError {
        let words = error.to_string();
        let (what, hint) = parted(&words);
        let hint = hint.map(|hint| Cow::Owned(hint.to_owned()));
        SinkError { hint, ..SinkError::new(what) }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> SinkError {
        SinkError { hint: Some(hint.into()), ..self }
    }

    /// The operating system's error while doing `what`.
    fn io(what: impl std::fmt::Display, error: &std::io::Error) -> SinkError {
        use std::io::ErrorKind;
        let hint = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(hints::FULL),
            ErrorKind::ReadOnlyFilesystem => Some(hints::READ_ONLY),
            ErrorKind::PermissionDenied => Some(hints::DENIED),
            ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
                Some("give the sink a path of its own")
            }
            _ => None,
        };
        let end = match error.kind() {
            ErrorKind::BrokenPipe => SinkEnd::ReaderGone,
            _ => SinkEnd::Fault,
        };
        SinkError { what: format!("{what}: {error}"), hint: hint.map(Cow::Borrowed), end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WaitsFor;

    #[test]
    fn neighbours_are_joined_and_a_gap_or_another_ending_is_not() {
        let mut outcomes = Vec::new();
        for ordinal in [1, 2, 4, 5] {
            join(&mut outcomes, Outcome::durable(Ordinal(ordinal), Some(ordinal * 10)));
        }
        let retry = Delivery::Retry(WaitsFor::SinkSlow);
        join(
            &mut outcomes,
            Outcome { ordinals: Ordinal(6)..=Ordinal(6), delivery: retry, position: None },
        );
        join(&mut outcomes, Outcome::durable(Ordinal(7), None));
        let ranges: Vec<_> =
            outcomes.iter().map(|o| (o.ordinals.start().0, o.ordinals.end().0)).collect();
        assert_eq!(ranges, [(1, 2), (4, 5), (6, 6), (7, 7)]);
        assert_eq!(outcomes[0].position, Some(20));
    }
}
