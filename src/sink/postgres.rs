//! PostgreSQL as a sink: a connection a file. What is written, and by which order, is `tables`.

mod checkup;
mod lane;
mod link;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::runtime::Handle;
use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{LaneStart, LeftOut, Opening, Sink, SinkError, Sweep, Swept};
use crate::model::{Checkpoint, DumpName, Job, Kind, Ordinal, Run};
use crate::tables::Which;
use crate::tables::postgres::{
    Fault, Index, POSTGRES, Server, Stretch, create, delivered, fault, identity, is_only_run,
    last_run, migrate, missing, next_stretch, note_first, remember_sweep, remove_stale, words,
};
use crate::tables::schema::SchemaError;
use crate::tables::sweep::{self, Rows};
pub use checkup::checkup;
use lane::Lane;
use link::{Base, Failure, Link, Outage};

/// `postgres://…`: a row for every record, written over one connection a file.
pub struct Postgres {
    job: Job,
    location: String,
    base: Arc<Base>,
    runtime: Handle,
    stop: CancellationToken,
}

impl Postgres {
    /// Waits for the server, brings the schema up to date, and reads the database's identity.
    ///
    /// # Errors
    /// If the database is not this program's, or a file of the configuration cannot be used, or it
    /// was told to stop meanwhile. A server that is away or refuses is none.
    pub fn open(server: &Server, opening: &Opening) -> Result<Postgres, SinkError> {
        server.check().map_err(|error| SinkError::of(&error))?;
        let base = Arc::new(Base {
            server: server.clone(),
            clock: Arc::clone(&opening.clock),
            runtime: opening.runtime.clone(),
            identity: OnceLock::new(),
            outage: Mutex::new(Outage::default()),
            left_out: Mutex::default(),
        });
        let preparing = opening.stop.run_until_cancelled(prepare(&base));
        let identity = opening.runtime.block_on(preparing).ok_or_else(SinkError::stopped)??;
        let job = Job::new(format!("postgres:{identity}"));
        // It is set here only.
        _ = base.identity.set(identity);
        let (runtime, stop) = (opening.runtime.clone(), opening.stop.clone());
        Ok(Postgres { job, location: server.to_string(), base, runtime, stop })
    }

    /// Does something for as long as it takes; nothing if it was told to stop meanwhile.
    fn patiently<T>(
        &self,
        link: &mut Link,
        doing: &str,
        go_on: &mut dyn FnMut(u64) -> bool,
        work: &impl AsyncFn(&mut Client) -> Result<T, Error>,
    ) -> Result<Option<T>, SinkError> {
        let tries = async {
            loop {
                let failure = match link.client().await {
                    Ok((client, _)) => match work(client).await {
                        Ok(done) => {
                            link.well();
                            return Ok(Some(done));
                        }
                        Err(error) => link.failure(doing, &error),
                    },
                    Err(failure) => failure,
                };
                match failure {
                    Failure::Fatal(error) => return Err(error),
                    Failure::Passing(trouble) if go_on(0) => link.wait(&trouble).await,
                    Failure::Passing(_) => return Ok(None),
                }
            }
        };
        let done = self.runtime.block_on(self.stop.run_until_cancelled(tries));
        done.unwrap_or_else(|| {
            self.runtime.block_on(link.cancel());
            Ok(None)
        })
    }

