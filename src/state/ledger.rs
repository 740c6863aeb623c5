//! What the keeper is asked to do, each thing one transaction on the store. It is the store's
//! sole user, so what it reads cannot change before it writes.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::fault::place;
use crate::model::{
    Checkpoint, Clock, Confirmed, GzipOffset, Identity, Job, Kind, Ordinal, ResumePoint, Run,
    Timestamp, Version,
};

use super::forced::{self, ForceWord, Forced, Token};
use super::layout::{
    COUNTERS_KEY, Tree, bounded, file_key, forced_key, job_key, job_prefix, sequence_key,
    token_key, version_prefix,
};
use super::lifecycle::{self, Beginning, Event};
use super::lock::{Holder, Lock};
use super::outbox::{OutboxId, Owes, owed_at_completion};
use super::rows::Counters;
use super::store::{Changes, Store};
use super::view::{EventEntry, Inspection, JobEntry, OwedEntry, RunEntry};
use super::{FileKey, FileState, ForcedPass, Illegal, StateError, Status, open, snapshot};

/// How many attempts and how many events a store remembers.
const MEMORY: usize = 1000;
/// How long the snapshot may be behind while nothing completes.
const SNAPSHOT_AGE: Duration = Duration::from_mins(3);

/// A file at the beginning of an attempt.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The run it is part of.
    pub run: Run,
    /// Where it goes on.
    pub checkpoint: Checkpoint,
    /// The resume point at or before the checkpoint, if there is one.
    pub point: Option<ResumePoint>,
    /// How it begins.
    pub beginning: Beginning,
    /// Starts in a row, this one included, since the mark last moved.
    pub fruitless: u32,
}

/// A step of a file.
#[derive(Clone, Debug)]
pub struct Advance {
    /// From where to where.
    pub step: Confirmed,
    /// Resume points at or before the new mark.
    pub points: Vec<ResumePoint>,
    /// How much of the compressed file the mark covers.
    pub gzip_offset: GzipOffset,
    /// When.
    pub at: Timestamp,
}

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
    /// Held until sled has closed its files: dropped last.
    _lock: Lock,
}

