//! A database as those who write to it see it: the sink that extracts into it, and the consumers that
//! fill it from a broker. A new one is a folder that implements this, and a line where it is named.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Batch, Obstacle, Written};
use crate::model::agreement::{Announced, Completion, Event, Note};
use crate::model::{DumpName, Job, Kind, Ranges, Run, Sweep, Swept, Version};

/// What a database answers; it may take as long as the database takes.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Obstacle>>;

/// Is told how many rows a step of a sweep looked at or removed, 0 while it waits, and says whether
/// to go on.
pub type GoOn = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// The end of a version as it was announced on one type's exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEnd {
    /// The version.
    pub version: Version,
    /// When its extraction began, in the sender's words.
    pub started_at: Option<String>,
    /// How many records of each type there were, as JSON.
    pub record_counts: Option<String>,
}

/// How far a sweep that follows an announced end may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepLimits {
    /// The highest part of the rows that may go, 0 to 1.
    pub max_fraction: f64,
    /// Whether to sweep without proof and above that part.
    pub anyway: bool,
}

impl SweepLimits {
    /// The sweep that follows a run's announced end, where so many of its records were refused; none
    /// without proof.
    pub const fn sweep(self, announced: &Announced, refused: u64) -> Option<Sweep> {
        let (Some(version), Some((run, last, bad_records))) = (announced.version, announced.proof)
        else {
            return None;
        };
        let SweepLimits { max_fraction, anyway } = self;
        let file = DumpName { version, kind: announced.kind };
        let bad_records = bad_records.saturating_add(refused);
        Some(Sweep { file, run, last, bad_records, max_fraction, anyway })
    }
}

/// Room that a delivery will roughly need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// A folder that exists, on the disk that will be written to.
    pub folder: PathBuf,
    /// How much will be written.
    pub bytes: u64,
}

/// A database that is open. It tries once whatever is asked of it: whoever asks knows how long to go
/// on trying.
pub trait Database: Send + Sync {
    /// Its own identity, under which state is kept.
    fn job(&self) -> &Job;

    /// The database as a person names it, without secrets.
    fn location(&self) -> &str;

    /// How many messages make a batch at most: enough that the cost of a transaction vanishes, few
    /// enough that the broker hears of them soon.
    fn batch(&self) -> usize {
        500
    }

    /// What people call it.
    fn noun(&self) -> &'static str {
        "database"
    }

    /// What a sweep removes.
    fn removes(&self) -> &'static str {
        "rows"
    }

    /// Writes a batch and notes its ordinals, in one transaction: all but what is refused.
    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written>;

    /// The ordinals of a run that have been dealt with.
    fn held(&self, file: DumpName, run: Run) -> Answer<'_, Ranges>;

    /// The same, for whoever is about to write that run: where there are none it is noted whether
    /// the run finds its table empty.
    fn begin(&self, file: DumpName, run: Run) -> Answer<'_, Ranges> {
        self.held(file, run)
    }

    /// The highest run of a version and type of which ordinals are noted.
    fn last_run(&self, file: DumpName) -> Answer<'_, Option<Run>>;

    /// Removes, in bounded steps, what a complete run's version no longer has, and does what is to
    /// be done once a type is complete. It may be called again after a crash.
    fn sweep(&self, after: After, go_on: GoOn) -> Answer<'_, Swept>;

    /// Does what is to be done when nothing has come for minutes, if it has not; asked now and then
    /// by whoever fills the database for a long time. It may be stopped and asked again.
    fn settle_if_quiet(&self, _go_on: GoOn) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Makes everything that was written durable in the place where people look for it.
    fn settle(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Answers once the database can be written to.
    fn answers(&self) -> Answer<'_, ()>;

    /// What consumers have noted of a type.
    fn notes(&self, kind: Kind, which: Noted) -> Answer<'_, Completion>;

    /// The end of the newest version that was announced on any exchange; asked for by whoever writes
    /// a type.
    fn last_version_end(&self, kind: Kind) -> Answer<'_, Option<VersionEnd>>;

    /// Tells all who read the type's queue that something happened; what is agreed on then, and
    /// whether that is new.
    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)>;

    /// Keeps the announced end of a version.
    fn version_ends(&self, kind: Kind, end: VersionEnd) -> Answer<'_, ()>;

    /// What delivering a dump of `gzip_bytes` will roughly need on disk; none if nothing is
    /// written to a disk of this machine.
    fn needs(&self, _gzip_bytes: u64) -> Option<Need> {
        None
    }
}

/// Which notes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// All of them, and how much of each run is written.
    All,
    /// Those of the newest runs, and how much is written of those that are not complete: what is
    /// looked at all the time, in one statement if all are complete, however many there were.
    Newest,
}

impl Noted {
    /// How many notes at most, if there is a limit.
    pub(crate) const fn most(self) -> Option<u32> {
        match self {
            Noted::All => None,
            Noted::Newest => Some(4),
        }
    }

    /// Whether it is asked how much of its run is written.
    pub(crate) fn counts(self, note: &Note) -> bool {
        self == Noted::All || note.is_open()
    }

    /// Whether it is asked what is known of senders that do not number their records.
    pub(crate) fn needs_unnumbered(self, notes: &[Note]) -> bool {
        notes.iter().any(|note| match self {
            Noted::All => note.announced.proof.is_none(),
            Noted::Newest => note.waits_for_silence(),
        })
    }
}

/// What a sweep follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// A file that this program's store calls complete. What is proven is asked of the database.
    File(Sweep),
    /// A run whose announced end all consumers have found to be reached.
    Announced(Announced, SweepLimits),
}
