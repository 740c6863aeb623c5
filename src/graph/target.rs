//! `bolt://…` and `neo4j://…` as a database: a connection for each type, and one to sweep with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::activity::activity;
use super::delivered::{delivered, last_run, note_delivered};
use super::fault::{Fault, GraphError};
use super::link::{Address, Link};
use super::model::Entity;
use super::notes::{self, agree, is_last_swept};
use super::refused::{note_refused, refused_of};
use super::settler::{QUIET, Stillness, settle_if_quiet, settle_now, settle_version};
use super::{Arrival, Noting, SettlingEnd, Stamp, job, prepare, sweep, write};
use crate::database::{
    After, Answer, Batch, Database, GoOn, Noted, Obstacle, OpenError, Outage, Passes, Row,
    VersionEnd, Written, connected,
};
use crate::model::agreement::{Completion, Event, Noter, Rules, SweepOwed};
use crate::model::{Clock, DumpName, FirstConnection, Job, Kind, Ranges, Run, Sweep, Swept};

/// Records of one transaction: what records share is written once for all of them, so that more
/// go faster (of releases 2,000 at 1,240 a second, 500 at 900).
const BATCH: usize = 2_000;

/// What people call it.
const NOUN: &str = "graph";

/// What was swept, and how that ended.
type KnownSweep = ((After, Option<Sweep>), Swept);

/// A graph on a server.
pub struct Graph {
    address: Address,
    job: Job,
    location: String,
    noter: Option<Noter>,
    clock: Arc<dyn Clock>,
    links: [Link; 4],
    /// What a sweep did after which settling did not come to its end.
    swept: Mutex<Option<KnownSweep>>,
    /// Looks whether anything is to be done when nothing comes.
    idle: Link,
    watch: Stillness,
    quiet: Duration,
}

impl Graph {
    /// Waits for the server, and makes the constraints and indexes that are missing. With a `noter`
    /// what is written is messages.
    ///
    /// # Errors
    /// If the server does not let us in, or holds what breaks a constraint.
    pub async fn open(
        address: &Address,
        noter: Option<Noter>,
        clock: Arc<dyn Clock>,
        first: FirstConnection,
    ) -> Result<Graph, OpenError> {
        let location = address.to_string();
        let fatal = |why: GraphError, hint| {
            OpenError::new(format!("cannot use {location}: {why}")).hint(hint)
        };
        let link = || {
            let link = Link::new(address);
            link.map_err(|why| fatal(why, "the certificates must be readable"))
        };
        let (links, idle) = ([link()?, link()?, link()?, link()?], link()?);
        let outage = Outage::of(NOUN, location.clone());
        let connected = connected(&outage, first, async || {
            let ready = async {
                prepare(&links[0]).await?;
                job(&links[0]).await
            };
            match ready.await {
                Ok(job) => Ok(Ok(job)),
                Err(error) if error.fault == Fault::Passing => Err(obstacle(error)),
                Err(error) => {
                    let hint = "user and password must be right, and the user must be allowed to \
                                make constraints and to write";
                    Ok(Err(fatal(error, hint)))
                }
            }
        });
        let job = connected.await.map_err(|obstacle| {
            let what = format!("cannot connect to {location}: {}", obstacle.why);
            OpenError { what, hint: obstacle.hint }
        })??;
        let noter = noter.map(|noter| Noter {
            rules: Rules { sweep_owed: SweepOwed::Always, ..noter.rules },
            ..noter
        });
        Ok(Graph {
            address: address.clone(),
            job,
            location,
            noter,
            clock,
            links,
            swept: Mutex::default(),
            idle,
            watch: Stillness::default(),
            quiet: QUIET,
        })
    }

    /// The same, which settles what was written when nothing has come for so long.
    #[must_use]
    pub fn quiet_after(self, quiet: Duration) -> Graph {
        Graph { quiet, ..self }
    }

    const fn link(&self, kind: Kind) -> &Link {
        &self.links[kind as usize]
    }

    fn noter(&self) -> Result<&Noter, Obstacle> {
        let nobody = || Obstacle::lasting("it was opened by somebody who notes nothing");
        self.noter.as_ref().ok_or_else(nobody)
    }

    async fn write_batch(&self, batch: &Batch) -> Result<Written, Obstacle> {
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
        let (link, noter) = (self.link(batch.kind), self.noter.as_ref());
        let noting = Noting { kind: batch.kind, noter, now };
        let refused = write(link, &noting, &arrivals).await.map_err(obstacle)?;
        if let (None, Some((file, run))) = (noter, batch.of()) {
            // What was refused, or bad to begin with, is dealt with too.
            note_delivered(link, file, run, &batch.ordinals).await.map_err(obstacle)?;
        }
        written.refused.extend(refused.into_iter().map(|(at, why)| (indices[at], why)));
        let refusals = batch.refusals(&written.refused);
        if let (Some(_), Some((file, run)), false) = (noter, batch.of(), refusals.is_empty()) {
            note_refused(link, file, run, &refusals).await.map_err(obstacle)?;
        }
        Ok(written)
    }

