//! A table a stretch at a time, for the sweep: what of it is stale, and its removal. Nothing of a later
//! version or a higher run is.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::column::Parameter;
use super::order::STALE;
use crate::database::Which;
use crate::database::stored::stored_run;
use crate::database::sweep::{self, STEP};

/// Consecutive rows of a table, in the order of its primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The id before its first; none at the table's beginning.
    after: Option<String>,
    /// The id of its last.
    last: String,
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
/// What the server says.
pub async fn next_stretch(
    client: &Client,
    which: &Which,
    previous: Option<&Stretch>,
) -> Result<Option<Stretch>, Error> {
    let table = which.file.kind.name();
    let after = previous.map(|stretch| stretch.last.clone());
    let bound = if after.is_some() { "WHERE data_id > $3" } else { "WHERE $3::text IS NULL" };
    let sql = format!(
        "SELECT max(data_id), count(*), count(*) FILTER (WHERE {STALE})
         FROM (SELECT data_id, version, run FROM {table} {bound} ORDER BY data_id LIMIT {STEP})
             AS stretch"
    );
    let parameters: [Parameter<'_>; 3] = [
        (&which.file.version.to_string(), Type::TEXT),
        (&stored_run(which.run), Type::INT8),
        (&after, Type::TEXT),
    ];
    let row = client.query_typed_one(&sql, &parameters).await?;
    let Some(last) = row.try_get(0)? else { return Ok(None) };
    let count = |column| row.try_get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Some(Stretch { rows: count(1)?, stale: count(2)?, after, last }))
}

/// Removes what is stale in a stretch; says how many rows.
///
/// # Errors
/// What the server says.
pub async fn remove_stale(client: &Client, which: &Which, stretch: &Stretch) -> Result<u64, Error> {
    let table = which.file.kind.name();
    let sql = format!(
        "DELETE FROM {table}
         WHERE ($3::text IS NULL OR data_id > $3) AND data_id <= $4 AND {STALE}"
    );
    let parameters: [Parameter<'_>; 4] = [
        (&which.file.version.to_string(), Type::TEXT),
        (&stored_run(which.run), Type::INT8),
        (&stretch.after, Type::TEXT),
        (&stretch.last, Type::TEXT),
    ];
    client.execute_typed(&sql, &parameters).await
}
