//! What goes over the wire: one JSON object a message. Its order of keys is part of the contract
//! with consumers that are older than this program.

use serde::Serialize;

use super::{Document, DumpName, Kind, Ordinal, Run, Sha256, Timestamp, Version};

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

/// Appends the data message of one document, which lies in `json`, to `out`:
/// `{"type":"data","id":"…","sha256":"…", the record's other keys}`.
pub fn write_data(json: &[u8], document: &Document, out: &mut Vec<u8>) {
    out.reserve(document.json.len() + 128);
    out.extend_from_slice(br#"{"type":"data","id":"#);
    write_id(json, document, out);
    out.extend_from_slice(br#","sha256":""#);
    out.extend_from_slice(&document.hash.hex());
    out.push(b'"');
    let inner = document.json.start + 1..document.json.end - 1;
    let (before, after) = match &document.id_member {
        Some(id) => (&json[inner.start..id.start], &json[id.end..inner.end]),
        None => (&json[inner], &json[..0]),
    };
    let before = before.strip_suffix(b",").unwrap_or(before);
    let after = after.strip_prefix(b",").unwrap_or(after);
    for part in [before, after] {
        if !part.is_empty() {
            out.push(b',');
            out.extend_from_slice(part);
        }
    }
    out.push(b'}');
}

/// The id as a JSON string. A record whose id is a child or a stripped attribute has it ready.
fn write_id(json: &[u8], document: &Document, out: &mut Vec<u8>) {
    const KEY: &[u8] = br#""id":"#;
    let value = document.id_member.as_ref().map(|id| &json[id.start + KEY.len()..id.end]);
    match value {
        Some(string) if string.starts_with(b"\"") => out.extend_from_slice(string),
        Some(_) | None => {
            let string = serde_json::Value::from(&*document.id).to_string();
            out.extend_from_slice(string.as_bytes());
        }
    }
}

/// The id of a data message, the same at every repeat:
/// `{version}-{type}-{ordinal}-{first 8 of sha256}`.
pub fn message_id(version: Version, kind: Kind, ordinal: Ordinal, hash: &Sha256) -> String {
    let hex = hash.hex();
    let short = std::str::from_utf8(&hex[..8]).unwrap_or_default();
    format!("{version}-{kind}-{ordinal}-{short}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    fn message(json: &str, id: &str, id_member: Option<std::ops::Range<usize>>) -> String {
        let document =
            Document { json: 0..json.len(), id: id.into(), hash: Sha256([0xab; 32]), id_member };
        let mut out = Vec::new();
        write_data(json.as_bytes(), &document, &mut out);
        String::from_utf8(out).unwrap().replace(&"ab".repeat(32), "H")
    }

    #[test]
    fn the_id_appears_once_wherever_it_stood() {
        let rows = [
            (r#"{"a":"1","id":"7","z":null}"#, Some(9..17), r#","a":"1","z":null}"#),
            (r#"{"id":"7","z":null}"#, Some(1..9), r#","z":null}"#),
            (r#"{"a":"1","id":"7"}"#, Some(9..17), r#","a":"1"}"#),
            (r#"{"id":"7"}"#, Some(1..9), "}"),
            (r#"{"@id":"7"}"#, None, r#","@id":"7"}"#),
        ];
        for (json, id_member, rest) in rows {
            let expected = format!(r#"{{"type":"data","id":"7","sha256":"H"{rest}"#);
            assert_eq!(message(json, "7", id_member), expected, "{json}");
        }
    }

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

    #[test]
    fn an_id_that_is_no_string_in_the_record_is_quoted() {
        let sent = message(r#"{"id":null}"#, "unknown", Some(1..10));
        assert_eq!(sent, r#"{"type":"data","id":"unknown","sha256":"H"}"#);
        let sent = message(r#"{"@id":"a\"b"}"#, "a\"b", None);
        assert_eq!(sent, r#"{"type":"data","id":"a\"b","sha256":"H","@id":"a\"b"}"#);
    }
}
