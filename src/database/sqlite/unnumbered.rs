//! The pass of senders that do not number their records, in SQLite. What it is for is
//! `model/agreement/unnumbered`.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::Kind;
use crate::model::agreement::{Noter, Unnumbered};

/// The pass of a type's records, as it was noted last.
pub(super) fn unnumbered(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
) -> rusqlite::Result<Unnumbered> {
    let mut statement = connection.prepare_cached(
        "SELECT pass, is_open, ids, turn, longest FROM extractor_unnumbered
         WHERE consumer = ?1 AND type = ?2",
    )?;
    let found = statement.query_row((&noter.consumer, kind.name()), |row| {
        let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Unnumbered {
            pass: number(0)?,
            is_open: row.get(1)?,
            ids: number(2)?,
            turn: number(3)?,
            longest: Duration::from_millis(number(4)?),
        })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Notes it. Within a transaction only.
pub(super) fn note_unnumbered(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    unnumbered: &Unnumbered,
) -> rusqlite::Result<()> {
    let Unnumbered { pass, is_open, ids, turn, longest } = *unnumbered;
    let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO extractor_unnumbered
             (consumer, type, pass, is_open, ids, turn, longest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (pass, ids, turn) = (pass.cast_signed(), ids.cast_signed(), turn.cast_signed());
    statement.execute(params![noter.consumer, kind.name(), pass, is_open, ids, turn, longest])?;
    Ok(())
}

/// Whether a row was written in that pass, by its id.
pub(super) fn is_of_pass(
    connection: &Connection,
    kind: Kind,
    id: &str,
    pass: u64,
) -> rusqlite::Result<bool> {
    let sql = format!("SELECT 1 FROM {kind} WHERE data_id = ?1 AND version IS NULL AND run = ?2");
    connection.prepare_cached(&sql)?.exists((id, pass.cast_signed()))
}
