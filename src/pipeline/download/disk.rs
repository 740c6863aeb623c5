//! The steps on disk that a download takes besides writing.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tokio::task::spawn_blocking;

use super::DownloadError;
use crate::dump::{Part, stamp};
use crate::model::Stamp;
use crate::model::fault::place;
use crate::state::Download;

/// Opens the part, cut back to what is known of it.
///
/// # Errors
/// If the disk says no.
pub(super) async fn open_part(path: &Path, record: &Download) -> Result<Part, DownloadError> {
    let (path, held) = (path.to_owned(), record.hash.clone().map(|hash| (record.synced, hash)));
    let opened = spawn_blocking(move || {
        let held = held.as_ref().map(|(bytes, hash)| (*bytes, hash));
        Part::open(&path, held).map_err(|error| DownloadError::disk("open", &path, &error))
    });
    opened.await.unwrap_or_else(|died| {
        let died = io::Error::other(died);
        Err(DownloadError::disk("open", Path::new(&record.key.folder), &died))
    })
}

/// Moves what is not the published file out of the way.
///
/// # Errors
/// If the disk says no.
pub(super) fn move_aside(path: &Path, aside: &Path) -> Result<(), DownloadError> {
    fs::rename(path, aside).map_err(|error| DownloadError::disk("move aside", path, &error))
}

/// Gives the whole and synced part its own name, durably. What it is known by from then on.
///
/// # Errors
/// If the disk says no.
pub(super) async fn give_name(
    part: &Path,
    folder: &Path,
    name: String,
) -> Result<Stamp, DownloadError> {
    let (from, folder) = (part.to_owned(), folder.to_owned());
    let named = spawn_blocking(move || rename(&from, &folder.join(name), &folder)).await;
    let named = named.unwrap_or_else(|died| Err(io::Error::other(died)));
    named.map_err(|error| DownloadError::disk("rename", part, &error))
}

fn rename(part: &Path, named: &Path, folder: &Path) -> io::Result<Stamp> {
    place("download.rename.before");
    fs::rename(part, named)?;
    place("download.rename.after");
    File::open(folder)?.sync_all()?;
    place("download.folder.synced");
    Ok(stamp(&fs::metadata(named)?))
}
