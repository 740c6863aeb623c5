//! Opening a state directory: as its owner, who recovers, upgrades and makes; or to inspect it,
//! which changes nothing.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::Timestamp;

use super::folder::{copy_folder, remove_folder, rename, sync_folder};
use super::layout::FORMAT;
use super::lock::{Lock, PATIENCE};
use super::store::{Store, damaged, guarded};
use super::view::Inspection;
use super::{StateError, snapshot, upgrade};

/// How long an inspector waits for another inspector.
const INSPECTOR_PATIENCE: Duration = Duration::from_millis(300);

/// The store.
pub(super) const STORE: &str = "store";
/// A store being made.
pub(super) const NEW: &str = "store.new";
/// The old store, while a compacted one takes its place.
pub(super) const OLD: &str = "store.old";
/// A compacted store being made.
pub(super) const COMPACT: &str = "store.compact";

/// Takes the lock, opens the store, makes it if there is none, upgrades it if it is older.
///
/// # Errors
/// If another process owns it, or it is damaged or newer, or the disk says no.
pub(super) fn own(dir: &Path, now: Timestamp) -> Result<(Store, Lock), StateError> {
    fs::create_dir_all(dir).map_err(|error| StateError::disk("make the folder", dir, &error))?;
    let lock = Lock::take(dir, PATIENCE)?;
    recover_swap(dir)?;
    let place = dir.join(STORE);
    if !check_presence(dir, &place)? {
        make(dir)?;
    }
    let store = Store::open(dir, &place, false)?;
    let store = match guarded(dir, || store.format())? {
        FORMAT => store,
        format if format > FORMAT => return Err(newer(dir, format)),
        older => {
            drop(store);
            upgrade::upgrade(dir, &place, older, now)?
        }
    };
    // every row is read once, so that damage shows now and not in the middle of a file
    let inspection = guarded(dir, || store.inspect(false))?;
    check_against_snapshot(dir, &inspection)?;
    Ok((store, lock))
}

/// Everything the store in `dir` holds, without becoming its owner: an older format is decoded, not
/// upgraded, and nothing is repaired. No state directory is an empty one.
///
/// # Errors
/// If a living process owns it, or it is damaged or newer, or the disk says no.
pub fn open_for_inspection(dir: &Path) -> Result<Inspection, StateError> {
    if !is_there(dir)? {
        return Ok(Inspection { format: FORMAT, ..Inspection::default() });
    }
    let place = present(dir);
    if !check_presence(dir, &place)? {
        return Ok(Inspection { format: FORMAT, ..Inspection::default() });
    }
    let _lock = Lock::take(dir, INSPECTOR_PATIENCE)?;
    if let Some(error) = unwritable(&place) {
        let copy = copied(&place).map_err(|_| error)?;
        return inspect(dir, copy.path());
    }
    inspect(dir, &place)
}

/// Whether there is such a directory. One that is kept from this user must not look like an empty one.
fn is_there(dir: &Path) -> Result<bool, StateError> {
    match fs::read_dir(dir) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StateError::unreadable(dir, &error)),
    }
}

fn inspect(dir: &Path, place: &Path) -> Result<Inspection, StateError> {
    let store = Store::open(dir, place, false)?;
    let inspection = guarded(dir, || match store.format()? {
        format if format > FORMAT => Err(newer(dir, format)),
        _ => store.inspect(true),
    })?;
    check_against_snapshot(dir, &inspection)?;
    Ok(inspection)
}

/// Where the store is, also while a compaction's swap is half done.
fn present(dir: &Path) -> PathBuf {
    let (store, compact) = (dir.join(STORE), dir.join(COMPACT));
    let half_done = !store.exists() && compact.exists() && dir.join(OLD).exists();
    if half_done { compact } else { store }
}

/// Ends a compaction that was cut off: forward if the old store had been put aside, else back.
fn recover_swap(dir: &Path) -> Result<(), StateError> {
    let (store, old, compact) = (dir.join(STORE), dir.join(OLD), dir.join(COMPACT));
    if !store.exists() && old.exists() {
        let from = if compact.exists() { &compact } else { &old };
        rename(from, &store)?;
        sync_folder(dir)?;
    }
    [old, compact, dir.join(NEW)].iter().try_for_each(|rest| remove_folder(rest))
}

/// Whether there is a store. None at all is a beginning, unless there are traces of one.
fn check_presence(dir: &Path, place: &Path) -> Result<bool, StateError> {
    let known = dir.join(snapshot::NAME).exists();
    let empty = || {
        let entries = fs::read_dir(place).map(|mut entries| entries.next().is_none());
        entries.unwrap_or(false)
    };
    match (place.exists(), known) {
        (false, false) => Ok(false),
        (false, true) => Err(damaged(dir, format!("{} is missing", place.display()))),
        (true, false) if empty() => Ok(false),
        (true, _) if !place.join("db").exists() => {
            Err(damaged(dir, format!("{} is missing", place.join("db").display())))
        }
        (true, _) => Ok(true),
    }
}

/// A store that gave out fewer numbers than its own snapshot says has lost what was durable.
fn check_against_snapshot(dir: &Path, inspection: &Inspection) -> Result<(), StateError> {
    match snapshot::sequence(dir) {
        Some(sequence) if sequence > inspection.sequence => Err(damaged(
            dir,
            format!(
                "it has lost events {} to {sequence}, which its snapshot knows",
                inspection.sequence + 1
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// A store appears whole or not at all.
fn make(dir: &Path) -> Result<(), StateError> {
    let new = dir.join(NEW);
    remove_folder(&new)?;
    drop(Store::create(dir, &new)?);
    sync_folder(&new)?;
    let place = dir.join(STORE);
    if place.exists() {
        remove_folder(&place)?;
    }
    rename(&new, &place)?;
    sync_folder(dir)
}

fn newer(dir: &Path, format: u32) -> StateError {
    StateError::Newer { dir: dir.to_owned(), format, knows: FORMAT }
}

/// Why sled, which opens for writing, could not open the store here.
fn unwritable(place: &Path) -> Option<StateError> {
    let db = place.join("db");
    let error = OpenOptions::new().write(true).open(&db).err()?;
    let refused =
        matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
    refused.then(|| StateError::disk("open", &db, &error))
}

fn copied(place: &Path) -> std::io::Result<tempfile::TempDir> {
    let copy = tempfile::tempdir()?;
    copy_folder(place, copy.path())?;
    Ok(copy)
}
