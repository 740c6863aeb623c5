//! What the keeper is asked to do, each thing one transaction on the store. It is the store's
//! sole user, so what it reads cannot change before it writes.

mod attempt;
mod clear;
mod download;
mod follow;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics::histogram;

use crate::model::fault::{durable, place};
use crate::model::{Clock, DumpName, Identity, Job, Kind, Timestamp, Version, metric};

use super::disk::guarded;
use super::layout::{
    COUNTERS_KEY, Tree, bounded, file_key, job_key, job_prefix, sequence_key, version_prefix,
};
use super::lifecycle::{self, Event};
use super::lock::Lock;
use super::memory::Memory;
use super::outbox::OutboxId;
use super::rows::Counters;
use super::store::{Changes, Store};
use super::view::{EventEntry, Inspection, JobEntry, OwedEntry, RunEntry};
use super::{FileKey, FileState, Holder, Illegal, StateError, Status, open, snapshot};

pub use attempt::{Advance, Begun};
pub use follow::Followed;

/// How many attempts and how many events a store remembers.
const MEMORY: usize = 1000;
/// How long the snapshot may be behind while nothing completes.
const SNAPSHOT_AGE: Duration = Duration::from_mins(3);

/// The store with what is remembered between two requests.
pub(super) struct Ledger {
    store: Store,
    clock: Arc<dyn Clock>,
    counters: Counters,
    /// Numbers of the attempts and events that are kept, oldest first.
    runs: VecDeque<u64>,
    events: VecDeque<u64>,
    /// The attempt of each file that this owner is extracting.
    attempts: HashMap<FileKey, RunEntry>,
    /// The first failure of the disk; after it nothing is written any more.
    broken: Option<StateError>,
    unflushed: bool,
    unpruned: bool,
    snapshot_due: bool,
    /// What the snapshot lacks, since when on the clock; none if nothing.
    behind_since: Option<Duration>,
    /// Held until sled has closed its files: dropped last. A store in memory has none, and no
    /// snapshot beside it.
    lock: Option<Lock>,
}

impl Ledger {
    /// Opens the state directory as its owner.
    ///
    /// # Errors
    /// If another process owns it, or it is damaged or newer, or the disk says no.
    pub(super) fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Ledger, StateError> {
        let (store, lock) = open::own(dir, clock.now())?;
        Ledger::of(store, Some(lock), clock)
    }

    /// Opens a store in memory; `dir` is what it is called.
    ///
    /// # Errors
    /// If a row does not decode.
    pub(super) fn in_memory(
        dir: &Path,
        memory: &Memory,
        clock: Arc<dyn Clock>,
    ) -> Result<Ledger, StateError> {
        Ledger::of(memory.open(dir)?, None, clock)
    }

    fn of(store: Store, lock: Option<Lock>, clock: Arc<dyn Clock>) -> Result<Ledger, StateError> {
        let (runs, events) = (store.numbers(Tree::Runs)?, store.numbers(Tree::Journal)?);
        let counters = store.get(Tree::Meta, COUNTERS_KEY)?.unwrap_or_default();
        let mut ledger = Ledger {
            store,
            clock,
            counters,
            runs,
            events,
            attempts: HashMap::new(),
            broken: None,
            unflushed: false,
            unpruned: true,
            snapshot_due: false,
            behind_since: None,
            lock,
        };
        ledger.close_attempts_of_the_dead()?;
        Ok(ledger)
    }

    /// The last owner ended without a word: what it was extracting waits again.
    fn close_attempts_of_the_dead(&mut self) -> Result<(), StateError> {
        let mut changes = Changes::default();
        let files = self.store.files(b"")?;
        let open: Vec<RunEntry> = self.store.scan(Tree::Runs, b"")?;
        for mut entry in open.into_iter().filter(|entry| entry.ended_at.is_none()) {
            let state = files.iter().find(|(key, _)| *key == entry.key).map(|(_, state)| state);
            entry.ended_at = state.and_then(|s| s.last_activity).max(Some(entry.started_at));
            entry.reason = Some("ended without a word: killed, or the machine stopped".to_owned());
            if let Some(state) = state {
                entry.records = state.checkpoint.records;
                entry.bad_records = state.checkpoint.bad_records;
            }
            changes.put(Tree::Runs, entry.number.to_be_bytes().to_vec(), &entry);
        }
        for (key, state) in files {
            if state.status == Status::Extracting {
                let state = step(&key, &state, Event::Interrupted)?;
                changes.put(Tree::Files, file_key(&key), &state);
            }
        }
        self.commit(&changes)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StateError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.unflushed = true;
        let now = self.clock.elapsed();
        self.behind_since.get_or_insert(now);
        self.store.commit(changes)
    }

