use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::RunningHash;
use crate::model::{HashState, Sha256};

/// A file on its way: what is here of it, and the hash over exactly that.
pub struct Part {
    file: File,
    hash: RunningHash,
    bytes: u64,
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

impl Part {
    /// Opens or makes the file and cuts it back to `held`: what was recorded as safe, with its
    /// hash. Of a file that has less than that, or whose hash is not known, nothing is kept.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn open(path: &Path, held: Option<(u64, &HashState)>) -> io::Result<Part> {
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open?;
        let length = file.metadata()?.len();
        let held = held.filter(|(bytes, _)| *bytes <= length);
        let held = held.and_then(|(bytes, hash)| Some((bytes, RunningHash::restore(hash)?)));
        let (bytes, hash) = held.unwrap_or_default();
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Part { file, hash, bytes })
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
    /// If the disk says no.
    pub fn take_in(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        tell: &watch::Sender<Option<Synced>>,
    ) -> io::Result<Part> {
        while let Some(order) = orders.blocking_recv() {
            match order {
                Order::Bytes(bytes) => {
                    self.file.write_all(&bytes)?;
                    self.hash.update(&bytes);
                    self.bytes += bytes.len() as u64;
                }
                Order::Sync => {
                    self.file.sync_data()?;
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

    #[test]
    fn what_was_not_synced_is_cut_off_and_the_hash_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part");
        let (orders, queue) = mpsc::channel(8);
        let (tell, told) = watch::channel(None);
        for order in [b"abc", b"def", b"ghi"].map(|bytes| Order::Bytes(Bytes::from_static(bytes))) {
            orders.try_send(order).unwrap();
            if told.borrow().is_none() && orders.capacity() == 6 {
                orders.try_send(Order::Sync).unwrap();
            }
        }
        drop(orders);
        let whole = Part::open(&path, None).unwrap().take_in(queue, &tell).unwrap();
        assert_eq!(whole.bytes(), 9);
        let synced = told.borrow().clone().unwrap();
        assert_eq!(synced.bytes, 6);

        let again = Part::open(&path, Some((synced.bytes, &synced.hash))).unwrap();
        assert_eq!((again.bytes(), std::fs::read(&path).unwrap()), (6, b"abcdef".to_vec()));
        let (orders, queue) = mpsc::channel(8);
        orders.try_send(Order::Bytes(Bytes::from_static(b"ghi"))).unwrap();
        drop(orders);
        assert_eq!(again.take_in(queue, &tell).unwrap().sha256(), whole.sha256());

        std::fs::write(&path, "abc").unwrap();
        let short = Part::open(&path, Some((synced.bytes, &synced.hash))).unwrap();
        assert_eq!((short.bytes(), std::fs::read(&path).unwrap()), (0, Vec::new()));
    }
}
