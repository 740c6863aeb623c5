//! The file that a download is written to until it is whole: `….part`.
//!
//! Owns the open file, its lock, and the hash over exactly what was written. One process writes a
//! part at a time, and only while the path names the very file that is locked: [`PartLock`] is the
//! only way to a [`Part`]. Nothing here gives a part its own name; `pipeline/download` does, after
//! [`Part::check`].

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::RunningHash;
use super::hash::PIECE;
use crate::model::{HashState, Sha256};

/// A part that no other process writes to for as long as this value lives. The kernel lets go of
/// the lock when the process ends, however it ends.
pub struct PartLock {
    path: PathBuf,
    file: File,
}

/// A file on its way: what is here of it, and the hash over exactly that.
pub struct Part {
    lock: PartLock,
    hash: RunningHash,
    bytes: u64,
}

/// Why a part cannot be written to, or cannot be given its name.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// Another writer holds the lock.
    #[error("another process writes to it")]
    Busy,
    /// The path names another file than the one that is locked, or that file is longer or shorter
    /// than what was written to it.
    #[error("it is no longer the file that was written")]
    Changed,
    /// The stop came while the part was read.
    #[error("stopped")]
    Stopped,
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// What is to be done with a part.
#[derive(Debug)]
pub enum Order {
    /// Write these after what is here.
    Bytes(Bytes),
    /// Make sure of all that was written.
    Sync,
}

/// What is safely on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Bytes from the beginning.
    pub bytes: u64,
    /// The hash over them.
    pub hash: HashState,
}

impl PartLock {
    /// Opens or makes the file at `path` and locks it; what is in it stays as it is.
    ///
    /// # Errors
    /// [`PartError::Busy`] if another writer holds it.
    pub fn take(path: &Path) -> Result<PartLock, PartError> {
        loop {
            let open =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let lock = PartLock { path: path.to_owned(), file: open? };
            match lock.file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(PartError::Busy),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // The last writer may have renamed or removed the file between the two steps: what is
            // locked then is a finished dump, or nothing that has a name.
            if lock.at(path)?.is_some() {
                return Ok(lock);
            }
        }
    }

    /// Removes a part that no process writes to; one that is written to stays.
    pub fn remove_unused(path: &Path) {
        // The lock must be held until the file is gone, or a writer could begin in between.
        if path.exists()
            && let Ok(lock) = PartLock::take(path)
        {
            _ = fs::remove_file(&lock.path);
        }
    }

    /// Cuts the file back to `held`: the bytes that were recorded as safe, with their hash. They
    /// are read again, which takes a second or two for each GB: another process may have written
    /// to the part since, and what is named in the end must be what was hashed. Of a file that has
    /// fewer bytes than that, or others, nothing is kept.
    ///
    /// # Errors
    /// If the disk says no, or `stop` came.
    pub fn take_up(
        self,
        held: Option<(u64, &HashState)>,
        stop: &CancellationToken,
    ) -> Result<Part, PartError> {
        let (bytes, hash) = match held {
            Some((bytes, known)) => self.proven(bytes, known, stop)?,
            None => None,
        }
        .unwrap_or_default();
        self.file.set_len(bytes)?;
        (&self.file).seek(SeekFrom::Start(bytes))?;
        Ok(Part { lock: self, hash, bytes })
    }

    /// The file's first `bytes` with their hash, if that is the one that is known.
    fn proven(
        &self,
        bytes: u64,
        known: &HashState,
        stop: &CancellationToken,
    ) -> Result<Option<(u64, RunningHash)>, PartError> {
        let Some(known) = RunningHash::restore(known) else { return Ok(None) };
        let (mut left, mut hash) = ((&self.file).take(bytes), RunningHash::default());
        let mut piece = vec![0; PIECE];
        (&self.file).rewind()?;
        loop {
            if stop.is_cancelled() {
                return Err(PartError::Stopped);
            }
            match left.read(&mut piece)? {
                0 => break,
                read => hash.update(&piece[..read]),
            }
        }
        let same = left.limit() == 0 && hash.clone().finish() == known.finish();
        Ok(same.then_some((bytes, hash)))
    }

