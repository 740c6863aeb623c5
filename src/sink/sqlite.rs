//! SQLite as a sink: one thread writes for all files. What is written, and by which order, is
//! `tables`.

mod checkup;
mod writer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::runtime;

use super::{Lane, LaneStart, LeftOut, Need, Sink, SinkError, Sweep, Swept, hints, spawn};
use crate::model::{Checkpoint, Clock, DumpName, Job, Ordinal, Run};
use crate::tables::Which;
use crate::tables::schema::SchemaError;
use crate::tables::sqlite::{
    self, Fault, Stretch, connect, connect_reader, delivered, fault, is_only_run, last_run,
    next_stretch, note_first, patiently, remember_sweep, remove_stale, words,
};
use crate::tables::sweep::{self, Rows};
pub use checkup::checkup;
use writer::NewLane;

/// How long dropping the sink waits for its thread.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of database for a byte of gzip, rounded up: the samples' releases come to 5.6.
const DATABASE_PER_GZIP: u64 = 6;

/// `sqlite:PATH`: a row for every record, written by one thread for all files.
pub struct Sqlite {
    job: Job,
    location: String,
    database: Arc<Database>,
    lanes: Option<tokio::sync::mpsc::UnboundedSender<NewLane>>,
    /// Closes when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// The file and the one connection that writes to it.
pub(super) struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
    pub(super) clock: Arc<dyn Clock>,
    left_out: Mutex<BTreeMap<DumpName, LeftOut>>,
}

impl Database {
    /// The connection, between two transactions.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was left out of each file.
    pub(super) fn left_out(&self) -> MutexGuard<'_, BTreeMap<DumpName, LeftOut>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error of SQLite's while doing something to the file.
    pub(super) fn error(&self, doing: &str, error: &rusqlite::Error) -> SinkError {
        explain(&self.path, doing, error)
    }

    /// Makes everything that was committed durable and moves it into the file itself, so that a
    /// copy of it is whole. Who reads meanwhile may prevent the latter, but not the former.
    fn settle(&self) -> Result<(), SinkError> {
        let moved = self.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        match moved {
            Err(error) if fault(&error) != Fault::Busy => Err(self.error("write", &error)),
            _ => Ok(()),
        }?;
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        match File::open(&log).and_then(|log| log.sync_data()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SinkError::io(format!("cannot sync {}", Path::new(&log).display()), &error))
            }
            _ => Ok(()),
        }
    }
}

/// An error of SQLite's for the person who reads it.
fn explain(path: &Path, doing: &str, error: &rusqlite::Error) -> SinkError {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Some(hints::FULL),
        Some(ErrorCode::ReadOnly) => Some(hints::READ_ONLY),
        Some(ErrorCode::PermissionDenied) => Some(hints::DENIED),
        Some(ErrorCode::CannotOpen) => {
            Some("the path must be a file in a folder that exists and may be written")
        }
        Some(ErrorCode::NotADatabase) => {
            Some("the file is something else: choose another path, or move it aside")
        }
        Some(ErrorCode::DatabaseCorrupt) => Some(
            "the database is damaged: move it aside and start again, which writes it anew, or \
             restore a copy, of which the rest is written again",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Some("another program holds the database locked: end its transaction")
        }
        _ => None,
    };
    let what = format!("cannot {doing} {}: {}", path.display(), words(error));
    SinkError { hint: hint.map(Cow::Borrowed), ..SinkError::new(what) }
}

impl Sqlite {
    /// Opens a database, which is made if it is missing. `clock` dates rows.
    ///
    /// # Errors
    /// If it cannot be opened or written, is no SQLite database, or has a schema that this
    /// release does not know.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Sqlite, SinkError> {
        let location = format!("sqlite:{}", path.display());
        let absolute = std::path::absolute(path)
            .map_err(|error| SinkError::io(format!("cannot open {}", path.display()), &error))?;
        let connection = connect(&absolute).map_err(|error| explain(path, "open", &error))?;
        let connection = Mutex::new(connection);
        let left_out = Mutex::default();
        let database = Arc::new(Database { path: absolute, connection, clock, left_out });
        let job = prepare(&database)?;

        let runtime = runtime::Builder::new_current_thread().build();
        let runtime =
            runtime.map_err(|error| SinkError::io("SQLite's thread cannot wait", &error))?;
        let (lanes, new_lanes) = tokio::sync::mpsc::unbounded_channel();
        let (ending, ended) = mpsc::channel();
        let for_thread = Arc::clone(&database);
        spawn("sqlite", move || {
            writer::run(&for_thread, &runtime, new_lanes);
            drop(for_thread);
            drop(ending);
        })?;
        Ok(Sqlite { job, location, database, lanes: Some(lanes), ended: Mutex::new(ended) })
    }
}