    /// Makes what was written durable: what was asked may be answered then.
    ///
    /// # Errors
    /// What the disk says, from then on for ever.
    pub(super) fn settle(&mut self) -> Result<(), StateError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        if !std::mem::take(&mut self.unflushed) {
            return Ok(());
        }
        let began = self.clock.elapsed();
        let flushed = self.store.flush();
        let took = self.clock.elapsed().saturating_sub(began);
        histogram!(metric::COMMIT_SECONDS).record(took);
        if flushed.is_ok() {
            durable(self.store.dir());
        }
        flushed
    }

    /// What can wait until the answers are out: old resume points, the snapshot.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn tidy(&mut self) -> Result<(), StateError> {
        if self.broken.is_some() {
            return Ok(());
        }
        if std::mem::take(&mut self.unpruned) {
            self.store.prune_points()?;
        }
        let age = self.behind_since.map(|since| self.clock.elapsed().saturating_sub(since));
        if std::mem::take(&mut self.snapshot_due) || age.is_some_and(|age| age >= SNAPSHOT_AGE) {
            self.write_snapshot()?;
        }
        Ok(())
    }

    fn write_snapshot(&mut self) -> Result<(), StateError> {
        self.behind_since = None;
        match self.lock {
            Some(_) => snapshot::write(self.store.dir(), &self.store.inspect(false)?),
            None => Ok(()),
        }
    }

    /// Makes everything durable, and the snapshot too if it is behind.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn close(&mut self) -> Result<(), StateError> {
        self.settle()?;
        self.tidy()?;
        if self.behind_since.is_some() { self.write_snapshot() } else { Ok(()) }
    }

    /// Does something that may find the store damaged, by an error or by a panic below.
    /// After damage, or the disk's refusal, nothing is written any more.
    ///
    /// # Errors
    /// Those of `work`, and the panic.
    pub(super) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Ledger) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let dir = self.store.dir().to_owned();
        let done = guarded(&dir, || work(self));
        if let Err(error @ (StateError::Damaged { .. } | StateError::Disk { .. })) = &done {
            self.broken.get_or_insert_with(|| error.clone());
        }
        done
    }

    fn number(&mut self, changes: &mut Changes) -> u64 {
        self.counters.sequence += 1;
        changes.put(Tree::Meta, COUNTERS_KEY.to_vec(), &self.counters);
        self.counters.sequence
    }

    fn note(
        &mut self,
        changes: &mut Changes,
        at: Timestamp,
        job: Option<&Job>,
        file: Option<&FileKey>,
        what: &str,
    ) {
        let job = file.map(|key| &key.job).or(job).cloned();
        self.journal(changes, at, job, file.map(|key| key.file.clone()), what);
    }

    fn journal(
        &mut self,
        changes: &mut Changes,
        at: Timestamp,
        job: Option<Job>,
        file: Option<String>,
        what: &str,
    ) {
        let number = self.number(changes);
        let event = EventEntry { number, at, job, file, what: bounded(what) };
        changes.put(Tree::Journal, number.to_be_bytes().to_vec(), &event);
        remember(changes, Tree::Journal, &mut self.events, number);
    }

    fn known(&self, key: &FileKey) -> Result<FileState, StateError> {
        self.store.file(key)?.ok_or_else(|| StateError::Unknown { file: key.to_string() })
    }

    /// One event of one file, and nothing else.
    fn happen(&mut self, key: &FileKey, event: Event) -> Result<FileState, StateError> {
        let state = step(key, &self.known(key)?, event)?;
        let mut changes = Changes::default();
        changes.put(Tree::Files, file_key(key), &state);
        self.commit(&changes)?;
        Ok(state)
    }

    pub(super) fn register_job(
        &mut self,
        job: &Job,
        location: &str,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let location = bounded(location);
        let stored: Option<JobEntry> = self.store.get(Tree::Jobs, &job_key(job))?;
        if stored.as_ref().is_some_and(|entry| entry.location == location) {
            return Ok(());
        }
        let first_seen = stored.map_or(at, |entry| entry.first_seen);
        let mut changes = Changes::default();
        let entry = JobEntry { job: job.clone(), location, first_seen };
        changes.put(Tree::Jobs, job_key(job), &entry);
        self.commit(&changes)
    }

    pub(super) fn register(&mut self, key: &FileKey, identity: Identity) -> Result<(), StateError> {
        let stored = self.store.file(key)?;
        let state = match &stored {
            Some(state) => step(key, state, Event::Registered)?,
            None => FileState::registered(identity),
        };
        if stored.as_ref() == Some(&state) {
            return Ok(());
        }
        let mut changes = Changes::default();
        changes.put(Tree::Files, file_key(key), &state);
        self.commit(&changes)
    }

    pub(super) fn expect(
        &mut self,
        job: &Job,
        version: Version,
        kinds: &[Kind],
    ) -> Result<(), StateError> {
        let known = self.files(job, version)?;
        let is_known = |kind: &Kind| known.iter().any(|(key, _)| key.kind == *kind);
        let mut changes = Changes::default();
        for kind in kinds.iter().copied().filter(|kind| !is_known(kind)) {
            let key = FileKey::new(job.clone(), DumpName { version, kind });
            changes.put(Tree::Files, file_key(&key), &FileState::registered(Identity::unseen()));
        }
        if changes.is_empty() { Ok(()) } else { self.commit(&changes) }
    }

    pub(super) fn owed(&self, job: &Job) -> Result<Vec<OwedEntry>, StateError> {
        self.store.scan(Tree::Outbox, &job_prefix(job))
    }

    pub(super) fn strike(&mut self, job: &Job, id: OutboxId) -> Result<(), StateError> {
        let mut changes = Changes::default();
        changes.remove(Tree::Outbox, sequence_key(job, id.0));
        place("state.strike.before");
        self.commit(&changes)?;
        place("state.strike.after");
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        job: &Job,
        id: OutboxId,
        why: &str,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let key = sequence_key(job, id.0);
        let Some(entry) = self.store.get::<OwedEntry>(Tree::Outbox, &key)? else { return Ok(()) };
        let why = bounded(why);
        if entry.refused.as_ref() == Some(&why) {
            return Ok(());
        }
        let mut changes = Changes::default();
        self.note(&mut changes, at, Some(job), None, &format!("refused: {why}"));
        changes.put(Tree::Outbox, key, &OwedEntry { refused: Some(why), ..entry });
        self.commit(&changes)
    }

    pub(super) fn files(
        &self,
        job: &Job,
        version: Version,
    ) -> Result<Vec<(FileKey, FileState)>, StateError> {
        self.store.files(&version_prefix(job, version))
    }

    pub(super) fn inspect(&self) -> Result<Inspection, StateError> {
        let inspection = self.store.inspect(true)?;
        Ok(Inspection { owner: Some(Holder::this()), ..inspection })
    }
}

/// What is older than the last thousand falls out.
fn remember(changes: &mut Changes, tree: Tree, kept: &mut VecDeque<u64>, number: u64) {
    kept.push_back(number);
    while kept.len() > MEMORY {
        if let Some(oldest) = kept.pop_front() {
            changes.remove(tree, oldest.to_be_bytes().to_vec());
        }
    }
}

fn step(key: &FileKey, state: &FileState, event: Event) -> Result<FileState, StateError> {
    lifecycle::next(state, event).map_err(|illegal| not_allowed(key, illegal))
}

fn not_allowed(key: &FileKey, illegal: Illegal) -> StateError {
    StateError::Illegal { file: key.to_string(), illegal }
}
