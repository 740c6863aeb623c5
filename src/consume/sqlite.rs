//! `sqlite:PATH` as a target: one thread writes, in the order in which it is asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::message::ExtractionComplete;
use super::target::{Answer, Away, SweepLimits, Target};
use crate::model::agreement::{Announced, Completion, Event, Noter};
use crate::model::{Clock, DumpName, Job, Kind, Ordinal, Run};
use crate::tables::schema::SchemaError;
use crate::tables::sqlite::notes::{self, agree};
use crate::tables::sqlite::{
    Stretch, connect, connect_reader, delivered, next_stretch, patiently, prepare, remember_sweep,
    remove_stale, words, write,
};
use crate::tables::sweep::{self, Rows, Swept};
use crate::tables::{Batch, Notes, Which, Written};

/// A database that cannot be opened, or is something else.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the database {}: {why}{hint}", path.display())]
pub struct SqliteError {
    path: PathBuf,
    why: String,
    hint: &'static str,
}

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// The handle to the thread; it ends with the last work after the handle is dropped.
pub struct Sqlite {
    path: PathBuf,
    job: Job,
    location: String,
    noter: Arc<Noter>,
    clock: Arc<dyn Clock>,
    work: mpsc::Sender<Work>,
}

impl Sqlite {
    /// Opens a database, which is made if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// If it cannot be opened or written, or has a schema that this release does not know.
    pub fn open(path: &Path, noter: Noter, clock: Arc<dyn Clock>) -> Result<Sqlite, SqliteError> {
        let error = |why: String, hint| SqliteError { path: path.to_owned(), why, hint };
        let absolute = std::path::absolute(path).map_err(|why| error(why.to_string(), ""))?;
        let mut connection = connect(&absolute).map_err(|why| {
            let hint = "\nhint: the path must be a database in a folder that may be written";
            error(words(&why), hint)
        })?;
        let job = prepare(&connection, clock.now()).map_err(|why| match why {
            SchemaError::Database(why) => {
                error(words(&why), "\nhint: give it a database of its own")
            }
            why @ SchemaError::Mismatch(_) => {
                error(why.to_string(), "\nhint: use the release that made it")
            }
        })?;
        let (work, queue) = mpsc::channel::<Work>();
        thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || queue.iter().for_each(|work| work(&mut connection)))
            .map_err(|why| error(why.to_string(), ""))?;
        Ok(Sqlite {
            path: absolute,
            job,
            location: format!("sqlite:{}", path.display()),
            noter: Arc::new(noter),
            clock,
            work,
        })
    }

    /// Does something on the thread.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Noter) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (answer, answered) = oneshot::channel();
        let noter = Arc::clone(&self.noter);
        let work: Work = Box::new(move |connection| {
            // Whoever asked may have stopped waiting.
            _ = answer.send(work(connection, &noter));
        });
        let sent = self.work.send(work);
        Box::pin(async move {
            let gone = || Away("the thread that writes to SQLite has ended".into());
            sent.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?.map_err(|error| Away(words(&error)))
        })
    }

    /// Does something in a transaction.
    fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Noter) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.ask(move |connection, noter| {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let done = work(connection, noter).and_then(|done| {
                connection.execute_batch("COMMIT")?;
                Ok(done)
            });
            if done.is_err() && !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            done
        })
    }
}

impl Target for Sqlite {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Written> {
        let now = self.clock.now();
        self.ask(move |connection, noter| {
            let written = write(connection, &[&batch], Notes::Messages(noter), now)?;
            Ok(written.into_iter().next().unwrap_or_default())
        })
    }

    fn answers(&self) -> Answer<'_, ()> {
        self.transact(|_, _| Ok(()))
    }

    fn agree(&self, kind: Kind, event: Event) -> Answer<'_, (Completion, bool)> {
        let now = self.clock.now();
        self.transact(move |connection, noter| agree(connection, noter, kind, &event, now))
    }

    fn extraction_complete(&self, kind: Kind, what: ExtractionComplete) -> Answer<'_, ()> {
        let now = self.clock.now();
        self.transact(move |connection, noter| {
            let Some(version) = what.version else { return Ok(()) };
            let words = (what.started_at.as_deref(), what.record_counts.as_deref());
            notes::extraction_complete(connection, noter, kind, version, words, now)
        })
    }

    fn notes(&self, kind: Kind) -> Answer<'_, Completion> {
        self.ask(move |connection, noter| notes::notes(connection, noter, kind))
    }

    fn written(&self, file: DumpName, run: Run) -> Answer<'_, u64> {
        self.ask(move |connection, _| {
            Ok(delivered(connection, file, run)?.count_to(Ordinal(u64::MAX)))
        })
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

impl Sqlite {
    async fn do_sweep(
        &self,
        announced: Announced,
        limits: SweepLimits,
        go_on: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Result<Swept, Away> {
        let Some(sweep) = limits.sweep(&announced) else { return Ok(Swept::Stopped) };
        let path = self.path.clone();
        // Reading a whole table takes minutes, so it is done beside the thread that writes.
        let sweeping = tokio::task::spawn_blocking(move || {
            let which = Which { file: sweep.file, run: sweep.run };
            let (reader, writer) = (connect_reader(&path)?, connect(&path)?);
            let mut table = Table { reader, writer: &writer, which };
            // A run is noted as complete only when all of it is written.
            sweep::sweep(&mut table, &sweep, sweep.last, &mut |_| go_on())
        });
        let swept: rusqlite::Result<Swept> =
            sweeping.await.map_err(|died| Away(died.to_string()))?;
        swept.map_err(|error| Away(words(&error)))
    }
}

/// The table that is swept.
struct Table<'a> {
    reader: Connection,
    writer: &'a Connection,
    which: Which,
}

impl Rows for Table<'_> {
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
        patiently(|| remember_sweep(self.writer, &self.which), go_on)
    }

    fn remove(
        &mut self,
        stretch: &Stretch,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> rusqlite::Result<Option<u64>> {
        patiently(|| remove_stale(self.writer, &self.which, stretch), go_on)
    }
}
