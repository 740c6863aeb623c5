//! What the pipeline hands over, as rows of a table, and what became of those.

use bytes::Bytes;

use super::{Outcome, join};
use crate::database::{Batch, Refused, Row};
use crate::model::{Body, Delivery, DumpName, Item, Ordinal, Parsed, Ranges, Run, WaitsFor};

/// The documents of consecutive records of one dump as rows; bad records are dealt with by them.
pub(super) fn batch(file: DumpName, run: Run, parsed: Vec<Parsed>) -> Batch {
    let mut rows = Vec::with_capacity(parsed.iter().map(|parsed| parsed.items.len()).sum());
    let mut ordinals = Ranges::default();
    for Parsed { json, items } in parsed {
        if let Some((first, last)) = items.first().zip(items.last()) {
            ordinals.insert(first.place.ordinal..=last.place.ordinal);
        }
        let json = Bytes::from(json);
        rows.extend(items.into_iter().filter_map(|Item { place, body }| match body {
            Body::Document(document) => Some(Row {
                id: document.id,
                ordinal: Some(place.ordinal),
                hash: document.hash,
                json: json.slice(document.json),
            }),
            Body::Bad(_) => None,
        }));
    }
    Batch { kind: file.kind, source: Some((file.version, run)), rows, ordinals }
}

/// What became of a batch that was written.
pub(super) fn outcomes(batch: &Batch, refused: &Refused) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (index, row) in batch.rows.iter().enumerate() {
        let durable = Outcome::durable(ordinal(row), None);
        let next = match refused.get(&index) {
            None => durable,
            Some(why) => {
                let delivery = Delivery::Refused { why: why.clone(), document: row.json.to_vec() };
                Outcome { delivery, ..durable }
            }
        };
        join(&mut outcomes, next);
    }
    outcomes
}

/// Says of a batch's first row that it has to wait.
pub(super) fn waiting(batch: &Batch, why: &str) -> Option<Outcome> {
    let delivery = Delivery::Retry(WaitsFor::SinkBlocked(why.to_owned()));
    let first = batch.rows.first()?;
    Some(Outcome { delivery, ..Outcome::durable(ordinal(first), None) })
}

/// A row that was made here has an ordinal.
fn ordinal(row: &Row) -> Ordinal {
    row.ordinal.unwrap_or(Ordinal(0))
}
