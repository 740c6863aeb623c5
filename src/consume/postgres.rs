//! `postgres://…` as a target: a connection a type, made anew whenever one is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::message::ExtractionComplete;
use super::round::PATIENCE;
use super::target::{Answer, Away, SweepLimits, Target};
use crate::model::agreement::{Announced, Completion, Event, Noter};
use crate::model::{Clock, DumpName, Job, Kind, Ordinal, Run, Version};
use crate::tables::postgres::notes::{self, agree};
use crate::tables::postgres::{
    Fault, POSTGRES, Server, Stretch, Writing, create, delivered, fault, identity, is_only_run,
    migrate, missing, next_stretch, note_first, remember_sweep, remove_stale, words, write,
};
use crate::tables::schema::SchemaError;
use crate::tables::sweep::{self, Rows, Swept};
use crate::tables::{Batch, Notes, Which, Written};

/// Between two tries to connect at the beginning.
const PAUSE: Duration = Duration::from_secs(1);

/// A database that cannot be used, however long one waits.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {location}: {why}\nhint: {hint}")]
pub struct PostgresError {
    location: String,
    why: String,
    hint: &'static str,
}

/// The connection of one type.
#[derive(Default)]
struct Line {
    client: Option<Client>,
    /// Of which runs it is known whether no other wrote to the table.
    only: HashMap<(Version, u64), bool>,
}

/// A database on a server.
pub struct Postgres {
    server: Server,
    job: Job,
    location: String,
    noter: Noter,
    clock: Arc<dyn Clock>,
    lines: [Mutex<Line>; 4],
}

impl Postgres {
    /// Waits for the server and brings the schema up to date.
    ///
    /// # Errors
    /// If the database is not for this program, or is refused to it.
    pub async fn open(
        server: &Server,
        noter: Noter,
        clock: Arc<dyn Clock>,
    ) -> Result<Postgres, PostgresError> {
        let location = server.to_string();
        let fatal = |why: String, hint| PostgresError { location: location.clone(), why, hint };
        let mut told = false;
        let id = loop {
            let away = match prepared(server, &*clock).await {
                Ok(id) => break id,
                Err(Unprepared::Away(why)) => why,
                Err(Unprepared::Wrong(why)) => {
                    return Err(fatal(why, "use the release that made it, or another database"));
                }
                Err(Unprepared::Refused(why)) => {
                    return Err(fatal(why, "let this user make and fill tables there"));
                }
            };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(
                    database = location,
                    why = away,
                    "the database is away, trying until it is back"
                );
            }
            sleep(PAUSE).await;
        };
        Ok(Postgres {
            server: server.clone(),
            job: Job::new(format!("postgres:{id}")),
            location,
            noter,
            clock,
            lines: Default::default(),
        })
    }

    async fn line(&self, kind: Kind) -> MutexGuard<'_, Line> {
        self.lines[kind as usize].lock().await
    }

    fn away(&self, why: &str) -> Away {
        Away(self.server.without_user(why))
    }

    /// The client of a type, to be put back after everything went well.
    async fn client(&self, line: &mut Line) -> Result<Client, Away> {
        // One that was in use when somebody stopped waiting is not put back.
        if let Some(client) = line.client.take().filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        connect(&self.server).await.map_err(|why| self.away(&why))
    }

    /// Does something over a type's connection.
    async fn ask<T>(
        &self,
        kind: Kind,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Away> {
        let mut line = self.line(kind).await;
        let mut client = self.client(&mut line).await?;
        let done = work(&mut client).await.map_err(|error| self.away(&words(&error)))?;
        line.client = Some(client);
        Ok(done)
    }

    async fn write_batch(&self, batch: &Batch) -> Result<Written, Away> {
        let mut line = self.line(batch.kind).await;
        let mut client = self.client(&mut line).await?;
        let only_run = match batch.of() {
            Some((file, run)) => self.is_only(&mut line, &client, file, run).await?,
            None => false,
        };
        let (now, notes) = (self.clock.now(), Notes::Messages(&self.noter));
        let writing = Writing { batch, now, only_run, notes };
        let written = write(&mut client, &writing).await;
        let written = written.map_err(|error| self.away(&words(&error)))?;
        line.client = Some(client);
        Ok(written)
    }

    /// Whether no other run is known to have written to a table.
    async fn is_only(
        &self,
        line: &mut Line,
        client: &Client,
        file: DumpName,
        run: Run,
    ) -> Result<bool, Away> {
        let key = (file.version, run.0);
        if let Some(only) = line.only.get(&key) {
            return Ok(*only);
        }
        let look = async {
            note_first(client, file, run).await?;
            is_only_run(client, file, run).await
        };
        let only = look.await.map_err(|error: Error| self.away(&words(&error)))?;
        // Whatever was known of others is no longer true.
        line.only.clear();
        line.only.insert(key, only);
        Ok(only)
    }

    async fn do_sweep(
        &self,
        announced: Announced,
        limits: SweepLimits,
        go_on: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Result<Swept, Away> {
        let Some(sweep) = limits.sweep(&announced) else { return Ok(Swept::Stopped) };
        let client = connect(&self.server).await.map_err(|why| self.away(&why))?;
        let runtime = Handle::current();
        let sweeping = tokio::task::spawn_blocking(move || {
            let which = Which { file: sweep.file, run: sweep.run };
            let mut table = Table { client: &client, runtime: &runtime, which };
            // A run is noted as complete only when all of it is written.
            let swept = sweep::sweep(&mut table, &sweep, sweep.last, &mut |_| go_on())?;
            if swept == Swept::Stopped || !index(&client, &runtime, sweep.file.kind, &*go_on)? {
                return Ok(Swept::Stopped);
            }
            Ok(swept)
        });
        let swept: Result<Swept, Error> = sweeping.await.map_err(|died| Away(died.to_string()))?;
        swept.map_err(|error| self.away(&words(&error)))
    }
}

/// Makes the indexes that the platform's readers use, where a table lacks them; false if it was
/// told to stop meanwhile.
fn index(
    client: &Client,
    runtime: &Handle,
    kind: Kind,
    go_on: &dyn Fn() -> bool,
) -> Result<bool, Error> {
    for index in runtime.block_on(missing(client, kind))? {
        if !go_on() {
            return Ok(false);
        }
        let name = index.name(kind);
        tracing::info!(index = name, "making an index");
        match runtime.block_on(create(client, kind, index)) {
            Err(error) if fault(&error) == Fault::Record => {
                tracing::warn!(index = name, why = words(&error), "left out: it cannot be made");
            }
            made => made?,
        }
    }
    Ok(true)
}

async fn connect(server: &Server) -> Result<Client, String> {
    let connected = timeout(PATIENCE, server.connect()).await;
    let connected = connected.map_err(|_| "no answer".to_owned())?;
    let connected = connected.map_err(|error| error.to_string())?;
    tokio::spawn(connected.talking);
    Ok(connected.client)
}

enum Unprepared {
    Away(String),
    Wrong(String),
    Refused(String),
}

async fn prepared(server: &Server, clock: &dyn Clock) -> Result<String, Unprepared> {
    let mut client =
        connect(server).await.map_err(|why| Unprepared::Away(server.without_user(&why)))?;
    let prepared = async {
        migrate(&mut client, POSTGRES, clock.now()).await?;
        Ok(identity(&client, &Uuid::new_v4().to_string()).await?)
    };
    prepared.await.map_err(|error| match error {
        SchemaError::Mismatch(why) => Unprepared::Wrong(why.to_string()),
        SchemaError::Database(error) => {
            let why = server.without_user(&words(&error));
            match fault(&error) {
                Fault::Passing => Unprepared::Away(why),
                Fault::Refusing | Fault::Record | Fault::Schema => Unprepared::Refused(why),
            }
        }
    })
}

/// The table that is swept.
struct Table<'a> {
    client: &'a Client,
    runtime: &'a Handle,
    which: Which,
}

