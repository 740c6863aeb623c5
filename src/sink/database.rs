//! Any database as a sink: a lane is a task that gathers what has come by now, writes it in one
//! transaction, and goes on trying for as long as that takes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Lane, LaneEnds, LaneStart, LeftOut, Need, Outcome, Sink, SinkError, Sweep, Swept, batch,
};
use crate::database::{
    After, Answer, Batch, Database, GoOn, Obstacle, Outage, Passes, Patience, Refused,
};
use crate::model::{Checkpoint, Documents, DumpName, Job, Ordinal, Ranges, Run};

/// A transaction takes what is there, up to about so many bytes of JSON or records: enough that
/// its own cost vanishes, few enough that a confirmation comes soon and what is lost costs little.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_RECORDS: usize = 5_000;

/// Batches that are given to the database and not written yet.
const UNDER_WAY: usize = 2;

/// How long dropping the sink waits for its lanes.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A database that is extracted into.
pub struct Filled {
    database: Arc<dyn Database>,
    runtime: Handle,
    stop: CancellationToken,
    outage: Arc<Outage>,
    left_out: Arc<Mutex<BTreeMap<DumpName, LeftOut>>>,
    /// Each lane has a copy; what they belong to closes when all have ended.
    lane: Option<mpsc::Sender<Infallible>>,
    lanes: Mutex<mpsc::Receiver<Infallible>>,
}

impl Filled {
    /// A sink over an open database, whose tasks live in `runtime`, until `stop`.
    pub fn new(database: Arc<dyn Database>, runtime: Handle, stop: CancellationToken) -> Filled {
        let outage = Outage::of(database.noun(), database.location());
        let (lane, lanes) = mpsc::channel();
        let (lane, lanes) = (Some(lane), Mutex::new(lanes));
        Filled { database, runtime, stop, outage, left_out: Arc::default(), lane, lanes }
    }

    fn left_out(&self) -> MutexGuard<'_, BTreeMap<DumpName, LeftOut>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer, for as long as it takes.
    fn ask<'a, T>(
        &'a self,
        doing: &str,
        question: impl Fn(&'a dyn Database) -> Answer<'a, T>,
    ) -> Result<T, SinkError> {
        let asking = async {
            let mut patience = Patience::with(&self.outage);
            loop {
                match question(&*self.database).await {
                    Ok(answer) => {
                        patience.well();
                        return Ok(answer);
                    }
                    Err(obstacle) if obstacle.passes == Passes::Never => {
                        return Err(fatal(&*self.database, doing, obstacle));
                    }
                    Err(obstacle) => patience.wait(&obstacle).await,
                }
            }
        };
        let answer = self.runtime.block_on(self.stop.run_until_cancelled(asking));
        answer.ok_or_else(SinkError::stopped)?
    }
}

/// What hinders for good, for the person who reads it.
fn fatal(database: &dyn Database, doing: &str, obstacle: Obstacle) -> SinkError {
    let what = format!("cannot {doing} {}: {}", database.location(), obstacle.why);
    SinkError { hint: obstacle.hint, ..SinkError::new(what) }
}

impl Sink for Filled {
    fn job(&self) -> &Job {
        self.database.job()
    }

    fn location(&self) -> &str {
        self.database.location()
    }

    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError> {
        let (file, run) = (start.file, start.run);
        let held = self.ask("read", |database| database.begin(file, run))?;
        if start.from == Checkpoint::BEGINNING {
            self.left_out().remove(&file);
        }
        let holds = held.prefix().min(start.from.ordinal());
        let (lane, ends) = Lane::new(holds, start.depth);
        let writing = Writing {
            file,
            run,
            database: Arc::clone(&self.database),
            outage: Arc::clone(&self.outage),
            left_out: Arc::clone(&self.left_out),
            outcomes: ends.outcomes.clone(),
            confirmed: Mutex::new([Ordinal::FIRST..=holds].into_iter().collect()),
        };
        let filling = Filling { writing: Arc::new(writing), ends, _lane: self.lane.clone() };
        self.runtime.spawn(filling.run());
        Ok(lane)
    }

