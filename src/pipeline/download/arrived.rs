//! How much of a dump has arrived, for whoever reads it meanwhile.

use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::disk::part_path;
use crate::dump::{Dump, RemoteDump};
use crate::model::{Identity, Verification};
use crate::state::Download;

/// How much of a file has arrived. It moves only after the bytes are on disk and noted in the
/// store, so whoever reads the part up to `synced` never reads what a crash can take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Where the bytes are; once it is verified or unverified, the file under its own name.
    pub part: PathBuf,
    /// What the file is; nothing before the site has answered.
    pub identity: Option<Identity>,
    /// Another number says that the bytes start over: what was read before is void.
    pub generation: u64,
    /// Bytes from the beginning that are safe to read.
    pub synced: u64,
    /// Bytes of the whole file, if that was said.
    pub length: Option<u64>,
    /// Where it stands.
    pub state: ArrivedState,
}

/// Where an arriving file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrivedState {
    /// More is to come.
    Growing,
    /// All of it is here, with the published checksum.
    Verified,
    /// All of it is here, and no checksum was to be had.
    Unverified,
    /// It will not come.
    Failed {
        /// Why.
        why: String,
        /// Whether what came of it is not what was published, so that nothing of it can be kept.
        mismatch: bool,
    },
}

impl Arrived {
    /// Nothing yet, of a file that will come to `folder`.
    pub fn nothing(remote: &RemoteDump, folder: &Path) -> Arrived {
        Arrived {
            part: part_path(folder, remote),
            identity: None,
            generation: 0,
            synced: 0,
            length: remote.size,
            state: ArrivedState::Growing,
        }
    }

    /// Whether there is anything to be read, or nothing will ever be.
    pub const fn has_begun(&self) -> bool {
        match self.state {
            ArrivedState::Growing => self.identity.is_some() && self.synced > 0,
            ArrivedState::Verified | ArrivedState::Unverified | ArrivedState::Failed { .. } => true,
        }
    }
}

/// A file that is here, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The file.
    pub dump: Dump,
    /// What is known of its bytes being the right ones.
    pub verification: Verification,
    /// Its size.
    pub bytes: u64,
    /// Bytes that came over the line for it now; none if it was here already.
    pub new_bytes: u64,
}

/// Tells that a file is here, whole.
pub(super) fn tell_whole(arrived: &watch::Sender<Arrived>, fetched: &Fetched, record: &Download) {
    arrived.send_replace(Arrived {
        part: fetched.dump.path.clone(),
        identity: Some(record.identity()),
        generation: record.generation,
        synced: fetched.bytes,
        length: Some(fetched.bytes),
        state: match fetched.verification {
            Verification::Verified => ArrivedState::Verified,
            Verification::Unverified | Verification::Pending | Verification::Mismatch => {
                ArrivedState::Unverified
            }
        },
    });
}