impl Rows for Table<'_> {
    type Stretch = Stretch;
    type Error = Error;

    fn next(
        &mut self,
        previous: Option<&Stretch>,
        _go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Option<Stretch>>, Error> {
        self.runtime.block_on(next_stretch(self.client, &self.which, previous)).map(Some)
    }

    fn remember(&mut self, _go_on: &mut dyn FnMut(u64) -> bool) -> Result<Option<()>, Error> {
        self.runtime.block_on(remember_sweep(self.client, &self.which)).map(Some)
    }

    fn remove(
        &mut self,
        stretch: &Stretch,
        _go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<u64>, Error> {
        self.runtime.block_on(remove_stale(self.client, &self.which, stretch)).map(Some)
    }
}

impl Target for Postgres {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written> {
        Box::pin(async move { self.write_batch(&batch).await })
    }

    fn answers(&self) -> Answer<'_, ()> {
        // Any of the lines tells; they are lost together.
        Box::pin(async move {
            let look = async |client: &mut Client| {
                let sql = "SELECT current_setting('transaction_read_only')::bool";
                client.query_typed_one(sql, &[]).await?.try_get::<_, bool>(0)
            };
            if self.ask(Kind::Artists, look).await? {
                return Err(Away("the server may only be read".into()));
            }
            Ok(())
        })
    }

    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)> {
        let now = self.clock.now();
        Box::pin(
            self.ask(kind, async move |client| agree(client, &self.noter, kind, &event, now).await),
        )
    }

    fn extraction_complete(&self, kind: Kind, what: ExtractionComplete) -> Answer<'_, ()> {
        let now = self.clock.now();
        Box::pin(self.ask(kind, async move |client| {
            let Some(version) = what.version else { return Ok(()) };
            let words = (what.started_at.as_deref(), what.record_counts.as_deref());
            notes::extraction_complete(client, &self.noter, kind, version, words, now).await
        }))
    }

    fn notes(&self, kind: Kind) -> Answer<'_, Completion> {
        Box::pin(self.ask(kind, async move |client| notes::notes(client, &self.noter, kind).await))
    }

    fn written(&self, file: DumpName, run: Run) -> Answer<'_, u64> {
        Box::pin(self.ask(file.kind, async move |client| {
            Ok(delivered(client, file, run).await?.count_to(Ordinal(u64::MAX)))
        }))
    }

    fn sweep(
        &self,
        announced: Announced,
        limits: SweepLimits,
        go_on: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Answer<'_, Swept> {
        Box::pin(self.do_sweep(announced, limits, go_on))
    }
}
