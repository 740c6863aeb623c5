//! `sqlite:PATH` as a database.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::busy::patiently;
use super::delivered::delivered;
use super::fault::{Fault, fault, obstacle, words};
use super::notes::{self, agree, last_version_end};
use super::open::{connect, connect_reader, prepare};
use super::refused::refused_of;
use super::runs::{is_only_run, last_run, note_first, remember_sweep};
use super::stretch::{Stretch, next_stretch, remove_stale};
use super::thread::Thread;
use crate::database::schema::SchemaError;
use crate::database::sweep::{self, Rows};
use crate::database::{
    After, Answer, Batch, Database, GoOn, Need, Noted, Obstacle, OpenError, VersionEnd, Which,
    Written, hints,
};
use crate::model::agreement::{Completion, Event, Noter};
use crate::model::{Clock, DumpName, Job, Kind, Ranges, Run, Swept};

/// Bytes of database for a byte of gzip, rounded up: the samples' releases come to 5.6.
const DATABASE_PER_GZIP: u64 = 6;

/// A database file that is open.
pub struct Sqlite {
    path: PathBuf,
    job: Job,
    location: String,
    noter: Option<Arc<Noter>>,
    clock: Arc<dyn Clock>,
    thread: Thread,
}

impl Sqlite {
    /// Opens a database, which is made if it is missing, and brings its schema up to date. `clock`
    /// dates rows; with a `noter` what is written is messages.
    ///
    /// # Errors
    /// If it cannot be opened or written, is no SQLite database, or has a schema that this
    /// release does not know.
    pub fn open(
        path: &Path,
        noter: Option<Noter>,
        clock: Arc<dyn Clock>,
    ) -> Result<Sqlite, OpenError> {
        let location = format!("sqlite:{}", path.display());
        let absolute = std::path::absolute(path)
            .map_err(|error| OpenError::new(format!("cannot open {}: {error}", path.display())))?;
        let connection = connect(&absolute).map_err(|error| cannot(path, "open", &error))?;
        let job = make_ready(&connection, &absolute, &*clock)?;
        let noter = noter.map(Arc::new);
        let thread =
            Thread::start(connection, noter.clone(), Arc::clone(&clock)).map_err(|error| {
                OpenError::new(format!("the sink's thread cannot be started: {error}"))
            })?;
        Ok(Sqlite { path: absolute, job, location, noter, clock, thread })
    }

    /// Does something in a transaction, for whoever notes.
    fn agreeing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Noter) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        let noter = self.noter.clone();
        Box::pin(async move {
            let noter = noter.ok_or_else(no_noter)?;
            let work = move |connection: &Connection| {
                transact(connection, |connection| work(connection, &noter))
            };
            self.thread.ask(work).await
        })
    }
}

/// An error of SQLite's while doing something to the file.
pub fn cannot(path: &Path, doing: &str, error: &rusqlite::Error) -> OpenError {
    let Obstacle { why, hint, .. } = obstacle(error);
    OpenError { what: format!("cannot {doing} {}: {why}", path.display()), hint }
}

fn no_noter() -> Obstacle {
    Obstacle::lasting("it was opened by somebody who notes nothing")
}

/// Brings the schema up to date and returns the database's identity.
fn make_ready(connection: &Connection, path: &Path, clock: &dyn Clock) -> Result<Job, OpenError> {
    let failed = |error: &rusqlite::Error| cannot(path, "prepare", error);
    if connection.is_readonly("main").map_err(|error| failed(&error))? {
        let what = format!("{} may only be read", path.display());
        return Err(OpenError::new(what).hint(hints::READ_ONLY));
    }
    prepare(connection, clock.now()).map_err(|error| match error {
        SchemaError::Database(error) if words(&error).ends_with("already exists") => {
            failed(&error).hint("the database has tables of someone else's: give the sink its own")
        }
        SchemaError::Database(error) => failed(&error),
        SchemaError::Mismatch(error) => {
            let what = format!("cannot use {}: {error}", path.display());
            OpenError::new(what).hint("use the release that made it, or another database")
        }
    })
}

fn transact<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = work(connection).and_then(|done| {
        connection.execute_batch("COMMIT")?;
        Ok(done)
    });
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

impl Database for Sqlite {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written> {
        Box::pin(self.thread.write(batch))
    }

