//! `postgres://…` as a database: a connection a type, made anew whenever one is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connect::Server;
use super::delivered::delivered;
use super::fault::{Fault, fault, words};
use super::identity::identity;
use super::indexes::{create, missing};
use super::migrate::{POSTGRES, migrate};
use super::notes::{self, agree};
use super::refused::refused_of;
use super::rows::{Writing, write};
use super::runs::{is_only_run, last_run, note_first, remember_sweep};
use super::session::Session;
use super::stretch::{Stretch, next_stretch, remove_stale};
use crate::database::schema::SchemaError;
use crate::database::sweep::{self, Rows};
use crate::database::{
    After, Answer, Batch, Database, GoOn, Noted, Notes, Obstacle, OpenError, Outage, Passes,
    VersionEnd, Which, Written, connected,
};
use crate::model::agreement::{Completion, Event, Noter};
use crate::model::{
    Clock, DumpName, FirstConnection, Job, Kind, Ordinal, Ranges, Run, Sweep, Swept, Version,
};

/// How long asking a server to leave off may take.
const CANCEL: Duration = Duration::from_secs(1);

/// The connection of one type.
#[derive(Default)]
struct Line {
    client: Option<Client>,
    /// Of which runs it is known whether no other wrote to the table.
    only: HashMap<(Version, Run), bool>,
}

/// A database on a server.
pub struct Postgres {
    session: Session,
    job: Job,
    location: String,
    noter: Option<Noter>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    lines: [Mutex<Line>; 4],
    /// The connection that the last sweep was made over.
    sweeping: Mutex<Option<Client>>,
}

impl Postgres {
    /// Waits for the server, brings the schema up to date, and reads the database's identity. With a
    /// `noter` what is written is messages.
    ///
    /// # Errors
    /// If the database is not for this program, a file of the configuration cannot be used, or there
    /// is no connection within the time that is given.
    pub async fn open(
        server: &Server,
        noter: Option<Noter>,
        clock: Arc<dyn Clock>,
        first: FirstConnection,
        stop: CancellationToken,
    ) -> Result<Postgres, OpenError> {
        server.check().map_err(|error| OpenError::of(&error))?;
        let outage = Outage::of("database", server.to_string());
        let connected = connected(&outage, first, async || match prepared(server, &*clock).await {
            Ok(identity) => Ok(Ok(identity)),
            Err(SchemaError::Mismatch(error)) => {
                let what = format!("cannot use {server}: {error}");
                let hint = "use the release that made it, or another database";
                Ok(Err(OpenError::new(what).hint(hint)))
            }
            Err(SchemaError::Database(obstacle)) => Err(obstacle),
        });
        let identity = connected.await.map_err(|obstacle| {
            let doing = if obstacle.passes == Passes::Never { "prepare" } else { "connect to" };
            let what = format!("cannot {doing} {server}: {}", obstacle.why);
            OpenError { what, hint: obstacle.hint }
        })??;
        let (location, job) = (server.to_string(), Job::new(format!("postgres:{identity}")));
        let session = Session { server: server.clone(), identity: Some(identity) };
        let (lines, sweeping) = Default::default();
        Ok(Postgres { session, job, location, noter, clock, stop, lines, sweeping })
    }

