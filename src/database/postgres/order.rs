//! The statements that write rows, and the rule of which of two writes of one id wins.

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Transaction};

use super::column::{Parameter, millis};
use crate::database::stored::stored_run;
use crate::database::year::{dated_by, with_year, year_of};
use crate::database::{Batch, LeftOut, Row};
use crate::model::{Kind, Timestamp};

/// A row and its index in its batch.
pub(super) type Numbered<'a> = (usize, &'a Row);

/// Whether a row goes in a sweep of this run ($2) of the version ($1).
pub(super) const STALE: &str =
    "(version IS NULL OR version < $1 OR (version = $1 AND coalesce(run, -1) < $2))";

/// Whether the row that is there gives way to one of this version, run and ordinal.
fn gives_way(version: &str, run: &str, ordinal: &str) -> String {
    format!(
        "(row.version < {version} OR (row.version = {version}
             AND (coalesce(row.run, -1) < {run}
                  OR (row.run = {run} AND coalesce(row.ordinal <= {ordinal}, TRUE)))))"
    )
}

/// Whether rows that have none yet may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Insert {
    Allowed,
    /// A later version or run was swept, and what has no row was removed by it.
    OnlyThere,
}

/// Stamps the rows that are there with the same hash: neither their data nor an index is written.
/// Returns their ids, sorted.
pub(super) async fn stamp(
    transaction: &Transaction<'_>,
    batch: &Batch,
    rows: &[Numbered<'_>],
) -> Result<Vec<String>, Error> {
    let Some((version, run)) = batch.source else { return Ok(Vec::new()) };
    let sql = format!(
        "UPDATE {table} AS row SET version = $4, run = $5, ordinal = new.ordinal
         FROM unnest($1, $2, $3) AS new (id, hash, ordinal)
         WHERE row.data_id = new.id AND row.hash = new.hash AND {gives_way}
         RETURNING row.data_id",
        table = batch.kind.name(),
        gives_way = gives_way("$4", "$5", "new.ordinal")
    );
    let parameters: [Parameter<'_>; 5] = [
        (&ids(rows), Type::TEXT_ARRAY),
        (&hashes(rows), Type::TEXT_ARRAY),
        (&ordinals(rows), Type::INT8_ARRAY),
        (&version.to_string(), Type::TEXT),
        (&stored_run(run), Type::INT8),
    ];
    let stamped = transaction.query_typed(&sql, &parameters).await?;
    let mut ids: Vec<String> =
        stamped.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// Inserts rows, or changes them where those give way; says how many. By one statement over
/// arrays: 100,000 releases of 3.3 kB took 13.1 s beside 10.3 s of a bare COPY; by a temporary
/// table it would be one copy more of every record. A row without a version is in an older form
/// and is written anew, even if its hash is the same. So is one that another run wrote after it was
/// looked for.
pub(super) async fn upsert(
    transaction: &Transaction<'_>,
    batch: &Batch,
    now: Timestamp,
    rows: &[Numbered<'_>],
    insert: Insert,
) -> Result<u64, Error> {
    let kind = batch.kind;
    let table = kind.name();
    let new = "(SELECT unnest($1) AS id, unnest($2) AS hash, unnest($3) AS data,
                       unnest($4) AS ordinal) AS new";
    let sql = match insert {
        Insert::Allowed => format!(
            "INSERT INTO {table} AS row (data_id, hash, data, version, run, ordinal, updated_at)
             SELECT id, hash, data::jsonb, $5, $6, ordinal, to_timestamp($7 / 1000)
             FROM {new}
             ON CONFLICT (data_id) DO UPDATE SET
                 hash = excluded.hash,
                 data = excluded.data,
                 version = excluded.version,
                 run = excluded.run,
                 ordinal = excluded.ordinal,
                 updated_at = CASE WHEN row.hash = excluded.hash
                     THEN row.updated_at ELSE excluded.updated_at END
             WHERE row.version IS NULL
                OR ({gives_way}
                    AND (row.hash, row.version, row.run, row.ordinal) IS DISTINCT FROM
                        (excluded.hash, excluded.version, excluded.run, excluded.ordinal))",
            gives_way = gives_way("excluded.version", "excluded.run", "excluded.ordinal")
        ),
        // Not an INSERT of what EXISTS: a sweep may remove a row between the two.
        Insert::OnlyThere => format!(
            "UPDATE {table} AS row SET
                 hash = new.hash,
                 data = new.data::jsonb,
                 version = $5,
                 run = $6,
                 ordinal = new.ordinal,
                 updated_at = CASE WHEN row.hash = new.hash
                     THEN row.updated_at ELSE to_timestamp($7 / 1000) END
             FROM {new}
             WHERE row.data_id = new.id
                 AND (row.version IS NULL
                      OR ({gives_way}
                          AND (row.hash, row.version, row.run, row.ordinal) IS DISTINCT FROM
                              (new.hash, $5, $6, new.ordinal)))",
            gives_way = gives_way("$5", "$6", "new.ordinal")
        ),
    };
    let latest = now.year() + 1;
    let (version, run) = batch.source.unzip();
    let data: Vec<Stored<'_>> =
        rows.iter().map(|(_, row)| Stored { json: text(&row.json), kind, latest }).collect();
    let parameters: [Parameter<'_>; 7] = [
        (&ids(rows), Type::TEXT_ARRAY),
        (&hashes(rows), Type::TEXT_ARRAY),
        (&data, Type::TEXT_ARRAY),
        (&ordinals(rows), Type::INT8_ARRAY),
        (&version.map(|version| version.to_string()), Type::TEXT),
        (&run.map(stored_run), Type::INT8),
        (&millis(now), Type::FLOAT8),
    ];
    transaction.execute_typed(&sql, &parameters).await
}

/// Inserts rows that say no version, or changes those that have none either; says how many of them do
/// not bear that pass yet, as each row is found when it is locked. Those that do, of an id that comes
/// again, are only changed.
pub(super) async fn upsert_of_pass(
    transaction: &Transaction<'_>,
    batch: &Batch,
    now: Timestamp,
    rows: &[Numbered<'_>],
    pass: u64,
) -> Result<u64, Error> {
    let (kind, table) = (batch.kind, batch.kind.name());
    let latest = now.year() + 1;
    let data: Vec<Stored<'_>> =
        rows.iter().map(|(_, row)| Stored { json: text(&row.json), kind, latest }).collect();
    let (ids, hashes, pass) = (ids(rows), hashes(rows), pass.cast_signed());
    let parameters: [Parameter<'_>; 5] = [
        (&ids, Type::TEXT_ARRAY),
        (&hashes, Type::TEXT_ARRAY),
        (&data, Type::TEXT_ARRAY),
        (&pass, Type::INT8),
        (&millis(now), Type::FLOAT8),
    ];
    let new = "(SELECT unnest($1) AS id, unnest($2) AS hash, unnest($3) AS data) AS new";
    let first = format!(
        "INSERT INTO {table} AS row (data_id, hash, data, run, updated_at)
         SELECT id, hash, data::jsonb, $4, to_timestamp($5 / 1000) FROM {new}
         ON CONFLICT (data_id) DO UPDATE SET
             hash = excluded.hash, data = excluded.data, run = excluded.run,
             updated_at = CASE WHEN row.hash = excluded.hash
                 THEN row.updated_at ELSE excluded.updated_at END
         WHERE row.version IS NULL AND row.run IS DISTINCT FROM excluded.run"
    );
    let counted = transaction.execute_typed(&first, &parameters).await?;
    if counted < rows.len() as u64 {
        let again = format!(
            "UPDATE {table} AS row
             SET hash = new.hash, data = new.data::jsonb, updated_at = to_timestamp($5 / 1000)
             FROM {new}
             WHERE row.data_id = new.id AND row.version IS NULL AND row.run = $4
                 AND row.hash <> new.hash"
        );
        transaction.execute_typed(&again, &parameters).await?;
    }
    Ok(counted)
}

/// What of these rows was not written: all others are there as they came.
pub(super) async fn left_out(
    transaction: &Transaction<'_>,
    batch: &Batch,
    rows: &[Numbered<'_>],
    insert: Insert,
) -> Result<LeftOut, Error> {
    let Some((version, run)) = batch.source else { return Ok(LeftOut::default()) };
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE (row.version, row.run, row.ordinal)
                                               IS DISTINCT FROM ($3, $4, new.ordinal))
         FROM {} AS row JOIN unnest($1, $2) AS new (id, ordinal) ON row.data_id = new.id",
        batch.kind.name()
    );
    let parameters: [Parameter<'_>; 4] = [
        (&ids(rows), Type::TEXT_ARRAY),
        (&ordinals(rows), Type::INT8_ARRAY),
        (&version.to_string(), Type::TEXT),
        (&stored_run(run), Type::INT8),
    ];
    let counted = transaction.query_typed_one(&sql, &parameters).await?;
    let count = |column| counted.try_get::<_, i64>(column).map(i64::cast_unsigned);
    let (there, later) = (count(0)?, count(1)?);
    let swept = match insert {
        Insert::Allowed => 0,
        Insert::OnlyThere => (rows.len() as u64).saturating_sub(there),
    };
    Ok(LeftOut { later, swept })
}

fn ids<'a>(rows: &[Numbered<'a>]) -> Vec<&'a str> {
    rows.iter().map(|(_, row)| &*row.id).collect()
}

/// As the column holds them: lower-case hex.
fn hashes(rows: &[Numbered<'_>]) -> Vec<String> {
    rows.iter().map(|(_, row)| String::from_utf8_lossy(&row.hash.hex()).into_owned()).collect()
}

fn ordinals(rows: &[Numbered<'_>]) -> Vec<Option<i64>> {
    let stored = |(_, row): &Numbered<'_>| row.ordinal.map(|ordinal| ordinal.0.cast_signed());
    rows.iter().map(stored).collect()
}

/// JSON of ours is UTF-8, and a message that is not is no record; anything else would be refused by the
/// server.
fn text(json: &[u8]) -> &str {
    std::str::from_utf8(json).unwrap_or_default()
}

/// A record as the table holds it.
#[derive(Debug)]
struct Stored<'a> {
    json: &'a str,
    kind: Kind,
    latest: i32,
}

impl ToSql for Stored<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match dated_by(self.kind) {
            None => out.put_slice(self.json.as_bytes()),
            Some(member) => {
                let year = year_of(self.json, member, self.latest);
                let (open, rest) = with_year(self.json, year);
                out.put_slice(open.as_bytes());
                out.put_slice(rest.as_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TEXT
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}
