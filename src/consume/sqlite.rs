//! `sqlite:PATH` as a target: one thread writes, in the order in which it is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::message::{ExtractionComplete, Record, Source};
use super::target::{Answer, Away, Batch, Refusal, SweepLimits, Target};
use crate::model::complete::{Announced, Note, Noter, Sweep as NotedSweep};
use crate::model::{Clock, DumpName, Job, Kind, Ordinal, Ranges, Run, Timestamp, Version};
use crate::tables::Which;
use crate::tables::schema::SchemaError;
use crate::tables::sqlite::complete::{self, claim_sweep, data_came, end_sweep};
use crate::tables::sqlite::{
    Group, Refused, Row, Stretch, connect, connect_reader, delivered, next_stretch, note_delivered,
    patiently, prepare, remember_sweep, remove_stale, words, write_groups,
};
use crate::tables::sweep::{self, Rows, Swept};

/// How long a claim on a sweep lasts unless it is renewed, which every step does.
const CLAIM: Duration = Duration::from_mins(1);

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
    /// Names this process where one of several has to do something.
    me: String,
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
            me: Uuid::new_v4().to_string(),
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

    fn write(&self, batch: Arc<Batch>) -> Answer<'_, Vec<Refusal>> {
        let now = self.clock.now();
        self.ask(move |connection, noter| write(connection, noter, &batch, now))
    }

    fn answers(&self) -> Answer<'_, ()> {
        self.transact(|_, _| Ok(()))
    }

    fn announce(&self, announced: Announced) -> Answer<'_, ()> {
        let now = self.clock.now();
        self.transact(move |connection, noter| {
            complete::announce(connection, noter, &announced, now)
        })
    }

    fn extraction_complete(&self, kind: Kind, what: ExtractionComplete) -> Answer<'_, ()> {
        let now = self.clock.now();
        self.transact(move |connection, noter| {
            let Some(version) = what.version else { return Ok(()) };
            let words = (what.started_at.as_deref(), what.record_counts.as_deref());
            complete::extraction_complete(connection, noter, kind, version, words, now)
        })
    }

    fn complete(&self, announced: Announced) -> Answer<'_, bool> {
        let now = self.clock.now();
        self.transact(move |connection, noter| {
            complete::complete(connection, noter, &announced, now)
        })
    }

    fn notes(&self, kind: Kind) -> Answer<'_, Vec<Note>> {
        self.ask(move |connection, noter| complete::notes(connection, noter, kind))
    }

    fn written(&self, file: DumpName, run: Run) -> Answer<'_, u64> {
        self.ask(move |connection, _| {
            Ok(delivered(connection, file, run)?.count_to(Ordinal(u64::MAX)))
        })
    }

    fn cancel(&self, kind: Kind) -> Answer<'_, ()> {
        let now = self.clock.now();
        self.transact(move |connection, noter| complete::cancel(connection, noter, kind, now))
    }

    fn resume(&self, kind: Kind) -> Answer<'_, ()> {
        let now = self.clock.now();
        self.transact(move |connection, noter| complete::resume(connection, noter, kind, now))
    }

    fn sweep(
        &self,
        note: Note,
        limits: SweepLimits,
        go_on: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Answer<'_, Swept> {
        Box::pin(self.do_sweep(note, limits, go_on))
    }
}

