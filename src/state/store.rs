//! sled, and nothing but sled: opening, transactions, reading rows. What the rows mean is decided
//! elsewhere.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use crate::model::{Position, ResumePoint, Run};

use super::layout::{
    COUNTERS_KEY, FORMAT, FORMAT_KEY, POINT_PART, POINT_PLACE, Row, Tree, VALUE_LIMIT, file_key,
    forced_prefix, number_of, parse_file_key, point_key, points_of_file, points_of_run,
    split_point_key, token_prefix,
};
use super::rows::Counters;
use super::view::{FileEntry, Inspection};
use super::{FileKey, FileState, StateError};

/// sled's cache; its default is 1 GiB.
const CACHE: u64 = 32 << 20;
/// How long sled's own lock may outlive a store that this process has just closed.
const SLED_LOCK: Duration = Duration::from_secs(5);
/// How many keys are removed in one go where it may take several.
const REMOVALS: usize = 256;

/// What to write, all or nothing.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<(Tree, Vec<u8>, Option<Vec<u8>>)>);

impl Changes {
    pub(super) fn put(&mut self, tree: Tree, key: Vec<u8>, row: &impl Row) {
        let value = row.encode();
        debug_assert!(value.len() <= VALUE_LIMIT, "a row of {} bytes", value.len());
        self.0.push((tree, key, Some(value)));
    }

    pub(super) fn put_raw(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) {
        self.0.push((tree, key, Some(value)));
    }

    pub(super) fn remove(&mut self, tree: Tree, key: Vec<u8>) {
        self.0.push((tree, key, None));
    }

