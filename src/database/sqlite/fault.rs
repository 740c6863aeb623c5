//! What an error of SQLite's means.

use rusqlite::{Error, ErrorCode};

use crate::database::{Obstacle, Passes, hints};

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

/// The database's own words.
pub fn words(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(words)) | Error::SqlInputError { msg: words, .. } => {
            words.clone()
        }
        other => other.to_string(),
    }
}

/// The error for whoever asked the database for something.
pub fn obstacle(error: &Error) -> Obstacle {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Some(hints::FULL),
        Some(ErrorCode::ReadOnly) => Some(hints::READ_ONLY),
        Some(ErrorCode::PermissionDenied) => Some(hints::DENIED),
        Some(ErrorCode::CannotOpen) => {
            Some("the path must be a file in a folder that exists and may be written")
        }
        Some(ErrorCode::NotADatabase) => {
            Some("the file is something else: choose another path, or move it aside")
        }
        Some(ErrorCode::DatabaseCorrupt) => Some(
            "the database is damaged: move it aside and start again, which writes it anew, or \
             restore a copy, of which the rest is written again",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Some("another program holds the database locked: end its transaction")
        }
        _ => None,
    };
    let passes = match fault(error) {
        Fault::Busy => Passes::Locked,
        Fault::Record | Fault::Database => Passes::Never,
    };
    Obstacle { why: words(error), hint: hint.map(Into::into), passes }
}
