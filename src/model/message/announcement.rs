//! What is told beside the records. The order of keys is part of the contract with consumers that are
//! older than this program.

use serde::Serialize;

use super::header::{BAD_RECORDS, LAST_ORDINAL, Value, headers};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp, Version};

/// What is told to whoever reads from the sink, beside the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Every record of a file is delivered.
    FileComplete {
        /// The dump.
        file: DumpName,
        /// The run that completed it.
        run: Run,
        /// Its last ordinal.
        last: Ordinal,
        /// Records delivered.
        records: u64,
        /// Records set aside.
        bad_records: u64,
        /// When it became complete.
        at: Timestamp,
    },
    /// All four types of a version are complete; due on every type's exchange.
    ExtractionComplete {
        /// The version.
        version: Version,
        /// The earliest first start among its files.
        started_at: Timestamp,
        /// Records delivered, by type in the usual order.
        record_counts: [u64; 4],
        /// When the fourth type became complete.
        at: Timestamp,
    },
}

impl Announcement {
    /// What it is called in the message's `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Announcement::FileComplete { .. } => "file_complete",
            Announcement::ExtractionComplete { .. } => "extraction_complete",
        }
    }

    /// The version it is about.
    pub const fn version(&self) -> Version {
        match self {
            Announcement::FileComplete { file, .. } => file.version,
            Announcement::ExtractionComplete { version, .. } => *version,
        }
    }

    /// When it became true.
    pub const fn at(&self) -> Timestamp {
        match self {
            Announcement::FileComplete { at, .. } | Announcement::ExtractionComplete { at, .. } => {
                *at
            }
        }
    }

    /// On which types' exchanges it is due.
    pub fn kinds(&self) -> Vec<Kind> {
        match self {
            Announcement::FileComplete { file, .. } => vec![file.kind],
            Announcement::ExtractionComplete { .. } => Kind::ALL.to_vec(),
        }
    }

    /// The message's body.
    ///
    /// # Errors
    /// None: all it holds can be written as JSON.
    pub fn body(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Announcement::FileComplete { file, records, at, .. } => {
                serde_json::to_vec(&FileComplete {
                    message: self.name(),
                    data_type: file.kind,
                    timestamp: format!("{at:.3}"),
                    total_processed: *records,
                    file: file.to_string(),
                })
            }
            Announcement::ExtractionComplete { version, started_at, record_counts, at } => {
                let [artists, labels, masters, releases] = *record_counts;
                serde_json::to_vec(&ExtractionComplete {
                    message: self.name(),
                    version: *version,
                    timestamp: format!("{at:.3}"),
                    started_at: format!("{started_at:.3}"),
                    record_counts: RecordCounts { artists, labels, masters, releases },
                })
            }
        }
    }

    /// What stands beside the body.
    pub fn headers(&self) -> Vec<(&'static str, Value)> {
        match self {
            Announcement::FileComplete { file, run, last, bad_records, .. } => {
                let numbers = [(LAST_ORDINAL, last.0), (BAD_RECORDS, *bad_records)];
                headers(file.version, Some(*run), &numbers)
            }
            Announcement::ExtractionComplete { version, .. } => headers(*version, None, &[]),
        }
    }

    /// The message's id, the same at every repeat: `{version}-{type}-{what}-{run or time}`.
    pub fn message_id(&self, kind: Kind) -> String {
        let (version, name) = (self.version(), self.name());
        match self {
            Announcement::FileComplete { run, .. } => format!("{version}-{kind}-{name}-{}", run.0),
            Announcement::ExtractionComplete { at, .. } => {
                format!("{version}-{kind}-{name}-{}", at.0)
            }
        }
    }
}

/// Keys in the order in which the platform sends them.
#[derive(Serialize)]
struct FileComplete {
    #[serde(rename = "type")]
    message: &'static str,
    data_type: Kind,
    timestamp: String,
    total_processed: u64,
    file: String,
}

#[derive(Serialize)]
struct ExtractionComplete {
    #[serde(rename = "type")]
    message: &'static str,
    version: Version,
    timestamp: String,
    started_at: String,
    record_counts: RecordCounts,
}

#[derive(Serialize)]
struct RecordCounts {
    artists: u64,
    labels: u64,
    masters: u64,
    releases: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_the_contracts_to_the_byte() {
        let file = "discogs_20260101_artists.xml.gz".parse().unwrap();
        let (at, run, last) = (Timestamp(1_767_323_045_006), Run(7), Ordinal(4));
        let done = Announcement::FileComplete { file, run, last, records: 3, bad_records: 1, at };
        assert_eq!(
            String::from_utf8(done.body().unwrap()).unwrap(),
            r#"{"type":"file_complete","data_type":"artists","timestamp":"2026-01-02T03:04:05.006Z","total_processed":3,"file":"discogs_20260101_artists.xml.gz"}"#
        );
        assert_eq!(done.message_id(Kind::Artists), "20260101-artists-file_complete-7");
        let all = Announcement::ExtractionComplete {
            version: file.version,
            started_at: Timestamp(1_767_323_045_000),
            record_counts: [1, 2, 3, 4],
            at,
        };
        assert_eq!(
            String::from_utf8(all.body().unwrap()).unwrap(),
            r#"{"type":"extraction_complete","version":"20260101","timestamp":"2026-01-02T03:04:05.006Z","started_at":"2026-01-02T03:04:05.000Z","record_counts":{"artists":1,"labels":2,"masters":3,"releases":4}}"#
        );
        assert_eq!(all.kinds(), Kind::ALL);
    }
}
