//! Hashing a file as it comes, in a way that can be noted in the middle and gone on with.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256 as Hasher};

use crate::model::{HashState, Sha256, Stamp};

/// How much is read at once to hash a file: enough that the system reads ahead.
pub(super) const PIECE: usize = 1 << 20;

/// SHA-256 over bytes as they come, which can be kept and gone on with in another process.
#[derive(Clone, Default)]
pub struct RunningHash(Hasher);

impl RunningHash {
    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// What there is to keep of it.
    pub fn state(&self) -> HashState {
        HashState(self.0.serialize().to_vec())
    }

    /// One that goes on from what was kept; none if that is no such state.
    pub fn restore(state: &HashState) -> Option<RunningHash> {
        let state = SerializedState::<Hasher>::try_from(&state.0[..]).ok()?;
        Hasher::deserialize(&state).ok().map(RunningHash)
    }

    /// The hash of all bytes so far.
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

/// The SHA-256 of a file on disk, all of which is read.
///
/// # Errors
/// If it cannot be read.
pub fn hash_file(path: &Path) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let mut hash = RunningHash::default();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.finish()),
            read => hash.update(&piece[..read]),
        }
    }
}

/// What changes of a file when it is written to or replaced.
pub fn stamp(metadata: &Metadata) -> Stamp {
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    let modified = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    Stamp { size: metadata.len(), modified, inode: metadata.ino() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_goes_on_where_it_was_kept() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        let mut whole = RunningHash::default();
        whole.update(&bytes);
        let expected = whole.finish();
        for cut in [0, 1, 63, 64, 65, 999, 1_000] {
            let mut first = RunningHash::default();
            first.update(&bytes[..cut]);
            let mut second = RunningHash::restore(&first.state()).unwrap();
            second.update(&bytes[cut..]);
            assert_eq!(second.finish(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_state_is_not_taken_for_one() {
        let mut state = RunningHash::default().state();
        state.0.pop();
        assert!(RunningHash::restore(&state).is_none());
        assert!(RunningHash::restore(&HashState(Vec::new())).is_none());
    }

    #[test]
    fn another_file_under_the_same_name_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump");
        std::fs::write(&path, "one").unwrap();
        let first = stamp(&std::fs::metadata(&path).unwrap());
        assert_eq!(stamp(&std::fs::metadata(&path).unwrap()), first);
        std::fs::write(dir.path().join("other"), "two").unwrap();
        std::fs::rename(dir.path().join("other"), &path).unwrap();
        assert_ne!(stamp(&std::fs::metadata(&path).unwrap()), first);
        assert_eq!(hash_file(&path).unwrap().to_string()[..8], *"3fc4ccfe");
    }
}
