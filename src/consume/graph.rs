//! `bolt://…` and `neo4j://…` as a target: a connection for each type, and one to sweep with.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::message::ExtractionComplete;
use super::target::{Answer, Away, SweepLimits, Target};
use crate::graph::model::Entity;
use crate::graph::notes::{self, agree, is_last_swept};
use crate::graph::{
    Address, Arrival, Fault, GraphError, Link, Noting, Stamp, delivered, job, prepare, settle,
    sweep, write,
};
use crate::model::agreement::{Announced, Completion, Event, Noter, Rules, SweepOwed};
use crate::model::{Clock, DumpName, Job, Kind, Ordinal, Run, Swept};
use crate::tables::{Batch, Row, Written};

/// Between two tries to reach a server that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Records of one transaction: what records share is written once for all of them, so that more
/// go faster (of releases 2,000 at 1,240 a second, 500 at 900).
const BATCH: usize = 2_000;

/// A graph that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {address}: {why}\nhint: {hint}")]
pub struct GraphTargetError {
    address: String,
    why: GraphError,
    hint: &'static str,
}

/// A graph on a server.
pub struct Graph {
    address: Address,
    job: Job,
    location: String,
    noter: Noter,
    clock: Arc<dyn Clock>,
    links: [Link; 4],
}

impl Graph {
    /// Waits for the server, and makes the constraints and indexes that are missing.
    ///
    /// # Errors
    /// If the server does not let us in, or holds what breaks a constraint.
    pub async fn open(
        address: &Address,
        noter: Noter,
        clock: Arc<dyn Clock>,
    ) -> Result<Graph, GraphTargetError> {
        let location = address.to_string();
        let fatal = |why, hint| GraphTargetError { address: location.clone(), why, hint };
        let link = || {
            let link = Link::new(address);
            link.map_err(|why| fatal(why, "the certificates must be readable"))
        };
        let links = [link()?, link()?, link()?, link()?];
        let ready = async || {
            prepare(&links[0]).await?;
            job(&links[0]).await
        };
        let mut told = false;
        let job = loop {
            match ready().await {
                Ok(job) => break job,
                Err(error) if error.fault == Fault::Passing => {
                    if !std::mem::replace(&mut told, true) {
                        let why = error.to_string();
                        tracing::warn!(
                            graph = location,
                            why,
                            "the graph is away, trying until it is back"
                        );
                    }
                }
                Err(error) => {
                    let hint = "user and password must be right, and the user must be allowed to \
                                make constraints and to write";
                    return Err(fatal(error, hint));
                }
            }
            sleep(PAUSE).await;
        };
        let rules = Rules { sweep_owed: SweepOwed::Always, ..noter.rules };
        Ok(Graph {
            address: address.clone(),
            job,
            location,
            noter: Noter { rules, ..noter },
            clock,
            links,
        })
    }

    const fn link(&self, kind: Kind) -> &Link {
        &self.links[kind as usize]
    }

    async fn write_batch(&self, batch: &Batch) -> Result<Written, Away> {
        let now = self.clock.now();
        let (mut arrivals, mut indices, mut written) = (Vec::new(), Vec::new(), Written::default());
        for (index, row) in batch.rows.iter().enumerate() {
            match arrival(batch, row, i64::from(now.year())) {
                Ok(arrival) => {
                    arrivals.push(arrival);
                    indices.push(index);
                }
                Err(why) => {
                    written.refused.insert(index, why);
                }
            }
        }
        let noting = Noting { kind: batch.kind, noter: &self.noter, now };
        let refused = write(self.link(batch.kind), &noting, &arrivals).await.map_err(away)?;
        written.refused.extend(refused.into_iter().map(|(at, why)| (indices[at], why)));
        Ok(written)
    }

    async fn do_sweep(
        &self,
        announced: &Announced,
        limits: SweepLimits,
        go_on: &mut (dyn FnMut(u64) -> bool + Send),
    ) -> Result<Swept, GraphError> {
        let link = Link::new(&self.address)?;
        let swept = match limits.sweep(announced) {
            Some(what) => sweep(&link, &what, go_on).await?,
            None => Swept::Removed(0),
        };
        if swept != Swept::Stopped && is_last_swept(&link, &self.noter, announced).await? {
            tracing::info!("settling what many records say together");
            if !settle(&link, go_on).await? {
                return Ok(Swept::Stopped);
            }
        }
        Ok(swept)
    }
}

fn arrival(batch: &Batch, row: &Row, this_year: i64) -> Result<Arrival, String> {
    let entity = Entity::read(batch.kind, &row.json, &row.hash.to_string(), this_year);
    let stamp = batch.source.zip(row.ordinal);
    let stamp = stamp.map(|((version, run), ordinal)| Stamp { version, run, ordinal });
    entity.map(|entity| Arrival { stamp, entity }).map_err(|unfit| unfit.to_string())
}

fn away(error: GraphError) -> Away {
    Away(error.words)
}

impl Target for Graph {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn swept(&self) -> &'static str {
        "nodes"
    }

    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written> {
        Box::pin(async move { self.write_batch(&batch).await })
    }

    fn answers(&self) -> Answer<'_, ()> {
        Box::pin(async { self.link(Kind::Artists).ask().await.map_err(away) })
    }

    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)> {
        let now = self.clock.now();
        Box::pin(async move {
            agree(self.link(kind), &self.noter, kind, &event, now).await.map_err(away)
        })
    }

    fn extraction_complete(&self, kind: Kind, what: ExtractionComplete) -> Answer<'_, ()> {
        let (link, now) = (self.link(kind), self.clock.now());
        Box::pin(async move {
            let Some(version) = what.version else { return Ok(()) };
            let words = (what.started_at.as_deref(), what.record_counts.as_deref());
            notes::extraction_complete(link, &self.noter, kind, version, words, now)
                .await
                .map_err(away)
        })
    }

    fn notes(&self, kind: Kind) -> Answer<'_, Completion> {
        Box::pin(
            async move { notes::notes(self.link(kind), &self.noter, kind).await.map_err(away) },
        )
    }

    fn written(&self, file: DumpName, run: Run) -> Answer<'_, u64> {
        Box::pin(async move {
            let held = delivered(self.link(file.kind), file, run).await.map_err(away)?;
            Ok(held.count_to(Ordinal(u64::MAX)))
        })
    }

    fn sweep(
        &self,
        announced: Announced,
        limits: SweepLimits,
        go_on: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Answer<'_, Swept> {
        Box::pin(
            async move { self.do_sweep(&announced, limits, &mut |_| go_on()).await.map_err(away) },
        )
    }
}