    fn held(&self, file: DumpName, run: Run) -> Answer<'_, Ranges> {
        Box::pin(self.thread.ask(move |connection| delivered(connection, file, run)))
    }

    fn begin(&self, file: DumpName, run: Run) -> Answer<'_, Ranges> {
        Box::pin(self.thread.ask(move |connection| {
            let held = delivered(connection, file, run)?;
            if held.iter().next().is_none() {
                // Without the note a sweep has to look at all rows, and an older version is still
                // left out, which is said.
                _ = note_first(connection, file, run);
            }
            Ok(held)
        }))
    }

    fn last_run(&self, file: DumpName) -> Answer<'_, Option<Run>> {
        Box::pin(self.thread.ask(move |connection| last_run(connection, file)))
    }

    fn sweep(&self, after: After, go_on: GoOn) -> Answer<'_, Swept> {
        let path = self.path.clone();
        Box::pin(async move {
            // Reading a whole table takes minutes, so it is done beside the thread that writes.
            let swept = spawn_blocking(move || swept(&path, after, &go_on)).await;
            let swept = swept.map_err(|died| Obstacle::lasting(died.to_string()))?;
            let swept = swept.map_err(|error| obstacle(&error))?;
            if let (After::File(_), Swept::Removed(1..)) = (after, &swept) {
                self.settle().await?;
            }
            Ok(swept)
        })
    }

    fn settle(&self) -> Answer<'_, ()> {
        let path = self.path.clone();
        Box::pin(async move {
            self.thread.ask(moved).await?;
            let synced = spawn_blocking(move || sync_log(&path)).await;
            synced.map_err(|died| Obstacle::lasting(died.to_string()))?
        })
    }

    fn answers(&self) -> Answer<'_, ()> {
        Box::pin(self.thread.ask(|connection| transact(connection, |_| Ok(()))))
    }

    fn notes(&self, kind: Kind, which: Noted) -> Answer<'_, Completion> {
        let noter = self.noter.clone();
        Box::pin(async move {
            let noter = noter.ok_or_else(no_noter)?;
            self.thread.ask(move |connection| notes::notes(connection, &noter, kind, which)).await
        })
    }

    fn last_version_end(&self, _kind: Kind) -> Answer<'_, Option<VersionEnd>> {
        let noter = self.noter.clone();
        Box::pin(async move {
            let noter = noter.ok_or_else(no_noter)?;
            let last = move |connection: &Connection| last_version_end(connection, &noter);
            self.thread.ask(last).await
        })
    }

    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)> {
        let now = self.clock.now();
        self.agreeing(move |connection, noter| agree(connection, noter, kind, &event, now))
    }

    fn version_ends(&self, kind: Kind, end: VersionEnd) -> Answer<'_, ()> {
        let now = self.clock.now();
        self.agreeing(move |connection, noter| {
            notes::version_ends(connection, noter, kind, &end, now)
        })
    }

    fn needs(&self, gzip_bytes: u64) -> Option<Need> {
        need(&self.path, gzip_bytes)
    }
}

/// What a database will roughly need.
pub fn need(path: &Path, gzip_bytes: u64) -> Option<Need> {
    let folder = path.parent()?.to_owned();
    Some(Need { folder, bytes: gzip_bytes.saturating_mul(DATABASE_PER_GZIP) })
}

/// Moves everything that was committed into the file itself, so that a copy of it is whole. Who
/// reads meanwhile may prevent that.
fn moved(connection: &Connection) -> rusqlite::Result<()> {
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())) {
        Err(error) if fault(&error) != Fault::Busy => Err(error),
        _ => Ok(()),
    }
}

/// Makes durable what could not be moved.
fn sync_log(path: &Path) -> Result<(), Obstacle> {
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    match File::open(&log).and_then(|log| log.sync_data()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let why = format!("cannot sync {}: {error}", Path::new(&log).display());
            Err(Obstacle::lasting(why))
        }
        _ => Ok(()),
    }
}

fn swept(path: &Path, after: After, go_on: &GoOn) -> rusqlite::Result<Swept> {
    let mut go_on = |rows| go_on(rows);
    let (reader, writer) = (connect_reader(path)?, connect(path)?);
    let (sweep, held) = match after {
        After::File(sweep) => {
            let look = || delivered(&reader, sweep.file, sweep.run);
            let Some(held) = patiently(look, &mut go_on)? else { return Ok(Swept::Stopped) };
            (sweep, held.prefix())
        }
        // A run is noted as complete only when all of it is written, or was refused.
        After::Announced(announced, limits) => {
            let look = || refused_of(&reader, &announced);
            let Some(refused) = patiently(look, &mut go_on)? else { return Ok(Swept::Stopped) };
            match limits.sweep(&announced, refused) {
                Some(sweep) => (sweep, sweep.last),
                None => return Ok(Swept::Removed(0)),
            }
        }
    };
    let only = patiently(|| is_only_run(&reader, sweep.file, sweep.run), &mut go_on)?;
    let Some(only) = only else { return Ok(Swept::Stopped) };
    let which = Which { file: sweep.file, run: sweep.run };
    let mut table = Table { reader, writer, which };
    if only {
        sweep::nothing_stale(&mut table, &sweep, held, &mut go_on)
    } else {
        sweep::sweep(&mut table, &sweep, held, &mut go_on)
    }
}

/// The table that is swept.
struct Table {
    reader: Connection,
    writer: Connection,
    which: Which,
}

impl Rows for Table {
    type Stretch = Stretch;
    type Error = rusqlite::Error;

    fn next(
        &mut self,
        previous: Option<&Stretch>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> rusqlite::Result<Option<Option<Stretch>>> {
        patiently(|| next_stretch(&self.reader, &self.which, previous), go_on)
    }

    fn remember(&mut self, go_on: &mut dyn FnMut(u64) -> bool) -> rusqlite::Result<Option<()>> {
        patiently(|| remember_sweep(&self.writer, &self.which), go_on)
    }

    fn remove(
        &mut self,
        stretch: &Stretch,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> rusqlite::Result<Option<u64>> {
        patiently(|| remove_stale(&self.writer, &self.which, stretch), go_on)
    }
}
