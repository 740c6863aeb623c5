//! What a database knows of the runs that wrote to its tables, and of the last sweep of each.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Transaction};

use super::column::Parameter;
use super::order::Insert;
use crate::database::stored::stored_run;
use crate::database::{Batch, Which};
use crate::model::{DumpName, Run};

/// The highest run of a version and type of which ordinals are noted.
///
/// # Errors
/// What the server says.
pub async fn last_run(client: &Client, file: DumpName) -> Result<Option<Run>, Error> {
    let sql = "SELECT max(run) FROM extractor_delivered WHERE version = $1 AND type = $2";
    let parameters: [Parameter<'_>; 2] =
        [(&file.version.to_string(), Type::TEXT), (&file.kind.name(), Type::TEXT)];
    let last: Option<i64> = client.query_typed_one(sql, &parameters).await?.try_get(0)?;
    Ok(last.and_then(|run| u64::try_from(run).ok()).map(Run))
}

/// Remembers a sweep, unless a later one is remembered, in a transaction of its own. The lock waits
/// for whoever writes and has read what was remembered before, also if that was nothing and there
/// is no row to lock; who comes later waits for this.
///
/// # Errors
/// What the server says.
pub async fn remember_sweep(client: &Client, which: &Which) -> Result<(), Error> {
    let Which { file, run } = which;
    // Several statements are one transaction, and take no parameters: these are of digits and of
    // names of ours.
    let sql = format!(
        "LOCK TABLE extractor_swept IN EXCLUSIVE MODE;
         INSERT INTO extractor_swept AS swept (type, version, run)
         VALUES ('{kind}', '{version}', {run})
         ON CONFLICT (type) DO UPDATE SET version = excluded.version, run = excluded.run
         WHERE (swept.version, swept.run) < (excluded.version, excluded.run)",
        kind = file.kind.name(),
        version = file.version,
        run = stored_run(*run)
    );
    client.batch_execute(&sql).await
}

/// Whether rows may be inserted, or the table was swept by a later version or run; no sweep is
/// remembered until the transaction ends.
pub(super) async fn may_insert(
    transaction: &Transaction<'_>,
    batch: &Batch,
) -> Result<Insert, Error> {
    let Some((version, run)) = batch.source else { return Ok(Insert::Allowed) };
    let sql = "SELECT (version, run) > ($2, $3) FROM extractor_swept WHERE type = $1 FOR SHARE";
    let parameters: [Parameter<'_>; 3] = [
        (&batch.kind.name(), Type::TEXT),
        (&version.to_string(), Type::TEXT),
        (&stored_run(run), Type::INT8),
    ];
    let later = transaction.query_typed_opt(sql, &parameters).await?;
    let later = later.map(|row| row.try_get(0)).transpose()?.unwrap_or(false);
    Ok(if later { Insert::OnlyThere } else { Insert::Allowed })
}

/// Notes that a run finds its table empty, if it does; what was swept before is forgotten then.
///
/// # Errors
/// What the server says.
pub async fn note_first(client: &Client, file: DumpName, run: Run) -> Result<(), Error> {
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let note = format!(
        "WITH empty AS (SELECT WHERE NOT EXISTS (SELECT 1 FROM {kind})),
              forgotten AS (DELETE FROM extractor_swept
                            WHERE type = $1 AND EXISTS (SELECT FROM empty))
         INSERT INTO extractor_first (type, version, run)
         SELECT $1, $2, $3 FROM empty
         ON CONFLICT (type) DO UPDATE SET version = excluded.version, run = excluded.run"
    );
    let parameters: [Parameter<'_>; 3] =
        [(&kind, Type::TEXT), (&version, Type::TEXT), (&run, Type::INT8)];
    client.execute_typed(&note, &parameters).await.map(drop)
}

/// Whether nothing but this run ever wrote to its table, so that no row is of an earlier version.
///
/// # Errors
/// What the server says.
pub async fn is_only_run(client: &Client, file: DumpName, run: Run) -> Result<bool, Error> {
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let parameters: [Parameter<'_>; 3] =
        [(&kind, Type::TEXT), (&version, Type::TEXT), (&run, Type::INT8)];
    let found = client
        .query_typed_one(
            "SELECT EXISTS (SELECT 1 FROM extractor_first
                            WHERE type = $1 AND version = $2 AND run = $3)
                AND NOT EXISTS (SELECT 1 FROM extractor_delivered
                                WHERE type = $1 AND NOT (version = $2 AND run = $3))",
            &parameters,
        )
        .await?;
    found.try_get(0)
}
