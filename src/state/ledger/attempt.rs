//! One attempt at a file, from its beginning to its end.

use crate::model::fault::place;
use crate::model::{
    Checkpoint, Confirmed, GzipOffset, Identity, Ordinal, Position, ResumePoint, Run, Timestamp,
};
use crate::state::forced;
use crate::state::layout::{
    COUNTERS_KEY, Tree, bounded, file_key, forced_key, sequence_key, version_prefix,
};
use crate::state::lifecycle::{self, Beginning, Event};
use crate::state::outbox::{OutboxId, Owes, owed_at_completion};
use crate::state::store::Changes;
use crate::state::view::{OwedEntry, RunEntry};
use crate::state::{FileKey, FileState, ForcedPass, Illegal, StateError};

use super::{Ledger, not_allowed, remember, step};

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

impl Ledger {
    pub(in crate::state) fn begin(
        &mut self,
        key: &FileKey,
        identity: &Identity,
        over: Option<String>,
        at: Timestamp,
    ) -> Result<Begun, StateError> {
        let stored = self.store.file(key)?;
        let new_run = Run::above(Run(self.counters.run), at);
        let (state, beginning) = lifecycle::begin(stored.as_ref(), identity, over, new_run, at)
            .map_err(|illegal| not_allowed(key, illegal))?;
        let run = state.run.unwrap_or(new_run);
        let checkpoint = state.checkpoint.clone();
        let fruitless = state.fruitless;
        if matches!(beginning, Beginning::AlreadyComplete { .. }) {
            return Ok(Begun { run, checkpoint, point: None, beginning, fruitless: 0 });
        }
        self.counters.run = self.counters.run.max(run.0);
        let changed_run = stored.is_some_and(|stored| stored.run != Some(run));
        self.start_attempt(key, &state, run, &beginning, changed_run, at)?;
        self.unpruned |= matches!(beginning, Beginning::StartedOver { .. });
        let point = self.store.point_before(key, run, checkpoint.position)?;
        Ok(Begun { run, checkpoint, point, beginning, fruitless })
    }

    /// A file at the beginning of an attempt, with what falls if its run is another one than before.
    pub(super) fn start_attempt(
        &mut self,
        key: &FileKey,
        state: &FileState,
        run: Run,
        beginning: &Beginning,
        changed_run: bool,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let mut changes = Changes::default();
        let checkpoint = &state.checkpoint;
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
        changes.put(Tree::Files, file_key(key), state);
        changes.put(Tree::Runs, attempt.number.to_be_bytes().to_vec(), &attempt);
        remember(&mut changes, Tree::Runs, &mut self.runs, attempt.number);
        let words = match beginning {
            Beginning::Resumed => format!("goes on after record {}", attempt.from),
            Beginning::StartedOver { why } => format!("starts over: {why}"),
            Beginning::Fresh | Beginning::AlreadyComplete { .. } => "starts".to_owned(),
        };
        self.note(&mut changes, at, None, Some(key), &words);
        // What was owed for an earlier run falls with it: paid later, it would take from this one.
        if changed_run {
            self.forget_owed(&mut changes, &key.job, key.version, &[key.kind])?;
        }
        place("state.begin.before");
        self.commit(&changes)?;
        place("state.begin.after");
        self.attempts.insert(key.clone(), attempt);
        Ok(())
    }

    /// A sink knows of this run: new ones begin above it.
    pub(in crate::state) fn note_run(&mut self, known: Run) -> Result<(), StateError> {
        if known.0 <= self.counters.run || known > Run::MAX {
            return Ok(());
        }
        self.counters.run = known.0;
        let mut changes = Changes::default();
        changes.put(Tree::Meta, COUNTERS_KEY.to_vec(), &self.counters);
        self.commit(&changes)
    }

    /// The last resume point of the file's run after at most `ordinal`, and at or before the mark.
    pub(in crate::state) fn point_before(
        &self,
        key: &FileKey,
        ordinal: Ordinal,
    ) -> Result<Option<ResumePoint>, StateError> {
        let state = self.known(key)?;
        let Position::At(mark, xml) = state.checkpoint.position else { return Ok(None) };
        let before = Position::At(ordinal.min(mark), xml);
        match state.run {
            Some(run) => self.store.point_before(key, run, before),
            None => Ok(None),
        }
    }

    pub(in crate::state) fn advance(
        &mut self,
        key: &FileKey,
        advance: Advance,
    ) -> Result<(), StateError> {
        let Advance { step: confirmed, points, gzip_offset, at } = advance;
        let mark = confirmed.to().position;
        if points.iter().any(|point| !point.is_before(mark)) {
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

    pub(in crate::state) fn activity(
        &mut self,
        key: &FileKey,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.happen(key, Event::Activity { at }).map(drop)
    }

    pub(in crate::state) fn arrived(
        &mut self,
        key: &FileKey,
        identity: Identity,
    ) -> Result<(), StateError> {
        self.happen(key, Event::Arrived { identity }).map(drop)
    }

    pub(in crate::state) fn rewind(
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

    pub(in crate::state) fn stop(
        &mut self,
        key: &FileKey,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let state = step(key, &self.known(key)?, Event::Stopped)?;
        let mut changes = Changes::default();
        let words = format!("stopped: {reason}");
        self.end_attempt(&mut changes, key, &state, &words, at);
        self.note(&mut changes, at, None, Some(key), &words);
        self.commit(&changes)?;
        self.attempts.remove(key);
        Ok(())
    }

    pub(in crate::state) fn fail(
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
        let words = format!("failed: {error}");
        self.end_attempt(&mut changes, key, &state, &words, at);
        self.note(&mut changes, at, None, Some(key), &words);
        place("state.fail.before");
        self.commit(&changes)?;
        place("state.fail.after");
        self.attempts.remove(key);
        self.unpruned |= drop_progress;
        Ok(())
    }

    pub(in crate::state) fn complete(
        &mut self,
        key: &FileKey,
        confirmed: Confirmed,
        owes: Owes,
        at: Timestamp,
    ) -> Result<Vec<OwedEntry>, StateError> {
        let state = step(key, &self.known(key)?, Event::Completed { step: confirmed, at })?;
        self.end_complete(key, &state, owes, at)
    }

    /// A file of which everything is there, with what becomes owed by that.
    pub(super) fn end_complete(
        &mut self,
        key: &FileKey,
        state: &FileState,
        owes: Owes,
        at: Timestamp,
    ) -> Result<Vec<OwedEntry>, StateError> {
        let others = self.store.files(&version_prefix(&key.job, key.version))?;
        let mut changes = Changes::default();
        let entries: Vec<OwedEntry> = owed_at_completion(key, state, &others, owes)
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
        let words = match bad_records {
            0 => format!("complete: {records} records"),
            bad => format!("complete: {records} records, {bad} set aside"),
        };
        self.end_attempt(&mut changes, key, state, "complete", at);
        self.note(&mut changes, at, None, Some(key), &words);
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

    /// The file's new row, and the end of its attempt.
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
    }
}
