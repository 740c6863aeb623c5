//! One file on its way into its table: a task with a connection of its own, a group of batches a
//! transaction.

use std::sync::Arc;

use super::link::{Failure, Link};
use crate::model::{Clock, DumpName, Ordinal, Parsed, Run};
use crate::sink::{LaneEnds, Outcome, SinkError, batch};
use crate::tables::postgres::{Writing, delivered, write};
use crate::tables::{Batch, Notes, Refused, Written};

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
            let batch = batch::batch(self.file, self.run, group);
            let wanted = match self.write(&batch).await {
                Ok(refused) => self.report(&batch, &refused).await,
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

    /// Writes a batch, for as long as it takes.
    async fn write(&mut self, batch: &Batch) -> Result<Refused, SinkError> {
        let mut held = false;
        loop {
            let failure = match self.try_write(batch).await {
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
                self.tell(batch::waiting(batch, &trouble.why)).await;
            }
            self.link.wait(&trouble).await;
        }
    }

    async fn try_write(&mut self, batch: &Batch) -> Result<Written, Failure> {
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
        let (now, only_run) = (self.clock.now(), self.only_run);
        let writing = Writing { batch, now, only_run, notes: Notes::Dealt };
        let (client, _) = self.link.client().await?;
        let written = write(client, &writing).await;
        written.map_err(|error| self.link.failure("write to", &error))
    }

    /// Tells what became of a batch; false if nobody wants to know any more.
    async fn report(&mut self, batch: &Batch, refused: &Refused) -> bool {
        if let Some(range) = batch.ordinals.iter().last() {
            // A gap before it is one that the store knows of.
            self.confirmed = *range.end();
        }
        self.tell(batch::outcomes(batch, refused)).await
    }

    async fn tell(&self, outcomes: impl IntoIterator<Item = Outcome>) -> bool {
        for outcome in outcomes {
            if self.ends.outcomes.send(Ok(outcome)).await.is_err() {
                return false;
            }
        }
        true
    }
}
