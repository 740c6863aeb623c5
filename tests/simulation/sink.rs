//! A table in memory: upserts, with the ordinals noted in the same step, as the real tables do it.
//! All that it ever wrote stays known, so that it can be put back to any moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use discogs_extractor::model::{
    Body, Delivery, DumpName, Job, Ordinal, Parsed, Ranges, Run, Sha256,
};
use discogs_extractor::sink::{Lane, LaneStart, Outcome, Sink, SinkError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One step of the table, all of it or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    pub file: DumpName,
    pub run: Run,
    /// The ordinals that are dealt with.
    pub first: Ordinal,
    pub last: Ordinal,
    pub rows: Vec<(String, Ordinal, Sha256)>,
}

/// What is in the table after some steps.
pub type Rows = BTreeMap<String, Sha256>;

#[derive(Default)]
struct Written {
    commits: Vec<Commit>,
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
}

impl Memory {
    pub fn new(seed: u64) -> Memory {
        Memory { job: Job::new("memory:"), written: Arc::default(), seed }
    }

    /// The same with only the first steps.
    pub fn at(&self, steps: usize) -> Memory {
        let commits = self.written.lock().unwrap().commits[..steps].to_vec();
        let written = Written { commits, then: None };
        Memory { job: self.job.clone(), written: Arc::new(Mutex::new(written)), seed: self.seed }
    }

    /// How many steps were made.
    pub fn steps(&self) -> usize {
        self.written.lock().unwrap().commits.len()
    }

    /// Tells everything to stop after so many records more.
    pub fn stop_after(&self, records: u64, stop: CancellationToken) {
        self.after(records, move || stop.cancel());
    }

    /// Does something after so many records more, before they are confirmed.
    pub fn after(&self, records: u64, action: impl FnOnce() + Send + 'static) {
        self.written.lock().unwrap().then = Some((records, Box::new(action)));
    }

    /// The table. Of an id that occurs twice the higher ordinal stays, whatever is written again.
    pub fn rows(&self) -> Rows {
        let written = self.written.lock().unwrap();
        let mut rows = BTreeMap::new();
        for commit in &written.commits {
            for (id, ordinal, hash) in &commit.rows {
                let new = (commit.run.0, *ordinal, *hash);
                let row = rows.entry(id.clone()).or_insert(new);
                if (row.0, row.1) <= (new.0, new.1) {
                    *row = new;
                }
            }
        }
        rows.into_iter().map(|(id, (.., hash))| (id, hash)).collect()
    }

    fn noted(&self, file: DumpName, run: Run) -> Ranges {
        let written = self.written.lock().unwrap();
        let commits = written.commits.iter().filter(|commit| commit.file == file);
        commits
            .filter(|commit| commit.run == run)
            .map(|commit| commit.first..=commit.last)
            .collect()
    }

    fn commit(&self, commit: Commit) {
        let mut written = self.written.lock().unwrap();
        let records = commit.rows.len() as u64;
        written.commits.push(commit);
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
        let holds = self.noted(start.file, start.run).prefix().min(start.from.ordinal());
        let (batches, from_pipeline) = mpsc::channel(start.depth);
        let (to_pipeline, outcomes) = mpsc::channel(start.depth);
        let (table, file, run) = (self.clone(), start.file, start.run);
        let random = StdRng::seed_from_u64(self.seed);
        std::thread::spawn(move || table.serve(file, run, random, from_pipeline, &to_pipeline));
        Ok(Lane { holds, batches, outcomes })
    }

    fn still_holds(&self, file: DumpName, run: Run, last: Ordinal) -> Result<bool, SinkError> {
        Ok(self.noted(file, run).prefix() >= last)
    }
}

impl Memory {
    /// Writes in steps of one to three records and confirms them later, in another order.
    fn serve(
        &self,
        file: DumpName,
        run: Run,
        mut random: StdRng,
        mut batches: mpsc::Receiver<Parsed>,
        outcomes: &mpsc::Sender<Result<Outcome, SinkError>>,
    ) {
        let mut unsaid = VecDeque::new();
        while let Some(batch) = batches.blocking_recv() {
            let mut items = batch.items.iter().peekable();
            while items.peek().is_some() {
                let step: Vec<_> = items.by_ref().take(random.random_range(1..4)).collect();
                let mut rows = Vec::new();
                for item in &step {
                    let Body::Document(document) = &item.body else { continue };
                    let ordinal = item.place.ordinal;
                    let json = &batch.json[document.json.clone()];
                    let refused = json.windows(7).any(|word| word == b"REFUSED");
                    let delivery = if refused {
                        Delivery::Refused { why: "no".to_owned(), document: json.to_vec() }
                    } else {
                        rows.push((document.id.to_string(), ordinal, document.hash));
                        Delivery::Durable
                    };
                    let ordinals = ordinal..=ordinal;
                    unsaid.push_back(Outcome { ordinals, delivery, position: None });
                }
                if let (Some(first), Some(last)) = (step.first(), step.last()) {
                    let (first, last) = (first.place.ordinal, last.place.ordinal);
                    self.commit(Commit { file, run, first, last, rows });
                }
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
