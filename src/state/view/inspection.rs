//! Everything that the store holds as one value, and the entries that it is made of.

use serde::{Deserialize, Serialize};

use super::Doing;
use crate::model::{GzipOffset, Job, Ordinal, Run, Timestamp};
use crate::state::{Download, FileKey, FileState, ForcedPass, Holder, OutboxId, Owed, Token};

/// Everything the store holds but the resume points, which are only counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// The format of the store on disk.
    pub format: u32,
    /// The living process that owns it.
    pub owner: Option<Holder>,
    /// The last number given out; it is never given out again.
    pub sequence: u64,
    /// The highest run there has been; nor is it.
    pub last_run: u64,
    /// Jobs, sorted.
    pub jobs: Vec<JobEntry>,
    /// Files, sorted by job, version, type, name.
    pub files: Vec<FileEntry>,
    /// What is owed, in order within each job.
    pub owed: Vec<OwedEntry>,
    /// Attempts, oldest first, the last thousand.
    pub runs: Vec<RunEntry>,
    /// Events, oldest first, the last thousand.
    pub events: Vec<EventEntry>,
    /// Forced passes under way.
    pub forced: Vec<ForcedPass>,
    /// Words that were honoured.
    pub tokens: Vec<Token>,
    /// Files that are fetched or were, sorted by version, type, name, folder.
    #[serde(default)]
    pub downloads: Vec<Download>,
    /// What its living owner says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<Doing>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEntry {
    /// The sink's identity.
    pub job: Job,
    /// The sink as a person names it: `sqlite:discogs.db`.
    pub location: String,
    /// When it was first used.
    pub first_seen: Timestamp,
}

/// A file of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Which.
    #[serde(flatten)]
    pub key: FileKey,
    /// What is stored of it.
    #[serde(flatten)]
    pub state: FileState,
    /// How many resume points it has.
    #[serde(default)]
    pub points: u64,
    /// What its living owner adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

/// What only the owner knows of a file it is extracting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Records delivered in this run.
    pub records: u64,
    /// How much of the compressed file they cover.
    pub gzip_offset: GzipOffset,
    /// When the mark last moved or input was last read.
    pub last_activity: Option<Timestamp>,
    /// Why it is called stalled, if it is.
    pub stalled: Option<String>,
    /// What it waits for, if it waits.
    pub waiting_for: Option<String>,
    /// Whether what it waits for is somebody's to put right.
    #[serde(default)]
    pub blocked: bool,
}

/// An entry of the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedEntry {
    /// Its number.
    pub id: OutboxId,
    /// Whom it is owed to.
    pub job: Job,
    /// Since when.
    pub since: Timestamp,
    /// Why it was refused, if it was: it stays until it is told otherwise.
    pub refused: Option<String>,
    /// What is owed.
    #[serde(flatten)]
    pub owed: Owed,
}

/// One attempt at a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Its number; later attempts have higher ones.
    pub number: u64,
    /// The file.
    #[serde(flatten)]
    pub key: FileKey,
    /// The run it was part of.
    pub run: Run,
    /// When it began.
    pub started_at: Timestamp,
    /// After which record it began.
    pub from: Ordinal,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub reason: Option<String>,
    /// Records delivered in the run when it ended.
    pub records: u64,
    /// Records set aside in the run when it ended.
    pub bad_records: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEntry {
    /// Its number; later events have higher ones.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// In which job.
    pub job: Option<Job>,
    /// To which file.
    pub file: Option<String>,
    /// What, in words.
    pub what: String,
}
