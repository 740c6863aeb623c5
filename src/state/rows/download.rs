//! The row of a download.

use serde::{Deserialize, Serialize};

use crate::model::{HashState, Sha256, Stamp, Timestamp, Verification};
use crate::state::layout::{Row, Undecodable, body_of, frozen, unknown_version};
use crate::state::{Download, DownloadKey, DownloadStatus};

use super::{kind_code, kind_of, version_of};

#[derive(Serialize, Deserialize)]
struct DownloadRow {
    version: u32,
    kind: u8,
    file: String,
    folder: String,
    site: String,
    status: u8,
    verification: u8,
    generation: u64,
    etag: Option<String>,
    last_modified: Option<String>,
    length: Option<u64>,
    checksum: Option<[u8; 32]>,
    synced: u64,
    hash: Option<Vec<u8>>,
    started_at: u64,
    last_activity: Option<u64>,
    completed_at: Option<u64>,
    stamp: Option<(u64, i64, u64)>,
    failures: u32,
    error: Option<String>,
}

impl Row for Download {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        body_of(&DownloadRow {
            version: self.key.version.number(),
            kind: kind_code(self.key.kind),
            file: self.key.file.clone(),
            folder: self.key.folder.clone(),
            site: self.site.clone(),
            status: status_code(self.status),
            verification: verification_code(self.verification),
            generation: self.generation,
            etag: self.etag.clone(),
            last_modified: self.last_modified.clone(),
            length: self.length,
            checksum: self.checksum.map(|checksum| checksum.0),
            synced: self.synced,
            hash: self.hash.clone().map(|hash| hash.0),
            started_at: self.started_at.0,
            last_activity: self.last_activity.map(|at| at.0),
            completed_at: self.completed_at.map(|at| at.0),
            stamp: self.stamp.map(|stamp| (stamp.size, stamp.modified, stamp.inode)),
            failures: self.failures,
            error: self.error.clone(),
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<Download, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: DownloadRow = frozen(body)?;
        Ok(Download {
            key: DownloadKey {
                version: version_of(row.version)?,
                kind: kind_of(row.kind)?,
                file: row.file,
                folder: row.folder,
            },
            site: row.site,
            status: status_of(row.status)?,
            verification: verification_of(row.verification)?,
            generation: row.generation,
            etag: row.etag,
            last_modified: row.last_modified,
            length: row.length,
            checksum: row.checksum.map(Sha256),
            synced: row.synced,
            hash: row.hash.map(HashState),
            started_at: Timestamp(row.started_at),
            last_activity: row.last_activity.map(Timestamp),
            completed_at: row.completed_at.map(Timestamp),
            stamp: row.stamp.map(|(size, modified, inode)| Stamp { size, modified, inode }),
            failures: row.failures,
            error: row.error,
        })
    }
}

const fn status_code(status: DownloadStatus) -> u8 {
    match status {
        DownloadStatus::Downloading => 0,
        DownloadStatus::Complete => 1,
        DownloadStatus::Failed => 2,
    }
}

fn status_of(code: u8) -> Result<DownloadStatus, Undecodable> {
    match code {
        0 => Ok(DownloadStatus::Downloading),
        1 => Ok(DownloadStatus::Complete),
        2 => Ok(DownloadStatus::Failed),
        other => Err(Undecodable(format!("there is no status {other}"))),
    }
}

const fn verification_code(verification: Verification) -> u8 {
    match verification {
        Verification::Pending => 0,
        Verification::Verified => 1,
        Verification::Unverified => 2,
        Verification::Mismatch => 3,
    }
}

fn verification_of(code: u8) -> Result<Verification, Undecodable> {
    match code {
        0 => Ok(Verification::Pending),
        1 => Ok(Verification::Verified),
        2 => Ok(Verification::Unverified),
        3 => Ok(Verification::Mismatch),
        other => Err(Undecodable(format!("there is no verification {other}"))),
    }
}
