//! What a message looks like on the wire, beside its body.

use std::ops::Range;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;

use crate::amqp::{header, table};
use crate::model::message::{Announcement, ORDINAL, Value, data_headers, message_id, write_data};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp};

use super::flight::Letter;

/// How a message is published: it comes back if no queue takes it.
pub const OPTIONS: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

/// A message that outlives a restart of the broker.
const PERSISTENT: u8 = 2;

/// What all messages of one run of a file have in common.
pub struct Envelope {
    file: DumpName,
    run: Run,
    properties: BasicProperties,
}

impl Envelope {
    /// For the records of a run.
    pub fn new(file: DumpName, run: Run) -> Envelope {
        Envelope { file, run, properties: properties("data") }
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
        let headers = table(data_headers(self.file, self.run, ordinal));
        let id = message_id(self.file.version, self.file.kind, ordinal, &document.hash);
        let properties = self.properties.clone();
        let properties = properties.with_headers(headers).with_timestamp(now.0 / 1_000);
        Some((start..out.len(), properties.with_message_id(short(id))))
    }
}

/// The properties of an announcement on one type's exchange.
pub fn announcement(what: &Announcement, kind: Kind) -> BasicProperties {
    properties(what.name())
        .with_headers(table(what.headers()))
        .with_timestamp(what.at().0 / 1_000)
        .with_message_id(short(what.message_id(kind)))
}

/// Which record a message that came back was.
pub fn ordinal_of(properties: &BasicProperties) -> Option<Ordinal> {
    match header(properties, ORDINAL)? {
        Value::Number(number) => u64::try_from(number).ok().map(Ordinal),
        Value::Text(_) => None,
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

/// Made of versions, types and numbers only, so that it is far from the limit of 255 bytes.
fn short(text: String) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}
