use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use crate::model::Identity;

/// How much of a file's beginning and end its identity covers.
const ENDS: u64 = 64 << 10;

/// The identity of an open dump: its size, and a hash over its first and last 64 KiB. The end
/// holds the gzip trailer, so that another dump under the same name and of the same size is told
/// apart without reading all of it.
///
/// # Errors
/// If the file cannot be read.
pub fn identify(file: &File) -> io::Result<Identity> {
    let size = file.metadata()?.len();
    let mut hasher = Sha256::new();
    let mut hash_from = |start: u64| {
        let mut reader = file;
        reader.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        reader.take(ENDS).read_to_end(&mut bytes)?;
        hasher.update(&bytes);
        io::Result::Ok(())
    };
    hash_from(0)?;
    hash_from(size.saturating_sub(ENDS))?;
    Ok(Identity::Content { size, ends: hasher.finalize().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_and_a_change_at_either_end_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let identity_of = |bytes: &[u8]| {
            let path = dir.path().join("dump");
            std::fs::write(&path, bytes).unwrap();
            identify(&File::open(path).unwrap()).unwrap()
        };
        let bytes = vec![7; 200 << 10];
        let same = identity_of(&bytes);
        assert_eq!(same.size(), 200 << 10);
        assert_eq!(identity_of(&bytes), same);
        for changed in [0, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[changed] = 8;
            assert_ne!(identity_of(&other), same);
        }
        assert_ne!(identity_of(&bytes[1..]), same);
        assert_eq!(identity_of(b"").size(), 0);
    }
}
