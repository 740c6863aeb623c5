//! Rows in trees: what is written together, and what is read back. What the rows mean is decided
//! elsewhere, and what the trees lie in is `disk` or `memory`.

use std::collections::VecDeque;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::model::{Position, ResumePoint, Run};

use super::layout::{
    COUNTERS_KEY, FORMAT, FORMAT_KEY, POINT_PART, POINT_PLACE, Row, Tree, VALUE_LIMIT, file_key,
    forced_prefix, number_of, parse_file_key, point_key, points_of_file, points_of_run,
    split_point_key, token_prefix,
};
use super::rows::Counters;
use super::trees::{Change, Pair, Trees, end_of};
use super::view::{FileEntry, Inspection};
use super::{FileKey, FileState, StateError, Status};

/// How many keys are removed in one go where it may take several.
const REMOVALS: usize = 256;

/// What to write, all or nothing.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn put(&mut self, tree: Tree, key: Vec<u8>, row: &impl Row) {
        let value = row.encode();
        debug_assert!(value.len() <= VALUE_LIMIT, "a row of {} bytes", value.len());
        self.put_raw(tree, key, value);
    }

    pub(super) fn put_raw(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) {
        self.0.push(Change { tree, key, value: Some(value) });
    }

    pub(super) fn remove(&mut self, tree: Tree, key: Vec<u8>) {
        self.0.push(Change { tree, key, value: None });
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
    trees: Box<dyn Trees>,
}

impl Store {
    /// The store in some trees; `dir` is the state directory, for messages.
    pub(super) fn new(dir: &Path, trees: impl Trees + 'static) -> Store {
        Store { dir: dir.to_owned(), trees: Box::new(trees) }
    }

    /// A store of the current format in trees that are empty.
    ///
    /// # Errors
    /// If the disk says no.
    pub(super) fn begin(dir: &Path, trees: impl Trees + 'static) -> Result<Store, StateError> {
        let store = Store::new(dir, trees);
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
    /// If the trees fail; nothing was written then.
    pub(super) fn commit(&self, changes: &Changes) -> Result<(), StateError> {
        if changes.is_empty() { Ok(()) } else { self.trees.apply(&changes.0) }
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// If the disk says no.
    pub(super) fn flush(&self) -> Result<(), StateError> {
        self.trees.flush()
    }

    fn damaged(&self, words: String) -> StateError {
        StateError::damaged(&self.dir, words)
    }

    /// The format number; a store without one was never whole.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn format(&self) -> Result<u32, StateError> {
        let none = || self.damaged("it has no format number".to_owned());
        let value = self.trees.get(Tree::Meta, FORMAT_KEY)?.ok_or_else(none)?;
        let bytes: [u8; 4] = value.try_into().map_err(|_| none())?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// One row.
    ///
    /// # Errors
    /// If it does not decode.
    pub(super) fn get<R: Row>(&self, tree: Tree, key: &[u8]) -> Result<Option<R>, StateError> {
        let value = self.trees.get(tree, key)?;
        value.map(|value| self.decode(tree, key, &value)).transpose()
    }

    fn decode<R: Row>(&self, tree: Tree, key: &[u8], value: &[u8]) -> Result<R, StateError> {
        R::decode(value).map_err(|error| {
            let key = key.escape_ascii();
            let name = tree.name();
            self.damaged(format!("the row {key} of {name} is unreadable: {}", error.0))
        })
    }

    /// Raw keys and values under a prefix, in order; nothing where the tree is missing.
    pub(super) fn scan_raw(
        &self,
        tree: Tree,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Pair, StateError>> {
        let end = end_of(prefix);
        self.trees.range(tree, Bound::Included(prefix), end.as_ref().map(Vec::as_slice))
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
    /// If the trees fail.
    pub(super) fn numbers(&self, tree: Tree) -> Result<VecDeque<u64>, StateError> {
        let number = |(key, _): Pair| number_of(&key).unwrap_or_default();
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
                    self.damaged(format!("the key {} names no file", key.escape_ascii()))
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
    /// If the trees fail.
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
        let (from, to) = (Bound::Included(&prefix[..]), Bound::Included(&last[..]));
        for found in self.trees.range(Tree::Points, from, to).rev() {
            let (key, _) = found?;
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
    /// If the trees fail.
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
        let mut from_there =
            self.trees.range(Tree::Points, Bound::Included(from), Bound::Unbounded);
        let first = from_there.next().transpose()?;
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
        Ok(state.is_some_and(|state| state.run == Some(run) && state.status != Status::Complete))
    }

    /// Removes the resume points under a prefix, a few at a time.
    ///
    /// # Errors
    /// If the trees fail.
    pub(super) fn remove_prefix(&self, prefix: &[u8]) -> Result<(), StateError> {
        loop {
            let mut changes = Changes::default();
            for row in self.scan_raw(Tree::Points, prefix).take(REMOVALS) {
                changes.remove(Tree::Points, row?.0);
            }
            if changes.is_empty() {
                return Ok(());
            }
            self.commit(&changes)?;
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
