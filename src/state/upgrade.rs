//! Bringing the store of an earlier format to this one: a copy first, then one pass over the rows
//! that can be cut off at any point and begun again. Every row says which version it is, so a row
//! that was rewritten already is read as what it now is; the format number is written last.

use std::fs;
use std::path::Path;

use crate::model::Timestamp;
use crate::model::fault::place;

use super::disk::{Disk, guarded};
use super::folder::{copy_folder, remove_folder, rename, sync_folder};
use super::layout::{COUNTERS_KEY, FORMAT, FORMAT_KEY, PLACES_PROVEN, Row, Tree, file_key};
use super::rows::Counters;
use super::store::{Changes, Store};
use super::view::{EventEntry, OwedEntry};
use super::{FileState, StateError, Status};

/// Upgrades the store in the folder `store` from format `from`, and opens it.
///
/// # Errors
/// If a row does not decode, or the disk says no.
pub(super) fn upgrade(
    dir: &Path,
    store: &Path,
    from: u32,
    now: Timestamp,
) -> Result<Store, StateError> {
    keep_copy(dir, store, from)?;
    place("state.upgrade.copied");
    let store = Store::new(dir, Disk::open(dir, store, true)?);
    guarded(dir, || {
        if from == 0 {
            files_of_format_0(&store)?;
        }
        if from < PLACES_PROVEN {
            places_to_prove(&store)?;
        }
        place("state.upgrade.rows");
        finish(&store, from, now)
    })?;
    place("state.upgrade.after");
    Ok(store)
}

/// A copy that an earlier, cut-off upgrade made is the older and the better one.
fn keep_copy(dir: &Path, store: &Path, from: u32) -> Result<(), StateError> {
    let copy = dir.join(format!("store.format-{from}"));
    if copy.exists() {
        return Ok(());
    }
    let part = dir.join(format!("store.format-{from}.part"));
    remove_folder(&part)?;
    fs::create_dir(&part)
        .and_then(|()| copy_folder(store, &part))
        .map_err(|error| StateError::disk("copy the store to", &part, &error))?;
    rename(&part, &copy)?;
    sync_folder(dir)
}

/// Files' rows came to count bad records apart, and starts without progress.
fn files_of_format_0(store: &Store) -> Result<(), StateError> {
    let keys: Vec<_> = store
        .scan_raw(Tree::Files, b"")
        .map(|row| row.map(|(key, value)| (key, value.first() == Some(&FileState::VERSION))))
        .collect::<Result<_, _>>()?;
    for (key, done) in keys {
        if done {
            continue;
        }
        if let Some(state) = store.get::<FileState>(Tree::Files, &key)? {
            let mut changes = Changes::default();
            changes.put(Tree::Files, key, &state);
            store.commit(&changes)?;
            store.flush()?;
            place("state.upgrade.row");
        }
    }
    Ok(())
}

/// Before format 2 a resume point could claim the boundary of a record that lay before it, and a
/// restart from there left out what came between. So no point is kept, and of files that are half
/// done the check is forgotten: they are read from their start once, which proves that the record
/// they stand at ends where they say.
fn places_to_prove(store: &Store) -> Result<(), StateError> {
    store.remove_prefix(b"")?;
    for (key, mut state) in store.files(b"")? {
        if state.checkpoint.check.take().is_some() {
            let mut changes = Changes::default();
            changes.put(Tree::Files, file_key(&key), &state);
            store.commit(&changes)?;
        }
        place("state.upgrade.proof");
    }
    store.flush()
}

fn finish(store: &Store, from: u32, now: Timestamp) -> Result<(), StateError> {
    let mut counters: Counters = store.get(Tree::Meta, COUNTERS_KEY)?.unwrap_or_default();
    // format 0 counted the outbox only, by its entries
    let owed = store.scan::<OwedEntry>(Tree::Outbox, b"")?;
    counters.sequence = owed.iter().map(|owed| owed.id.0).fold(counters.sequence, u64::max) + 1;
    let runs = store.files(b"")?.into_iter().filter_map(|(_, state)| state.run);
    counters.run = runs.map(|run| run.0).fold(counters.run, u64::max);
    let mut events = vec![EventEntry {
        number: counters.sequence,
        at: now,
        job: None,
        file: None,
        what: format!("the store was upgraded from format {from} to {FORMAT}"),
    }];
    if from < PLACES_PROVEN {
        let files = store.files(b"")?;
        for (key, _) in files.into_iter().filter(|(_, state)| may_lack_records(state)) {
            counters.sequence += 1;
            events.push(EventEntry {
                number: counters.sequence,
                at: now,
                job: Some(key.job),
                file: Some(key.file),
                what: "an earlier release completed it after a restart and with bad records: some \
                       records may have been left out; --force-reprocess brings them"
                    .to_owned(),
            });
        }
    }
    let mut changes = Changes::default();
    for event in &events {
        changes.put(Tree::Journal, event.number.to_be_bytes().to_vec(), event);
    }
    changes.put(Tree::Meta, COUNTERS_KEY.to_vec(), &counters);
    changes.put_raw(Tree::Meta, FORMAT_KEY.to_vec(), FORMAT.to_be_bytes().to_vec());
    store.commit(&changes)?;
    store.flush()
}

/// Both together are what it took to leave records out before format 2.
fn may_lack_records(state: &FileState) -> bool {
    state.status == Status::Complete && state.checkpoint.bad_records > 0 && state.attempts > 1
}
