//! The lock of a state directory, which decides who owns it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::{Holder, StateError};

/// How long an owner waits for a lock that an inspector may have.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// The state directory's lock. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of `dir`, waiting up to `patience` for whoever has it.
    ///
    /// # Errors
    /// Naming the holder if it is still held then; or what the disk says.
    pub(super) fn take(dir: &Path, patience: Duration) -> Result<Lock, StateError> {
        let path = dir.join("lock");
        let (file, writable) = open(&path)?;
        let deadline = Instant::now() + patience;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(BETWEEN_TRIES);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(StateError::Owned { dir: dir.to_owned(), holder: holder(&path) });
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(StateError::disk("lock", &path, &errno.into())),
            }
        }
        let mut lock = Lock { file };
        if writable {
            let Holder { pid, host } = Holder::this();
            lock.write(&format!("{pid} {host}\n"));
        }
        Ok(lock)
    }

    /// The words in the file are a courtesy: the lock holds without them.
    fn write(&mut self, text: &str) {
        let _ = self.file.set_len(0);
        let _ = self.file.rewind();
        let _ = self.file.write_all(text.as_bytes());
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.write("");
    }
}

/// An inspector that may only read can lock a file all the same.
fn open(path: &Path) -> Result<(File, bool), StateError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match opened {
        Ok(file) => Ok((file, true)),
        Err(error) => match File::open(path) {
            Ok(file) => Ok((file, false)),
            Err(_) => Err(StateError::disk("open", path, &error)),
        },
    }
}

fn holder(path: &Path) -> Holder {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    read.ok()
        .and_then(|_| Holder::parse(&text))
        .unwrap_or_else(|| Holder { pid: 0, host: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_come_waits_and_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), Duration::ZERO).unwrap();
        let begun = Instant::now();
        let refused = Lock::take(dir.path(), Duration::from_millis(30)).unwrap_err().to_string();
        assert!(begun.elapsed() >= Duration::from_millis(30));
        let words = format!("in use by {}\nhint: ", Holder::this());
        assert!(refused.contains(&words), "{refused}");
        drop(first);
        Lock::take(dir.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn an_inspector_that_leaves_lets_the_owner_in() {
        let dir = tempfile::tempdir().unwrap();
        let inspector = Lock::take(dir.path(), Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let owner = scope.spawn(|| Lock::take(dir.path(), PATIENCE));
            drop(inspector);
            owner.join().unwrap().unwrap();
        });
    }
}
