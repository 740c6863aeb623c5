//! Which records of a run SQLite refused for good, or nobody could read.

use std::ops::RangeInclusive;

use rusqlite::{Connection, Row};

use super::delivered::delivered;
use crate::database::batch::{MOST_REFUSED, Refusal, RunRanges};
use crate::database::stored::stored_run;
use crate::model::agreement::{Announced, Note};
use crate::model::{DumpName, Kind, Ordinal, Run};

/// Notes a refused record, joined to the ranges that it touches. Within a transaction only. Of a
/// database that refuses everything only so many ranges are kept: its types do not become complete.
pub(super) fn note_refused(
    connection: &Connection,
    file: DumpName,
    run: Run,
    refusal: Refusal<'_>,
) -> rusqlite::Result<()> {
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let ordinal = refusal.ordinal.0.cast_signed();
    let mut taken = connection.prepare_cached(
        "DELETE FROM extractor_refused
         WHERE version = ?1 AND type = ?2 AND run = ?3 AND first <= ?4 + 1 AND last >= ?4 - 1
         RETURNING first, last, words",
    )?;
    let touched = taken.query_map((&version, kind, run, ordinal), |row| {
        Ok((range(row, 0)?, row.get::<_, String>(2)?))
    })?;
    let touched = touched.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut count = connection.prepare_cached(
        "SELECT count(*) FROM extractor_refused WHERE version = ?1 AND type = ?2 AND run = ?3",
    )?;
    let kept: i64 = count.query_row((&version, kind, run), |row| row.get(0))?;
    if touched.is_empty() && kept.cast_unsigned() >= MOST_REFUSED {
        return Ok(());
    }
    let (first, last, words) = refusal.joined(touched);
    let mut insert = connection.prepare_cached(
        "INSERT INTO extractor_refused (version, type, run, first, last, words)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (first, last) = (first.0.cast_signed(), last.0.cast_signed());
    insert.execute((&version, kind, run, first, last, words)).map(drop)
}

/// The refused records of all runs of a type, also those that were taken since.
pub(super) fn refused(connection: &Connection, kind: Kind) -> rusqlite::Result<RunRanges> {
    let mut statement = connection.prepare_cached(
        "SELECT version, run, first, last FROM extractor_refused WHERE type = ?1",
    )?;
    let mut refused = RunRanges::default();
    let mut rows = statement.query([kind.name()])?;
    while let Some(row) = rows.next()? {
        let run = Run(row.get::<_, i64>(1)?.cast_unsigned());
        refused.insert(&row.get::<_, String>(0)?, run, range(row, 2)?);
    }
    Ok(refused)
}

/// How many records of an announced run were refused and not taken since.
pub(super) fn refused_of(connection: &Connection, announced: &Announced) -> rusqlite::Result<u64> {
    let mut note = Note::new(*announced);
    if let (Some(version), Some((run, ..))) = (announced.version, announced.proof) {
        let kind = announced.kind;
        let held = delivered(connection, DumpName { version, kind }, run)?;
        note.count(&held, &refused(connection, kind)?.of(version, run));
    }
    Ok(note.refused)
}

fn range(row: &Row<'_>, column: usize) -> rusqlite::Result<RangeInclusive<Ordinal>> {
    let ordinal = |at| Ok::<_, rusqlite::Error>(Ordinal(row.get::<_, i64>(at)?.cast_unsigned()));
    Ok(ordinal(column)?..=ordinal(column + 1)?)
}