    /// A resume point, in as many parts as its value needs.
    pub(super) fn put_point(&mut self, file: &FileKey, run: Run, point: &ResumePoint) {
        let prefix = points_of_run(file, run);
        for (part, value) in (0..).zip(point.encode().chunks(VALUE_LIMIT)) {
            let key = point_key(&prefix, point.boundary().after, point.place().gzip.0, part);
            self.put_raw(Tree::Points, key, value.to_vec());
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An open store.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    trees: Vec<Option<sled::Tree>>,
    db: sled::Db,
    /// The same file that sled writes to, for the sync that sled leaves out.
    disk: File,
}

impl Store {
    /// Opens the store in the folder `place`; `dir` is the state directory, for messages. With
    /// `make_trees`, those that are missing are made.
    ///
    /// # Errors
    /// If it is damaged, or the disk says no.
    pub(super) fn open(dir: &Path, place: &Path, make_trees: bool) -> Result<Store, StateError> {
        let db_file = place.join("db");
        if !db_file.exists() {
            return Err(damaged(dir, format!("{} is missing", db_file.display())));
        }
        guarded(dir, || {
            let db = open_sled(dir, place)?;
            let known = db.tree_names();
            let open = |tree: Tree| {
                let wanted = make_trees || known.iter().any(|name| name == tree.name().as_bytes());
                wanted.then(|| db.open_tree(tree.name())).transpose()
            };
            let trees = Tree::ALL
                .into_iter()
                .map(open)
                .collect::<Result<_, _>>()
                .map_err(|error| StateError::sled(dir, &error))?;
            let disk =
                File::open(&db_file).map_err(|error| StateError::disk("open", &db_file, &error))?;
            Ok(Store { dir: dir.to_owned(), trees, db, disk })
        })
    }

    /// Makes a store of the current format in the empty or missing folder `place`.
    ///
    /// # Errors
    /// If the disk says no.
    pub(super) fn create(dir: &Path, place: &Path) -> Result<Store, StateError> {
        guarded(dir, || {
            drop(open_sled(dir, place)?);
            Ok(())
        })?;
        let store = Store::open(dir, place, true)?;
        let mut changes = Changes::default();
        changes.put_raw(Tree::Meta, FORMAT_KEY.to_vec(), FORMAT.to_be_bytes().to_vec());
        store.commit(&changes)?;
        store.flush()?;
        Ok(store)
    }

    /// The state directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes all of `changes` or none of it. It is durable after the next [`Store::flush`].
    ///
    /// # Errors
    /// If sled fails; nothing was written then.
    pub(super) fn commit(&self, changes: &Changes) -> Result<(), StateError> {
        if changes.is_empty() {
            return Ok(());
        }
        let used: Vec<Tree> = Tree::ALL
            .into_iter()
            .filter(|tree| changes.0.iter().any(|(changed, ..)| changed == tree))
            .collect();
        let trees = used.iter().map(|tree| self.tree(*tree)).collect::<Result<Vec<_>, _>>()?;
        let place = |tree: Tree| used.iter().position(|used| *used == tree).unwrap_or_default();
        let written = trees.as_slice().transaction(|trees| {
            for (tree, key, value) in &changes.0 {
                let tree = &trees[place(*tree)];
                match value {
                    Some(value) => tree.insert(key.as_slice(), value.as_slice())?,
                    None => tree.remove(key.as_slice())?,
                };
            }
            Ok::<(), ConflictableTransactionError<std::convert::Infallible>>(())
        });
        written.map_err(|error| match error {
            TransactionError::Storage(error) => StateError::sled(&self.dir, &error),
            TransactionError::Abort(never) => match never {},
        })
    }

    /// Makes everything written so far durable. sled's own flush on Linux stops at
    /// `sync_file_range`, which neither writes the file's size nor empties the disk's cache.
    ///
    /// # Errors
    /// If the disk says no.
    pub(super) fn flush(&self) -> Result<(), StateError> {
        self.db.flush().map_err(|error| StateError::sled(&self.dir, &error))?;
        self.disk
            .sync_data()
            .map_err(|error| StateError::disk("sync the store in", &self.dir, &error))
    }

    fn tree(&self, tree: Tree) -> Result<&sled::Tree, StateError> {
        self.trees[tree as usize]
            .as_ref()
            .ok_or_else(|| damaged(&self.dir, format!("the tree {} is missing", tree.name())))
    }

    /// The format number; a store without one was never whole.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn format(&self) -> Result<u32, StateError> {
        let none = || damaged(&self.dir, "it has no format number".to_owned());
        let value = self.raw(Tree::Meta, FORMAT_KEY)?.ok_or_else(none)?;
        let bytes: [u8; 4] = value.as_ref().try_into().map_err(|_| none())?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn raw(&self, tree: Tree, key: &[u8]) -> Result<Option<sled::IVec>, StateError> {
        self.tree(tree)?.get(key).map_err(|error| StateError::sled(&self.dir, &error))
    }

    /// One row.
    ///
    /// # Errors
    /// If it does not decode.
    pub(super) fn get<R: Row>(&self, tree: Tree, key: &[u8]) -> Result<Option<R>, StateError> {
        let value = self.raw(tree, key)?;
        value.map(|value| self.decode(tree, key, &value)).transpose()
    }

    fn decode<R: Row>(&self, tree: Tree, key: &[u8], value: &[u8]) -> Result<R, StateError> {
        R::decode(value).map_err(|error| {
            let key = key.escape_ascii();
            damaged(
                &self.dir,
                format!("the row {key} of {} is unreadable: {}", tree.name(), error.0),
            )
        })
    }

    /// Raw keys and values under a prefix, in order; nothing where the tree is missing.
    pub(super) fn scan_raw(
        &self,
        tree: Tree,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StateError>> {
        let rows = self.trees[tree as usize].as_ref().map(|tree| tree.scan_prefix(prefix));
        rows.into_iter()
            .flatten()
            .map(|row| row.map_err(|error| StateError::sled(&self.dir, &error)))
    }

    /// The rows under a prefix, in order.
    ///
    /// # Errors
    /// If one does not decode.
    pub(super) fn scan<R: Row>(&self, tree: Tree, prefix: &[u8]) -> Result<Vec<R>, StateError> {
        self.scan_raw(tree, prefix)
            .map(|row| row.and_then(|(key, value)| self.decode(tree, &key, &value)))
            .collect()
    }

    /// The numbers that are a tree's keys, in order.
    ///
    /// # Errors
    /// If sled fails.
    pub(super) fn numbers(&self, tree: Tree) -> Result<VecDeque<u64>, StateError> {
        let number = |(key, _): (sled::IVec, _)| number_of(&key).unwrap_or_default();
        self.scan_raw(tree, b"").map(|row| row.map(number)).collect()
    }

    /// One file.
    ///
    /// # Errors
    /// If its row does not decode.
    pub(super) fn file(&self, key: &FileKey) -> Result<Option<FileState>, StateError> {
        self.get(Tree::Files, &file_key(key))
    }

    /// The files under a prefix, in order.
    ///
    /// # Errors
    /// If a row does not decode.
    pub(super) fn files(&self, prefix: &[u8]) -> Result<Vec<(FileKey, FileState)>, StateError> {
        self.scan_raw(Tree::Files, prefix)
            .map(|row| {
                let (key, value) = row?;
                let state = self.decode(Tree::Files, &key, &value)?;
                let file = parse_file_key(&key).ok_or_else(|| {
                    damaged(&self.dir, format!("the key {} names no file", key.escape_ascii()))
                })?;
                Ok((file, state))
            })
            .collect()
    }

    /// The last resume point of the run from which a restart at `mark` may begin. Points that
    /// claim otherwise are passed over, and those that can be none (a store of format 1 has some):
    /// without any, reading begins at the start of the file, which costs time and nothing else.
    ///
    /// # Errors
    /// If sled fails.
    pub(super) fn point_before(
        &self,
        file: &FileKey,
        run: Run,
        mark: Position,
    ) -> Result<Option<ResumePoint>, StateError> {
        let Position::At(ordinal, _) = mark else { return Ok(None) };
        let prefix = points_of_run(file, run);
        let last = point_key(&prefix, ordinal, u64::MAX, u16::MAX);
        let mut passed: Option<Vec<u8>> = None;
        for found in self.tree(Tree::Points)?.range(&prefix[..]..=&last[..]).rev() {
            let (key, _) = found.map_err(|error| StateError::sled(&self.dir, &error))?;
            let place = key[..prefix.len() + POINT_PLACE].to_vec();
            if passed.as_ref() == Some(&place) {
                continue;
            }
            let mut value = Vec::new();
            for part in self.scan_raw(Tree::Points, &place) {
                value.extend_from_slice(&part?.1);
            }
            match ResumePoint::decode(&value) {
                Ok(point) if point.is_before(mark) => return Ok(Some(point)),
                Ok(_) | Err(_) => passed = Some(place),
            }
        }
        Ok(None)
    }

    /// How many resume points the run has.
    pub(super) fn count_points(&self, file: &FileKey, run: Run) -> Result<u64, StateError> {
        let mut count = 0;
        for row in self.scan_raw(Tree::Points, &points_of_run(file, run)) {
            let (key, _) = row?;
            count += u64::from(key.ends_with(&[0; POINT_PART]));
        }
        Ok(count)
    }

    /// Removes resume points that belong to no run under way: those of complete files, of earlier
    /// runs, of forgotten files. What a crash leaves half done, the next call finishes.
    ///
    /// # Errors
    /// If sled fails.
    pub(super) fn prune_points(&self) -> Result<(), StateError> {
        let mut from = Vec::new();
        while let Some(group) = self.next_points(&from)? {
            if !self.points_wanted(&group)? {
                self.remove_prefix(&group)?;
            }
            from = [&group[..], &[0xff; POINT_PLACE + POINT_PART + 1]].concat();
        }
        Ok(())
    }

    /// The prefix of the first run's points at or after `from`.
    fn next_points(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let first = self.tree(Tree::Points)?.range(from..).next().transpose();
        let first = first.map_err(|error| StateError::sled(&self.dir, &error))?;
        Ok(first.map(|(key, _)| key[..key.len().saturating_sub(POINT_PLACE + POINT_PART)].to_vec()))
    }

    fn points_wanted(&self, group: &[u8]) -> Result<bool, StateError> {
        let whole = [group, &[0; POINT_PLACE + POINT_PART]].concat();
        let Some((of_file, run)) = split_point_key(&whole) else { return Ok(false) };
        let Some(file) = of_file.strip_suffix(b"\0").and_then(parse_file_key) else {
            return Ok(false);
        };
        debug_assert_eq!(points_of_file(&file), of_file);
        let state = self.file(&file)?;
        Ok(state
            .is_some_and(|state| state.run == Some(run) && state.status != super::Status::Complete))
    }

    /// Removes the resume points under a prefix, a few at a time.
    ///
    /// # Errors
    /// If sled fails.
    pub(super) fn remove_prefix(&self, prefix: &[u8]) -> Result<(), StateError> {
        loop {
            let mut batch = sled::Batch::default();
            let mut removed = 0;
            for row in self.scan_raw(Tree::Points, prefix).take(REMOVALS) {
                batch.remove(row?.0);
                removed += 1;
            }
            if removed == 0 {
                return Ok(());
            }
            self.tree(Tree::Points)?
                .apply_batch(batch)
                .map_err(|error| StateError::sled(&self.dir, &error))?;
        }
    }

    /// Everything, decoded; resume points are counted if wanted.
    ///
    /// # Errors
    /// If a row does not decode.
    pub(super) fn inspect(&self, count_points: bool) -> Result<Inspection, StateError> {
        let counters: Counters = self.get(Tree::Meta, COUNTERS_KEY)?.unwrap_or_default();
        let file = |(key, state): (FileKey, FileState)| {
            let points = match state.run {
                Some(run) if count_points => self.count_points(&key, run)?,
                Some(_) | None => 0,
            };
            Ok(FileEntry { key, state, points, live: None })
        };
        Ok(Inspection {
            format: self.format()?,
            owner: None,
            sequence: counters.sequence,
            last_run: counters.run,
            jobs: self.scan(Tree::Jobs, b"")?,
            files: self.files(b"")?.into_iter().map(file).collect::<Result<_, StateError>>()?,
            owed: self.scan(Tree::Outbox, b"")?,
            runs: self.scan(Tree::Runs, b"")?,
            events: self.scan(Tree::Journal, b"")?,
            forced: self.scan(Tree::Meta, &forced_prefix())?,
            tokens: self.scan(Tree::Meta, &token_prefix())?,
            downloads: self.scan(Tree::Downloads, b"")?,
            doing: None,
        })
    }
}

/// Removes what sled leaves behind when it is killed while it writes its own snapshot of the log
/// (`snap.….generating`, renamed when it is whole): the next start takes that torn file for a
/// snapshot and calls the store corrupt (spacejam/sled#1527; once in 300 kills here).
fn remove_torn_snapshots(place: &Path) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            // One that stays makes sled say what is wrong.
            _ = std::fs::remove_file(&path);
        }
    }
}

fn open_sled(dir: &Path, place: &Path) -> Result<sled::Db, StateError> {
    remove_torn_snapshots(place);
    let config = sled::Config::new().path(place).cache_capacity(CACHE).flush_every_ms(None);
    let deadline = Instant::now() + SLED_LOCK;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(StateError::sled(dir, &error)),
        }
    }
}

pub(super) fn damaged(dir: &Path, words: String) -> StateError {
    StateError::Damaged { dir: dir.to_owned(), words }
}

/// Runs what may panic inside sled when the store is damaged, and makes an error of it; the panic
/// itself prints nothing.
pub(super) fn guarded<T>(
    dir: &Path,
    work: impl FnOnce() -> Result<T, StateError>,
) -> Result<T, StateError> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(damaged(dir, format!("reading it failed ({})", text.unwrap_or("no words"))))
    })
}
