//! Dumps on their way into one sink: which of them wait, how many go at once, and how each ended.
//! What becomes owed by that is paid in `outbox`, one file's way is `extraction`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::download::Arrived;
use super::error::OwedError;
use super::extraction::Extraction;
use super::input::{Input, Queued};
use super::outbox::{self, Refused};
use super::outcome::{FileEnd, Finished};
use super::room::{self, Short};
use super::sizes::Sizes;
use super::workers::Pool;
use crate::dump::identify;
use crate::model::message::Announcement;
use crate::model::{Clock, DumpName, Identity, Live, Phase};
use crate::sink::{LeftOut, Sink};
use crate::state::{FileKey, Keeper, StateError, Status};

/// How a pass is to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files at once.
    pub workers: usize,
    /// Parse threads.
    pub threads: usize,
    /// Deliveries in flight, per file.
    pub window: usize,
    /// Bad records that a file may have.
    pub max_bad_records: u64,
    /// Records to deliver of each file before it ends.
    pub limit: Option<u64>,
    /// Where bad records are kept.
    pub bad_records: PathBuf,
    /// The highest part of a table that a sweep may remove.
    pub max_delete_fraction: f64,
    /// Whether to sweep without proof.
    pub sweep_anyway: bool,
    /// The measures of a record's way.
    pub sizes: Sizes,
}

/// Failures that somebody was told of, by dump: the same one again is no news.
pub type Told = BTreeMap<DumpName, String>;

/// Dumps on their way into one sink.
#[derive(Clone)]
pub struct Pass {
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// The store.
    pub keeper: Keeper,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How it is to work.
    pub settings: Settings,
    /// Failures of earlier passes.
    pub told: Told,
    /// Says that it is to stop.
    pub stop: CancellationToken,
    /// Is told of every announcement that the sink has confirmed.
    pub announced: fn(&Announcement),
    /// Held by whoever pays what is owed.
    pub paying: Arc<Mutex<()>>,
}

/// Why there can be no pass at all.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// No parse threads.
    #[error("cannot start the parse threads: {0}")]
    NoThreads(io::Error),
    /// The store cannot go on.
    #[error(transparent)]
    State(#[from] StateError),
    /// What earlier passes left owed cannot be paid.
    #[error(transparent)]
    Owed(#[from] OwedError),
}

impl PassError {
    /// The store's own failure, if that is the reason.
    pub const fn of_state(&self) -> Option<&StateError> {
        match self {
            PassError::State(error) => Some(error),
            PassError::Owed(error) => error.of_state(),
            PassError::NoThreads(_) => None,
        }
    }
}

impl Pass {
    /// Extracts the dumps, several at once. A file's failure does not stop the others.
    ///
    /// # Errors
    /// If nothing can begin.
    pub async fn run(&self, queued: Vec<Queued>) -> Result<Vec<Finished>, PassError> {
        let pool = Pool::start(self.settings.threads).map_err(PassError::NoThreads)?;
        let workers = Arc::new(Semaphore::new(self.settings.workers));
        self.register(&queued).await?;
        outbox::settle(self, Refused::TryAgain).await?;
        let mut files = JoinSet::new();
        let (arriving, here): (Vec<_>, Vec<_>) =
            queued.into_iter().partition(|queued| queued.input.arrived.is_some());
        for mut queued in arriving {
            let (pass, pool, workers) = (self.clone(), pool.clone(), Arc::clone(&workers));
            files.spawn(async move {
                // It takes no turn from others before there is anything of it.
                if let Some(arrived) = &mut queued.input.arrived {
                    let begun = arrived.wait_for(Arrived::has_begun);
                    // A download that is gone has said how it ended.
                    _ = pass.stop.run_until_cancelled(begun).await;
                }
                let turn = pass.turn(workers).await;
                pass.file(queued, &pool, turn).await
            });
        }
        // What is here goes in order, however few go at once.
        for queued in here {
            let turn = self.turn(Arc::clone(&workers)).await;
            let (pass, pool) = (self.clone(), pool.clone());
            files.spawn(async move { pass.file(queued, &pool, turn).await });
        }
        let mut finished = Vec::new();
        while let Some(file) = files.join_next().await {
            match file {
                Ok(file) => finished.push(file),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        finished.sort_by_key(|file| file.dump.name);
        Ok(finished)
    }

    /// Notes which files wait for their turn, and warns if the disk will not hold what they bring.
    async fn register(&self, queued: &[Queued]) -> Result<(), PassError> {
        let job = self.sink.job();
        let mut to_do = 0;
        let whole = queued.iter().filter(|queued| queued.input.arrived.is_none());
        for Queued { input: Input { dump, .. }, .. } in whole {
            let path = dump.path.clone();
            let identified = spawn_blocking(move || identify(&File::open(path)?)).await;
            // What cannot be read says so when its turn comes.
            let identity = identified.ok().and_then(Result::ok).unwrap_or_else(Identity::unseen);
            let key = FileKey::new(job.clone(), dump.name);
            let known = self.keeper.files(job.clone(), dump.name.version).await?;
            let known = known.into_iter().find(|(known, _)| *known == key);
            let complete = known.is_some_and(|(_, state)| {
                state.status == Status::Complete && state.identity == identity
            });
            if !complete {
                to_do += identity.size();
                self.keeper.register(key, identity).await?;
            }
        }
        let sink = Arc::clone(&self.sink);
        let short = spawn_blocking(move || room::short(&*sink, to_do)).await;
        if let Ok(Some(Short { folder, needed, free })) = short {
            tracing::warn!(folder, needed, free, "the disk may be too small for what is to come");
        }
        Ok(())
    }

    /// A worker, as soon as one is free; none if the pass is to stop.
    async fn turn(&self, workers: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            turn = workers.acquire_owned() => turn.ok(),
        }
    }

    async fn file(
        &self,
        Queued { input, live }: Queued,
        pool: &Pool,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Finished {
        let Some(_turn) = turn else {
            let records = live.borrow().records;
            let end = FileEnd::Stopped { drained: true };
            let left_out = LeftOut::default();
            return Finished { dump: input.dump, end, records, bad_records: 0, now: 0, left_out };
        };
        let mut began_with = 0;
        let extraction = Extraction::new(self, &input, pool, &live);
        let ended = extraction.run(&mut began_with).await;
        let (phase, end) = match ended {
            Ok(end @ (FileEnd::AlreadyComplete | FileEnd::Complete)) => (Phase::Complete, end),
            Ok(end) => (Phase::Stopped, end),
            Err(error) => (Phase::Failed, FileEnd::Failed(error)),
        };
        live.send_modify(|live| live.phase = phase);
        let Live { records, bad_records, .. } = *live.borrow();
        let now = records.saturating_sub(began_with);
        let left_out = self.sink.left_out(input.dump.name);
        Finished { dump: input.dump, end, records, bad_records, now, left_out }
    }
}