    async fn line(&self, kind: Kind) -> MutexGuard<'_, Line> {
        self.lines[kind as usize].lock().await
    }

    /// Does something over a type's connection.
    async fn ask<T>(
        &self,
        kind: Kind,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Obstacle> {
        let mut line = self.line(kind).await;
        // One that was in use when somebody stopped waiting is not put back.
        let mut client = self.session.client(line.client.take()).await?;
        let done = work(&mut client).await;
        line.client = Some(client);
        done.map_err(|error| self.session.obstacle(&error))
    }

    async fn write_batch(&self, batch: &Batch) -> Result<Written, Obstacle> {
        let mut line = self.line(batch.kind).await;
        let mut client = self.session.client(line.client.take()).await?;
        let only_run = match batch.of() {
            Some((file, run)) => self.is_only(&mut line, &client, file, run).await?,
            None => false,
        };
        let now = self.clock.now();
        let notes = self.noter.as_ref().map_or(Notes::Dealt, Notes::Messages);
        let written = write(&mut client, &Writing { batch, now, only_run, notes }).await;
        line.client = Some(client);
        written.map_err(|error| self.session.obstacle(&error))
    }

    /// Whether no other run is known to have written to a table.
    async fn is_only(
        &self,
        line: &mut Line,
        client: &Client,
        file: DumpName,
        run: Run,
    ) -> Result<bool, Obstacle> {
        let key = (file.version, run);
        if let Some(only) = line.only.get(&key) {
            return Ok(*only);
        }
        let look = async {
            // Who extracts has begun before it writes; a message comes from nowhere.
            if self.noter.is_some() {
                note_first(client, file, run).await?;
            }
            is_only_run(client, file, run).await
        };
        let only = look.await.map_err(|error: Error| self.session.obstacle(&error))?;
        // Whatever was known of others is no longer true.
        line.only.clear();
        line.only.insert(key, only);
        Ok(only)
    }

    fn noter(&self) -> Result<&Noter, Obstacle> {
        let nobody = || Obstacle::lasting("it was opened by somebody who notes nothing");
        self.noter.as_ref().ok_or_else(nobody)
    }

    async fn swept(&self, after: After, go_on: GoOn) -> Result<Swept, Obstacle> {
        let kept = self.sweeping.lock().await.take();
        let client = self.session.client(kept).await?;
        let failed = |error: Error| self.session.obstacle(&error);
        let (sweep, held) = match after {
            After::File(sweep) => {
                let held = delivered(&client, sweep.file, sweep.run).await.map_err(failed)?;
                (sweep, held.prefix())
            }
            // A run is noted as complete only when all of it is written, or was refused.
            After::Announced(announced, limits) => {
                let refused = refused_of(&client, &announced).await.map_err(failed)?;
                match limits.sweep(&announced, refused) {
                    Some(sweep) => (sweep, sweep.last),
                    None => return Ok(Swept::Removed(0)),
                }
            }
        };
        let only = is_only_run(&client, sweep.file, sweep.run).await.map_err(failed)?;
        let asking = Asking {
            client,
            server: self.session.server.clone(),
            runtime: Handle::current(),
            stop: self.stop.clone(),
        };
        let sweeping = spawn_blocking(move || {
            let swept = sweep_table(&asking, &sweep, only, held, &mut |rows| go_on(rows));
            (asking.client, swept)
        });
        let (client, swept) = sweeping.await.map_err(|died| Obstacle::lasting(died.to_string()))?;
        let swept = swept.map_err(failed)?;
        if swept != Swept::Stopped {
            *self.sweeping.lock().await = Some(client);
        }
        Ok(swept)
    }
}

