//! What the pipeline hands over, as rows of a table, and what became of those.

use bytes::Bytes;

use super::{Outcome, join};
use crate::database::{Batch, Refused, Row};
use crate::model::{Delivery, Documents, DumpName, Ordinal, Ranges, Run, WaitsFor};

/// Documents of one dump as rows.
pub(super) fn batch(file: DumpName, run: Run, groups: Vec<Documents>) -> Batch {
    let mut rows = Vec::with_capacity(groups.iter().map(|documents| documents.all.len()).sum());
    let mut dealt_with = Ranges::default();
    for Documents { json, all, ordinals } in groups {
        ordinals.iter().for_each(|range| dealt_with.insert(range));
        let json = Bytes::from(json);
        rows.extend(all.into_iter().map(|(ordinal, document)| Row {
            id: document.id,
            ordinal: Some(ordinal),
            hash: document.hash,
            json: json.slice(document.json),
        }));
    }
    Batch {
        kind: file.kind,
        source: Some((file.version, run)),
        rows,
        ordinals: dealt_with,
        unreadable: Vec::new(),
    }
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
