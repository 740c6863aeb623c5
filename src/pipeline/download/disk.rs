//! The steps on disk that a download takes besides writing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::error::DownloadError;
use crate::dump::{Part, PartError, PartLock, RemoteDump, stamp};
use crate::model::Stamp;
use crate::model::fault::place;
use crate::state::Download;

/// Where the bytes of a dump are until all of them are here.
pub(super) fn part_path(folder: &Path, remote: &RemoteDump) -> PathBuf {
    folder.join(format!("{}.part", remote.name))
}

/// Where bytes that are not the published ones are kept: no dump's name.
pub(super) fn aside_path(folder: &Path, remote: &RemoteDump) -> PathBuf {
    folder.join(format!(".{}.mismatch", remote.name))
}

/// What a file is known by; nothing if there is none.
///
/// # Errors
/// If the disk says no.
pub(super) fn stamp_of(path: &Path) -> Result<Option<Stamp>, DownloadError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(stamp(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DownloadError::disk("look at", path, &error)),
    }
}

/// Takes the part's lock.
///
/// # Errors
/// [`DownloadError::Busy`] if another process has it.
pub(super) async fn lock_part(path: &Path) -> Result<PartLock, DownloadError> {
    on_a_thread("open", path, PartLock::take).await
}

/// Cuts the part back to what is known of it.
///
/// # Errors
/// If the disk says no, or the stop came.
pub(super) async fn take_up(
    path: &Path,
    lock: PartLock,
    record: &Download,
    stop: &CancellationToken,
) -> Result<Part, DownloadError> {
    let held = record.hash.clone().map(|hash| (record.synced, hash));
    let stop = stop.clone();
    on_a_thread("read", path, move |_| {
        lock.take_up(held.as_ref().map(|(bytes, hash)| (*bytes, hash)), &stop)
    })
    .await
}

/// Lets go of the part's bytes.
///
/// # Errors
/// If the disk says no.
pub(super) async fn empty(path: &Path, part: Part) -> Result<Part, DownloadError> {
    on_a_thread("empty", path, move |_| part.start_over()).await
}

/// Moves what is not the published file out of the way.
///
/// # Errors
/// If the disk says no.
pub(super) fn move_aside(path: &Path, aside: &Path) -> Result<(), DownloadError> {
    fs::rename(path, aside).map_err(|error| DownloadError::disk("move aside", path, &error))
}

/// Gives the whole and synced part its own name, durably, if it is what was written and hashed.
/// Gives the part back, and what it is known by from then on.
///
/// # Errors
/// [`DownloadError::Changed`] if it is not; or if the disk says no.
pub(super) async fn give_name(
    path: &Path,
    part: Part,
    folder: &Path,
    name: String,
) -> Result<(Part, Stamp), DownloadError> {
    let folder = folder.to_owned();
    on_a_thread("rename", path, move |path| {
        part.check(path)?;
        let on_disk = rename(path, &folder.join(name), &folder, &part)?;
        Ok((part, on_disk))
    })
    .await
}

fn rename(path: &Path, named: &Path, folder: &Path, part: &Part) -> Result<Stamp, PartError> {
    place("download.rename.before");
    fs::rename(path, named)?;
    place("download.rename.after");
    File::open(folder)?.sync_all()?;
    place("download.folder.synced");
    // Only a program that heeds no lock can have come between the check and the renaming.
    Ok(stamp(&part.check(named)?))
}

/// Does what may take the disk a while.
async fn on_a_thread<T: Send + 'static>(
    what: &'static str,
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, PartError> + Send + 'static,
) -> Result<T, DownloadError> {
    let owned: PathBuf = path.to_owned();
    let done = spawn_blocking(move || work(&owned)).await;
    let done = done.unwrap_or_else(|died| Err(io::Error::other(died).into()));
    done.map_err(|error| DownloadError::of_part(what, path, error))
}
