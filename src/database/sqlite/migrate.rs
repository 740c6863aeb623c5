//! Bringing a SQLite database up to date.

use rusqlite::Connection;

use crate::database::schema::{self, Applied, Migration, SchemaError};
use crate::model::Timestamp;

/// The migrations of SQLite in order; the first has number 1.
pub const SQLITE: &[Migration] = &[
    Migration {
        name: "0001_tables.sql",
        sql: include_str!("../../../migrations/sqlite/0001_tables.sql"),
    },
    Migration {
        name: "0002_consumers.sql",
        sql: include_str!("../../../migrations/sqlite/0002_consumers.sql"),
    },
    Migration {
        name: "0003_order.sql",
        sql: include_str!("../../../migrations/sqlite/0003_order.sql"),
    },
    Migration {
        name: "0004_turns.sql",
        sql: include_str!("../../../migrations/sqlite/0004_turns.sql"),
    },
    Migration {
        name: "0005_unnumbered.sql",
        sql: include_str!("../../../migrations/sqlite/0005_unnumbered.sql"),
    },
    Migration {
        name: "0006_refused.sql",
        sql: include_str!("../../../migrations/sqlite/0006_refused.sql"),
    },
];

impl From<rusqlite::Error> for SchemaError<rusqlite::Error> {
    fn from(error: rusqlite::Error) -> Self {
        SchemaError::Database(error)
    }
}

/// Brings a database up to date. Of one that is, nothing is written.
///
/// # Errors
/// If it does not fit, or cannot be written.
pub fn migrate(
    connection: &Connection,
    known: &[Migration],
    now: Timestamp,
) -> Result<(), SchemaError<rusqlite::Error>> {
    if pending(connection, known)?.is_empty() {
        return Ok(());
    }
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS extractor_migrations (
            version    INTEGER PRIMARY KEY,
            name       TEXT NOT NULL,
            sha256     TEXT NOT NULL,
            applied_at TEXT NOT NULL
        )",
    )?;
    loop {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let result = apply_next(connection, known, now);
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = connection.execute_batch(end);
        if !result? {
            return Ok(());
        }
        ended?;
    }
}

/// Which migrations a database lacks.
///
/// # Errors
/// If it does not fit, or cannot be read.
pub fn pending<'a>(
    connection: &Connection,
    known: &'a [Migration],
) -> Result<&'a [Migration], SchemaError<rusqlite::Error>> {
    Ok(schema::pending(known, &applied(connection)?)?)
}

/// Applies the next migration inside a transaction; false if there is none.
fn apply_next(
    connection: &Connection,
    known: &[Migration],
    now: Timestamp,
) -> Result<bool, SchemaError<rusqlite::Error>> {
    let applied = applied(connection)?;
    let Some(next) = schema::pending(known, &applied)?.first() else { return Ok(false) };
    connection.execute_batch(next.sql)?;
    connection.execute(
        "INSERT INTO extractor_migrations (version, name, sha256, applied_at)
         VALUES (?1, ?2, ?3, ?4)",
        (applied.len().cast_signed() + 1, next.name, next.sha256(), format!("{now:.3}")),
    )?;
    Ok(true)
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<Applied>> {
    if !connection.table_exists(None, "extractor_migrations")? {
        return Ok(Vec::new());
    }
    connection
        .prepare("SELECT version, sha256 FROM extractor_migrations ORDER BY version")?
        .query_map((), |row| {
            Ok(Applied { version: row.get::<_, i64>(0)?.cast_unsigned(), sha256: row.get(1)? })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[Migration] = &[
        Migration { name: "0001_a.sql", sql: "CREATE TABLE a (x)" },
        Migration { name: "0002_b.sql", sql: "CREATE TABLE b (x)" },
    ];
    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    #[test]
    fn every_migration_is_applied_once_and_in_order() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, &OURS[..1], NOW).unwrap();
        migrate(&connection, OURS, NOW).unwrap();
        migrate(&connection, OURS, NOW).unwrap();
        let rows: Vec<(i64, String, String)> = connection
            .prepare("SELECT version, name, applied_at FROM extractor_migrations")
            .unwrap()
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let at = "2026-01-01T00:00:00.000Z".to_owned();
        let row = |number, name: &str| (number, name.to_owned(), at.clone());
        assert_eq!(rows, [row(1, "0001_a.sql"), row(2, "0002_b.sql")]);
    }

    #[test]
    fn a_changed_file_and_a_newer_database_are_refused_in_words() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, OURS, NOW).unwrap();
        let edited = [OURS[0], Migration { sql: "CREATE TABLE b (y)", ..OURS[1] }];
        let words = migrate(&connection, &edited, NOW).unwrap_err().to_string();
        assert!(words.contains("another 0002_b.sql"), "{words}");
        let words = migrate(&connection, &OURS[..1], NOW).unwrap_err().to_string();
        assert!(words.contains("newer release (its schema is 2, this release knows 1)"), "{words}");
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing_behind() {
        let connection = Connection::open_in_memory().unwrap();
        let broken = [Migration { name: "0001_a.sql", sql: "CREATE TABLE a (x); NONSENSE" }];
        assert!(migrate(&connection, &broken, NOW).is_err());
        assert!(!connection.table_exists(None, "a").unwrap());
        migrate(&connection, OURS, NOW).unwrap();
    }
}
