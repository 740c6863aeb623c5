//! Which records of a run PostgreSQL refused for good, or nobody could read.

use std::ops::RangeInclusive;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row, Transaction};

use super::column::Parameter;
use super::delivered::delivered;
use crate::database::batch::{MOST_REFUSED, Refusal, RunRanges};
use crate::database::stored::stored_run;
use crate::model::agreement::{Announced, Note};
use crate::model::{DumpName, Kind, Ordinal, Run};

/// Notes a refused record, joined to the ranges that it touches. Of a database that refuses everything
/// only so many ranges are kept: its types do not become complete.
pub(super) async fn note_refused(
    transaction: &Transaction<'_>,
    file: DumpName,
    run: Run,
    refusal: Refusal<'_>,
) -> Result<(), Error> {
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let ordinal = refusal.ordinal.0.cast_signed();
    let of_run: [Parameter<'_>; 3] =
        [(&version, Type::TEXT), (&kind, Type::TEXT), (&run, Type::INT8)];
    let [a, b, c] = of_run.clone();
    let taken = transaction
        .query_typed(
            "DELETE FROM extractor_refused
             WHERE version = $1 AND type = $2 AND run = $3 AND first <= $4 + 1 AND last >= $4 - 1
             RETURNING first, last, words",
            &[a, b, c, (&ordinal, Type::INT8)],
        )
        .await?;
    let touched = taken.iter().map(|row| Ok((range(row, 0)?, row.try_get(2)?)));
    let touched = touched.collect::<Result<Vec<(_, String)>, Error>>()?;
    let count = "SELECT count(*) FROM extractor_refused
                 WHERE version = $1 AND type = $2 AND run = $3";
    let kept: i64 = transaction.query_typed_one(count, &of_run).await?.try_get(0)?;
    if touched.is_empty() && kept.cast_unsigned() >= MOST_REFUSED {
        return Ok(());
    }
    let (first, last, words) = refusal.joined(touched);
    let (first, last) = (first.0.cast_signed(), last.0.cast_signed());
    let [a, b, c] = of_run.clone();
    let insert = "INSERT INTO extractor_refused (version, type, run, first, last, words)
                  VALUES ($1, $2, $3, $4, $5, $6)
                  ON CONFLICT (version, type, run, first)
                  DO UPDATE SET last = greatest(extractor_refused.last, excluded.last)";
    let parameters: [Parameter<'_>; 6] =
        [a, b, c, (&first, Type::INT8), (&last, Type::INT8), (&words, Type::TEXT)];
    transaction.execute_typed(insert, &parameters).await.map(drop)
}

/// The refused records of all runs of a type, also those that were taken since.
pub(super) async fn refused(client: &Client, kind: Kind) -> Result<RunRanges, Error> {
    let sql = "SELECT first, last, version, run FROM extractor_refused WHERE type = $1";
    let mut refused = RunRanges::default();
    for row in client.query_typed(sql, &[(&kind.name(), Type::TEXT)]).await? {
        let run = Run(row.try_get::<_, i64>(3)?.cast_unsigned());
        refused.insert(row.try_get(2)?, run, range(&row, 0)?);
    }
    Ok(refused)
}

/// How many records of an announced run were refused and not taken since.
pub(super) async fn refused_of(client: &Client, announced: &Announced) -> Result<u64, Error> {
    let mut note = Note::new(*announced);
    if let (Some(version), Some((run, ..))) = (announced.version, announced.proof) {
        let kind = announced.kind;
        let held = delivered(client, DumpName { version, kind }, run).await?;
        note.count(&held, &refused(client, kind).await?.of(version, run));
    }
    Ok(note.refused)
}

fn range(row: &Row, column: usize) -> Result<RangeInclusive<Ordinal>, Error> {
    let ordinal = |at| row.try_get::<_, i64>(at).map(|number| Ordinal(number.cast_unsigned()));
    Ok(ordinal(column)?..=ordinal(column + 1)?)
}
