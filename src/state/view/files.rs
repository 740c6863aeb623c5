//! The files as `state list` shows them, and when one counts as stalled.

use serde::{Serialize, Serializer};

use super::FileEntry;
use crate::model::{Job, Kind, Timestamp, Version};
use crate::state::{FileState, Status};

/// So many starts in a row without the mark moving are a stall: a crash loop.
pub const CRASH_LOOP: u32 = 3;

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
pub(super) fn moment<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
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
pub(super) fn percent(complete: bool, offset: u64, size: u64) -> f64 {
    if complete {
        return 100.0;
    }
    let tenths = u128::from(offset) * 1000 / u128::from(size.max(1));
    f64::from(u16::try_from(tenths).unwrap_or(u16::MAX).min(999)) / 10.0
}
