//! Opening a state directory: as its owner, who recovers, upgrades and makes; or to inspect it,
//! which changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::model::Timestamp;

use super::disk::{self, Disk, guarded};
use super::folder::{remove_folder, rename, sync_folder};
use super::layout::FORMAT;
use super::lock::{Lock, PATIENCE};
use super::store::Store;
use super::view::Inspection;
use super::{StateError, snapshot, upgrade};

/// How long an inspector waits for another inspector.
const INSPECTOR_PATIENCE: Duration = Duration::from_millis(300);

/// The store.
pub(super) const STORE: &str = "store";
/// A store being made.
pub(super) const NEW: &str = "store.new";

/// Takes the lock, opens the store, makes it if there is none, upgrades it if it is older.
///
/// # Errors
/// If another process owns it, or it is damaged or newer, or the disk says no.
pub(super) fn own(dir: &Path, now: Timestamp) -> Result<(Store, Lock), StateError> {
    fs::create_dir_all(dir).map_err(|error| StateError::disk("make the folder", dir, &error))?;
    let lock = Lock::take(dir, PATIENCE)?;
    let place = dir.join(STORE);
    disk::recover(dir, &place)?;
    remove_folder(&dir.join(NEW))?;
    if !check_presence(dir, &place)? {
        make(dir)?;
    }
    let store = Store::new(dir, Disk::open(dir, &place, false)?);
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
    let place = disk::present(dir, &dir.join(STORE));
    if !check_presence(dir, &place)? {
        return Ok(Inspection { format: FORMAT, ..Inspection::default() });
    }
    let _lock = Lock::take(dir, INSPECTOR_PATIENCE)?;
    let store = Store::new(dir, Disk::open_to_read(dir, &place)?);
    let inspection = guarded(dir, || match store.format()? {
        format if format > FORMAT => Err(newer(dir, format)),
        _ => store.inspect(true),
    })?;
    check_against_snapshot(dir, &inspection)?;
    Ok(inspection)
}

/// Whether there is such a directory. One that is kept from this user must not look like an empty one.
fn is_there(dir: &Path) -> Result<bool, StateError> {
    match fs::read_dir(dir) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StateError::unreadable(dir, &error)),
    }
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
        (false, true) => Err(StateError::damaged(dir, format!("{} is missing", place.display()))),
        (true, false) if empty() => Ok(false),
        (true, _) if !disk::file_in(place).exists() => {
            Err(StateError::damaged(dir, format!("{} is missing", disk::file_in(place).display())))
        }
        (true, _) => Ok(true),
    }
}

/// A store that gave out fewer numbers than its own snapshot says has lost what was durable.
fn check_against_snapshot(dir: &Path, inspection: &Inspection) -> Result<(), StateError> {
    match snapshot::sequence(dir) {
        Some(sequence) if sequence > inspection.sequence => Err(StateError::damaged(
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
    drop(Store::begin(dir, Disk::create(dir, &new)?)?);
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