    async fn swept(
        &self,
        after: After,
        go_on: &mut (dyn FnMut(u64) -> bool + Send),
    ) -> Result<Swept, GraphError> {
        let link = Link::new(&self.address)?;
        let what = match after {
            After::File(sweep) => Some(sweep),
            After::Announced(announced, limits) => {
                limits.sweep(&announced, refused_of(&link, &announced).await?)
            }
        };
        let known = self.known_sweep().take_if(|(of, _)| *of == (after, what));
        let known = known.map(|(_, swept)| swept);
        let swept = match (known, &what) {
            (Some(swept), _) => swept,
            (None, Some(what)) => sweep(&link, what, go_on).await?,
            (None, None) => Swept::Removed(0),
        };
        if swept == Swept::Stopped {
            return Ok(swept);
        }
        let settled = self.settle_after(&link, after, go_on).await;
        if settled.as_ref().is_ok_and(|is_over| *is_over) {
            return Ok(swept);
        }
        // It need not be swept again for that.
        *self.known_sweep() = Some(((after, what), swept));
        settled.map(|_| Swept::Stopped)
    }

    fn known_sweep(&self) -> MutexGuard<'_, Option<KnownSweep>> {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles what many records say together, if this was the last that it waited for. Who extracts
    /// goes type by type, and it is settled after each. False if it was told to stop.
    async fn settle_after(
        &self,
        link: &Link,
        after: After,
        go_on: &mut (dyn FnMut(u64) -> bool + Send),
    ) -> Result<bool, GraphError> {
        match (after, &self.noter) {
            (After::Announced(announced, _), Some(noter)) => {
                if !is_last_swept(link, noter, &announced).await? {
                    return Ok(true);
                }
                settle_version(link, noter, announced.version, go_on).await
            }
            (After::Announced(..), None) | (After::File(_), _) => {
                if !activity(link).await?.is_owed() {
                    return Ok(true);
                }
                Ok(settle_now(link, go_on).await? != SettlingEnd::Stopped)
            }
        }
    }
}

fn arrival(batch: &Batch, row: &Row, this_year: i64) -> Result<Arrival, String> {
    let entity = Entity::read(batch.kind, &row.json, &row.hash.to_string(), this_year);
    let stamp = batch.source.zip(row.ordinal);
    let stamp = stamp.map(|((version, run), ordinal)| Stamp { version, run, ordinal });
    entity.map(|entity| Arrival { stamp, entity }).map_err(|unfit| unfit.to_string())
}

fn obstacle(error: GraphError) -> Obstacle {
    let passes = match error.fault {
        Fault::Passing => Passes::Away,
        Fault::Record | Fault::Database => Passes::Never,
    };
    Obstacle { why: error.words, hint: None, passes }
}

impl Database for Graph {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn noun(&self) -> &'static str {
        NOUN
    }

    fn removes(&self) -> &'static str {
        "nodes"
    }

    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written> {
        Box::pin(async move { self.write_batch(&batch).await })
    }

    fn held(&self, file: DumpName, run: Run) -> Answer<'_, Ranges> {
        Box::pin(async move { delivered(self.link(file.kind), file, run).await.map_err(obstacle) })
    }

    fn last_run(&self, file: DumpName) -> Answer<'_, Option<Run>> {
        Box::pin(async move { last_run(self.link(file.kind), file).await.map_err(obstacle) })
    }

    fn sweep(&self, after: After, go_on: GoOn) -> Answer<'_, Swept> {
        Box::pin(async move { self.swept(after, &mut |rows| go_on(rows)).await.map_err(obstacle) })
    }

    fn settle_if_quiet(&self, go_on: GoOn) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut go_on = |rows| go_on(rows);
            settle_if_quiet(&self.idle, &self.watch, self.quiet, &mut go_on).await.map_err(obstacle)
        })
    }

    fn answers(&self) -> Answer<'_, ()> {
        Box::pin(async { self.link(Kind::Artists).ask().await.map_err(obstacle) })
    }

    fn notes(&self, kind: Kind, which: Noted) -> Answer<'_, Completion> {
        Box::pin(async move {
            notes::notes(self.link(kind), self.noter()?, kind, which).await.map_err(obstacle)
        })
    }

    fn last_version_end(&self, kind: Kind) -> Answer<'_, Option<VersionEnd>> {
        Box::pin(async move {
            notes::last_version_end(self.link(kind), self.noter()?).await.map_err(obstacle)
        })
    }

    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)> {
        let now = self.clock.now();
        Box::pin(async move {
            agree(self.link(kind), self.noter()?, kind, &event, now).await.map_err(obstacle)
        })
    }

    fn version_ends(&self, kind: Kind, end: VersionEnd) -> Answer<'_, ()> {
        let now = self.clock.now();
        Box::pin(async move {
            let link = self.link(kind);
            notes::version_ends(link, self.noter()?, kind, &end, now).await.map_err(obstacle)
        })
    }
}
