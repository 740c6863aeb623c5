//! One file on its way into its table: a task with a connection of its own, a group of batches a
//! transaction.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::link::{Failure, Link};
use crate::model::{
    Body, Clock, Delivery, Document, DumpName, Ordinal, Parsed, Place, Run, WaitsFor,
};
use crate::sink::{LaneEnds, Outcome, SinkError, join, outcome};
use crate::tables::postgres::{Batch, Refused, Row, Written, delivered, write};

/// A transaction takes what is there, up to about so many bytes of JSON or records: enough that
/// its own cost vanishes, few enough that a confirmation comes soon and a lost connection costs
/// little.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_RECORDS: usize = 5_000;

/// A lane of the database's.
pub(super) struct Lane {
    pub(super) file: DumpName,
    pub(super) run: Run,
    pub(super) only_run: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) link: Link,
    pub(super) ends: LaneEnds,
    /// The last ordinal that the database must still know of after it was away.
    pub(super) confirmed: Ordinal,
}

impl Lane {
    /// Writes until there is no more or nobody wants to know.
    pub(super) async fn run(mut self) {
        let outcomes = self.ends.outcomes.clone();
        tokio::select! {
            () = outcomes.closed() => {}
            () = self.write_all() => {}
        }
    }

    async fn write_all(&mut self) {
        while let Some(group) = self.next_group().await {
            let wanted = match self.write(&group).await {
                Ok(refused) => self.report(&group, &refused).await,
                Err(error) => {
                    // Whoever dropped the receiver has given up already.
                    _ = self.ends.outcomes.send(Err(error)).await;
                    false
                }
            };
            if !wanted {
                return;
            }
        }
    }

    /// What has come by now; nothing at the end.
    async fn next_group(&mut self) -> Option<Vec<Parsed>> {
        let first = self.ends.batches.recv().await?;
        let (mut bytes, mut records) = (first.json.len(), first.items.len());
        let mut group = vec![first];
        while bytes < GROUP_BYTES && records < GROUP_RECORDS {
            let Ok(next) = self.ends.batches.try_recv() else { break };
            bytes += next.json.len();
            records += next.items.len();
            group.push(next);
        }
        Some(group)
    }

    /// Writes a group, for as long as it takes.
    async fn write(&mut self, group: &[Parsed]) -> Result<Refused, SinkError> {
        let hashes: Vec<String> =
            documents(group).map(|(.., document)| document.hash.to_string()).collect();
        let rows = rows(group, &hashes);
        let ordinals = ordinals(group);
        let mut held = false;
        loop {
            let batch = Batch {
                file: self.file,
                run: self.run,
                now: self.clock.now(),
                only_run: self.only_run,
                rows: &rows,
                ordinals: &ordinals,
            };
            let failure = match self.try_write(&batch).await {
                Ok(Written { refused, left_out }) => {
                    self.link.well();
                    *self.link.base.left_out().entry(self.file).or_default() += left_out;
                    return Ok(refused);
                }
                Err(failure) => failure,
            };
            let trouble = match failure {
                Failure::Fatal(error) => return Err(error),
                Failure::Passing(trouble) => trouble,
            };
            if !std::mem::replace(&mut held, true) {
                self.tell(waiting(group, &trouble.why)).await;
            }
            self.link.wait(&trouble).await;
        }
    }

    async fn try_write(&mut self, batch: &Batch<'_>) -> Result<Written, Failure> {
        let (file, run, confirmed) = (self.file, self.run, self.confirmed);
        let (client, fresh) = self.link.client().await?;
        if fresh {
            let held = delivered(client, file, run).await;
            let held = held.map_err(|error| self.link.failure("read", &error))?;
            if held.prefix() < confirmed {
                let what = format!(
                    "the database has lost records that it had confirmed: it knows of those up to \
                     {}, and {confirmed} were",
                    held.prefix()
                );
                let hint = "start again: it goes on from what is there";
                return Err(Failure::Fatal(SinkError::new(what).hint(hint)));
            }
        }
        let (client, _) = self.link.client().await?;
        let written = write(client, batch).await;
        written.map_err(|error| self.link.failure("write to", &error))
    }

    /// Tells what became of a group; false if nobody wants to know any more.
    async fn report(&mut self, group: &[Parsed], refused: &Refused) -> bool {
        let mut outcomes = Vec::new();
        let mut row = 0;
        for parsed in group {
            for item in &parsed.items {
                if let Some(next) = outcome(parsed, item, refused.get(&row)) {
                    row += 1;
                    join(&mut outcomes, next);
                }
            }
        }
        if let Some(range) = ordinals(group).first() {
            // A gap before it is one that the store knows of.
            self.confirmed = *range.end();
        }
        self.tell(outcomes).await
    }

    async fn tell(&self, outcomes: Vec<Outcome>) -> bool {
        for outcome in outcomes {
            if self.ends.outcomes.send(Ok(outcome)).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Says of a group's first document that it has to wait.
fn waiting(group: &[Parsed], why: &str) -> Vec<Outcome> {
    let mut items = group.iter().flat_map(|parsed| parsed.items.iter().map(move |i| (parsed, i)));
    let first = items.find_map(|(parsed, item)| outcome(parsed, item, None));
    let delivery = Delivery::Retry(WaitsFor::SinkBlocked(why.to_owned()));
    first.map(|outcome| Outcome { delivery, ..outcome }).into_iter().collect()
}

/// A group's rows; `hashes` are those of its documents.
fn rows<'a>(group: &'a [Parsed], hashes: &'a [String]) -> Vec<Row<'a>> {
    let row =
        |((parsed, place, document), hash): ((&'a Parsed, &Place, &'a Document), &'a String)| {
            // JSON of ours is UTF-8; anything else would be refused by the server.
            let json = std::str::from_utf8(&parsed.json[document.json.clone()]).unwrap_or_default();
            Row { id: &document.id, ordinal: Some(place.ordinal), hash, json }
        };
    documents(group).zip(hashes).map(row).collect()
}

/// A group's ordinals: its batches follow each other.
fn ordinals(group: &[Parsed]) -> Vec<RangeInclusive<Ordinal>> {
    let first = group.iter().find_map(|parsed| parsed.items.first());
    let last = group.iter().rev().find_map(|parsed| parsed.items.last());
    let range = first.zip(last).map(|(first, last)| first.place.ordinal..=last.place.ordinal);
    range.into_iter().collect()
}

fn documents(group: &[Parsed]) -> impl Iterator<Item = (&Parsed, &Place, &Document)> {
    group.iter().flat_map(|parsed| {
        parsed.items.iter().filter_map(move |item| match &item.body {
            Body::Document(document) => Some((parsed, &item.place, document)),
            Body::Bad(_) => None,
        })
    })
}
