//! What is done with the messages of one batch: records are written, ends are noted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::database::{Batch, Database, Obstacle, Row, Unreadable, VersionEnd};
use crate::model::agreement::{Announced, Event, Unproven};
use crate::model::message::{
    ExtractionComplete, FileComplete, Message, Poison, Proof, Record, Source,
};
use crate::model::{Kind, Ranges, Run, Version};

/// How long the database may take for anything before it counts as away.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A message as it was delivered.
#[derive(Clone, Debug)]
pub struct Item {
    /// The broker's number for it on its channel.
    pub tag: u64,
    /// What it means.
    pub message: Message,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Messages that go to the dead letters, each with its reason.
    pub poison: Vec<(u64, String)>,
    /// The last message that is done with, if there is one: it and all before it are.
    pub last: Option<u64>,
    /// Records written.
    pub records: u64,
    /// Whether the end of something was among them.
    pub has_end: bool,
}

/// A batch that is made ready: it may be handled again and again.
#[derive(Clone, Debug)]
pub struct Round {
    kind: Kind,
    parts: Vec<Part>,
    ends: Vec<(u64, Message)>,
    poison: Vec<(u64, String)>,
}

/// A record and its message's tag.
type Tagged = (u64, Record);

/// What came of one version and run.
#[derive(Default)]
struct Place {
    records: Vec<Tagged>,
    unreadable: Vec<Unreadable>,
}

/// Records that come from one place.
#[derive(Clone, Debug)]
struct Part {
    batch: Arc<Batch>,
    /// The tags of its rows.
    tags: Vec<u64>,
}

impl Round {
    /// Sorts messages out.
    pub fn new(kind: Kind, items: Vec<Item>) -> Round {
        let mut places: BTreeMap<Option<(Version, Run)>, Place> = BTreeMap::new();
        let (mut ends, mut poison) = (Vec::new(), Vec::new());
        let of = |source: Source| (source.version, source.run);
        for Item { tag, message } in items {
            match message {
                Message::Data(record) => {
                    places.entry(record.source.map(of)).or_default().records.push((tag, record));
                }
                Message::Poison(Poison { why, source }) => {
                    if let Some(source) = source {
                        let unreadable = Unreadable { ordinal: source.ordinal, why: why.clone() };
                        let place = places.entry(Some(of(source))).or_default();
                        place.unreadable.push(unreadable);
                    }
                    poison.push((tag, why));
                }
                end @ (Message::FileComplete(_) | Message::ExtractionComplete(_)) => {
                    ends.push((tag, end));
                }
            }
        }
        let parts = places.into_iter().map(|(source, place)| Part::new(kind, source, place));
        Round { kind, parts: parts.collect(), ends, poison }
    }

    /// Writes and notes everything. After an error it must be done again.
    ///
    /// # Errors
    /// If the database cannot be used now.
    pub async fn handle(&self, database: &dyn Database) -> Result<Handled, Obstacle> {
        let mut poison = self.poison.clone();
        let mut records = 0;
        for Part { batch, tags } in &self.parts {
            let refused = in_time(database.write(Arc::clone(batch))).await?.refused;
            records += (tags.len() - refused.len()) as u64;
            poison.extend(refused.into_iter().map(|(index, why)| (tags[index], why)));
        }
        for (_, end) in &self.ends {
            match end {
                Message::FileComplete(end) => {
                    let announced = Event::Announced(announced(self.kind, end));
                    in_time(database.agree(self.kind, announced)).await?;
                }
                Message::ExtractionComplete(end) => {
                    // Of an unknown version there is nothing to keep.
                    if let Some(end) = version_end(end) {
                        in_time(database.version_ends(self.kind, end)).await?;
                    }
                }
                Message::Data(_) | Message::Poison(_) => {}
            }
        }
        let tags = self.parts.iter().flat_map(|part| &part.tags);
        let done = tags.chain(self.ends.iter().map(|(tag, _)| tag));
        let last = done.filter(|tag| !poison.iter().any(|(poison, _)| poison == *tag)).max();
        Ok(Handled { last: last.copied(), poison, records, has_end: !self.ends.is_empty() })
    }
}

impl Part {
    fn new(kind: Kind, source: Option<(Version, Run)>, place: Place) -> Part {
        let Place { mut records, unreadable } = place;
        // A message that comes again may come after a later one of the same id.
        records.sort_by_key(|(_, record)| record.source.map(|source| source.ordinal));
        let (tags, rows) = records.into_iter().map(|(tag, record)| (tag, row(record))).unzip();
        let ordinals = Ranges::default();
        Part { batch: Arc::new(Batch { kind, source, rows, ordinals, unreadable }), tags }
    }
}

fn row(record: Record) -> Row {
    let ordinal = record.source.map(|source| source.ordinal);
    Row { id: record.id.into(), ordinal, hash: record.hash, json: record.json.into() }
}

/// What the end of a file says, for the database.
fn announced(kind: Kind, end: &FileComplete) -> Announced {
    let proof = end.proof.map(|Proof { run, last, bad_records }| (run, last, bad_records));
    let unproven = match end.proof {
        Some(_) => Unproven::default(),
        None => Unproven { pass: 0, sent: end.total },
    };
    Announced { kind, version: end.version, proof, unproven }
}

fn version_end(end: &ExtractionComplete) -> Option<VersionEnd> {
    let ExtractionComplete { version, started_at, record_counts } = end.clone();
    version.map(|version| VersionEnd { version, started_at, record_counts })
}

/// An answer of the database, or that it takes too long.
///
/// # Errors
/// If it cannot be used now.
pub async fn in_time<T>(answer: impl Future<Output = Result<T, Obstacle>>) -> Result<T, Obstacle> {
    let late = || Obstacle::away(format!("no answer within {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(late()))
}
