//! Which ordinals of a run a database has dealt with.

use std::ops::RangeInclusive;

use rusqlite::{Connection, Error};

use crate::database::stored::stored_run;
use crate::model::{DumpName, Ordinal, Ranges, Run};

/// Notes a range of a run's ordinals as dealt with, joined to the ranges that it touches. Within
/// a transaction only.
pub(super) fn note_delivered(
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
