//! The sinks as the pipeline sees them: batches in, outcomes out, and what is on disk after.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]

#[path = "sinks/jsonl.rs"]
mod jsonl;
#[path = "sinks/model.rs"]
mod model;
#[path = "sinks/order.rs"]
mod order;
#[path = "sinks/plain.rs"]
mod plain;
#[path = "sinks/sqlite.rs"]
mod sqlite;
#[path = "sinks/sweep.rs"]
mod sweep;

use std::sync::Mutex;
use std::time::Duration;

use discogs_extractor::model::{
    BadRecord, Body, Checkpoint, Clock, Delivery, Document, DumpName, Item, Limits, Ordinal,
    Parsed, Place, Position, Run, Sha256, Timestamp, XmlOffset,
};
use discogs_extractor::sink::{Lane, LaneStart, Outcome, Sink, SinkError};

/// A record of a batch in a test: an id and a title, or a bad one.
type Record<'a> = Option<(&'a str, &'a str)>;

const BAD: Record<'_> = None;

fn dump(version: &str, kind: &str) -> DumpName {
    format!("discogs_{version}_{kind}.xml.gz").parse().unwrap()
}

fn artists() -> DumpName {
    dump("20260101", "artists")
}

fn json(id: &str, title: &str) -> String {
    format!(r#"{{"id":"{id}","title":"{title}"}}"#)
}

/// A hash that is the same for equal documents; a sink never computes it.
fn hash(document: &str) -> Sha256 {
    let mut hash = [0; 32];
    document.bytes().enumerate().for_each(|(at, byte)| {
        hash[at % 32] = (hash[at % 32] ^ byte).rotate_left(3);
    });
    Sha256(hash)
}

/// A batch whose first record has ordinal `first`.
fn batch(first: u64, records: &[Record<'_>]) -> Parsed {
    let mut parsed = Parsed::default();
    for (ordinal, record) in (first..).zip(records) {
        let body = match record {
            Some((id, title)) => {
                let document = json(id, title);
                let begin = parsed.json.len();
                parsed.json.extend_from_slice(document.as_bytes());
                let id_member = Some(begin + 1..begin + 8 + id.len());
                let id: Box<str> = (*id).into();
                let json = begin..parsed.json.len();
                Body::Document(Document { json, id, hash: hash(&document), id_member })
            }
            None => Body::Bad(BadRecord {
                reason: "torn".into(),
                start: XmlOffset(0),
                length: 4,
                raw: b"<a><".to_vec(),
            }),
        };
        let place = Place::counted(Ordinal(ordinal), 100);
        parsed.items.push(Item { place, body });
    }
    parsed
}

/// Records 1 to `n` with ids equal to the ordinals.
fn numbered(n: u64) -> Parsed {
    let ids: Vec<String> = (1..=n).map(|id| id.to_string()).collect();
    let records: Vec<_> = ids.iter().map(|id| Some((id.as_str(), "t"))).collect();
    batch(1, &records)
}

fn start(file: DumpName, run: u64, from: Checkpoint) -> LaneStart {
    LaneStart {
        file,
        run: Run(run),
        from,
        depth: 8,
        window: Limits { records: 100, bytes: 1 << 20 },
    }
}

fn beginning(file: DumpName, run: u64) -> LaneStart {
    start(file, run, Checkpoint::BEGINNING)
}

fn at(ordinal: u64, sink: Option<u64>) -> Checkpoint {
    let position = Position::At(Ordinal(ordinal), XmlOffset(ordinal * 100));
    Checkpoint { position, records: ordinal, sink, ..Checkpoint::BEGINNING }
}

/// Waits for the next outcome; a lane that ended gives none.
fn next(lane: &mut Lane) -> Option<Result<Outcome, SinkError>> {
    lane.outcomes.blocking_recv()
}

/// Sends batches, closes the lane and gives everything that came out.
fn deliver(mut lane: Lane, batches: Vec<Parsed>) -> Result<Vec<Outcome>, SinkError> {
    for parsed in batches {
        lane.batches.blocking_send(parsed.documents()).unwrap();
    }
    let (closed, _) = tokio::sync::mpsc::channel(1);
    lane.batches = closed;
    std::iter::from_fn(|| next(&mut lane)).collect()
}

/// Delivers to a sink and checks that all documents are durable.
fn deliver_all(sink: &dyn Sink, start: &LaneStart, batches: Vec<Parsed>) -> Vec<Outcome> {
    let outcomes = deliver(sink.open(start).unwrap(), batches).unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.delivery == Delivery::Durable), "{outcomes:?}");
    outcomes
}

/// The ordinals that are durable, in the order in which it was said.
fn durable(outcomes: &[Outcome]) -> Vec<u64> {
    let durable = outcomes.iter().filter(|outcome| outcome.delivery == Delivery::Durable);
    durable.flat_map(|outcome| outcome.ordinals.start().0..=outcome.ordinals.end().0).collect()
}

/// A clock that stands where a test puts it.
struct StoppedClock(Mutex<u64>);

impl StoppedClock {
    fn set(&self, millis: u64) {
        *self.0.lock().unwrap() = millis;
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}