/// Sweeps a table to which this run alone wrote, or others too, and makes its indexes.
fn sweep_table(
    asking: &Asking,
    sweep: &Sweep,
    only: bool,
    held: Ordinal,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Swept, Error> {
    let mut table = Table { asking, which: Which { file: sweep.file, run: sweep.run } };
    let swept = if only {
        sweep::nothing_stale(&mut table, sweep, held, go_on)?
    } else {
        sweep::sweep(&mut table, sweep, held, go_on)?
    };
    // The type is complete in its table now, whatever may stay in it of earlier versions.
    if swept != Swept::Stopped && !index(asking, sweep.file.kind, go_on)? {
        return Ok(Swept::Stopped);
    }
    Ok(swept)
}

async fn prepared(server: &Server, clock: &dyn Clock) -> Result<String, SchemaError<Obstacle>> {
    let session = Session { server: server.clone(), identity: None };
    let mut client = session.client(None).await.map_err(SchemaError::Database)?;
    let prepared = async {
        migrate(&mut client, POSTGRES, clock.now()).await?;
        Ok(identity(&client, &Uuid::new_v4().to_string()).await?)
    };
    prepared.await.map_err(|error| match error {
        SchemaError::Mismatch(mismatch) => SchemaError::Mismatch(mismatch),
        SchemaError::Database(error) => SchemaError::Database(session.obstacle(&error)),
    })
}

/// Asks the server from a thread that may wait, until everything is told to stop.
struct Asking {
    client: Client,
    server: Server,
    runtime: Handle,
    stop: CancellationToken,
}

impl Asking {
    /// An answer; none if everything was told to stop meanwhile.
    fn ask<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<Option<T>, Error> {
        if let Some(answer) = self.runtime.block_on(self.stop.run_until_cancelled(answer)) {
            return answer.map(Some);
        }
        // It ends with the connection, if not by this.
        _ = self.runtime.block_on(timeout(CANCEL, self.server.cancel(&self.client)));
        Ok(None)
    }
}

/// Makes the indexes that the platform's readers use, where a table lacks them; false if it was
/// told to stop meanwhile.
fn index(asking: &Asking, kind: Kind, go_on: &mut dyn FnMut(u64) -> bool) -> Result<bool, Error> {
    let Some(missing) = asking.ask(missing(&asking.client, kind))? else { return Ok(false) };
    for index in missing {
        if !go_on(0) {
            return Ok(false);
        }
        let name = index.name(kind);
        tracing::info!(index = name, "making an index");
        match asking.ask(create(&asking.client, kind, index)) {
            Err(error) if fault(&error) == Fault::Record => {
                tracing::warn!(index = name, why = words(&error), "left out: it cannot be made");
            }
            Ok(None) => return Ok(false),
            made => drop(made?),
        }
    }
    Ok(true)
}

/// The table that is swept.
struct Table<'a> {
    asking: &'a Asking,
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
        self.asking.ask(next_stretch(&self.asking.client, &self.which, previous))
    }

    fn remember(&mut self, _go_on: &mut dyn FnMut(u64) -> bool) -> Result<Option<()>, Error> {
        self.asking.ask(remember_sweep(&self.asking.client, &self.which))
    }

    fn remove(
        &mut self,
        stretch: &Stretch,
        _go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<u64>, Error> {
        self.asking.ask(remove_stale(&self.asking.client, &self.which, stretch))
    }
}

impl Database for Postgres {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written> {
        Box::pin(async move { self.write_batch(&batch).await })
    }

    fn held(&self, file: DumpName, run: Run) -> Answer<'_, Ranges> {
        Box::pin(self.ask(file.kind, async move |client| delivered(client, file, run).await))
    }

    fn begin(&self, file: DumpName, run: Run) -> Answer<'_, Ranges> {
        Box::pin(self.ask(file.kind, async move |client| {
            let held = delivered(client, file, run).await?;
            if held.iter().next().is_none() {
                note_first(client, file, run).await?;
            }
            Ok(held)
        }))
    }

    fn last_run(&self, file: DumpName) -> Answer<'_, Option<Run>> {
        Box::pin(self.ask(file.kind, async move |client| last_run(client, file).await))
    }

    fn sweep(&self, after: After, go_on: GoOn) -> Answer<'_, Swept> {
        Box::pin(self.swept(after, go_on))
    }

    fn answers(&self) -> Answer<'_, ()> {
        // Any of the lines tells; they are lost together.
        Box::pin(async move {
            let look = async |client: &mut Client| {
                let sql = "SELECT current_setting('transaction_read_only')::bool";
                client.query_typed_one(sql, &[]).await?.try_get::<_, bool>(0)
            };
            if self.ask(Kind::Artists, look).await? {
                return Err(Obstacle::away("the server may only be read"));
            }
            Ok(())
        })
    }

    fn notes(&self, kind: Kind, which: Noted) -> Answer<'_, Completion> {
        Box::pin(async move {
            let noter = self.noter()?;
            self.ask(kind, async |client| notes::notes(client, noter, kind, which).await).await
        })
    }

    fn last_version_end(&self, kind: Kind) -> Answer<'_, Option<VersionEnd>> {
        Box::pin(async move {
            let noter = self.noter()?;
            let last = async |client: &mut Client| notes::last_version_end(client, noter).await;
            self.ask(kind, last).await
        })
    }

    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)> {
        let now = self.clock.now();
        Box::pin(async move {
            let noter = self.noter()?;
            self.ask(kind, async |client| agree(client, noter, kind, &event, now).await).await
        })
    }

    fn version_ends(&self, kind: Kind, end: VersionEnd) -> Answer<'_, ()> {
        let now = self.clock.now();
        Box::pin(async move {
            let noter = self.noter()?;
            let note = async |client: &mut Client| {
                notes::version_ends(client, noter, kind, &end, now).await
            };
            self.ask(kind, note).await
        })
    }
}
