//! Which ordinals of a run a database has dealt with.

use std::ops::RangeInclusive;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Transaction};

use crate::database::stored::stored_run;
use crate::model::{DumpName, Ordinal, Ranges, Run};

/// Notes a range of a run's ordinals as dealt with, joined to the ranges that it touches.
pub(super) async fn note_delivered(
    transaction: &Transaction<'_>,
    file: DumpName,
    run: Run,
    range: RangeInclusive<Ordinal>,
) -> Result<(), Error> {
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let (first, last) = (range.start().0.cast_signed(), range.end().0.cast_signed());
    let taken = transaction
        .query_typed(
            "DELETE FROM extractor_delivered
             WHERE version = $1 AND type = $2 AND run = $3 AND first <= $5 + 1 AND last >= $4 - 1
             RETURNING first, last",
            &[
                (&version, Type::TEXT),
                (&kind, Type::TEXT),
                (&run, Type::INT8),
                (&first, Type::INT8),
                (&last, Type::INT8),
            ],
        )
        .await?;
    let mut ranges = stored_ranges(&taken)?;
    ranges.insert(range);
    for range in ranges.iter() {
        let (first, last) = (range.start().0.cast_signed(), range.end().0.cast_signed());
        transaction
            .execute_typed(
                "INSERT INTO extractor_delivered (version, type, run, first, last)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (version, type, run, first)
                 DO UPDATE SET last = greatest(extractor_delivered.last, excluded.last)",
                &[
                    (&version, Type::TEXT),
                    (&kind, Type::TEXT),
                    (&run, Type::INT8),
                    (&first, Type::INT8),
                    (&last, Type::INT8),
                ],
            )
            .await?;
    }
    Ok(())
}

/// The ordinals of a run that have been dealt with: written, refused, or bad to begin with.
///
/// # Errors
/// What the server says.
pub async fn delivered(client: &Client, file: DumpName, run: Run) -> Result<Ranges, Error> {
    let sql = "SELECT first, last FROM extractor_delivered
               WHERE version = $1 AND type = $2 AND run = $3";
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let of_run = [(&version as _, Type::TEXT), (&kind as _, Type::TEXT), (&run as _, Type::INT8)];
    stored_ranges(&client.query_typed(sql, &of_run).await?)
}

fn stored_ranges(rows: &[tokio_postgres::Row]) -> Result<Ranges, Error> {
    let ordinal = |row: &tokio_postgres::Row, column| {
        row.try_get::<_, i64>(column).map(|number| Ordinal(number.cast_unsigned()))
    };
    rows.iter().map(|row| Ok(ordinal(row, 0)?..=ordinal(row, 1)?)).collect()
}
