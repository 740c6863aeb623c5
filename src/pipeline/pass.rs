//! Dumps on their way into one sink: which of them wait, how many go at once, and how each ended.
//! What becomes owed by that is paid in `outbox`, one file's way is `extraction`.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};

use super::context::{Context, FileContext};
use super::disk_space::{self, Short};
use super::download::Arrived;
use super::error::OwedError;
use super::extraction::{FileResult, extract};
use super::input::{Input, Queued};
use super::outbox::{self, Refused};
use super::outcome::{FileEnd, Finished};
use super::workers::Pool;
use crate::dump::identify;
use crate::model::{Identity, Live, Phase};
use crate::sink::LeftOut;
use crate::state::{FileKey, StateError, Status};

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

/// Extracts dumps, several at once. A file's failure does not stop the others.
///
/// # Errors
/// If nothing can begin.
pub async fn run(pass: &Context, queued: Vec<Queued>) -> Result<Vec<Finished>, PassError> {
    let pool = Pool::start(pass.settings.threads).map_err(PassError::NoThreads)?;
    let workers = Arc::new(Semaphore::new(pass.settings.workers));
    register(pass, &queued).await?;
    outbox::settle(pass, Refused::TryAgain).await?;
    let mut files = JoinSet::new();
    let (arriving, here): (Vec<_>, Vec<_>) =
        queued.into_iter().partition(|queued| queued.input.arrived.is_some());
    for mut queued in arriving {
        let (pass, pool, workers) = (pass.clone(), pool.clone(), Arc::clone(&workers));
        files.spawn(async move {
            // It takes no turn from others before there is anything of it.
            if let Some(arrived) = &mut queued.input.arrived {
                let begun = arrived.wait_for(Arrived::has_begun);
                // A download that is gone has said how it ended.
                _ = pass.stop.run_until_cancelled(begun).await;
            }
            let turn = turn(&pass, workers).await;
            file(&pass, &pool, queued, turn).await
        });
    }
    // What is here goes in order, however few go at once.
    for queued in here {
        let turn = turn(pass, Arc::clone(&workers)).await;
        let (pass, pool) = (pass.clone(), pool.clone());
        files.spawn(async move { file(&pass, &pool, queued, turn).await });
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
async fn register(pass: &Context, queued: &[Queued]) -> Result<(), PassError> {
    let job = pass.sink.job();
    let mut to_do = 0;
    let whole = queued.iter().filter(|queued| queued.input.arrived.is_none());
    for Queued { input: Input { dump, .. }, .. } in whole {
        let path = dump.path.clone();
        let identified = spawn_blocking(move || identify(&File::open(path)?)).await;
        // What cannot be read says so when its turn comes.
        let identity = identified.ok().and_then(Result::ok).unwrap_or_else(Identity::unseen);
        let key = FileKey::new(job.clone(), dump.name);
        let known = pass.keeper.files(job.clone(), dump.name.version).await?;
        let known = known.into_iter().find(|(known, _)| *known == key);
        let complete = known.is_some_and(|(_, state)| {
            state.status == Status::Complete && state.identity == identity
        });
        if !complete {
            to_do += identity.size();
            pass.keeper.register(key, identity).await?;
        }
    }
    let sink = Arc::clone(&pass.sink);
    let short = spawn_blocking(move || disk_space::short(&*sink, to_do)).await;
    if let Ok(Some(Short { folder, needed, free })) = short {
        tracing::warn!(folder, needed, free, "the disk may be too small for what is to come");
    }
    Ok(())
}

/// A worker, as soon as one is free; none if the pass is to stop.
async fn turn(pass: &Context, workers: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = pass.stop.cancelled() => None,
        turn = workers.acquire_owned() => turn.ok(),
    }
}

/// One file, in its turn.
async fn file(
    pass: &Context,
    pool: &Pool,
    Queued { input, live }: Queued,
    turn: Option<OwnedSemaphorePermit>,
) -> Finished {
    let Some(_turn) = turn else {
        let records = live.borrow().records;
        let end = FileEnd::Stopped { drained: true };
        let left_out = LeftOut::default();
        return Finished { dump: input.dump, end, records, bad_records: 0, now: 0, left_out };
    };
    let context = FileContext::new(pass, pool, &input, &live);
    let FileResult { end, began_with } = extract(&context).await;
    let (phase, end) = match end {
        Ok(end @ (FileEnd::AlreadyComplete | FileEnd::Complete)) => (Phase::Complete, end),
        Ok(end) => (Phase::Stopped, end),
        Err(error) => (Phase::Failed, FileEnd::Failed(error)),
    };
    live.send_modify(|live| live.phase = phase);
    let Live { records, bad_records, .. } = *live.borrow();
    let now = records.saturating_sub(began_with);
    let left_out = pass.sink.left_out(input.dump.name);
    Finished { dump: input.dump, end, records, bad_records, now, left_out }
}
