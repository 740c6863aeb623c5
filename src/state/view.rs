//! What a person may ask of the store, as one value that travels as JSON, and the lists made of
//! it. Pure functions of an [`Inspection`].

mod doing;
mod downloads;

use serde::{Deserialize, Serialize, Serializer};

use crate::model::{GzipOffset, Job, Kind, Ordinal, Run, Timestamp, Version};

use super::{Download, FileKey, FileState, ForcedPass, Holder, OutboxId, Owed, Status, Token};

pub use doing::{Doing, Stage, TypeEntry};
pub use downloads::{DownloadLine, select as select_downloads};

/// So many starts in a row without the mark moving are a stall: a crash loop.
pub const CRASH_LOOP: u32 = 3;

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

/// Which files to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A job's identity or location, or what it begins with; every job if none.
    pub job: Option<String>,
    /// A version; the newest of each job if none.
    pub version: Option<Version>,
}

/// `state list --json`, key for key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct List {
    /// The store itself.
    pub store: StoreLine,
    /// The files.
    pub files: Vec<FileLine>,
    /// Types that are complete in all listed jobs.
    pub completed_types: Vec<Kind>,
    /// Types being extracted by a living owner.
    pub active_types: Vec<Kind>,
    /// How many messages and sweeps the listed jobs are owed.
    pub owed: usize,
    /// The files that are fetched or were: of the wanted version, or of the newest.
    pub downloads: Vec<DownloadLine>,
}

/// The store as `state list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreLine {
    /// Its format.
    pub format: u32,
    /// The living process that owns it.
    pub owner: Option<Holder>,
}

/// A file as `state list` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileLine {
    /// The sink's identity.
    pub job: Job,
    /// The dump's version.
    pub version: Version,
    /// The dump's type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its file name.
    pub file: String,
    /// Where it stands.
    pub status: Status,
    /// Records delivered.
    pub records: u64,
    /// Records set aside.
    pub bad_records: u64,
    /// How much of the compressed file that is, 0 to 100, to one decimal.
    pub percent: f64,
    /// The same in bytes.
    pub gzip_offset: u64,
    /// Bytes of the compressed file.
    pub gzip_size: u64,
    /// Starts.
    pub attempts: u32,
    /// First start.
    #[serde(serialize_with = "moment")]
    pub started_at: Option<Timestamp>,
    /// Last activity.
    #[serde(serialize_with = "moment")]
    pub last_activity_at: Option<Timestamp>,
    /// Completion.
    #[serde(serialize_with = "moment")]
    pub completed_at: Option<Timestamp>,
    /// Whether it is stalled.
    pub stalled: bool,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

#[expect(clippy::ref_option, reason = "the shape that serde calls")]
fn moment<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// The files that `filter` selects: without a version, the newest of each job.
pub fn select<'a>(inspection: &'a Inspection, filter: &Filter) -> Vec<&'a FileEntry> {
    let jobs = selected_jobs(inspection, filter.job.as_deref());
    let of_jobs = inspection.files.iter().filter(|file| jobs.contains(&&file.key.job));
    let newest = |job: &Job| {
        let of_job = inspection.files.iter().filter(|file| file.key.job == *job);
        of_job.map(|file| file.key.version).max()
    };
    of_jobs
        .filter(|file| {
            let wanted = filter.version.or_else(|| newest(&file.key.job));
            wanted == Some(file.key.version)
        })
        .collect()
}

/// Whether `filter` selects what belongs to a job.
pub fn selects(inspection: &Inspection, filter: &Filter, job: &Job) -> bool {
    selected_jobs(inspection, filter.job.as_deref()).contains(&job)
}

/// An exact identity or location wins over those that merely begin with the word.
fn selected_jobs<'a>(inspection: &'a Inspection, word: Option<&str>) -> Vec<&'a Job> {
    let location = |job: &Job| {
        let entry = inspection.jobs.iter().find(|entry| entry.job == *job);
        entry.map_or("", |entry| entry.location.as_str())
    };
    let listed = inspection.jobs.iter().map(|entry| &entry.job);
    let mut jobs: Vec<&Job> = listed.chain(inspection.files.iter().map(|f| &f.key.job)).collect();
    jobs.sort();
    jobs.dedup();
    let Some(word) = word else { return jobs };
    let exact: Vec<&Job> =
        jobs.iter().copied().filter(|job| job.as_str() == word || location(job) == word).collect();
    if !exact.is_empty() {
        return exact;
    }
    jobs.retain(|job| job.as_str().starts_with(word) || location(job).starts_with(word));
    jobs
}