    /// Makes the indexes that a table has none of; false if it was told to stop meanwhile.
    fn index(
        &self,
        link: &mut Link,
        kind: Kind,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, SinkError> {
        let look = async |client: &mut Client| missing(client, kind).await;
        let Some(missing) = self.patiently(link, "read", go_on, &look)? else { return Ok(false) };
        for index in missing {
            if !go_on(0) {
                return Ok(false);
            }
            let make = async |client: &mut Client| made(client, kind, index).await;
            if self.patiently(link, "index", go_on, &make)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Base {
    /// What was left out of each file.
    fn left_out(&self) -> MutexGuard<'_, BTreeMap<DumpName, LeftOut>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes an index, unless there is something in the table that it cannot hold.
async fn made(client: &Client, kind: Kind, index: Index) -> Result<(), Error> {
    let name = index.name(kind);
    tracing::info!(index = name, "making an index");
    match create(client, kind, index).await {
        Err(error) if fault(&error) == Fault::Record => {
            tracing::warn!(index = name, why = words(&error), "left out: it cannot be made");
            Ok(())
        }
        made => made,
    }
}

/// Brings the schema up to date, for as long as it takes, and returns the identity.
async fn prepare(base: &Arc<Base>) -> Result<String, SinkError> {
    let mut link = Link::new(base);
    let new = Uuid::new_v4().to_string();
    loop {
        let failure = match link.client().await {
            Ok((client, _)) => match migrated(client, base, &new).await {
                Ok(identity) => {
                    link.well();
                    return Ok(identity);
                }
                Err(SchemaError::Database(error)) => link.failure("prepare", &error),
                Err(SchemaError::Mismatch(error)) => {
                    let what = format!("cannot use {}: {error}", base.server);
                    let hint = "use the release that made it, or another database";
                    return Err(SinkError::new(what).hint(hint));
                }
            },
            Err(failure) => failure,
        };
        match failure {
            Failure::Fatal(error) => return Err(error),
            Failure::Passing(trouble) => link.wait(&trouble).await,
        }
    }
}

async fn migrated(
    client: &mut Client,
    base: &Base,
    new: &str,
) -> Result<String, SchemaError<Error>> {
    migrate(client, POSTGRES, base.clock.now()).await?;
    Ok(identity(client, new).await?)
}

impl Sink for Postgres {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn open(&self, start: &LaneStart) -> Result<super::Lane, SinkError> {
        let (file, run) = (start.file, start.run);
        let mut link = Link::new(&self.base);
        let look = async |client: &mut Client| {
            let held = delivered(client, file, run).await?;
            if held.iter().next().is_none() {
                note_first(client, file, run).await?;
            }
            Ok((held.prefix(), is_only_run(client, file, run).await?))
        };
        let looked = self.patiently(&mut link, "read", &mut |_| true, &look)?;
        let (held, only_run) = looked.ok_or_else(SinkError::stopped)?;
        if start.from == Checkpoint::BEGINNING {
            self.base.left_out().remove(&file);
        }
        let holds = held.min(start.from.ordinal());
        let (lane, ends) = super::Lane::new(holds, start.depth);
        let clock = Arc::clone(&self.base.clock);
        let task = Lane { file, run, only_run, clock, link, ends, confirmed: holds };
        self.runtime.spawn(task.run());
        Ok(lane)
    }

    fn still_holds(&self, file: DumpName, run: Run, last: Ordinal) -> Result<bool, SinkError> {
        let look = async |client: &mut Client| delivered(client, file, run).await;
        let held = self.patiently(&mut Link::new(&self.base), "read", &mut |_| true, &look)?;
        Ok(held.ok_or_else(SinkError::stopped)?.prefix() >= last)
    }

    fn last_run(&self, file: DumpName) -> Result<Option<Run>, SinkError> {
        let look = async |client: &mut Client| last_run(client, file).await;
        let last = self.patiently(&mut Link::new(&self.base), "read", &mut |_| true, &look)?;
        last.ok_or_else(SinkError::stopped)
    }

    fn left_out(&self, file: DumpName) -> LeftOut {
        self.base.left_out().get(&file).copied().unwrap_or_default()
    }

    fn sweeps(&self) -> bool {
        true
    }

    fn sweep(&self, sweep: &Sweep, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Swept, SinkError> {
        let Sweep { file, run, .. } = *sweep;
        let mut link = Link::new(&self.base);
        let look = async |client: &mut Client| {
            Ok((
                delivered(client, file, run).await?.prefix(),
                is_only_run(client, file, run).await?,
            ))
        };
        let Some((held, only)) = self.patiently(&mut link, "read", go_on, &look)? else {
            return Ok(Swept::Stopped);
        };
        let mut table = SweptTable { sink: self, link: &mut link, which: Which { file, run } };
        let swept = if only {
            sweep::nothing_stale(&mut table, sweep, held, go_on)?
        } else {
            sweep::sweep(&mut table, sweep, held, go_on)?
        };
        // The type is complete in its table now, whatever may stay in it of earlier versions.
        if swept != Swept::Stopped && !self.index(&mut link, file.kind, go_on)? {
            return Ok(Swept::Stopped);
        }
        Ok(swept)
    }
}

/// The table that is swept.
struct SweptTable<'a> {
    sink: &'a Postgres,
    link: &'a mut Link,
    which: Which,
}

impl Rows for SweptTable<'_> {
    type Stretch = Stretch;
    type Error = SinkError;

    fn next(
        &mut self,
        previous: Option<&Stretch>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Option<Stretch>>, SinkError> {
        let which = self.which;
        let look = async |client: &mut Client| next_stretch(client, &which, previous).await;
        self.sink.patiently(self.link, "sweep", go_on, &look)
    }

    fn remember(&mut self, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Option<()>, SinkError> {
        let which = self.which;
        let remember = async |client: &mut Client| remember_sweep(client, &which).await;
        self.sink.patiently(self.link, "sweep", go_on, &remember)
    }

    fn remove(
        &mut self,
        stretch: &Stretch,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<u64>, SinkError> {
        let which = self.which;
        let remove = async |client: &mut Client| remove_stale(client, &which, stretch).await;
        self.sink.patiently(self.link, "sweep", go_on, &remove)
    }
}
