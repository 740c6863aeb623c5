//! What a message looks like on the wire, beside its body.

use std::ops::Range;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};

use crate::model::message::{Announcement, message_id, write_data};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp, Version};

use super::flight::Letter;

/// How a message is published: it comes back if no queue takes it.
pub const OPTIONS: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

/// A message that outlives a restart of the broker.
const PERSISTENT: u8 = 2;

const VERSION: &str = "x-version";
const RUN: &str = "x-run";
const ORDINAL: &str = "x-ordinal";
const LAST_ORDINAL: &str = "x-last-ordinal";
const BAD_RECORDS: &str = "x-bad-records";

/// What all messages of one run of a file have in common.
pub struct Envelope {
    file: DumpName,
    properties: BasicProperties,
    headers: FieldTable,
}

impl Envelope {
    /// For the records of a run.
    pub fn new(file: DumpName, run: Run) -> Envelope {
        let headers = headers(file.version, Some(run));
        Envelope { file, properties: properties("data"), headers }
    }

    /// Appends the body of one record's message to `out`, and gives where it stands there and its
    /// properties; nothing for what is no document.
    pub fn data(
        &self,
        ordinal: Ordinal,
        letter: &Letter,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Option<(Range<usize>, BasicProperties)> {
        let (batch, document) = letter.document()?;
        let start = out.len();
        write_data(&batch.json, document, out);
        let mut headers = self.headers.clone();
        headers.insert(ORDINAL.into(), number(ordinal.0));
        let id = message_id(self.file.version, self.file.kind, ordinal, &document.hash);
        let properties = self.properties.clone();
        let properties = properties.with_headers(headers).with_timestamp(now.0 / 1_000);
        Some((start..out.len(), properties.with_message_id(short(id))))
    }
}

/// The properties of an announcement on one type's exchange.
pub fn announcement(what: &Announcement, kind: Kind) -> BasicProperties {
    let headers = match what {
        Announcement::FileComplete { file, run, last, bad_records, .. } => {
            let mut headers = headers(file.version, Some(*run));
            headers.insert(LAST_ORDINAL.into(), number(last.0));
            headers.insert(BAD_RECORDS.into(), number(*bad_records));
            headers
        }
        Announcement::ExtractionComplete { version, .. } => headers(*version, None),
    };
    properties(what.name())
        .with_headers(headers)
        .with_timestamp(what.at().0 / 1_000)
        .with_message_id(short(what.message_id(kind)))
}

/// Which record a message that came back was.
pub fn ordinal_of(properties: &BasicProperties) -> Option<Ordinal> {
    let headers = properties.headers().as_ref()?;
    match headers.inner().get(ORDINAL)? {
        AMQPValue::LongLongInt(number) => u64::try_from(*number).ok().map(Ordinal),
        _ => None,
    }
}

fn properties(what: &'static str) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("UTF-8".into())
        .with_delivery_mode(PERSISTENT)
        .with_type(what.into())
        .with_app_id("discogs-extractor".into())
}

fn headers(version: Version, run: Option<Run>) -> FieldTable {
    let mut headers = FieldTable::default();
    let version = AMQPValue::LongString(LongString::from(version.to_string()));
    headers.insert(VERSION.into(), version);
    if let Some(run) = run {
        headers.insert(RUN.into(), number(run.0));
    }
    headers
}

fn number(number: u64) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Made of versions, types and numbers only, so that it is far from the limit of 255 bytes.
fn short(text: String) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}
