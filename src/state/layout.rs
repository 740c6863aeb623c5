//! How the store's trees, keys and values look on disk.
//!
//! Keys are made by hand so that they sort: `job \0 version \0 type \0 file name`, numbers
//! big-endian. A value is one byte, the version of its row, and the bincode (standard
//! configuration) of a struct that is frozen for that version in `rows`. bincode does not notice
//! a changed struct, so decoding also demands that every byte was used up.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{DumpName, Job, Kind, Ordinal, Run, Version};

use super::download::DownloadKey;

/// The store format of this release.
pub const FORMAT: u32 = 2;

/// The first format in which every checkpoint is a place that was proved: before, a restart could
/// begin at a resume point beyond the mark and leave out what came between.
pub(super) const PLACES_PROVEN: u32 = 2;

/// sled keeps larger values in files of their own, and leaks one at every overwrite.
pub(super) const VALUE_LIMIT: usize = 16 * 1024;

/// The longest text a row keeps: an error, a reason.
pub(super) const TEXT_LIMIT: usize = 4 * 1024;

/// The trees, one a concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// Format number, counters, forced passes, tokens.
    Meta,
    /// Job to where it is.
    Jobs,
    /// File to its state.
    Files,
    /// Resume points by file, run and ordinal, in parts.
    Points,
    /// What is owed, in order.
    Outbox,
    /// Attempts, each with its start and end.
    Runs,
    /// Events.
    Journal,
    /// Files that are fetched, or were.
    Downloads,
}

impl Tree {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Tree; 8] = [
        Tree::Meta,
        Tree::Jobs,
        Tree::Files,
        Tree::Points,
        Tree::Outbox,
        Tree::Runs,
        Tree::Journal,
        Tree::Downloads,
    ];

    /// Its name in the store.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Tree::Meta => "meta",
            Tree::Jobs => "jobs",
            Tree::Files => "files",
            Tree::Points => "points",
            Tree::Outbox => "outbox",
            Tree::Runs => "runs",
            Tree::Journal => "journal",
            Tree::Downloads => "downloads",
        }
    }
}

/// One file of one job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileKey {
    /// The sink's identity.
    pub job: Job,
    /// The dump's version.
    pub version: Version,
    /// The dump's type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its file name, without a folder.
    pub file: String,
}

impl FileKey {
    /// The dump `name` in `job`.
    pub fn new(job: Job, name: DumpName) -> FileKey {
        FileKey { job, version: name.version, kind: name.kind, file: name.to_string() }
    }
}

/// `FILE in JOB`, for messages.
impl std::fmt::Display for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.file, self.job)
    }
}

/// `meta`'s key of the store's format: four bytes, big-endian, as they have been in every format.
pub(super) const FORMAT_KEY: &[u8] = b"format";
/// `meta`'s key of the counters.
pub(super) const COUNTERS_KEY: &[u8] = b"counters";

pub(super) fn job_key(job: &Job) -> Vec<u8> {
    job.as_str().as_bytes().to_vec()
}

/// What every key of the job's files begins with.
pub(super) fn job_prefix(job: &Job) -> Vec<u8> {
    [job.as_str().as_bytes(), b"\0"].concat()
}

/// What every key of the job's files of one version begins with.
pub(super) fn version_prefix(job: &Job, version: Version) -> Vec<u8> {
    format!("{job}\0{version}\0").into_bytes()
}

pub(super) fn file_key(key: &FileKey) -> Vec<u8> {
    format!("{}\0{}\0{}\0{}", key.job, key.version, key.kind, key.file).into_bytes()
}

pub(super) fn parse_file_key(bytes: &[u8]) -> Option<FileKey> {
    let mut parts = std::str::from_utf8(bytes).ok()?.split('\0');
    let key = FileKey {
        job: Job::new(parts.next()?),
        version: parts.next()?.parse().ok()?,
        kind: parts.next()?.parse().ok()?,
        file: parts.next()?.to_owned(),
    };
    parts.next().is_none().then_some(key)
}

/// `version \0 type \0 file name \0 folder`: a file is one in each folder it is fetched into.
pub(super) fn download_key(key: &DownloadKey) -> Vec<u8> {
    let DownloadKey { version, kind, file, folder } = key;
    format!("{version}\0{kind}\0{file}\0{folder}").into_bytes()
}

/// What every key of the file's resume points begins with, whatever the run.
pub(super) fn points_of_file(key: &FileKey) -> Vec<u8> {
    [&file_key(key)[..], b"\0"].concat()
}

/// What every key of the run's resume points begins with.
pub(super) fn points_of_run(key: &FileKey, run: Run) -> Vec<u8> {
    [&points_of_file(key)[..], &run.0.to_be_bytes()].concat()
}

/// `run's prefix, after, gzip offset, part`: sorted by place, the parts of one point together.
pub(super) fn point_key(run: &[u8], after: Ordinal, gzip: u64, part: u16) -> Vec<u8> {
    [run, &after.0.to_be_bytes(), &gzip.to_be_bytes(), &part.to_be_bytes()].concat()
}

/// How many bytes of a point's key come after the run's prefix, the part left out.
pub(super) const POINT_PLACE: usize = 16;
/// How many bytes a part's number takes.
pub(super) const POINT_PART: usize = 2;
const POINT_RUN: usize = 8;