    fn finish(&self, _file: DumpName, _run: Run) -> Result<(), SinkError> {
        self.ask("write", |database| database.settle())
    }

    fn still_holds(&self, file: DumpName, run: Run, last: Ordinal) -> Result<bool, SinkError> {
        Ok(self.ask("read", |database| database.held(file, run))?.prefix() >= last)
    }

    fn last_run(&self, file: DumpName) -> Result<Option<Run>, SinkError> {
        self.ask("read", |database| database.last_run(file))
    }

    fn left_out(&self, file: DumpName) -> LeftOut {
        self.left_out().get(&file).copied().unwrap_or_default()
    }

    fn sweeps(&self) -> bool {
        true
    }

    fn sweep(&self, sweep: &Sweep, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Swept, SinkError> {
        // The database sweeps on threads of its own, and is told here after every step whether to go on.
        let after = After::File(*sweep);
        std::thread::scope(|scope| {
            let (step, steps) = mpsc::sync_channel(0);
            let (answer, answers) = mpsc::sync_channel(0);
            let answers = Mutex::new(answers);
            let ask: GoOn = Arc::new(move |rows| {
                let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                step.send(rows).is_ok() && answers.recv().unwrap_or(false)
            });
            let sweeping = scope.spawn(move || {
                self.ask("sweep", |database| database.sweep(after, Arc::clone(&ask)))
            });
            for rows in steps {
                // If nobody waits for it, it is over.
                _ = answer.send(go_on(rows));
            }
            sweeping.join().unwrap_or_else(|died| std::panic::resume_unwind(died))
        })
        .or_else(|error| match error.end {
            super::SinkEnd::Stopped => Ok(Swept::Stopped),
            super::SinkEnd::Fault | super::SinkEnd::ReaderGone => Err(error),
        })
    }

    fn needs(&self, gzip_bytes: u64) -> Option<Need> {
        self.database.needs(gzip_bytes)
    }
}

impl Drop for Filled {
    /// Lets the lanes end, so that the database ends with this and is whole then.
    fn drop(&mut self) {
        self.lane = None;
        let lanes = self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: it ends by closing, or the time is up.
        _ = lanes.recv_timeout(SETTLE_TIMEOUT);
    }
}

/// One file on its way into its table.
struct Filling {
    writing: Arc<Writing>,
    ends: LaneEnds,
    _lane: Option<mpsc::Sender<Infallible>>,
}

/// What writing one of its batches takes.
struct Writing {
    file: DumpName,
    run: Run,
    database: Arc<dyn Database>,
    outage: Arc<Outage>,
    left_out: Arc<Mutex<BTreeMap<DumpName, LeftOut>>>,
    outcomes: Outcomes,
    /// What the database must still know of after it was away, as far as it has no gap: one batch
    /// may be written before the one before it.
    confirmed: Mutex<Ranges>,
}

/// Where a lane tells what became of its records.
type Outcomes = tokio::sync::mpsc::Sender<Result<Outcome, SinkError>>;

/// A batch, and what became of it.
type Tried = (Arc<Batch>, Result<Refused, SinkError>);

impl Filling {
    /// Writes until there is no more or nobody wants to know.
    async fn run(mut self) {
        let outcomes = self.ends.outcomes.clone();
        tokio::select! {
            () = outcomes.closed() => {}
            () = self.write_all() => {}
        }
    }

    /// While one batch is being written the next waits at the database: whoever writes there need not
    /// wait until somebody here was woken. In which order they are done does not matter: rows are
    /// ordered by their ordinals, confirmations by the window.
    async fn write_all(&mut self) {
        let mut under_way = FuturesUnordered::<BoxFuture<'static, Tried>>::new();
        let mut is_over = false;
        loop {
            tokio::select! {
                biased;
                Some((batch, written)) = under_way.next() => {
                    if !self.report(&batch, written).await {
                        return;
                    }
                }
                group = self.next_group(), if !is_over && under_way.len() < UNDER_WAY => {
                    match group {
                        Some(group) => under_way.push(Box::pin(Arc::clone(&self.writing).write(group))),
                        None => is_over = true,
                    }
                }
                else => return,
            }
        }
    }

