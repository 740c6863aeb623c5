//! Any database as a sink: a lane is a task that gathers what has come by now, writes it in one
//! transaction, and goes on trying for as long as that takes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Lane, LaneEnds, LaneStart, LeftOut, Need, Outcome, Sink, SinkError, Sweep, Swept, batch,
};
use crate::database::{
    After, Answer, Batch, Database, GoOn, Outage, Passes, Patience, Refused, Trouble, Written,
};
use crate::model::{Checkpoint, Documents, DumpName, Job, Ordinal, Run};

/// A transaction takes what is there, up to about so many bytes of JSON or records: enough that
/// its own cost vanishes, few enough that a confirmation comes soon and what is lost costs little.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_RECORDS: usize = 5_000;

/// How long dropping the sink waits for its lanes.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Steps of a sweep that are done and not looked at yet.
const STEPS: usize = 16;

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
                    Err(trouble) if trouble.passes == Passes::Never => {
                        return Err(fatal(&*self.database, doing, trouble));
                    }
                    Err(trouble) => patience.wait(&trouble).await,
                }
            }
        };
        let answer = self.runtime.block_on(self.stop.run_until_cancelled(asking));
        answer.ok_or_else(SinkError::stopped)?
    }
}

/// Trouble that does not pass, for the person who reads it.
fn fatal(database: &dyn Database, doing: &str, trouble: Trouble) -> SinkError {
    let what = format!("cannot {doing} {}: {}", database.location(), trouble.why);
    SinkError { hint: trouble.hint, ..SinkError::new(what) }
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
        let filling = Filling {
            file,
            run,
            database: Arc::clone(&self.database),
            patience: Patience::with(&self.outage),
            left_out: Arc::clone(&self.left_out),
            ends,
            confirmed: holds,
            _lane: self.lane.clone(),
        };
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
        // The database sweeps on threads of its own; whoever is told of it is here.
        let stopped = Arc::new(AtomicBool::new(false));
        let after = After::File(*sweep);
        std::thread::scope(|scope| {
            let (steps, done) = mpsc::sync_channel(STEPS);
            let told = Arc::clone(&stopped);
            let step: GoOn = Arc::new(move |rows| {
                // Nobody listens any more only if it is over.
                _ = steps.send(rows);
                !told.load(Ordering::Relaxed)
            });
            let sweeping = scope.spawn(move || {
                let swept = self.ask("sweep", |database| database.sweep(after, Arc::clone(&step)));
                drop(step);
                swept
            });
            for rows in done {
                if !go_on(rows) {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
            let swept = sweeping.join();
            swept.unwrap_or_else(|died| std::panic::resume_unwind(died))
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
    file: DumpName,
    run: Run,
    database: Arc<dyn Database>,
    patience: Patience,
    left_out: Arc<Mutex<BTreeMap<DumpName, LeftOut>>>,
    ends: LaneEnds,
    /// The last ordinal that the database must still know of after it was away.
    confirmed: Ordinal,
    _lane: Option<mpsc::Sender<Infallible>>,
}

impl Filling {
    /// Writes until there is no more or nobody wants to know.
    async fn run(mut self) {
        let outcomes = self.ends.outcomes.clone();
        tokio::select! {
            () = outcomes.closed() => {}
            () = self.write_all() => {}
        }
    }

    async fn write_all(&mut self) {
        while let Some(group) = self.next_group().await {
            let batch = Arc::new(batch::batch(self.file, self.run, group));
            let is_wanted = match self.write(&batch).await {
                Ok(refused) => self.report(&batch, &refused).await,
                Err(error) => {
                    // Whoever dropped the receiver has given up already.
                    _ = self.ends.outcomes.send(Err(error)).await;
                    false
                }
            };
            if !is_wanted {
                return;
            }
        }
    }

    /// What has come by now; nothing at the end.
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

    /// Writes a batch, for as long as it takes.
    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Refused, SinkError> {
        let mut is_held_up = false;
        loop {
            let trouble = match self.try_write(batch, is_held_up).await? {
                Ok(Written { refused, left_out }) => {
                    self.patience.well();
                    let mut all = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
                    *all.entry(self.file).or_default() += left_out;
                    return Ok(refused);
                }
                Err(trouble) => trouble,
            };
            if trouble.passes == Passes::Never {
                return Err(fatal(&*self.database, "write to", trouble));
            }
            if !std::mem::replace(&mut is_held_up, true) {
                self.tell(batch::waiting(batch, &trouble.why)).await;
            }
            self.patience.wait(&trouble).await;
        }
    }

    /// One try. A database that was away may have been put back to what it was once.
    async fn try_write(
        &self,
        batch: &Arc<Batch>,
        was_away: bool,
    ) -> Result<Result<Written, Trouble>, SinkError> {
        if was_away {
            let held = match self.database.held(self.file, self.run).await {
                Ok(held) => held.prefix(),
                Err(trouble) => return Ok(Err(trouble)),
            };
            if held < self.confirmed {
                let confirmed = self.confirmed;
                let what = format!(
                    "the database has lost records that it had confirmed: it knows of those up to \
                     {held}, and {confirmed} were"
                );
                let hint = "start again: it goes on from what is there";
                return Err(SinkError::new(what).hint(hint));
            }
        }
        Ok(self.database.write(Arc::clone(batch)).await)
    }

    /// Tells what became of a batch; false if nobody wants to know any more.
    async fn report(&mut self, batch: &Batch, refused: &Refused) -> bool {
        if let Some(range) = batch.ordinals.iter().last() {
            // A gap before it is one that the store knows of.
            self.confirmed = *range.end();
        }
        self.tell(batch::outcomes(batch, refused)).await
    }

    async fn tell(&self, outcomes: impl IntoIterator<Item = Outcome>) -> bool {
        for outcome in outcomes {
            if self.ends.outcomes.send(Ok(outcome)).await.is_err() {
                return false;
            }
        }
        true
    }
}
