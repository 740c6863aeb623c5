//! sled 0.34, and all that is there only because of how it behaves. Nothing else names it.
//!
//! - Its flush on Linux stops at `sync_file_range`, which neither writes the file's size nor empties
//!   the disk's cache: so the file is synced once more ([`Trees::flush`]).
//! - Killed while it writes its own snapshot of the log, it takes the torn file for a whole one at
//!   the next start and calls the store corrupt (spacejam/sled#1527; once in 300 kills here): so
//!   that is removed first.
//! - It panics where a store is damaged, when it is opened and when it is read: [`guarded`] makes an
//!   error of that.
//! - Its own lock may outlive a store that this process has just closed: so opening tries again.
//! - It opens for writing only: to be looked at, what may not be written is copied.
//! - Its files never shrink: [`compact`] writes them anew, and [`recover`] ends a compaction that was
//!   cut off.
//! - Larger values get files of their own, and each overwrite leaks one: see `layout::VALUE_LIMIT`.

use std::cell::Cell;
use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};
use tempfile::TempDir;

use super::StateError;
use super::folder::{copy_folder, remove_folder, rename, sync_folder};
use super::layout::Tree;
use super::trees::{Change, Pairs, Trees};
use crate::model::fault::place;

/// sled's cache; its default is 1 GiB.
const CACHE: u64 = 32 << 20;

/// How long sled's own lock may outlive a store that this process has just closed.
const SLED_LOCK: Duration = Duration::from_secs(5);

/// How many rows go into one transaction of a compaction.
const ROWS: usize = 256;

/// The old store, while a compacted one takes its place.
const OLD: &str = "store.old";
/// A compacted store being made.
const COMPACT: &str = "store.compact";

/// The trees in a folder's files.
#[derive(Debug)]
pub(super) struct Disk {
    /// The state directory, for messages.
    dir: PathBuf,
    /// Those that are there, in the order of their numbers.
    trees: Vec<Option<sled::Tree>>,
    db: sled::Db,
    /// The same file that sled writes to, for the sync that sled leaves out.
    file: File,
    /// What is read instead of the folder, if that may not be written; dropped after sled.
    _copy: Option<TempDir>,
}

impl Disk {
    /// Opens what is in the folder `place`; `dir` is the state directory, for messages. With
    /// `make_trees`, those that are missing are made.
    ///
    /// # Errors
    /// If it is damaged, or the disk says no.
    pub(super) fn open(dir: &Path, place: &Path, make_trees: bool) -> Result<Disk, StateError> {
        Disk::open_at(dir, place, make_trees, None)
    }

    /// Opens what is in the folder `place` to look at it.
    ///
    /// # Errors
    /// If it is damaged, or the disk says no.
    pub(super) fn open_to_read(dir: &Path, place: &Path) -> Result<Disk, StateError> {
        let Some(error) = unwritable(place) else { return Disk::open(dir, place, false) };
        let copy = copied(place).map_err(|_| error)?;
        let place = copy.path().to_owned();
        Disk::open_at(dir, &place, false, Some(copy))
    }

    /// Makes files without anything in them in the empty or missing folder `place`.
    ///
    /// # Errors
    /// If the disk says no.
    pub(super) fn create(dir: &Path, place: &Path) -> Result<Disk, StateError> {
        guarded(dir, || open_sled(dir, place).map(drop))?;
        Disk::open(dir, place, true)
    }

    fn open_at(
        dir: &Path,
        place: &Path,
        make_trees: bool,
        copy: Option<TempDir>,
    ) -> Result<Disk, StateError> {
        let path = file_in(place);
        if !path.exists() {
            return Err(StateError::damaged(dir, format!("{} is missing", path.display())));
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
                .map_err(|error| failed(dir, &error))?;
            let file =
                File::open(&path).map_err(|error| StateError::disk("open", &path, &error))?;
            Ok(Disk { dir: dir.to_owned(), trees, db, file, _copy: copy })
        })
    }

    fn tree(&self, tree: Tree) -> Option<&sled::Tree> {
        self.trees[tree as usize].as_ref()
    }

    fn failed(&self, error: &sled::Error) -> StateError {
        failed(&self.dir, error)
    }
}

impl Trees for Disk {
    fn apply(&self, batch: &[Change]) -> Result<(), StateError> {
        let used: Vec<Tree> = Tree::ALL
            .into_iter()
            .filter(|tree| batch.iter().any(|change| change.tree == *tree))
            .collect();
        let missing = |tree: &Tree| {
            StateError::damaged(&self.dir, format!("the tree {} is missing", tree.name()))
        };
        let found = used.iter().map(|tree| self.tree(*tree).ok_or_else(|| missing(tree)));
        let trees = found.collect::<Result<Vec<_>, _>>()?;
        let place = |tree: Tree| used.iter().position(|used| *used == tree).unwrap_or_default();
        let written = trees.as_slice().transaction(|trees| {
            for Change { tree, key, value } in batch {
                let tree = &trees[place(*tree)];
                match value {
                    Some(value) => tree.insert(key.as_slice(), value.as_slice())?,
                    None => tree.remove(key.as_slice())?,
                };
            }
            Ok::<(), ConflictableTransactionError<Infallible>>(())
        });
        written.map_err(|error| match error {
            TransactionError::Storage(error) => self.failed(&error),
            TransactionError::Abort(never) => match never {},
        })
    }

