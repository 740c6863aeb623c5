//! Opens a dump, or what there is of it while it is downloaded, and says which file it is.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::download::{Arrived, ArrivedState};
use super::error::FileError;
use super::input::Input;
use crate::dump::{Dump, identify, stamp};
use crate::model::Identity;
use crate::state::{DownloadKey, FileKey, Keeper};

/// A dump that can be read.
pub struct Opened {
    /// Its bytes, from the first.
    pub file: File,
    /// Which file it is.
    pub identity: Identity,
    /// Which of the files of its download it is, if it is not wholly here.
    pub growing: Option<u64>,
}

/// Opens a dump.
///
/// # Errors
/// If it cannot be read, or will not come.
pub async fn open(input: &Input, key: &FileKey, keeper: &Keeper) -> Result<Opened, FileError> {
    let Input { dump, arrived } = input;
    if let Some(arrived) = arrived
        && let Some(opened) = open_part(dump, arrived.clone()).await?
    {
        return Ok(opened);
    }
    let path = dump.path.clone();
    let opened = spawn_blocking(move || {
        let file = File::open(&path)?;
        let identity = identify(&file)?;
        io::Seek::rewind(&mut &file)?;
        let folder = path.canonicalize()?.parent().map(Path::to_owned).unwrap_or_default();
        Ok((file, identity, folder))
    });
    let opened = opened.await.map_err(io::Error::other).flatten();
    let (file, content, folder) = opened.map_err(|cause| unreadable(&dump.path, cause))?;
    let begun = as_begun(dump, &file, &folder, key, keeper).await?;
    Ok(Opened { file, identity: begun.unwrap_or(content), growing: None })
}

/// The identity of a dump's content, however it was begun.
///
/// # Errors
/// If it cannot be read.
pub async fn content(dump: &Dump) -> Result<Identity, FileError> {
    let path = dump.path.clone();
    let identified = spawn_blocking(move || identify(&File::open(path)?)).await;
    let identified = identified.map_err(io::Error::other).flatten();
    identified.map_err(|cause| unreadable(&dump.path, cause))
}

/// What there is of a dump on its way; nothing if it is wholly here.
async fn open_part(
    dump: &Dump,
    mut arrived: watch::Receiver<Arrived>,
) -> Result<Option<Opened>, FileError> {
    let failed = |why: String, mismatch| {
        let file = dump.name.to_string();
        FileError::Download { file, why, mismatch }
    };
    loop {
        let Arrived { part, identity, generation, state, .. } = arrived.borrow_and_update().clone();
        match state {
            ArrivedState::Failed { why, mismatch } => return Err(failed(why, mismatch)),
            ArrivedState::Verified | ArrivedState::Unverified => return Ok(None),
            ArrivedState::Growing => {}
        }
        if let Some(identity) = identity {
            let path = part.clone();
            match spawn_blocking(move || File::open(path)).await.map_err(io::Error::other).flatten()
            {
                Ok(file) => return Ok(Some(Opened { file, identity, growing: Some(generation) })),
                // It has another name, or starts over: that is told at once.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(unreadable(&part, cause)),
            }
        }
        if arrived.changed().await.is_err() {
            return Err(failed("the download ended without a word".to_owned(), false));
        }
    }
}

/// The identity that a file was begun with while it was downloaded, if it was, and is still the
/// file that came.
async fn as_begun(
    dump: &Dump,
    file: &File,
    folder: &Path,
    key: &FileKey,
    keeper: &Keeper,
) -> Result<Option<Identity>, FileError> {
    let files = keeper.files(key.job.clone(), key.version).await?;
    let known = files.into_iter().find(|(known, _)| known == key);
    let Some(begun @ Identity::Source { .. }) = known.map(|(_, state)| state.identity) else {
        return Ok(None);
    };
    let download = keeper.download(DownloadKey::new(dump.name, folder)).await?;
    let on_disk = file.metadata().ok().map(|metadata| stamp(&metadata));
    let is_it = download.is_some_and(|it| it.stamp == on_disk && it.identity() == begun);
    Ok(is_it.then_some(begun))
}

fn unreadable(path: &Path, cause: io::Error) -> FileError {
    FileError::Unreadable { path: PathBuf::from(path), cause }
}
