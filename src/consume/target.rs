//! Where a consumer's records go, and where all who read the same queues keep what they know.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::message::ExtractionComplete;
use crate::model::agreement::{Announced, Completion, Event};
use crate::model::{DumpName, Job, Kind, Run, Sweep};
use crate::tables::sweep::Swept;
use crate::tables::{Batch, Written};

/// What a target answers; it may take as long as the database takes.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Away>>;

/// The database cannot be used now, in its own words. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away(pub String);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a sweep may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepLimits {
    /// The highest part of the rows that may go, 0 to 1.
    pub max_fraction: f64,
    /// Whether to sweep without proof and above that part.
    pub anyway: bool,
}

impl SweepLimits {
    /// The sweep that follows a run's announced end; none without proof.
    pub const fn sweep(self, announced: &Announced) -> Option<Sweep> {
        let (Some(version), Some((run, last, bad_records))) = (announced.version, announced.proof)
        else {
            return None;
        };
        let SweepLimits { max_fraction, anyway } = self;
        let file = DumpName { version, kind: announced.kind };
        Some(Sweep { file, run, last, bad_records, max_fraction, anyway })
    }
}

/// A database that consumers fill.
pub trait Target: Send + Sync {
    /// Its own identity, under which state is kept.
    fn job(&self) -> &Job;

    /// The database as a person names it, without secrets.
    fn location(&self) -> &str;

    /// How many records a batch has at most: enough that the cost of a transaction vanishes, few
    /// enough that the broker hears of them soon.
    fn batch(&self) -> usize {
        500
    }

    /// What a sweep removes: `rows`.
    fn swept(&self) -> &'static str {
        "rows"
    }

    /// Writes a batch and notes its ordinals, in one transaction: all but those refused.
    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written>;

    /// Answers once the database can be written to.
    fn answers(&self) -> Answer<'_, ()>;

    /// Tells all who read the type's queue that something happened; what is agreed on then, and
    /// whether that is new.
    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)>;

    /// Keeps the announced end of a version.
    fn extraction_complete(&self, kind: Kind, what: ExtractionComplete) -> Answer<'_, ()>;

    /// All that is noted of a type.
    fn notes(&self, kind: Kind) -> Answer<'_, Completion>;

    /// How many records of a run are written.
    fn written(&self, file: DumpName, run: Run) -> Answer<'_, u64>;

    /// Removes, in bounded steps, what a complete run's version no longer has. It may be called
    /// again after a crash, and stops when `go_on` says false.
    fn sweep(
        &self,
        announced: Announced,
        limits: SweepLimits,
        go_on: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Answer<'_, Swept>;
}
