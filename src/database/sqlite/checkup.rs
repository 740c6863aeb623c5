//! A look at a database file that writes nothing to it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrate::{SQLITE, pending};
use super::target::cannot;
use crate::database::schema::SchemaError;
use crate::model::Finding;

/// How long another program's transaction is waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Looks at the database at `path`, if there is one.
pub fn checkup(path: &Path) -> Finding {
    if !path.exists() {
        return Finding::ok("sink", format!("{} is made at the start", path.display()));
    }
    match look(path) {
        Ok(0) => {
            let sqlite = rusqlite::version();
            Finding::ok("sink", format!("{} can be written, SQLite {sqlite}", path.display()))
        }
        Ok(_) => Finding::ok(
            "sink",
            format!(
                "{} can be written; its tables are brought up to date at the start",
                path.display()
            ),
        ),
        Err(SchemaError::Mismatch(error)) => Finding::failure(
            "sink",
            format!("cannot use {}: {error}", path.display()),
            "use the release that made it, or another path",
        ),
        Err(SchemaError::Database(error)) => {
            let finding = Finding::of_error("sink", &cannot(path, "use", &error));
            match error.sqlite_error_code() {
                // It is waited for, and may end by itself.
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => finding.as_warning(),
                _ => finding,
            }
        }
    }
}

/// How many migrations the database lacks, if it can be written.
fn look(path: &Path) -> Result<usize, SchemaError<rusqlite::Error>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
    Ok(pending(&connection, SQLITE)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::sqlite::{connect, prepare};
    use crate::model::{Level, Timestamp};

    #[test]
    fn what_is_said_of_a_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let status = || checkup(&path).status;
        assert_eq!(status(), Level::Ok);
        assert!(!path.exists(), "nothing is made");
        let database = connect(&path).unwrap();
        assert_eq!(status(), Level::Ok);
        prepare(&database, Timestamp(0)).unwrap();
        assert_eq!(status(), Level::Ok);
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(status(), Level::Warning);
        database.execute_batch("ROLLBACK").unwrap();
        let later = "INSERT INTO extractor_migrations VALUES (99, '', '', '')";
        database.execute_batch(later).unwrap();
        assert_eq!(status(), Level::Failure);
        drop(database);
        std::fs::write(&path, "this is no database, and long enough to be read as none").unwrap();
        assert!(checkup(&path).hint.unwrap().contains("something else"));
    }
}
