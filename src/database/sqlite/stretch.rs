//! A table a stretch at a time, for the sweep: what of it is stale, and its removal. Nothing of a later
//! version or a higher run is.

use rusqlite::Connection;

use super::order::STALE;
use crate::database::Which;
use crate::database::stored::stored_run;
use crate::database::sweep::{self, STEP};

/// Consecutive rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The rowid before its first.
    after: i64,
    /// The rowid of its last.
    last: i64,
    rows: u64,
    stale: u64,
}

impl sweep::Stretch for Stretch {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn stale(&self) -> u64 {
        self.stale
    }
}

/// The stretch that follows another, or the first; none at the end of the table.
///
/// # Errors
/// If the database fails.
pub fn next_stretch(
    connection: &Connection,
    which: &Which,
    previous: Option<&Stretch>,
) -> rusqlite::Result<Option<Stretch>> {
    let table = which.file.kind.name();
    let after = previous.map_or(i64::MIN, |stretch| stretch.last);
    let sql = format!(
        "SELECT max(rowid), count(*), total({STALE}) FROM
         (SELECT rowid, version, run FROM {table} WHERE rowid > ?3 ORDER BY rowid LIMIT {STEP})"
    );
    let parameters = (which.file.version.to_string(), stored_run(which.run), after);
    connection.prepare_cached(&sql)?.query_row(parameters, |row| {
        let Some(last) = row.get(0)? else { return Ok(None) };
        let stale = row.get::<_, f64>(2)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 to STEP"
        )]
        let stale = stale as u64;
        let rows = row.get::<_, i64>(1)?.cast_unsigned();
        Ok(Some(Stretch { after, last, rows, stale }))
    })
}

/// Removes what is stale in a stretch; says how many rows.
///
/// # Errors
/// If the database fails or is busy.
pub fn remove_stale(
    connection: &Connection,
    which: &Which,
    stretch: &Stretch,
) -> rusqlite::Result<u64> {
    let table = which.file.kind.name();
    let sql = format!("DELETE FROM {table} WHERE rowid > ?3 AND rowid <= ?4 AND {STALE}");
    let (version, run) = (which.file.version.to_string(), stored_run(which.run));
    let parameters = (version, run, stretch.after, stretch.last);
    connection.prepare_cached(&sql)?.execute(parameters).map(|rows| rows as u64)
}
