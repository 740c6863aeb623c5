//! How the file is opened, by whoever writes to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use uuid::Uuid;

use super::migrate::{SQLITE, migrate};
use crate::database::schema::SchemaError;
use crate::model::{Job, Timestamp};

/// How long SQLite itself waits for a lock before it says that it is busy. Short, so that whoever
/// waits can be stopped.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// Statements kept prepared: those of four types and some more.
const STATEMENTS: usize = 32;

/// Large pages hold rows of some 4 kB with little waste: measured against 4 to 64 KiB, 32 KiB
/// takes nearly the least time and space, and a single row is still read at once. The log is moved
/// into the database every 8 MiB, which waits for the disk no longer than the window has records
/// for: a dump of 1 GB took 3.3 s against 3.6 s at 32 MiB. Keys from other tables to ours are not
/// looked at: the dumps break them.
const PRAGMAS: &str = "
    PRAGMA page_size = 32768;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 250;
    PRAGMA foreign_keys = OFF;
";

/// For pages that are read again. With 32 MiB a run took as long.
pub const CACHE: &str = "PRAGMA cache_size = -24576";

/// For pages that are read or written once. What a larger cache holds is given back at once:
/// otherwise 12 MiB of them stayed in the heap.
pub const SMALL_CACHE: &str = "PRAGMA cache_size = -2048; PRAGMA shrink_memory";

/// Opens the file and sets how it is written: with a log beside it, so that whoever reads is not
/// disturbed and a commit is one append. A commit that a power failure takes away is missed in
/// the ranges and sent again, so a commit need not wait for the disk.
///
/// # Errors
/// What SQLite says.
pub fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(PRAGMAS)?;
    connection.execute_batch(CACHE)?;
    Ok(connection)
}

/// Opens the file for reading whole tables beside whoever writes.
///
/// # Errors
/// What SQLite says.
pub fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let reader = connect(path)?;
    reader.execute_batch(SMALL_CACHE)?;
    reader.execute_batch("PRAGMA query_only = ON")?;
    Ok(reader)
}

/// Brings the schema up to date and returns the database's identity.
///
/// # Errors
/// If it does not fit this release, or what SQLite says.
pub fn prepare(
    connection: &Connection,
    now: Timestamp,
) -> Result<Job, SchemaError<rusqlite::Error>> {
    migrate(connection, SQLITE, now)?;
    Ok(identity(connection)?)
}

fn identity(connection: &Connection) -> rusqlite::Result<Job> {
    let read = || {
        let row = connection.query_row("SELECT id FROM extractor_job", (), |row| row.get(0));
        row.optional()
    };
    if read()?.is_none_or(|id: String| id.is_empty()) {
        connection.execute(
            "INSERT OR IGNORE INTO extractor_job (only, id) VALUES (1, ?1)",
            [Uuid::new_v4().to_string()],
        )?;
    }
    Ok(Job::new(format!("sqlite:{}", read()?.unwrap_or_default())))
}
