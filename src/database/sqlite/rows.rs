//! Batches into tables, each in the transaction that notes its ordinals.

use std::time::Instant;

use rusqlite::{Connection, Error};

use super::delivered::note_delivered;
use super::fault::{Fault, fault, words};
use super::notes::agree;
use super::open::{CACHE, SMALL_CACHE};
use super::order::{Upsert, Wrote};
use super::refused::note_refused;
use super::unnumbered::unnumbered;
use crate::database::{Batch, LeftOut, Notes, Refused, Written};
use crate::model::Timestamp;
use crate::model::agreement::{Counted, Event, Sources};
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
    let began = Instant::now();
    let mut written = vec![Written::default(); batches.len()];
    let mut care = Care::Quick;
    loop {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let filled = fill(connection, batches, notes, now, care, &mut written);
        let filled = filled.and_then(|counted| {
            for ((batch, written), counted) in batches.iter().zip(&written).zip(counted) {
                let counted = counted.map(|counted| Counted { took: began.elapsed(), ..counted });
                let sources =
                    Sources { runs: batch.source.into_iter().collect(), unnumbered: counted };
                note(connection, batch, notes, &written.refused, sources, now)?;
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
    sources: Sources,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if let Some((file, run)) = batch.of() {
        for range in batch.noted(notes, refused) {
            note_delivered(connection, file, run, range)?;
        }
        if let Notes::Messages(_) = notes {
            for refusal in batch.refusals(refused) {
                note_refused(connection, file, run, refusal)?;
            }
        }
    }
    if let Notes::Messages(noter) = notes {
        agree(connection, noter, batch.kind, &Event::Written(sources), now)?;
    }
    Ok(())
}

/// The pass of messages that are not numbered.
fn pass(connection: &Connection, batch: &Batch, how: Notes<'_>) -> rusqlite::Result<Option<u64>> {
    match (how, batch.source) {
        (Notes::Messages(noter), None) => {
            Ok(Some(unnumbered(connection, noter, batch.kind)?.now()))
        }
        (Notes::Messages(_), Some(_)) | (Notes::Dealt, _) => Ok(None),
    }
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

/// Writes the rows, and counts those of senders that do not number their records.
fn fill(
    connection: &Connection,
    batches: &[&Batch],
    notes: Notes<'_>,
    now: Timestamp,
    care: Care,
    written: &mut [Written],
) -> Result<Vec<Option<Counted>>, Stopped> {
    let mut counted = Vec::with_capacity(batches.len());
    for (batch, Written { refused, left_out }) in batches.iter().zip(written) {
        *left_out = LeftOut::default();
        let pass = pass(connection, batch, notes)?;
        let mut upsert = Upsert::new(connection, batch, pass, now)?;
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
        counted.push(upsert.counted());
    }
    Ok(counted)
}
