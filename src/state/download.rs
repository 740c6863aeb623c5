//! What is known of a file that is fetched, or was.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::{
    DumpName, HashState, Identity, Kind, Sha256, Stamp, Timestamp, Verification, Version,
};

/// One dump in one folder: what is here of it in another folder is another download.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DownloadKey {
    /// The dump's version.
    pub version: Version,
    /// The dump's type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its file name.
    pub file: String,
    /// The folder it is fetched into, absolute.
    pub folder: String,
}

impl DownloadKey {
    /// The dump `name` in `folder`, which is absolute.
    pub fn new(name: DumpName, folder: &Path) -> DownloadKey {
        let folder = folder.to_string_lossy().into_owned();
        DownloadKey { version: name.version, kind: name.kind, file: name.to_string(), folder }
    }
}

/// Where a download stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DownloadStatus {
    /// It is fetched; or was, when its owner died or stopped.
    Downloading,
    /// All of it is here under its own name.
    Complete,
    /// It ended with an error; the next start goes on with what is here.
    Failed,
}

impl DownloadStatus {
    /// The word for it everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            DownloadStatus::Downloading => "downloading",
            DownloadStatus::Complete => "complete",
            DownloadStatus::Failed => "failed",
        }
    }
}

impl fmt::Display for DownloadStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Everything the store knows of one download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Which.
    #[serde(flatten)]
    pub key: DownloadKey,
    /// Where it comes from, as it may be shown: without user, password and query.
    pub site: String,
    /// Where it stands.
    pub status: DownloadStatus,
    /// What is known of its bytes being the right ones.
    pub verification: Verification,
    /// Counts how often its bytes started over: what was read of an earlier one is void.
    pub generation: u64,
    /// The server's tag of the bytes.
    pub etag: Option<String>,
    /// When the server says they were last modified, in its words.
    pub last_modified: Option<String>,
    /// How long the whole file is, if that was said.
    pub length: Option<u64>,
    /// The published SHA-256 of the whole file.
    pub checksum: Option<Sha256>,
    /// Bytes from the beginning that are on disk and synced.
    pub synced: u64,
    /// SHA-256 over exactly those, in the middle of its work.
    pub hash: Option<HashState>,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When bytes last came.
    pub last_activity: Option<Timestamp>,
    /// When it became complete.
    pub completed_at: Option<Timestamp>,
    /// What the complete file was last seen as: as long as that holds, it is not read again.
    pub stamp: Option<Stamp>,
    /// Tries in a row that brought nothing new.
    pub failures: u32,
    /// Why it failed, or why it last had to be tried again.
    pub error: Option<String>,
}

impl Download {
    /// What it is as a file: growth, a rename and a restart keep that. Another checksum or another
    /// tag of the server's is another file, and so are bytes that started over.
    pub fn identity(&self) -> Identity {
        let checksum = self.checksum.map(|checksum| checksum.to_string()).unwrap_or_default();
        let tag = self.etag.as_deref().or(self.last_modified.as_deref()).unwrap_or_default();
        let generation = self.generation.to_string();
        let parts = [self.site.as_str(), &self.key.file, &checksum, tag, &generation];
        Identity::of_source(&parts, self.length.unwrap_or(0))
    }

    /// A download of which nothing is here yet.
    pub fn begun(
        key: DownloadKey,
        site: &str,
        checksum: Option<Sha256>,
        at: Timestamp,
    ) -> Download {
        Download {
            key,
            site: site.to_owned(),
            status: DownloadStatus::Downloading,
            verification: Verification::Pending,
            generation: 0,
            etag: None,
            last_modified: None,
            length: None,
            checksum,
            synced: 0,
            hash: None,
            started_at: at,
            last_activity: None,
            completed_at: None,
            stamp: None,
            failures: 0,
            error: None,
        }
    }
}