    fn flush(&self) -> Result<(), StateError> {
        self.db.flush().map_err(|error| self.failed(&error))?;
        self.file
            .sync_data()
            .map_err(|error| StateError::disk("sync the store in", &self.dir, &error))
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let Some(tree) = self.tree(tree) else { return Ok(None) };
        let value = tree.get(key).map_err(|error| self.failed(&error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(&self, tree: Tree, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Pairs<'_> {
        let rows = self.tree(tree).map(|tree| tree.range::<&[u8], _>((from, to)));
        Box::new(rows.into_iter().flatten().map(|row| {
            let (key, value) = row.map_err(|error| self.failed(&error))?;
            Ok((key.to_vec(), value.to_vec()))
        }))
    }
}

/// The file that sled keeps in a folder.
pub(super) fn file_in(place: &Path) -> PathBuf {
    place.join("db")
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
            Err(error) => return Err(failed(dir, &error)),
        }
    }
}

/// Those that sled has not renamed yet are not whole.
fn remove_torn_snapshots(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            // One that stays makes sled say what is wrong.
            _ = fs::remove_file(&path);
        }
    }
}

/// Why sled, which opens for writing, could not open the store here.
fn unwritable(place: &Path) -> Option<StateError> {
    let path = file_in(place);
    let error = OpenOptions::new().write(true).open(&path).err()?;
    let refused =
        matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
    refused.then(|| StateError::disk("open", &path, &error))
}

fn copied(place: &Path) -> std::io::Result<TempDir> {
    let copy = tempfile::tempdir()?;
    copy_folder(place, copy.path())?;
    Ok(copy)
}

/// What sled says, as damage or as the disk's refusal.
fn failed(dir: &Path, error: &sled::Error) -> StateError {
    match error {
        sled::Error::Io(error) if error.kind() != ErrorKind::Other => {
            StateError::disk("use the store in", dir, error)
        }
        other => StateError::damaged(dir, other.to_string()),
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic inside sled when the store is damaged, and makes an error of it.
pub(super) fn guarded<T>(
    dir: &Path,
    work: impl FnOnce() -> Result<T, StateError>,
) -> Result<T, StateError> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let words = format!("reading it failed ({})", text.unwrap_or("no words"));
        Err(StateError::damaged(dir, words))
    })
}

/// Whether a panic of this thread would become an error of the store's. The program's panic hook
/// says nothing then: who gets the error says it.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk after.
    pub after: u64,
}

/// Writes the files in `place` anew, as small as they can be. Whoever calls it has the lock and has
/// not opened them. Wherever it is cut off, [`recover`] finds the old files or the new ones.
///
/// # Errors
/// If they are damaged, or the disk says no.
pub(super) fn compact(dir: &Path, place_of_store: &Path) -> Result<Compacted, StateError> {
    let (compact, old) = (dir.join(COMPACT), dir.join(OLD));
    let from = Disk::open(dir, place_of_store, false)?;
    let to = Disk::create(dir, &compact)?;
    guarded(dir, || copy_rows(&from, &to))?;
    to.flush()?;
    drop(to);
    sync_folder(&compact)?;
    drop(from);
    let before = size_of(place_of_store);
    place("state.compact.built");
    rename(place_of_store, &old)?;
    place("state.compact.aside");
    rename(&compact, place_of_store)?;
    sync_folder(dir)?;
    place("state.compact.swapped");
    remove_folder(&old)?;
    Ok(Compacted { before, after: size_of(place_of_store) })
}

fn copy_rows(from: &Disk, to: &Disk) -> Result<(), StateError> {
    for tree in Tree::ALL {
        let mut rows = from.range(tree, Bound::Unbounded, Bound::Unbounded).peekable();
        while rows.peek().is_some() {
            let change = |(key, value)| Change { tree, key, value: Some(value) };
            let batch = rows.by_ref().take(ROWS).map(|row| row.map(change));
            to.apply(&batch.collect::<Result<Vec<_>, _>>()?)?;
        }
    }
    Ok(())
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

/// Where the files are that belong into `place_of_store`, also while a compaction's swap is half
/// done.
pub(super) fn present(dir: &Path, place_of_store: &Path) -> PathBuf {
    let compact = dir.join(COMPACT);
    let half_done = !place_of_store.exists() && compact.exists() && dir.join(OLD).exists();
    if half_done { compact } else { place_of_store.to_owned() }
}

/// Ends a compaction that was cut off: forward if the old store had been put aside, else back.
///
/// # Errors
/// What the disk says.
pub(super) fn recover(dir: &Path, place_of_store: &Path) -> Result<(), StateError> {
    let (old, compact) = (dir.join(OLD), dir.join(COMPACT));
    if !place_of_store.exists() && old.exists() {
        let from = if compact.exists() { &compact } else { &old };
        rename(from, place_of_store)?;
        sync_folder(dir)?;
    }
    [old, compact].iter().try_for_each(|rest| remove_folder(rest))
}
