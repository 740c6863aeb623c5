//! How much the downloads under way will still bring, so that each knows whether there is room.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::statvfs;

use super::error::DownloadError;
use crate::model::DumpName;

/// Bytes that are still to come, of all files that are being fetched.
#[derive(Default)]
pub(super) struct Outstanding(Mutex<BTreeMap<DumpName, u64>>);

impl Outstanding {
    /// Notes what is to come of a file, and makes sure that the disk can hold all that is to come.
    /// A disk that does not say how much is free is taken at its word when it is full.
    ///
    /// # Errors
    /// If it cannot.
    pub(super) fn expect(
        &self,
        name: DumpName,
        bytes: u64,
        folder: &Path,
    ) -> Result<(), DownloadError> {
        let needed = {
            let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            files.insert(name, bytes);
            files.values().sum()
        };
        let Ok(disk) = statvfs(folder) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed <= free {
            return Ok(());
        }
        self.settle(name);
        Err(DownloadError::NoRoom { folder: folder.to_owned(), needed, free })
    }

    /// So many bytes are still to come of a file.
    pub(super) fn left(&self, name: DumpName, bytes: u64) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = files.get_mut(&name) {
            *left = bytes;
        }
    }

    /// Nothing more comes of a file.
    pub(super) fn settle(&self, name: DumpName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_to_come_counts_together() {
        let folder = tempfile::tempdir().unwrap();
        let name = |text: &str| text.parse::<DumpName>().unwrap();
        let (one, other) =
            (name("discogs_20260101_artists.xml.gz"), name("discogs_20260101_labels.xml.gz"));
        let outstanding = Outstanding::default();
        outstanding.expect(one, 1, folder.path()).unwrap();
        let most = i64::MAX.unsigned_abs();
        let error = outstanding.expect(other, most, folder.path()).unwrap_err();
        let words = error.to_string();
        assert!(words.contains(&format!("{} are to come", most + 1)), "{words}");
        assert!(words.contains(&folder.path().display().to_string()), "{words}");
        // What was refused is not counted on.
        outstanding.expect(one, 2, folder.path()).unwrap();
    }
}