/// Writes a batch: rows that come from one place together, in the order of their ordinals.
fn write(
    connection: &Connection,
    noter: &Noter,
    batch: &Batch,
    now: Timestamp,
) -> rusqlite::Result<Vec<Refusal>> {
    let origin = |source: Option<Source>| source.map(|source| (source.version, source.run));
    let mut origins: BTreeMap<Option<(Version, u64)>, Vec<usize>> = BTreeMap::new();
    for (index, record) in batch.records.iter().enumerate() {
        let key = origin(record.source).map(|(version, run)| (version, run.0));
        origins.entry(key).or_default().push(index);
    }
    let groups: Vec<Group<'_>> = origins
        .into_iter()
        .map(|(key, mut indices)| {
            // A message that comes again may come after a later one of the same id.
            indices.sort_by_key(|index| batch.records[*index].source.map(|source| source.ordinal));
            let row = |index: usize| (index, row(&batch.records[index]));
            Group {
                kind: batch.kind,
                source: key.map(|(version, run)| (version, Run(run))),
                rows: indices.into_iter().map(row).collect(),
            }
        })
        .collect();
    let sources: Vec<_> = groups.iter().map(|group| group.source).collect();
    let written = write_groups(connection, &groups, now, |refused| {
        for (group_index, group) in groups.iter().enumerate() {
            let Some((version, run)) = group.source else { continue };
            let file = DumpName { version, kind: batch.kind };
            for range in taken(batch, group_index, group, refused).iter() {
                note_delivered(connection, file, run, range)?;
            }
        }
        data_came(connection, noter, batch.kind, &sources, now)
    })?;
    let refusal = |((_, index), why)| Refusal { index, why };
    Ok(written.refused.into_iter().map(refusal).collect())
}

fn row(record: &Record) -> Row<'_> {
    let ordinal = record.source.map(|source| source.ordinal);
    Row { id: &record.id, ordinal, hash: &record.hash, json: &record.json }
}

/// The ordinals of a group's rows that were not refused.
fn taken(batch: &Batch, group_index: usize, group: &Group<'_>, refused: &Refused) -> Ranges {
    let ordinals = group.rows.iter().filter_map(|(index, _)| {
        let refused = refused.contains_key(&(group_index, *index));
        batch.records[*index].source.filter(|_| !refused).map(|source| source.ordinal)
    });
    ordinals.map(|ordinal: Ordinal| ordinal..=ordinal).collect()
}

impl Sqlite {
    async fn do_sweep(
        &self,
        note: Note,
        limits: SweepLimits,
        go_on: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Result<Swept, Away> {
        let Some(sweep) = limits.sweep(&note.announced) else { return Ok(Swept::Stopped) };
        let (path, clock) = (self.path.clone(), Arc::clone(&self.clock));
        let claim = Claim {
            noter: Arc::clone(&self.noter),
            me: self.me.clone(),
            announced: note.announced,
            clock,
        };
        // Reading a whole table takes minutes, so it is done beside the thread that writes.
        let sweeping = tokio::task::spawn_blocking(move || {
            let which = Which { file: sweep.file, run: sweep.run };
            let (reader, writer) = (connect_reader(&path)?, connect(&path)?);
            if !patiently(|| claim.renew(&writer), &mut |_| go_on())?.unwrap_or(false) {
                return Ok(Swept::Stopped);
            }
            let mut table = Table { reader, writer: &writer, which };
            // A run is noted as complete only when all of it is written.
            let swept = sweep::sweep(&mut table, &sweep, sweep.last, &mut |_| {
                go_on() && claim.renew(&writer).unwrap_or(true)
            })?;
            let end = match &swept {
                Swept::Removed(rows) => (NotedSweep::Done, format!("{rows} rows removed")),
                Swept::Refused(why) => (NotedSweep::Refused, why.clone()),
                Swept::Stopped => return Ok(swept),
            };
            let noted = || end_sweep(&writer, &claim.noter, &claim.announced, end.0, &end.1);
            let noted = patiently(noted, &mut |_| go_on())?;
            Ok(noted.map_or(Swept::Stopped, |()| swept))
        });
        let swept: rusqlite::Result<Swept> =
            sweeping.await.map_err(|died| Away(died.to_string()))?;
        swept.map_err(|error| Away(words(&error)))
    }
}

/// The claim on a sweep that this process has.
struct Claim {
    noter: Arc<Noter>,
    me: String,
    announced: Announced,
    clock: Arc<dyn Clock>,
}

impl Claim {
    /// Takes it, or takes it for longer; false if somebody else has it.
    fn renew(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let now = self.clock.now();
        let until = Timestamp(now.0 + u64::try_from(CLAIM.as_millis()).unwrap_or(u64::MAX));
        claim_sweep(connection, &self.noter, &self.announced, &self.me, now, until)
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