/// What `state list` shows.
pub fn list(inspection: &Inspection, filter: &Filter) -> List {
    let files = select(inspection, filter);
    let owned = inspection.owner.is_some();
    let mut jobs: Vec<&Job> = files.iter().map(|file| &file.key.job).collect();
    jobs.dedup();
    let complete_in = |job: &Job, kind: Kind| {
        let mut of_kind =
            files.iter().filter(|file| file.key.job == *job && file.key.kind == kind).peekable();
        of_kind.peek().is_some() && of_kind.all(|file| file.state.status == Status::Complete)
    };
    let kinds = |wanted: &dyn Fn(Kind) -> bool| {
        Kind::ALL.into_iter().filter(|kind| wanted(*kind)).collect::<Vec<Kind>>()
    };
    List {
        store: StoreLine { format: inspection.format, owner: inspection.owner.clone() },
        completed_types: kinds(&|kind| {
            !jobs.is_empty() && jobs.iter().all(|job| complete_in(job, kind))
        }),
        active_types: kinds(&|kind| {
            let mut of_kind = files.iter().filter(|file| file.key.kind == kind);
            owned && of_kind.any(|file| file.state.status == Status::Extracting)
        }),
        owed: {
            let listed = selected_jobs(inspection, filter.job.as_deref());
            inspection.owed.iter().filter(|entry| listed.contains(&&entry.job)).count()
        },
        files: files.into_iter().map(|file| line(file, owned)).collect(),
        downloads: downloads::select(inspection, filter).into_iter().map(Into::into).collect(),
    }
}

/// A file as it is listed, of a store that somebody has or nobody.
pub fn line(entry: &FileEntry, owned: bool) -> FileLine {
    let FileEntry { key, state, live, .. } = entry;
    let size = state.identity.size();
    let stored = (state.checkpoint.records, state.gzip_offset.0, state.last_activity);
    let (records, offset, last_activity) = live.as_ref().map_or(stored, |live| {
        (live.records, live.gzip_offset.0, live.last_activity.max(state.last_activity))
    });
    FileLine {
        job: key.job.clone(),
        version: key.version,
        kind: key.kind,
        file: key.file.clone(),
        status: state.status,
        records,
        bad_records: state.checkpoint.bad_records,
        percent: percent(state.status == Status::Complete, offset, size),
        gzip_offset: offset,
        gzip_size: size,
        attempts: state.attempts,
        started_at: state.first_start,
        last_activity_at: last_activity,
        completed_at: state.completed_at,
        stalled: stalled(entry, owned).is_some(),
        error: state.error.clone(),
    }
}

/// Why a file counts as stalled: its owner says so, or its starts end without the mark moving. A
/// file that is not being extracted never is.
pub fn stalled(entry: &FileEntry, owned: bool) -> Option<String> {
    let FileEntry { state, live, .. } = entry;
    if state.status != Status::Extracting {
        return None;
    }
    let ended = state.fruitless.saturating_sub(u32::from(owned));
    let crash_loop = || format!("{ended} starts in a row ended before anything was delivered");
    let said = live.as_ref().and_then(|live| live.stalled.clone());
    said.or_else(|| (ended >= CRASH_LOOP).then(crash_loop))
}

/// Why the last attempt at a file failed, unless it is tried again now and may be right this time.
pub fn last_error(entry: &FileEntry) -> Option<&str> {
    let FileState { status, error, .. } = &entry.state;
    error.as_deref().filter(|_| *status != Status::Extracting)
}

/// Rounded down to one decimal; only what is complete has 100.
fn percent(complete: bool, offset: u64, size: u64) -> f64 {
    if complete {
        return 100.0;
    }
    let tenths = u128::from(offset) * 1000 / u128::from(size.max(1));
    f64::from(u16::try_from(tenths).unwrap_or(u16::MAX).min(999)) / 10.0
}

#[cfg(test)]
mod tests;