    /// What has come by now; nothing at the end.
    ///
    /// # Cancel safety
    /// Only the first receive waits, and a channel gives up only what is received.
    async fn next_group(&mut self) -> Option<Vec<Documents>> {
        let first = self.ends.batches.recv().await?;
        let (mut bytes, mut records) = (first.json.len(), first.all.len());
        let mut group = vec![first];
        while bytes < GROUP_BYTES && records < GROUP_RECORDS {
            let Ok(next) = self.ends.batches.try_recv() else { break };
            bytes += next.json.len();
            records += next.all.len();
            group.push(next);
        }
        Some(group)
    }

    /// Tells what became of a batch; false if that is the end, or nobody wants to know any more.
    async fn report(&self, batch: &Batch, written: Result<Refused, SinkError>) -> bool {
        match written {
            Ok(refused) => tell(&self.ends.outcomes, batch::outcomes(batch, &refused)).await,
            Err(error) => {
                // Whoever dropped the receiver has given up already.
                _ = self.ends.outcomes.send(Err(error)).await;
                false
            }
        }
    }
}

impl Writing {
    /// Writes a batch, for as long as it takes.
    async fn write(self: Arc<Writing>, group: Vec<Documents>) -> Tried {
        let batch = Arc::new(batch::batch(self.file, self.run, group));
        let mut patience = Patience::with(&self.outage);
        let mut is_held_up = false;
        loop {
            let obstacle = match self.try_write(&batch, is_held_up).await {
                Ok(Ok(refused)) => {
                    patience.well();
                    return (batch, Ok(refused));
                }
                Ok(Err(obstacle)) if obstacle.passes == Passes::Never => {
                    let error = fatal(&*self.database, "write to", obstacle);
                    return (batch, Err(error));
                }
                Ok(Err(obstacle)) => obstacle,
                Err(error) => return (batch, Err(error)),
            };
            if !std::mem::replace(&mut is_held_up, true) {
                tell(&self.outcomes, batch::waiting(&batch, &obstacle.why)).await;
            }
            patience.wait(&obstacle).await;
        }
    }

    /// One try. A database that was away may have been put back to what it was once.
    async fn try_write(
        &self,
        batch: &Arc<Batch>,
        was_away: bool,
    ) -> Result<Result<Refused, Obstacle>, SinkError> {
        if was_away {
            let held = match self.database.held(self.file, self.run).await {
                Ok(held) => held.prefix(),
                Err(obstacle) => return Ok(Err(obstacle)),
            };
            let confirmed = self.confirmed().prefix();
            if held < confirmed {
                let what = format!(
                    "the database has lost records that it had confirmed: it knows of those up to \
                     {held}, and {confirmed} were"
                );
                let hint = "start again: it goes on from what is there";
                return Err(SinkError::new(what).hint(hint));
            }
        }
        let written = match self.database.write(Arc::clone(batch)).await {
            Ok(written) => written,
            Err(obstacle) => return Ok(Err(obstacle)),
        };
        batch.ordinals.iter().for_each(|range| self.confirmed().insert(range));
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        *left_out.entry(self.file).or_default() += written.left_out;
        Ok(Ok(written.refused))
    }

    fn confirmed(&self) -> MutexGuard<'_, Ranges> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands outcomes over; false if nobody wants them any more.
async fn tell(outcomes: &Outcomes, told: impl IntoIterator<Item = Outcome>) -> bool {
    for outcome in told {
        if outcomes.send(Ok(outcome)).await.is_err() {
            return false;
        }
    }
    true
}
