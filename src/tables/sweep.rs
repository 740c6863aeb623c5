//! Removing the rows that a complete version no longer has, a bounded stretch of the table at a
//! time. No index covers version and run, so the table is read once from end to end.

use rusqlite::Connection;

use super::sqlite::{Order, stored_run};
use crate::model::{DumpName, Run};

/// The run whose version decides which rows are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// The version and type.
    pub file: DumpName,
    /// The run that was complete.
    pub run: Run,
    /// What decides between two runs of the version.
    pub order: Order,
}

impl Which {
    /// Whether a row is not of this run of the version (?1, ?2) and not of a later version, nor,
    /// where runs are in order, of a later run.
    const fn stale(&self) -> &'static str {
        match self.order {
            Order::Arrival => {
                "(version IS NULL OR version < ?1 OR (version = ?1 AND run IS NOT ?2))"
            }
            Order::Run => {
                "(version IS NULL OR version < ?1 \
                  OR (version = ?1 AND (run IS NULL OR run < ?2)))"
            }
        }
    }
}

/// Rows that one step looks at, and so the most that one transaction removes.
const STEP: u32 = 10_000;

/// Consecutive rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The rowid before its first.
    after: i64,
    /// The rowid of its last.
    last: i64,
    /// How many rows it has.
    pub rows: u64,
    /// How many of them the version no longer has.
    pub stale: u64,
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
    let (table, stale) = (which.file.kind.name(), which.stale());
    let after = previous.map_or(i64::MIN, |stretch| stretch.last);
    let sql = format!(
        "SELECT max(rowid), count(*), total({stale}) FROM
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
) -> rusqlite::Result<usize> {
    let (table, stale) = (which.file.kind.name(), which.stale());
    let sql = format!("DELETE FROM {table} WHERE rowid > ?3 AND rowid <= ?4 AND {stale}");
    let parameters = (which.file.version.to_string(), stored_run(which.run), stretch.after, stretch.last);
    connection.prepare_cached(&sql)?.execute(parameters)
}

/// The reason not to remove `stale` of `rows` rows, if there is one.
pub fn too_many(rows: u64, stale: u64, max_fraction: f64) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    let fraction = if rows == 0 { 0.0 } else { stale as f64 / rows as f64 };
    (fraction > max_fraction).then(|| {
        format!(
            "{stale} of {rows} rows would go, {:.1} %, and {:.1} % is the limit",
            fraction * 100.0,
            max_fraction * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_may_take_exactly_its_part() {
        assert_eq!(too_many(0, 0, 0.0), None);
        assert_eq!(too_many(100, 10, 0.1), None);
        let words = too_many(1_000, 101, 0.1).unwrap();
        assert_eq!(words, "101 of 1000 rows would go, 10.1 %, and 10.0 % is the limit");
    }
}
