//! Batches into tables, each in the transaction that notes its ordinals.

use rusqlite::{Connection, Error};

use super::delivered::note_delivered;
use super::fault::{Fault, fault, words};
use super::notes::agree;
use super::open::{CACHE, SMALL_CACHE};
use super::order::{Upsert, Wrote};
use crate::database::{Batch, LeftOut, Notes, Refused, Written};
use crate::model::Timestamp;
use crate::model::agreement::Event;
use crate::model::fault::place;

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
