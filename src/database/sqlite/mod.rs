//! Rows of a SQLite database: records go in by upserts, and the ordinals they came with go into
//! `extractor_delivered` in the same transaction.

mod busy;
mod checkup;
mod fault;

mod migrate;
pub mod notes;
mod open;
mod order;
mod runs;
mod stretch;
mod target;
mod thread;

use std::ops::RangeInclusive;

use rusqlite::{Connection, Error};

use super::{Batch, LeftOut, Notes, Refused, Written};
use crate::model::agreement::Event;
use crate::model::fault::place;
use crate::model::{DumpName, Ordinal, Ranges, Run, Timestamp};

pub use busy::patiently;
pub use checkup::checkup;
pub use fault::{Fault, fault, trouble, words};
pub use migrate::{SQLITE, migrate, pending};
use notes::agree;
use open::{CACHE, SMALL_CACHE};
pub use open::{connect, connect_reader, prepare};
use order::{Upsert, Wrote};
pub use runs::{is_only_run, last_run, note_first, remember_sweep};
pub use stretch::{Stretch, next_stretch, remove_stale};
pub use target::{Sqlite, need};

/// A row from so many bytes of JSON on is in memory three times while it is written, ours and two
/// copies of SQLite's: its pages are then not kept as well.
const LARGE: usize = 8 << 20;

/// Writes batches in one transaction, in order: all of their rows but those refused. After an error
/// nothing of them was written.
///
/// # Errors
/// If the database fails or is busy; a refused row is no error.
pub fn write(
    connection: &Connection,
    batches: &[&Batch],
    notes: Notes<'_>,
    now: Timestamp,
) -> rusqlite::Result<Vec<Written>> {
    let rows = batches.iter().flat_map(|batch| &batch.rows);
    if rows.map(|row| row.json.len()).max() < Some(LARGE) {
        return transact(connection, batches, notes, now);
    }
    connection.execute_batch(SMALL_CACHE)?;
    let written = transact(connection, batches, notes, now);
    connection.execute_batch(CACHE)?;
    written
}

fn transact(
    connection: &Connection,
    batches: &[&Batch],
    notes: Notes<'_>,
    now: Timestamp,
) -> rusqlite::Result<Vec<Written>> {
    let mut written = vec![Written::default(); batches.len()];
    let mut care = Care::Quick;
    loop {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let filled = fill(connection, batches, now, care, &mut written).and_then(|()| {
            for (batch, written) in batches.iter().zip(&written) {
                note(connection, batch, notes, &written.refused, now)?;
            }
            place("sqlite.commit.before");
            connection.execute_batch("COMMIT")?;
            place("sqlite.commit.after");
            Ok(())
        });
        match filled {
            Ok(()) => return Ok(written),
            Err(stopped) => {
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK")?;
                }
                match stopped {
                    Stopped::ByRecord => care = Care::RecordByRecord,
                    Stopped::Database(error) => return Err(error),
                }
            }
        }
    }
}

/// Notes what is to be noted with a batch's rows.
fn note(
    connection: &Connection,
    batch: &Batch,
    notes: Notes<'_>,
    refused: &Refused,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if let Some((file, run)) = batch.of() {
        for range in batch.noted(notes, refused) {
            note_delivered(connection, file, run, range)?;
        }
    }
    if let Notes::Messages(noter) = notes {
        let came = Event::Written(vec![batch.source]);
        agree(connection, noter, batch.kind, &came, now)?;
    }
    Ok(())
}

/// How a transaction is filled: a savepoint for each record is needed only where one is refused,
/// since what a trigger did before it failed must go as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    Quick,
    RecordByRecord,
}

enum Stopped {
    /// A record was refused and the transaction must be filled again, with care.
    ByRecord,
    Database(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Database(error)
    }
}

fn fill(
    connection: &Connection,
    batches: &[&Batch],
    now: Timestamp,
    care: Care,
    written: &mut [Written],
) -> Result<(), Stopped> {
    for (batch, Written { refused, left_out }) in batches.iter().zip(written) {
        *left_out = LeftOut::default();
        let mut upsert = Upsert::new(connection, batch, now)?;
        for (index, row) in batch.rows.iter().enumerate() {
            if refused.contains_key(&index) {
                continue;
            }
            if care == Care::RecordByRecord {
                connection.prepare_cached("SAVEPOINT record")?.execute(())?;
            }
            match upsert.row(row) {
                Ok(Wrote::Row) => {}
                Ok(Wrote::NothingLater) => left_out.later += 1,
                Ok(Wrote::NothingSwept) => left_out.swept += 1,
                Err(error) => {
                    match (fault(&error), care) {
                        (Fault::Record, Care::Quick) => return Err(Stopped::ByRecord),
                        (Fault::Record, Care::RecordByRecord) => {
                            refused.insert(index, words(&error));
                        }
                        (Fault::Busy | Fault::Database, _) => return Err(error.into()),
                    }
                    // A trigger's RAISE(ROLLBACK) takes all the others with it.
                    if connection.is_autocommit() {
                        return Err(Stopped::ByRecord);
                    }
                    connection.prepare_cached("ROLLBACK TO record")?.execute(())?;
                }
            }
            if care == Care::RecordByRecord {
                connection.prepare_cached("RELEASE record")?.execute(())?;
            }
        }
    }
    Ok(())
}

/// A run as the column holds it.
fn stored_run(run: Run) -> i64 {
    run.0.cast_signed()
}

/// Notes a range of a run's ordinals as dealt with, joined to the ranges that it touches. Within
/// a transaction only.
fn note_delivered(
    connection: &Connection,
    file: DumpName,
    run: Run,
    range: RangeInclusive<Ordinal>,
) -> rusqlite::Result<()> {
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let (first, last) = (range.start().0.cast_signed(), range.end().0.cast_signed());
    let mut taken = connection.prepare_cached(
        "DELETE FROM extractor_delivered
         WHERE version = ?1 AND type = ?2 AND run = ?3 AND first <= ?5 + 1 AND last >= ?4 - 1
         RETURNING first, last",
    )?;
    let mut ranges = taken
        .query_map((&version, kind, run, first, last), stored_range)?
        .collect::<rusqlite::Result<Ranges>>()?;
    ranges.insert(range);
    let mut insert = connection.prepare_cached(
        "INSERT INTO extractor_delivered (version, type, run, first, last)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for range in ranges.iter() {
        let (first, last) = (range.start().0.cast_signed(), range.end().0.cast_signed());
        insert.execute((&version, kind, run, first, last))?;
    }
    Ok(())
}

/// The ordinals of a run that have been dealt with: written, refused, or bad to begin with.
///
/// # Errors
/// If the database fails.
pub fn delivered(connection: &Connection, file: DumpName, run: Run) -> rusqlite::Result<Ranges> {
    connection
        .prepare_cached(
            "SELECT first, last FROM extractor_delivered
             WHERE version = ?1 AND type = ?2 AND run = ?3",
        )?
        .query_map((file.version.to_string(), file.kind.name(), stored_run(run)), stored_range)?
        .collect()
}

fn stored_range(row: &rusqlite::Row<'_>) -> rusqlite::Result<RangeInclusive<Ordinal>> {
    let ordinal = |index| Ok::<_, Error>(Ordinal(row.get::<_, i64>(index)?.cast_unsigned()));
    Ok(ordinal(0)?..=ordinal(1)?)
}
