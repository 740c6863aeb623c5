//! What an error of the server's means.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Where the reason of an error lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server is away, stopping, full, locked or a standby: it passes.
    Passing,
    /// The server refuses the user, or what the user may not do: somebody has to change that.
    Refusing,
    /// In a record that was to be written.
    Record,
    /// In the schema: it is not as this program made it.
    Schema,
}

/// Where the reason of an error lies.
pub fn fault(error: &Error) -> Fault {
    let Some(state) = error.code() else { return Fault::Passing };
    if [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_SCHEMA_NAME].contains(state) {
        return Fault::Refusing;
    }
    // The first two characters are the class: Appendix A of PostgreSQL's manual.
    match state.code().get(..2) {
        // connection, resources, operator intervention, rollback, object not in its state,
        // system error, a server that may only be read, a server that is damaged
        Some("08" | "53" | "57" | "40" | "55" | "58" | "25" | "XX") => Fault::Passing,
        // who it is, which database
        Some("28" | "3D") => Fault::Refusing,
        // data, constraint, program limit, somebody's trigger
        Some("22" | "23" | "54" | "P0") => Fault::Record,
        _ => Fault::Schema,
    }
}

/// The server's own words, or the system's.
pub fn words(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}
