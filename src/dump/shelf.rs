use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::task::spawn_blocking;

use super::answer::{Answer, Held};
use super::remote::{Found, versions};
use super::{Broken, Checksums, Opened, RemoteVersion, Site, SiteError, Wanted, stamp};

/// How much of a file is read at once: large against the cost of asking for it.
const PIECE: usize = 256 << 10;

/// A folder of dumps on this machine, which answers as a server would.
pub(super) struct Shelf {
    folder: PathBuf,
    shown: String,
}

impl Shelf {
    /// The shelf in a folder.
    ///
    /// # Errors
    /// If there is no such folder.
    pub(super) fn open(folder: &Path) -> Result<Shelf, SiteError> {
        let shown = folder.display().to_string();
        let folder = folder.canonicalize().map_err(|error| unreadable(&shown, &error))?;
        let shown = folder.display().to_string();
        Ok(Shelf { folder, shown })
    }
}

fn unreadable(site: &str, error: &io::Error) -> SiteError {
    SiteError::unreadable(site, error.to_string())
}

impl Site for Shelf {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn publishes_checksums(&self) -> bool {
        false
    }

    fn versions(&self, _wanted: Wanted) -> BoxFuture<'_, Result<Vec<RemoteVersion>, SiteError>> {
        let folder = self.folder.clone();
        async move {
            let found = blocking(move || list(&folder)).await;
            found.map(versions).map_err(|error| unreadable(&self.shown, &error))
        }
        .boxed()
    }

    fn checksums(&self, place: &str) -> BoxFuture<'_, Result<Checksums, SiteError>> {
        let place = place.to_owned();
        async move {
            let text = blocking(move || std::fs::read_to_string(place)).await;
            let text = text.map_err(|error| unreadable(&self.shown, &error))?;
            Ok(Checksums::parse(&text))
        }
        .boxed()
    }

    fn open(&self, place: &str, held: &Held) -> BoxFuture<'_, Result<Opened, Broken>> {
        let (place, held) = (PathBuf::from(place), held.clone());
        async move {
            let opened = blocking(move || {
                let file = File::open(&place)?;
                Ok((answer(&file.metadata()?, &held), file, held.bytes))
            });
            let (answer, mut file, from) = match opened.await {
                Ok(opened) => opened,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let answer = Answer { status: 404, ..Answer::default() };
                    return Ok(Opened { answer, body: stream::empty().boxed() });
                }
                Err(error) => return Err(Broken(error.to_string())),
            };
            if answer.status == 206 {
                file.seek(SeekFrom::Start(from)).map_err(|error| Broken(error.to_string()))?;
            }
            Ok(Opened { answer, body: stream::unfold(Some(file), piece).boxed() })
        }
        .boxed()
    }
}

/// What a server would answer; the tag is the file's stamp.
fn answer(metadata: &Metadata, held: &Held) -> Answer {
    let stamp = stamp(metadata);
    let etag = Some(format!("\"{:x}-{:x}-{:x}\"", stamp.size, stamp.modified, stamp.inode));
    let goes_on = held.bytes > 0 && held.etag == etag;
    Answer {
        status: if goes_on { 206 } else { 200 },
        etag,
        content_length: Some(if goes_on {
            stamp.size.saturating_sub(held.bytes)
        } else {
            stamp.size
        }),
        range: goes_on.then_some((Some(held.bytes), Some(stamp.size))),
        ..Answer::default()
    }
}

async fn piece(file: Option<File>) -> Option<(Result<Bytes, Broken>, Option<File>)> {
    let mut file = file?;
    let read = blocking(move || {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece)?;
        piece.truncate(read);
        Ok((piece, file))
    });
    match read.await {
        Ok((piece, _)) if piece.is_empty() => None,
        Ok((piece, file)) => Some((Ok(piece.into()), Some(file))),
        Err(error) => Some((Err(Broken(error.to_string())), None)),
    }
}

/// Files of a folder and of those in it, since dumps may lie in one for each year.
fn list(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = files(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // One that is not for us is not in the way of the others.
            found.extend(files(&path).unwrap_or_default());
        }
    }
    Ok(found)
}

fn files(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = std::fs::metadata(entry.path());
        if let Ok(metadata) = metadata.as_ref().map(Metadata::len)
            && entry.path().is_file()
        {
            found.push(Found {
                name: entry.file_name().to_string_lossy().into_owned(),
                place: entry.path().to_string_lossy().into_owned(),
                size: Some(metadata),
            });
        }
    }
    Ok(found)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|died| Err(io::Error::other(died)))
}