    /// The metadata of the locked file, if that is what `path` names.
    fn at(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let own = self.file.metadata()?;
        match fs::metadata(path) {
            Ok(named) => {
                let same = (named.dev(), named.ino()) == (own.dev(), own.ino());
                Ok(same.then_some(named))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Part {
    /// Lets go of all bytes and begins anew in the same file.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn start_over(self) -> Result<Part, PartError> {
        self.lock.take_up(None, &CancellationToken::new())
    }

    /// Makes sure that `path` names the file that was written, and that it holds what was hashed
    /// and no more: before it is renamed, and after.
    ///
    /// # Errors
    /// [`PartError::Changed`] if not.
    pub fn check(&self, path: &Path) -> Result<Metadata, PartError> {
        let named = self.lock.at(path)?.filter(|named| named.len() == self.bytes);
        named.ok_or(PartError::Changed)
    }

    /// Bytes that are here.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash of all that is here.
    pub fn sha256(&self) -> Sha256 {
        self.hash.clone().finish()
    }

    /// Does what it is told until nothing more comes; tells how much is safe after each sync.
    ///
    /// # Errors
    /// If the disk says no, or the path no longer names this file, whose bytes would then be lost
    /// with the last handle.
    pub fn take_in(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        tell: &watch::Sender<Option<Synced>>,
    ) -> Result<Part, PartError> {
        while let Some(order) = orders.blocking_recv() {
            match order {
                Order::Bytes(bytes) => {
                    self.lock.file.write_all(&bytes)?;
                    self.hash.update(&bytes);
                    self.bytes += bytes.len() as u64;
                }
                Order::Sync => {
                    self.lock.file.sync_data()?;
                    self.lock.at(&self.lock.path)?.ok_or(PartError::Changed)?;
                    let synced = Synced { bytes: self.bytes, hash: self.hash.state() };
                    tell.send_replace(Some(synced));
                }
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, held: Option<&Synced>) -> Part {
        let held = held.map(|synced| (synced.bytes, &synced.hash));
        PartLock::take(path).unwrap().take_up(held, &CancellationToken::new()).unwrap()
    }

    /// Writes these, with a sync after the one of this number.
    fn write(
        part: Part,
        pieces: &[&'static [u8]],
        sync: usize,
    ) -> Result<(Part, Synced), PartError> {
        let (orders, queue) = mpsc::channel(8);
        let (tell, told) = watch::channel(None);
        for (number, piece) in (1..).zip(pieces) {
            orders.try_send(Order::Bytes(Bytes::from_static(piece))).unwrap();
            if number == sync {
                orders.try_send(Order::Sync).unwrap();
            }
        }
        drop(orders);
        let part = part.take_in(queue, &tell)?;
        let synced = told.borrow().clone();
        Ok((part, synced.unwrap()))
    }

    #[test]
    fn what_was_not_synced_is_cut_off_and_the_hash_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part");
        let (whole, synced) = write(open(&path, None), &[b"abc", b"def", b"ghi"], 2).unwrap();
        let (length, hash) = (whole.bytes(), whole.sha256());
        assert_eq!((length, synced.bytes), (9, 6));
        drop(whole);
        let again = open(&path, Some(&synced));
        assert_eq!((again.bytes(), fs::read(&path).unwrap()), (6, b"abcdef".to_vec()));
        let (again, _) = write(again, &[b"ghi"], 1).unwrap();
        assert_eq!(again.sha256(), hash);
        again.check(&path).unwrap();
        drop(again);
        // Too few bytes, and as many that are others: nothing of them is kept.
        for found in ["abc", "abcdeF"] {
            fs::write(&path, found).unwrap();
            let anew = open(&path, Some(&synced));
            assert_eq!((anew.bytes(), fs::read(&path).unwrap()), (0, Vec::new()), "{found}");
        }
    }

    #[test]
    fn one_writes_at_a_time_and_only_to_what_the_path_names() {
        let dir = tempfile::tempdir().unwrap();
        let (path, named) = (dir.path().join("a.part"), dir.path().join("a"));
        let (part, _) = write(open(&path, None), &[b"abc"], 1).unwrap();
        assert!(matches!(PartLock::take(&path), Err(PartError::Busy)));
        PartLock::remove_unused(&path);
        assert!(path.exists(), "it is in use");
        // Under its own name it is no part any more: the next one gets a file of its own.
        fs::rename(&path, &named).unwrap();
        part.check(&named).unwrap();
        let next = PartLock::take(&path).unwrap();
        assert!(matches!(part.check(&path), Err(PartError::Changed)));
        assert_eq!(fs::read(&named).unwrap(), b"abc");
        drop(next);
        PartLock::remove_unused(&path);
        assert!(!path.exists());
        // Bytes go nowhere once the file has no name, and a longer one is not what was hashed.
        assert!(matches!(write(part, &[b"def"], 1), Err(PartError::Changed)));
        let (part, _) = write(open(&path, None), &[b"abc"], 1).unwrap();
        fs::write(&path, b"abcd").unwrap();
        assert!(matches!(part.check(&path), Err(PartError::Changed)));
    }

    #[test]
    fn a_stop_ends_the_reading() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part");
        let (_, synced) = write(open(&path, None), &[b"abc"], 1).unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let taken = PartLock::take(&path).unwrap();
        let taken = taken.take_up(Some((synced.bytes, &synced.hash)), &stop);
        assert!(matches!(taken, Err(PartError::Stopped)));
        assert_eq!(fs::read(&path).unwrap(), b"abc");
    }
}
