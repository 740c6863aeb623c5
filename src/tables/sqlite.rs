//! Rows of a SQLite database: records go in by upserts, and the ordinals they came with go into
//! `extractor_delivered` in the same transaction.

mod busy;
mod migrate;
pub mod notes;
mod open;
mod order;
mod runs;
mod stretch;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rusqlite::{Connection, Error, ErrorCode};

use super::LeftOut;
use crate::model::fault::place;
use crate::model::{
    Body, DumpName, Item, Kind, Ordinal, Parsed, Ranges, Run, Sha256, Timestamp, Version,
};

pub use busy::{BUSY_PAUSE, patiently};
pub use migrate::{SQLITE, migrate, pending};
use open::{CACHE, SMALL_CACHE};
pub use open::{connect, connect_reader, prepare};
use order::{Upsert, Wrote};
pub use runs::{is_only_run, last_run, note_first, remember_sweep};
pub use stretch::{Stretch, next_stretch, remove_stale};

/// A batch and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The dump.
    pub file: DumpName,
    /// The run.
    pub run: Run,
    /// The records.
    pub parsed: &'a Parsed,
}

/// One record on its way into its table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its place in its dump, if that is known.
    pub ordinal: Option<Ordinal>,
    /// SHA-256 of the canonical JSON.
    pub hash: &'a Sha256,
    /// The canonical JSON, UTF-8.
    pub json: &'a [u8],
}

/// Rows that come from one place, each with the index by which it is named if it is refused.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Their table.
    pub kind: Kind,
    /// Their version and run; none if they do not say.
    pub source: Option<(Version, Run)>,
    /// The rows.
    pub rows: Vec<(usize, Row<'a>)>,
}

/// The records that the database refused for themselves, with its words: by the index of the
/// group and of the row in it.
pub type Refused = BTreeMap<(usize, usize), String>;

/// What of a transaction's rows was not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Those that the database refused.
    pub refused: Refused,
    /// What was left out of each group, in the order of the groups.
    pub left_out: Vec<LeftOut>,
}

/// A row from so many bytes of JSON on is in memory three times while it is written, ours and two
/// copies of SQLite's: its pages are then not kept as well.
const LARGE: usize = 8 << 20;

/// Where the reason of an error lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Someone else holds a lock: it passes.
    Busy,
    /// In the record that was to be written.
    Record,
    /// In the disk, the file, or the schema.
    Database,
}

/// Where the reason of an error lies that a row's statement gave.
pub fn fault(error: &Error) -> Fault {
    let (failure, words) = match error {
        Error::SqliteFailure(failure, words) => (failure, words),
        Error::SqlInputError { .. } => return Fault::Database,
        _ => return Fault::Record,
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Fault::Busy,
        ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch => {
            Fault::Record
        }
        // A function that fails inside someone's trigger, but also a table that someone dropped.
        ErrorCode::Unknown if !words.as_ref().is_some_and(|words| words.contains("no such ")) => {
            Fault::Record
        }
        _ => Fault::Database,
    }
}

/// Writes batches in one transaction, in order: all of their documents but those refused. After
/// an error nothing of them was written.
///
/// # Errors
/// If the database fails or is busy; a refused record is no error.
pub fn write(
    connection: &Connection,
    batches: &[Batch<'_>],
    now: Timestamp,
) -> rusqlite::Result<Written> {
    let groups: Vec<_> = batches.iter().map(Batch::group).collect();
    write_groups(connection, &groups, now, |_| {
        for batch in batches {
            let items = &batch.parsed.items;
            let Some((first, last)) = items.first().zip(items.last()) else { continue };
            let range = first.place.ordinal..=last.place.ordinal;
            note_delivered(connection, batch.file, batch.run, range)?;
        }
        Ok(())
    })
}

impl<'a> Batch<'a> {
    fn group(&self) -> Group<'a> {
        let document = |(index, item): (usize, &'a Item)| {
            let Body::Document(document) = &item.body else { return None };
            let json = &self.parsed.json[document.json.clone()];
            let ordinal = Some(item.place.ordinal);
            Some((index, Row { id: &document.id, ordinal, hash: &document.hash, json }))
        };
        Group {
            kind: self.file.kind,
            source: Some((self.file.version, self.run)),
            rows: self.parsed.items.iter().enumerate().filter_map(document).collect(),
        }
    }
}

/// Writes groups of rows in one transaction, in order: all but those refused. `notes` writes what
/// belongs into the same transaction and is told what was refused; it may be called again, after
/// everything was taken back. After an error nothing was written.
///
/// # Errors
/// If the database fails or is busy; a refused row is no error.
pub fn write_groups(
    connection: &Connection,
    groups: &[Group<'_>],
    now: Timestamp,
    notes: impl Fn(&Refused) -> rusqlite::Result<()>,
) -> rusqlite::Result<Written> {
    let rows = groups.iter().flat_map(|group| &group.rows);
    if rows.map(|(_, row)| row.json.len()).max() < Some(LARGE) {
        return transact(connection, groups, now, notes);
    }
    connection.execute_batch(SMALL_CACHE)?;
    let written = transact(connection, groups, now, notes);
    connection.execute_batch(CACHE)?;
    written
}

fn transact(
    connection: &Connection,
    groups: &[Group<'_>],
    now: Timestamp,
    notes: impl Fn(&Refused) -> rusqlite::Result<()>,
) -> rusqlite::Result<Written> {
    let mut refused = Refused::new();
    let mut care = Care::Quick;
    loop {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let written = fill(connection, groups, now, care, &mut refused).and_then(|left_out| {
            notes(&refused).map_err(Stopped::Database)?;
            place("sqlite.commit.before");
            connection.execute_batch("COMMIT").map_err(Stopped::Database)?;
            place("sqlite.commit.after");
            Ok(left_out)
        });
        match written {
            Ok(left_out) => return Ok(Written { refused, left_out }),
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
    groups: &[Group<'_>],
    now: Timestamp,
    care: Care,
    refused: &mut Refused,
) -> Result<Vec<LeftOut>, Stopped> {
    let mut left_out = vec![LeftOut::default(); groups.len()];
    for (group_index, group) in groups.iter().enumerate() {
        let mut upsert = Upsert::new(connection, group, now)?;
        for (index, row) in &group.rows {
            if refused.contains_key(&(group_index, *index)) {
                continue;
            }
            if care == Care::RecordByRecord {
                connection.prepare_cached("SAVEPOINT record")?.execute(())?;
            }
            match upsert.row(row) {
                Ok(Wrote::Row) => {}
                Ok(Wrote::NothingLater) => left_out[group_index].later += 1,
                Ok(Wrote::NothingSwept) => left_out[group_index].swept += 1,
                Err(error) => {
                    match (fault(&error), care) {
                        (Fault::Record, Care::Quick) => return Err(Stopped::ByRecord),
                        (Fault::Record, Care::RecordByRecord) => {
                            refused.insert((group_index, *index), words(&error));
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
    Ok(left_out)
}

/// The database's own words.
pub fn words(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(words)) | Error::SqlInputError { msg: words, .. } => {
            words.clone()
        }
        other => other.to_string(),
    }
}

/// A run as the column holds it.
fn stored_run(run: Run) -> i64 {
    run.0.cast_signed()
}

/// Notes a range of a run's ordinals as dealt with, joined to the ranges that it touches. Within
/// a transaction only.
///
/// # Errors
/// If the database fails.
pub fn note_delivered(
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