/// Splits a point's key into what its file's points begin with, and the run.
pub(super) fn split_point_key(bytes: &[u8]) -> Option<(&[u8], Run)> {
    let file = bytes.len().checked_sub(POINT_RUN + POINT_PLACE + POINT_PART)?;
    let run = bytes.get(file..file + POINT_RUN)?.try_into().ok()?;
    Some((&bytes[..file], Run(u64::from_be_bytes(run))))
}

/// `job \0 number`.
pub(super) fn sequence_key(job: &Job, number: u64) -> Vec<u8> {
    [&job_prefix(job)[..], &number.to_be_bytes()].concat()
}

/// The number at the end of a key.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    let start = key.len().checked_sub(8)?;
    Some(u64::from_be_bytes(key[start..].try_into().ok()?))
}

const FORCED: &str = "forced";
const TOKEN: &str = "token";

pub(super) fn forced_key(job: &Job, version: Version) -> Vec<u8> {
    format!("{FORCED}\0{job}\0{version}").into_bytes()
}

pub(super) fn token_key(job: &Job, word: &str) -> Vec<u8> {
    format!("{TOKEN}\0{job}\0{}", word.replace('\0', "\u{FFFD}")).into_bytes()
}

pub(super) fn forced_prefix() -> Vec<u8> {
    format!("{FORCED}\0").into_bytes()
}

pub(super) fn token_prefix() -> Vec<u8> {
    format!("{TOKEN}\0").into_bytes()
}

/// A value that does not decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undecodable(pub(super) String);

/// Something that lies in the store as a value.
pub(super) trait Row: Sized {
    /// The version of the struct it is written as.
    const VERSION: u8;

    /// The bytes after the version.
    fn body(&self) -> Vec<u8>;

    /// What the bytes after the version say.
    fn parse(version: u8, body: &[u8]) -> Result<Self, Undecodable>;

    /// The whole value.
    fn encode(&self) -> Vec<u8> {
        [&[Self::VERSION], &self.body()[..]].concat()
    }

    /// What a whole value says.
    fn decode(value: &[u8]) -> Result<Self, Undecodable> {
        let (version, body) =
            value.split_first().ok_or_else(|| Undecodable("it is empty".to_owned()))?;
        Self::parse(*version, body)
    }
}

/// The bincode of a frozen struct.
pub(super) fn body_of(frozen: &impl Serialize) -> Vec<u8> {
    // an error can only come from a `Serialize` of our own that refuses; the frozen structs
    // derive theirs. An empty body does not decode.
    bincode::serde::encode_to_vec(frozen, bincode::config::standard()).unwrap_or_default()
}

/// A frozen struct out of its bincode.
pub(super) fn frozen<T: DeserializeOwned>(body: &[u8]) -> Result<T, Undecodable> {
    let (value, used) = bincode::serde::decode_from_slice(body, bincode::config::standard())
        .map_err(|error| Undecodable(error.to_string()))?;
    if used != body.len() {
        return Err(Undecodable(format!("{} bytes are left over", body.len() - used)));
    }
    Ok(value)
}

/// A row of a version that this release has never written.
pub(super) fn unknown_version(version: u8) -> Undecodable {
    Undecodable(format!("row version {version} is unknown"))
}

/// Cuts a text to what a row may keep.
pub(super) fn bounded(text: &str) -> String {
    let mut end = text.len().min(TEXT_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(job: &str, version: &str, kind: Kind) -> FileKey {
        FileKey::new(Job::new(job), DumpName { version: version.parse().unwrap(), kind })
    }

    #[test]
    fn keys_sort_by_job_version_and_type_and_can_be_read_back() {
        let mut keys = vec![
            key("amqp:a", "20250101", Kind::Artists),
            key("amqp:a", "20250101", Kind::Releases),
            key("amqp:a", "20260101", Kind::Artists),
            key("amqp:ab", "20250101", Kind::Artists),
        ];
        let bytes: Vec<_> = keys.iter().map(file_key).collect();
        assert_eq!(bytes[0], b"amqp:a\x0020250101\0artists\0discogs_20250101_artists.xml.gz");
        assert!(bytes.is_sorted());
        assert_eq!(bytes.iter().filter_map(|key| parse_file_key(key)).collect::<Vec<_>>(), keys);
        keys.retain(|key| file_key(key).starts_with(&job_prefix(&Job::new("amqp:a"))));
        assert_eq!(keys.len(), 3, "a job is not taken for another that begins like it");
    }

    #[test]
    fn points_sort_by_run_then_ordinal_then_part() {
        let file = key("j", "20260101", Kind::Labels);
        let key = |run, after, gzip, part| {
            point_key(&points_of_run(&file, Run(run)), Ordinal(after), gzip, part)
        };
        let keys = [
            key(1, 2, 9, 0),
            key(1, 2, 9, 1),
            key(1, 2, 300, 0),
            key(1, 256, 0, 0),
            key(2, 0, 0, 0),
        ];
        assert!(keys.is_sorted());
        let of_file = points_of_file(&file);
        assert_eq!(split_point_key(&keys[3]), Some((&of_file[..], Run(1))));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let long = format!("{}ü", "x".repeat(TEXT_LIMIT - 1));
        assert_eq!(bounded(&long).len(), TEXT_LIMIT - 1);
        assert_eq!(bounded("short"), "short");
    }
}
