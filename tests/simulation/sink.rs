//! A table in memory that does what the tables of the program do: upserts by version, run and
//! ordinal, ordinals noted in the same step, sweeps that are remembered. All that it ever did stays
//! known, so that it can be put back to any moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use discogs_extractor::model::{
    Delivery, Documents, DumpName, Job, Ordinal, Ranges, Run, Sha256, Sweep, Swept, Version,
};
use discogs_extractor::sink::{Lane, LaneStart, Outcome, Sink, SinkError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One step of the table, all of it or nothing.
#[derive(Clone, Debug)]
enum Step {
    Written {
        file: DumpName,
        run: Run,
        /// The ordinals that are dealt with.
        first: Ordinal,
        last: Ordinal,
        rows: Vec<(String, Ordinal, Sha256)>,
    },
    Swept {
        file: DumpName,
        run: Run,
    },
}

/// Where a row comes from: of two the greater stays.
pub type Age = (Version, Run, Ordinal);

/// What is in the table after some steps.
#[derive(Clone, Default)]
pub struct Table {
    pub rows: BTreeMap<String, (Age, Sha256)>,
    /// Version and run of the last sweep.
    pub swept: Option<(Version, Run)>,
    noted: BTreeMap<(Version, Run), Ranges>,
}

impl Table {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Written { file, run, first, last, rows } => {
                for (id, ordinal, hash) in rows {
                    let age = (file.version, *run, *ordinal);
                    match self.rows.get(id) {
                        Some((there, _)) if *there > age => continue,
                        None if self.swept > Some((file.version, *run)) => continue,
                        Some(_) | None => {}
                    }
                    self.rows.insert(id.clone(), (age, *hash));
                }
                self.noted.entry((file.version, *run)).or_default().insert(*first..=*last);
            }
            Step::Swept { file, run } => {
                let now = (file.version, *run);
                self.rows.retain(|_, ((version, run, _), _)| (*version, *run) >= now);
                self.swept = self.swept.max(Some(now));
            }
        }
    }

    fn noted(&self, file: DumpName, run: Run) -> Ranges {
        self.noted.get(&(file.version, run)).cloned().unwrap_or_default()
    }

    /// Ids and hashes.
    pub fn content(&self) -> BTreeMap<String, Sha256> {
        self.rows.iter().map(|(id, (_, hash))| (id.clone(), *hash)).collect()
    }
}

#[derive(Default)]
struct Written {
    steps: Vec<Step>,
    table: Table,
    /// What happens after so many records more.
    then: Option<(u64, Action)>,
}

type Action = Box<dyn FnOnce() + Send>;

/// The sink.
#[derive(Clone)]
pub struct Memory {
    job: Job,
    written: Arc<Mutex<Written>>,
    seed: u64,
    sweeps: bool,
}

impl Memory {
    pub fn new(seed: u64) -> Memory {
        Memory { job: Job::new("memory:"), written: Arc::default(), seed, sweeps: false }
    }

    /// One from which rows are removed that a version no longer has.
    pub fn sweeping(seed: u64) -> Memory {
        Memory { sweeps: true, ..Memory::new(seed) }
    }

    /// The same with only the first steps.
    pub fn at(&self, steps: usize) -> Memory {
        let steps = self.written.lock().unwrap().steps[..steps].to_vec();
        let mut table = Table::default();
        for step in &steps {
            table.step(step);
        }
        let written = Written { steps, table, then: None };
        Memory { written: Arc::new(Mutex::new(written)), ..self.clone() }
    }

    /// How many steps were made.
    pub fn steps(&self) -> usize {
        self.written.lock().unwrap().steps.len()
    }

    /// Tells everything to stop after so many records more.
    pub fn stop_after(&self, records: u64, stop: CancellationToken) {
        self.after(records, move || stop.cancel());
    }

    /// Does something after so many records more, before they are confirmed.
    pub fn after(&self, records: u64, action: impl FnOnce() + Send + 'static) {
        self.written.lock().unwrap().then = Some((records, Box::new(action)));
    }

    /// What is in it.
    pub fn table(&self) -> Table {
        self.written.lock().unwrap().table.clone()
    }

