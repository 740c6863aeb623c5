//! What a database knows of the runs that wrote to its tables, and of the last sweep of each.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::database::Which;
use crate::database::stored::stored_run;
use crate::model::{DumpName, Kind, Run, Version};

/// The highest run of a version and type of which ordinals are noted.
///
/// # Errors
/// What SQLite says.
pub fn last_run(connection: &Connection, file: DumpName) -> rusqlite::Result<Option<Run>> {
    let last: Option<i64> = connection.query_row(
        "SELECT max(run) FROM extractor_delivered WHERE version = ?1 AND type = ?2",
        (file.version.to_string(), file.kind.name()),
        |row| row.get(0),
    )?;
    Ok(last.and_then(|run| u64::try_from(run).ok()).map(Run))
}

/// Remembers a sweep, unless a later one is remembered.
///
/// # Errors
/// What SQLite says.
pub fn remember_sweep(connection: &Connection, which: &Which) -> rusqlite::Result<()> {
    let Which { file, run } = which;
    connection.execute(
        "INSERT INTO extractor_swept AS swept (type, version, run) VALUES (?1, ?2, ?3)
         ON CONFLICT (type) DO UPDATE SET version = excluded.version, run = excluded.run
         WHERE (swept.version, swept.run) < (excluded.version, excluded.run)",
        (file.kind.name(), file.version.to_string(), stored_run(*run)),
    )?;
    Ok(())
}

/// Whether the table was swept by a later version, or by a higher run of the same.
pub(super) fn is_older_than_sweep(
    connection: &Connection,
    kind: Kind,
    version: Version,
    run: Run,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM extractor_swept WHERE type = ?1 AND (version, run) > (?2, ?3)",
        )?
        .exists((kind.name(), version.to_string(), stored_run(run)))
}

/// Notes that a run finds its table empty, if it does; what was swept before is forgotten then.
///
/// # Errors
/// What SQLite says.
pub fn note_first(connection: &Connection, file: DumpName, run: Run) -> rusqlite::Result<()> {
    let kind = file.kind.name();
    let is_empty = format!("NOT EXISTS (SELECT 1 FROM {kind})");
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    transaction
        .execute(&format!("DELETE FROM extractor_swept WHERE type = ?1 AND {is_empty}"), [kind])?;
    transaction.execute(
        &format!(
            "INSERT OR REPLACE INTO extractor_first (type, version, run)
             SELECT ?1, ?2, ?3 WHERE {is_empty}"
        ),
        (kind, file.version.to_string(), stored_run(run)),
    )?;
    transaction.commit()
}

/// Whether nothing but this run ever wrote to its table, so that no row is of an earlier version.
///
/// # Errors
/// What SQLite says.
pub fn is_only_run(connection: &Connection, file: DumpName, run: Run) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM extractor_first
                        WHERE type = ?1 AND version = ?2 AND run = ?3)
            AND NOT EXISTS (SELECT 1 FROM extractor_delivered
                            WHERE type = ?1 AND NOT (version = ?2 AND run = ?3))",
        (file.kind.name(), file.version.to_string(), stored_run(run)),
        |row| row.get(0),
    )
}