impl Ledger {
    /// Opens the state directory as its owner.
    ///
    /// # Errors
    /// If another process owns it, or it is damaged or newer, or the disk says no.
    pub(super) fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Ledger, StateError> {
        let (store, lock) = open::own(dir, clock.now())?;
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
            _lock: lock,
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
        let written = self.store.commit(changes);
        if let Err(error) = &written {
            self.broken = Some(error.clone());
        }
        self.unflushed = true;
        let now = self.clock.elapsed();
        self.behind_since.get_or_insert(now);
        written
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
        let flushed = self.store.flush();
        if let Err(error) = &flushed {
            self.broken = Some(error.clone());
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
        snapshot::write(self.store.dir(), &self.store.inspect(false)?)
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

    /// Nothing is written after this.
    pub(super) fn give_up(&mut self, error: StateError) {
        self.broken.get_or_insert(error);
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
        let number = self.number(changes);
        let event = EventEntry {
            number,
            at,
            job: file.map(|key| &key.job).or(job).cloned(),
            file: file.map(|key| key.file.clone()),
            what: bounded(what),
        };
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

    pub(super) fn begin(
        &mut self,
        key: &FileKey,
        identity: &Identity,
        over: Option<String>,
        at: Timestamp,
    ) -> Result<Begun, StateError> {
        let stored = self.store.file(key)?;
        let new_run = Run(at.0.max(self.counters.run + 1));
        let (state, beginning) = lifecycle::begin(stored.as_ref(), identity, over, new_run, at)
            .map_err(|illegal| not_allowed(key, illegal))?;
        let run = state.run.unwrap_or(new_run);
        let checkpoint = state.checkpoint.clone();
        if matches!(beginning, Beginning::AlreadyComplete { .. }) {
            return Ok(Begun { run, checkpoint, point: None, beginning, fruitless: 0 });
        }
        let mut changes = Changes::default();
        self.counters.run = self.counters.run.max(run.0);
        let attempt = RunEntry {
            number: self.number(&mut changes),
            key: key.clone(),
            run,
            started_at: at,
            from: checkpoint.ordinal(),
            ended_at: None,
            reason: None,
            records: checkpoint.records,
            bad_records: checkpoint.bad_records,
        };
        changes.put(Tree::Files, file_key(key), &state);
        changes.put(Tree::Runs, attempt.number.to_be_bytes().to_vec(), &attempt);
        remember(&mut changes, Tree::Runs, &mut self.runs, attempt.number);
        let words = match &beginning {
            Beginning::Resumed => format!("goes on after record {}", attempt.from),
            Beginning::StartedOver { why } => format!("starts over: {why}"),
            Beginning::Fresh | Beginning::AlreadyComplete { .. } => "starts".to_owned(),
        };
        self.note(&mut changes, at, None, Some(key), &words);
        place("state.begin.before");
        self.commit(&changes)?;
        place("state.begin.after");
        self.attempts.insert(key.clone(), attempt);
        self.unpruned |= matches!(beginning, Beginning::StartedOver { .. });
        let point = self.store.point_before(key, run, checkpoint.ordinal())?;
        Ok(Begun { run, checkpoint, point, beginning, fruitless: state.fruitless })
    }

    pub(super) fn point_before(
        &self,
        key: &FileKey,
        ordinal: Ordinal,
    ) -> Result<Option<ResumePoint>, StateError> {
        match self.known(key)?.run {
            Some(run) => self.store.point_before(key, run, ordinal),
            None => Ok(None),
        }
    }

    pub(super) fn advance(&mut self, key: &FileKey, advance: Advance) -> Result<(), StateError> {
        let Advance { step: confirmed, points, gzip_offset, at } = advance;
        let mark = confirmed.to().ordinal();
        if points.iter().any(|point| point.after > mark) {
            return Err(not_allowed(key, Illegal::PointBeyondMark));
        }
        let event = Event::Advanced { step: confirmed, gzip_offset, at };
        let state = step(key, &self.known(key)?, event)?;
        let mut changes = Changes::default();
        changes.put(Tree::Files, file_key(key), &state);
        if let Some(run) = state.run {
            for point in &points {
                changes.put_point(key, run, point);
            }
        }
        place("state.advance.before");
        self.commit(&changes)?;
        place("state.advance.after");
        Ok(())
    }

    pub(super) fn activity(&mut self, key: &FileKey, at: Timestamp) -> Result<(), StateError> {
        self.happen(key, Event::Activity { at }).map(drop)
    }

    pub(super) fn rewind(
        &mut self,
        key: &FileKey,
        to: Checkpoint,
        gzip_offset: GzipOffset,
        why: &str,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let before = self.known(key)?;
        let words = format!(
            "goes back from record {} to {}: {why}",
            before.checkpoint.ordinal(),
            to.ordinal()
        );
        let state = step(key, &before, Event::Rewound { to, gzip_offset })?;
        let mut changes = Changes::default();
        changes.put(Tree::Files, file_key(key), &state);
        self.note(&mut changes, at, None, Some(key), &words);
        self.commit(&changes)
    }

    pub(super) fn stop(
        &mut self,
        key: &FileKey,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let state = step(key, &self.known(key)?, Event::Stopped)?;
        let mut changes = Changes::default();
        self.end_attempt(&mut changes, key, &state, &format!("stopped: {reason}"), at);
        self.commit(&changes)?;
        self.attempts.remove(key);
        Ok(())
    }

    pub(super) fn fail(
        &mut self,
        key: &FileKey,
        error: &str,
        drop_progress: bool,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let event = Event::Failed { error: bounded(error), drop_progress };
        let before = self.known(key)?;
        let state = step(key, &before, event)?;
        let mut changes = Changes::default();
        self.end_attempt(&mut changes, key, &state, &format!("failed: {error}"), at);
        place("state.fail.before");
        self.commit(&changes)?;
        place("state.fail.after");
        self.attempts.remove(key);
        self.unpruned |= drop_progress;
        Ok(())
    }

    pub(super) fn complete(
        &mut self,
        key: &FileKey,
        confirmed: Confirmed,
        owes: Owes,
        at: Timestamp,
    ) -> Result<Vec<OwedEntry>, StateError> {
        let state = step(key, &self.known(key)?, Event::Completed { step: confirmed, at })?;
        let others = self.store.files(&version_prefix(&key.job, key.version))?;
        let mut changes = Changes::default();
        let entries: Vec<OwedEntry> = owed_at_completion(key, &state, &others, owes)
            .into_iter()
            .map(|owed| OwedEntry {
                id: OutboxId(self.number(&mut changes)),
                job: key.job.clone(),
                since: at,
                refused: None,
                owed,
            })
            .collect();
        for entry in &entries {
            changes.put(Tree::Outbox, sequence_key(&key.job, entry.id.0), entry);
        }
        let forced = forced_key(&key.job, key.version);
        if let Some(pass) = self.store.get::<ForcedPass>(Tree::Meta, &forced)? {
            if let Some(pass) = forced::completed(pass, key.kind) {
                changes.put(Tree::Meta, forced, &pass);
            } else {
                changes.remove(Tree::Meta, forced);
                self.note(&mut changes, at, Some(&key.job), None, "the forced pass is done");
            }
        }
        let Checkpoint { records, bad_records, .. } = state.checkpoint;
        let words = format!("complete: {records} records, {bad_records} set aside");
        self.end_attempt(&mut changes, key, &state, &words, at);
        place("state.complete.before");
        self.commit(&changes)?;
        place("state.complete.written");
        self.settle()?;
        place("state.complete.after");
        self.attempts.remove(key);
        self.unpruned = true;
        self.snapshot_due = true;
        Ok(entries)
    }

    /// The file's new row, the end of its attempt, and the event.
    fn end_attempt(
        &mut self,
        changes: &mut Changes,
        key: &FileKey,
        state: &FileState,
        reason: &str,
        at: Timestamp,
    ) {
        changes.put(Tree::Files, file_key(key), state);
        if let Some(mut attempt) = self.attempts.get(key).cloned() {
            attempt.ended_at = Some(at);
            attempt.reason = Some(bounded(reason));
            attempt.records = state.checkpoint.records;
            attempt.bad_records = state.checkpoint.bad_records;
            changes.put(Tree::Runs, attempt.number.to_be_bytes().to_vec(), &attempt);
        }
        self.note(changes, at, None, Some(key), reason);
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

    pub(super) fn force(
        &mut self,
        job: &Job,
        version: Version,
        kinds: &[Kind],
        word: &ForceWord,
        at: Timestamp,
    ) -> Result<Forced, StateError> {
        let key = forced_key(job, version);
        let under_way: Option<ForcedPass> = self.store.get(Tree::Meta, &key)?;
        let token = match word {
            ForceWord::Token(word) => Some((token_key(job, word), word)),
            ForceWord::Once | ForceWord::Restart => None,
        };
        let honoured = match &token {
            Some((key, _)) => self.store.get::<Token>(Tree::Meta, key)?.is_some(),
            None => false,
        };
        let forced = forced::decide(word, kinds, under_way.as_ref(), honoured);
        let Forced::Cleared(cleared) = &forced else { return Ok(forced) };
        let mut changes = Changes::default();
        let pass = forced::begun(under_way.as_ref(), job, version, word, cleared, at);
        changes.put(Tree::Meta, key, &pass);
        if let Some((key, word)) = token {
            let token = Token { job: job.clone(), word: word.clone(), at };
            changes.put(Tree::Meta, key, &token);
        }
        let files: Vec<FileKey> = self
            .files(job, version)?
            .into_iter()
            .map(|(key, _)| key)
            .filter(|key| cleared.contains(&key.kind))
            .collect();
        self.forget_files(&mut changes, &files)?;
        self.forget_owed(&mut changes, job, version, cleared)?;
        let names = cleared.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        let words = format!("a forced pass ({}) begins over {version}: {names}", word.as_str());
        self.note(&mut changes, at, Some(job), None, &words);
        place("state.force.before");
        self.commit(&changes)?;
        place("state.force.after");
        self.unpruned = true;
        Ok(forced)
    }

    fn forget_files(&self, changes: &mut Changes, files: &[FileKey]) -> Result<(), StateError> {
        if let Some(busy) = files.iter().find(|key| self.attempts.contains_key(key)) {
            return Err(StateError::Busy { file: busy.to_string() });
        }
        for key in files {
            changes.remove(Tree::Files, file_key(key));
        }
        Ok(())
    }

    fn forget_owed(
        &self,
        changes: &mut Changes,
        job: &Job,
        version: Version,
        kinds: &[Kind],
    ) -> Result<(), StateError> {
        for entry in self.owed(job)? {
            if entry.owed.version() == version && entry.owed.falls_with(kinds) {
                changes.remove(Tree::Outbox, sequence_key(job, entry.id.0));
            }
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, files: &[FileKey], at: Timestamp) -> Result<usize, StateError> {
        let mut changes = Changes::default();
        let mut known = Vec::new();
        for key in files {
            if self.store.file(key)?.is_some() {
                known.push(key.clone());
            }
        }
        self.forget_files(&mut changes, &known)?;
        for key in &known {
            self.forget_owed(&mut changes, &key.job, key.version, &[key.kind])?;
            self.note(&mut changes, at, None, Some(key), "forgotten (state reset)");
        }
        self.commit(&changes)?;
        self.unpruned = true;
        Ok(known.len())
    }

    pub(super) fn forget(&mut self, job: &Job, at: Timestamp) -> Result<usize, StateError> {
        let mut changes = Changes::default();
        let files: Vec<FileKey> =
            self.store.files(&job_prefix(job))?.into_iter().map(|(key, _)| key).collect();
        self.forget_files(&mut changes, &files)?;
        changes.remove(Tree::Jobs, job_key(job));
        for entry in self.owed(job)? {
            changes.remove(Tree::Outbox, sequence_key(job, entry.id.0));
        }
        let known = self.store.inspect(false)?;
        for pass in known.forced.iter().filter(|pass| pass.job == *job) {
            changes.remove(Tree::Meta, forced_key(job, pass.version));
        }
        for token in known.tokens.iter().filter(|token| token.job == *job) {
            changes.remove(Tree::Meta, token_key(job, &token.word));
        }
        for run in known.runs.iter().filter(|run| run.key.job == *job) {
            changes.remove(Tree::Runs, run.number.to_be_bytes().to_vec());
            self.runs.retain(|number| *number != run.number);
        }
        self.note(&mut changes, at, Some(job), None, "forgotten (state forget)");
        self.commit(&changes)?;
        self.unpruned = true;
        Ok(files.len())
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