    fn step(&self, step: Step) {
        let mut written = self.written.lock().unwrap();
        let records = match &step {
            Step::Written { rows, .. } => rows.len() as u64,
            Step::Swept { .. } => 0,
        };
        written.table.step(&step);
        written.steps.push(step);
        let Some((left, action)) = written.then.take() else { return };
        if left > records {
            written.then = Some((left - records, action));
        } else {
            drop(written);
            action();
        }
    }
}

impl Sink for Memory {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &'static str {
        "memory:"
    }

    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError> {
        let noted = self.table().noted(start.file, start.run);
        let holds = noted.prefix().min(start.from.ordinal());
        let (batches, from_pipeline) = mpsc::channel(start.depth);
        let (to_pipeline, outcomes) = mpsc::channel(start.depth);
        let (table, file, run) = (self.clone(), start.file, start.run);
        let random = StdRng::seed_from_u64(self.seed);
        std::thread::spawn(move || table.serve(file, run, random, from_pipeline, &to_pipeline));
        Ok(Lane { holds, batches, outcomes })
    }

    fn still_holds(&self, file: DumpName, run: Run, last: Ordinal) -> Result<bool, SinkError> {
        Ok(self.table().noted(file, run).prefix() >= last)
    }

    fn last_run(&self, file: DumpName) -> Result<Option<Run>, SinkError> {
        let noted = self.table().noted;
        let runs = noted.keys().filter(|(version, _)| *version == file.version);
        Ok(runs.map(|(_, run)| *run).max())
    }

    fn sweeps(&self) -> bool {
        self.sweeps
    }

    fn sweep(&self, sweep: &Sweep, _: &mut dyn FnMut(u64) -> bool) -> Result<Swept, SinkError> {
        let table = self.table();
        let now = (sweep.file.version, sweep.run);
        let stale = table.rows.values().filter(|((version, run, _), _)| (*version, *run) < now);
        let stale = stale.count() as u64;
        let held = table.noted(sweep.file, sweep.run).prefix();
        let unproven = sweep.unproven(held).filter(|_| !sweep.anyway);
        let too_many = sweep.too_many(table.rows.len() as u64, stale).filter(|_| !sweep.anyway);
        match (stale, unproven, too_many) {
            (0, Some(_), _) => Ok(Swept::Removed(0)),
            (_, Some(why), _) | (_, None, Some(why)) => Ok(Swept::Refused(why)),
            (_, None, None) => {
                self.step(Step::Swept { file: sweep.file, run: sweep.run });
                Ok(Swept::Removed(stale))
            }
        }
    }
}

impl Memory {
    /// Writes in steps of one to three records and confirms them later, in another order.
    fn serve(
        &self,
        file: DumpName,
        run: Run,
        mut random: StdRng,
        mut batches: mpsc::Receiver<Documents>,
        outcomes: &mpsc::Sender<Result<Outcome, SinkError>>,
    ) {
        let mut unsaid = VecDeque::new();
        while let Some(batch) = batches.blocking_recv() {
            let Some(range) = batch.ordinals.iter().next() else { continue };
            let (mut first, end) = range.into_inner();
            let mut documents = batch.all.iter().peekable();
            while first <= end {
                let mut rows = Vec::new();
                let mut last = end;
                for (ordinal, document) in documents.by_ref().take(random.random_range(1..4)) {
                    let json = &batch.json[document.json.clone()];
                    let refused = json.windows(7).any(|word| word == b"REFUSED");
                    let delivery = if refused {
                        Delivery::Refused { why: "no".to_owned(), document: json.to_vec() }
                    } else {
                        rows.push((document.id.to_string(), *ordinal, document.hash));
                        Delivery::Durable
                    };
                    let ordinals = *ordinal..=*ordinal;
                    unsaid.push_back(Outcome { ordinals, delivery, position: None });
                    last = *ordinal;
                }
                // What comes after the last document is dealt with too.
                if documents.peek().is_none() {
                    last = end;
                }
                self.step(Step::Written { file, run, first, last, rows });
                first = last.next();
                while unsaid.len() > random.random_range(0..4) {
                    let next = random.random_range(0..unsaid.len().min(2));
                    let Some(outcome) = unsaid.remove(next) else { break };
                    if outcomes.blocking_send(Ok(outcome)).is_err() {
                        return;
                    }
                }
            }
            // The window may be too small for another batch.
            for outcome in unsaid.drain(..) {
                if outcomes.blocking_send(Ok(outcome)).is_err() {
                    return;
                }
            }
        }
    }
}