/// Brings the schema up to date and returns the database's identity.
fn prepare(database: &Database) -> Result<Job, SinkError> {
    let connection = database.connection();
    let cannot = |error: &rusqlite::Error| database.error("prepare", error);
    if connection.is_readonly("main").map_err(|error| cannot(&error))? {
        let what = format!("{} may only be read", database.path.display());
        return Err(SinkError::new(what).hint(hints::READ_ONLY));
    }
    sqlite::prepare(&connection, database.clock.now()).map_err(|error| match error {
        SchemaError::Database(error) if words(&error).ends_with("already exists") => {
            cannot(&error).hint("the database has tables of someone else's: give the sink its own")
        }
        SchemaError::Database(error) => cannot(&error),
        SchemaError::Mismatch(error) => {
            let what = format!("cannot use {}: {error}", database.path.display());
            SinkError::new(what).hint("use the release that made it, or another database")
        }
    })
}

impl Sink for Sqlite {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError> {
        let connection = self.database.connection();
        let held = delivered(&connection, start.file, start.run)
            .map_err(|error| self.database.error("read", &error))?;
        if held.iter().next().is_none() {
            // Without the note a sweep has to look at all rows, and an older version is still left
            // out, which is said.
            _ = note_first(&connection, start.file, start.run);
        }
        drop(connection);
        if start.from == Checkpoint::BEGINNING {
            self.database.left_out().remove(&start.file);
        }
        let holds = held.prefix().min(start.from.ordinal());
        let (lane, ends) = Lane::new(holds, start.depth);
        let new = NewLane { file: start.file, run: start.run, ends };
        let sent = self.lanes.as_ref().is_some_and(|lanes| lanes.send(new).is_ok());
        if !sent {
            return Err(SinkError::new("the thread that writes to SQLite has ended"));
        }
        Ok(lane)
    }

    fn finish(&self, _file: DumpName, _run: Run) -> Result<(), SinkError> {
        self.database.settle()
    }

    fn still_holds(&self, file: DumpName, run: Run, last: Ordinal) -> Result<bool, SinkError> {
        let held = delivered(&self.database.connection(), file, run);
        let held = held.map_err(|error| self.database.error("read", &error))?;
        Ok(held.prefix() >= last)
    }

    fn last_run(&self, file: DumpName) -> Result<Option<Run>, SinkError> {
        let last = last_run(&self.database.connection(), file);
        last.map_err(|error| self.database.error("read", &error))
    }

    fn left_out(&self, file: DumpName) -> LeftOut {
        self.database.left_out().get(&file).copied().unwrap_or_default()
    }

    fn sweeps(&self) -> bool {
        true
    }

    fn sweep(&self, sweep: &Sweep, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Swept, SinkError> {
        let failed = |error: &rusqlite::Error| self.database.error("sweep", error);
        let held = delivered(&self.database.connection(), sweep.file, sweep.run)
            .map_err(|error| failed(&error))?;
        // Reading a whole table takes minutes, so it is done beside the connection that writes.
        let reader = connect_reader(&self.database.path).map_err(|error| failed(&error))?;
        let which = Which { file: sweep.file, run: sweep.run };
        let mut rows = SweptTable { database: &self.database, reader, which };
        let only = is_only_run(&self.database.connection(), sweep.file, sweep.run);
        let swept = if only.map_err(|error| failed(&error))? {
            sweep::nothing_stale(&mut rows, sweep, held.prefix(), go_on)
        } else {
            sweep::sweep(&mut rows, sweep, held.prefix(), go_on)
        };
        let swept = swept.map_err(|error| failed(&error))?;
        if let Swept::Removed(1..) = swept {
            self.database.settle()?;
        }
        Ok(swept)
    }

    fn needs(&self, gzip_bytes: u64) -> Option<Need> {
        need(&self.database.path, gzip_bytes)
    }
}

/// What a database will roughly need.
pub(super) fn need(path: &Path, gzip_bytes: u64) -> Option<Need> {
    let folder = path.parent()?.to_owned();
    Some(Need { folder, bytes: gzip_bytes.saturating_mul(DATABASE_PER_GZIP) })
}

impl Drop for Sqlite {
    /// Lets the thread end, which closes the database and so moves the log into it.
    fn drop(&mut self) {
        self.lanes = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: it ends by closing, or the time is up.
        let _ = ended.recv_timeout(SETTLE_TIMEOUT);
    }
}

/// The table that is swept.
struct SweptTable<'a> {
    database: &'a Database,
    reader: Connection,
    which: Which,
}

impl Rows for SweptTable<'_> {
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
        patiently(|| remember_sweep(&self.database.connection(), &self.which), go_on)
    }

    fn remove(
        &mut self,
        stretch: &Stretch,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> rusqlite::Result<Option<u64>> {
        let remove = || remove_stale(&self.database.connection(), &self.which, stretch);
        patiently(remove, go_on)
    }
}
