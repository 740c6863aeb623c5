//! Making a store anew: from an export, from the snapshot, from itself.

use std::path::{Path, PathBuf};

use crate::model::Timestamp;
use crate::model::fault::place;

use super::StateError;
use super::disk::{self, Compacted, Disk};
use super::folder::{remove_folder, rename, sync_folder};
use super::layout::{
    COUNTERS_KEY, Tree, download_key, file_key, forced_key, job_key, sequence_key, token_key,
};
use super::lock::{Lock, PATIENCE};
use super::open::{self, NEW, STORE};
use super::rows::Counters;
use super::snapshot;
use super::store::{Changes, Store};
use super::view::{EventEntry, Inspection};

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Where the damaged store is now; none if there was none.
    pub aside: Option<PathBuf>,
    /// How many files the new store knows.
    pub files: usize,
}

/// Takes in what `state export` wrote. With `replace`, what the store holds goes. Returns how many
/// files it knows then.
///
/// # Errors
/// If a line cannot be read, the store is not empty, another process owns it, or the disk says no.
pub fn import(dir: &Path, text: &str, replace: bool, now: Timestamp) -> Result<usize, StateError> {
    let wanted = snapshot::parse(dir, text)?;
    let (store, lock) = open::own(dir, now)?;
    let held = store.inspect(false)?;
    if !replace && !held.files.is_empty() {
        return Err(StateError::NotEmpty { dir: dir.to_owned(), files: held.files.len() });
    }
    let mut changes = Changes::default();
    for tree in Tree::ALL.into_iter().filter(|tree| *tree != Tree::Meta && *tree != Tree::Points) {
        for row in store.scan_raw(tree, b"") {
            changes.remove(tree, row?.0);
        }
    }
    for pass in &held.forced {
        changes.remove(Tree::Meta, forced_key(&pass.job, pass.version));
    }
    for token in &held.tokens {
        changes.remove(Tree::Meta, token_key(&token.job, &token.word));
    }
    // numbers that either store has given out stay given out
    let sequence = wanted.sequence.max(held.sequence);
    let last_run = wanted.last_run.max(held.last_run);
    let files = wanted.files.len();
    put_rows(&mut changes, &Inspection { sequence, last_run, ..wanted }, now, "imported");
    store.commit(&changes)?;
    store.flush()?;
    store.prune_points()?;
    store.flush()?;
    snapshot::write(dir, &store.inspect(false)?)?;
    drop(store);
    drop(lock);
    Ok(files)
}

/// Moves the store aside and makes a new one from the snapshot; `from_nothing` confirms that
/// without a snapshot it may begin empty.
///
/// # Errors
/// If there is no snapshot and that is not confirmed, if the snapshot cannot be read, if another
/// process owns the directory, or if the disk says no.
pub fn repair(dir: &Path, from_nothing: bool, now: Timestamp) -> Result<Repaired, StateError> {
    let lock = Lock::take(dir, PATIENCE)?;
    let known = match snapshot::read(dir)? {
        Some(known) => known,
        None if from_nothing => Inspection::default(),
        None => return Err(StateError::NoSnapshot { dir: dir.to_owned() }),
    };
    let new = dir.join(NEW);
    remove_folder(&new)?;
    let store = Store::begin(dir, Disk::create(dir, &new)?)?;
    let mut changes = Changes::default();
    put_rows(&mut changes, &known, now, "rebuilt from the snapshot (state repair)");
    store.commit(&changes)?;
    store.flush()?;
    drop(store);
    sync_folder(&new)?;
    place("state.repair.built");
    let place_of_store = dir.join(STORE);
    let aside = place_of_store.exists().then(|| free_name(dir));
    if let Some(aside) = &aside {
        rename(&place_of_store, aside)?;
    }
    place("state.repair.aside");
    rename(&new, &place_of_store)?;
    sync_folder(dir)?;
    drop(lock);
    Ok(Repaired { aside, files: known.files.len() })
}

fn free_name(dir: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let name = dir.join(format!("store.damaged-{number}"));
        if !name.exists() {
            return name;
        }
        number += 1;
    }
}

/// Writes the store anew, resume points included, as small as it can be. Whenever it is cut off, the
/// next owner finds the old store or the new one.
///
/// # Errors
/// If another process owns the directory, the store is damaged, or the disk says no.
pub fn compact(dir: &Path, now: Timestamp) -> Result<Compacted, StateError> {
    // It is of this format then, and every row of it can be read.
    let (store, lock) = open::own(dir, now)?;
    drop(store);
    let compacted = disk::compact(dir, &dir.join(STORE))?;
    drop(lock);
    Ok(compacted)
}

/// Every row of `known`, and the event that says where they come from.
fn put_rows(changes: &mut Changes, known: &Inspection, now: Timestamp, what: &str) {
    let number = |number: u64| number.to_be_bytes().to_vec();
    let counters = Counters { sequence: known.sequence + 1, run: known.last_run };
    let event = EventEntry {
        number: counters.sequence,
        at: now,
        job: None,
        file: None,
        what: what.to_owned(),
    };
    changes.put(Tree::Meta, COUNTERS_KEY.to_vec(), &counters);
    for entry in &known.jobs {
        changes.put(Tree::Jobs, job_key(&entry.job), entry);
    }
    for entry in &known.files {
        changes.put(Tree::Files, file_key(&entry.key), &entry.state);
    }
    for entry in &known.owed {
        changes.put(Tree::Outbox, sequence_key(&entry.job, entry.id.0), entry);
    }
    for entry in &known.runs {
        changes.put(Tree::Runs, number(entry.number), entry);
    }
    for entry in known.events.iter().chain([&event]) {
        changes.put(Tree::Journal, number(entry.number), entry);
    }
    for pass in &known.forced {
        changes.put(Tree::Meta, forced_key(&pass.job, pass.version), pass);
    }
    for token in &known.tokens {
        changes.put(Tree::Meta, token_key(&token.job, &token.word), token);
    }
    for download in &known.downloads {
        changes.put(Tree::Downloads, download_key(&download.key), download);
    }
}
