//! The downloads as `state list` shows them.

use serde::Serialize;

use super::files::{moment, percent};
use super::{Filter, Inspection};
use crate::model::{Kind, Timestamp, Verification, Version};
use crate::state::{Download, DownloadStatus};

/// A download as `state list` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DownloadLine {
    /// Its file name.
    pub file: String,
    /// The dump's version.
    pub version: Version,
    /// The dump's type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Where it comes from, without user, password and query.
    pub site: String,
    /// Where it stands.
    pub status: DownloadStatus,
    /// Bytes that are safely on disk.
    pub bytes: u64,
    /// Bytes of the whole file, if that was said.
    pub length: Option<u64>,
    /// How much of it that is, 0 to 100, to one decimal.
    pub percent: Option<f64>,
    /// What is known of its bytes being the right ones.
    pub verification: Verification,
    /// The server's tag of the bytes.
    pub etag: Option<String>,
    /// When it was begun.
    #[serde(serialize_with = "moment")]
    pub started_at: Option<Timestamp>,
    /// When bytes last came.
    #[serde(serialize_with = "moment")]
    pub last_activity_at: Option<Timestamp>,
    /// When it became complete.
    #[serde(serialize_with = "moment")]
    pub completed_at: Option<Timestamp>,
    /// Why it failed, or why it last had to be tried again.
    pub error: Option<String>,
}

impl From<&Download> for DownloadLine {
    fn from(download: &Download) -> DownloadLine {
        let complete = download.status == DownloadStatus::Complete;
        DownloadLine {
            file: download.key.file.clone(),
            version: download.key.version,
            kind: download.key.kind,
            site: download.site.clone(),
            status: download.status,
            bytes: download.synced,
            length: download.length,
            percent: download.length.map(|length| percent(complete, download.synced, length)),
            verification: download.verification,
            etag: download.etag.clone(),
            started_at: Some(download.started_at),
            last_activity_at: download.last_activity,
            completed_at: download.completed_at,
            error: download.error.clone(),
        }
    }
}

/// The downloads of the version that `filter` names, or of the newest; they belong to no job.
pub fn select<'a>(inspection: &'a Inspection, filter: &Filter) -> Vec<&'a Download> {
    let newest = inspection.downloads.iter().map(|download| download.key.version).max();
    let wanted = filter.version.or(newest);
    inspection.downloads.iter().filter(|download| Some(download.key.version) == wanted).collect()
}
