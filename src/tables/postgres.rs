//! Rows of a PostgreSQL database: batches of records go in by `unnest`, and the ordinals they came
//! with go into `extractor_delivered` in the same transaction.

pub mod complete;
mod connect;
mod indexes;
mod migrate;
mod stretch;
mod tls;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ops::RangeInclusive;

use bytes::{BufMut, BytesMut};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Transaction};

use super::Order;
use super::year::{dated_by, with_year, year_of};
use crate::model::complete::Noter;
use crate::model::fault::place;
use crate::model::{DumpName, Kind, Ordinal, Ranges, Run, Timestamp, Version};

pub use connect::{ConnectError, Connected, Server, ServerError};
pub use indexes::{INDEXES, Index, create, missing};
pub use migrate::{POSTGRES, migrate, pending};
pub use stretch::{Stretch, next_stretch, remove_stale};

/// One record on its way into its table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its id.
    pub id: &'a str,
    /// SHA-256 of the canonical JSON, lower-case hex.
    pub hash: &'a str,
    /// The canonical JSON.
    pub json: &'a str,
}

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

/// What one transaction is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The version and type.
    pub file: DumpName,
    /// The run.
    pub run: Run,
    /// The moment that changed rows are dated with.
    pub now: Timestamp,
    /// Whether no other run is known to have written to the table: then rows that are there are
    /// not looked for first. It costs time and nothing else if that is wrong.
    pub only_run: bool,
    /// The records, in the order of their ordinals.
    pub rows: &'a [Row<'a>],
    /// The ordinals that are dealt with by this, bad records' too.
    pub ordinals: &'a [RangeInclusive<Ordinal>],
}

/// The records that the server refused for themselves, with its words: by their index.
pub type Refused = BTreeMap<usize, String>;

/// Writes a batch in one transaction, all but what is refused. Of several rows of one id the last
/// wins.
///
/// # Errors
/// What the server says; nothing was written then, unless the connection was lost at the end.
pub async fn write(client: &mut Client, batch: &Batch<'_>) -> Result<Refused, Error> {
    let origin = Origin {
        kind: batch.file.kind,
        source: Some((batch.file.version, batch.run)),
        order: Order::Arrival,
        now: batch.now,
        only_run: batch.only_run,
    };
    write_rows(client, &origin, batch.rows, Notes::Ranges(batch.ordinals)).await
}

/// Where rows come from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Their table.
    pub kind: Kind,
    /// Their version and run; none if they do not say.
    pub source: Option<(Version, Run)>,
    /// What decides between two runs of one version.
    pub order: Order,
    /// The moment that changed rows are dated with.
    pub now: Timestamp,
    /// Whether no other run is known to have written to the table.
    pub only_run: bool,
}

/// What is noted with rows, in their transaction.
#[derive(Clone, Copy, Debug)]
pub enum Notes<'a> {
    /// Ordinals that are dealt with, whatever becomes of the rows.
    Ranges(&'a [RangeInclusive<Ordinal>]),
    /// The rows' own ordinals, but for those that are refused, and what the rows mean for
    /// cancellations.
    Messages {
        /// The ordinal of each row, where it is known.
        ordinals: &'a [Option<Ordinal>],
        /// Who notes.
        noter: &'a Noter,
    },
}

/// Writes rows in one transaction, all but what is refused. Of several rows of one id the last
/// wins.
///
/// # Errors
/// What the server says; nothing was written then, unless the connection was lost at the end.
pub async fn write_rows(
    client: &mut Client,
    origin: &Origin,
    all: &[Row<'_>],
    notes: Notes<'_>,
) -> Result<Refused, Error> {
    let mut refused = Refused::new();
    loop {
        let rows = last_of_each(all, &refused);
        match write_all(client, origin, &rows, notes, &refused).await {
            Ok(()) => return Ok(refused),
            Err(error) if fault(&error) == Fault::Record => {
                let found = look_for_refused(client, origin, &rows).await?;
                if found.is_empty() {
                    return Err(error);
                }
                refused.extend(found);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A row and its index in its batch.
type Numbered<'a> = (usize, &'a Row<'a>);

/// The last row of each id that is not refused, sorted by id, so that two who write the same rows
/// wait for each other and do not deadlock.
fn last_of_each<'a>(rows: &'a [Row<'a>], refused: &Refused) -> Vec<Numbered<'a>> {
    let taken = rows.iter().enumerate().filter(|(index, _)| !refused.contains_key(index));
    let last: BTreeMap<&str, Numbered<'a>> =
        taken.map(|(index, row)| (row.id, (index, row))).collect();
    last.into_values().collect()
}

async fn write_all(
    client: &mut Client,
    origin: &Origin,
    rows: &[Numbered<'_>],
    notes: Notes<'_>,
    refused: &Refused,
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let stamped = if origin.only_run || rows.is_empty() {
        Vec::new()
    } else {
        stamp(&transaction, origin, rows).await?
    };
    let not_stamped =
        |(_, row): &&Numbered<'_>| stamped.binary_search_by(|id| id.as_str().cmp(row.id)).is_err();
    let rows: Vec<Numbered<'_>> = rows.iter().filter(not_stamped).copied().collect();
    if !rows.is_empty() {
        upsert(&transaction, origin, &rows).await?;
    }
    note(&transaction, origin, notes, refused).await?;
    place("postgres.commit.before");
    transaction.commit().await?;
    place("postgres.commit.after");
    Ok(())
}

/// Finds the rows that the server refuses, by halves; it writes nothing.
async fn look_for_refused(
    client: &mut Client,
    origin: &Origin,
    rows: &[Numbered<'_>],
) -> Result<Refused, Error> {
    let mut refused = Refused::new();
    let mut transaction = client.transaction().await?;
    let mut parts = vec![rows];
    while let Some(part) = parts.pop() {
        let savepoint = transaction.savepoint("part").await?;
        let written = upsert(&savepoint, origin, part).await;
        savepoint.rollback().await?;
        match (written, part) {
            (Ok(()), _) | (Err(_), []) => {}
            (Err(error), _) if fault(&error) != Fault::Record => return Err(error),
            (Err(error), [(index, _)]) => {
                refused.insert(*index, words(&error));
            }
            (Err(_), part) => {
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([right, left]);
            }
        }
    }
    transaction.rollback().await?;
    Ok(refused)
}

/// Stamps the rows that are there with the same hash: neither their data nor an index is written.
/// Returns their ids, sorted.
async fn stamp(
    transaction: &Transaction<'_>,
    origin: &Origin,
    rows: &[Numbered<'_>],
) -> Result<Vec<String>, Error> {
    let Some((version, run)) = origin.source else { return Ok(Vec::new()) };
    let table = origin.kind.name();
    let in_order = match origin.order {
        Order::Arrival => "",
        Order::Run => "AND (row.version < $3 OR row.run IS NULL OR row.run <= $4)",
    };
    let sql = format!(
        "UPDATE {table} AS row SET version = $3, run = $4
         FROM unnest($1, $2) AS new (id, hash)
         WHERE row.data_id = new.id AND row.hash = new.hash AND row.version <= $3
             {in_order}
         RETURNING row.data_id"
    );
    let ids: Vec<&str> = rows.iter().map(|(_, row)| row.id).collect();
    let hashes: Vec<&str> = rows.iter().map(|(_, row)| row.hash).collect();
    let parameters: [Parameter<'_>; 4] = [
        (&ids, Type::TEXT_ARRAY),
        (&hashes, Type::TEXT_ARRAY),
        (&version.to_string(), Type::TEXT),
        (&stored_run(run), Type::INT8),
    ];
    let stamped = transaction.query_typed(&sql, &parameters).await?;
    let mut ids: Vec<String> =
        stamped.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// Inserts rows, or changes them where they are not of a later version. By one statement over
/// arrays: 100,000 releases of 3.3 kB took 13.1 s beside 10.3 s of a bare COPY; by a temporary
/// table it would be one copy more of every record. A row without a version
/// is in an older form and is written anew, even if its hash is the same. So is one that another
/// run wrote after it was looked for.
async fn upsert(
    transaction: &Transaction<'_>,
    origin: &Origin,
    rows: &[Numbered<'_>],
) -> Result<(), Error> {
    let kind = origin.kind;
    let table = kind.name();
    let in_order = match origin.order {
        Order::Arrival => "",
        Order::Run => {
            "AND (row.version < excluded.version OR row.run IS NULL OR row.run <= excluded.run)"
        }
    };
    let sql = format!(
        "INSERT INTO {table} AS row (data_id, hash, data, version, run, updated_at)
         SELECT id, hash, data::jsonb, $4, $5, to_timestamp($6 / 1000)
         FROM (SELECT unnest($1) AS id, unnest($2) AS hash, unnest($3) AS data) AS new
         ON CONFLICT (data_id) DO UPDATE SET
             hash = excluded.hash,
             data = excluded.data,
             version = excluded.version,
             run = excluded.run,
             updated_at = CASE WHEN row.hash = excluded.hash
                 THEN row.updated_at ELSE excluded.updated_at END
         WHERE row.version IS NULL
            OR (row.version <= excluded.version {in_order}
                AND (row.hash, row.version, row.run)
                    IS DISTINCT FROM (excluded.hash, excluded.version, excluded.run))"
    );
    let ids: Vec<&str> = rows.iter().map(|(_, row)| row.id).collect();
    let hashes: Vec<&str> = rows.iter().map(|(_, row)| row.hash).collect();
    let latest = origin.now.year() + 1;
    let (version, run) = origin.source.unzip();
    let data: Vec<Stored<'_>> =
        rows.iter().map(|(_, row)| Stored { json: row.json, kind, latest }).collect();
    let parameters: [Parameter<'_>; 6] = [
        (&ids, Type::TEXT_ARRAY),
        (&hashes, Type::TEXT_ARRAY),
        (&data, Type::TEXT_ARRAY),
        (&version.map(|version| version.to_string()), Type::TEXT),
        (&run.map(stored_run), Type::INT8),
        (&millis(origin.now), Type::FLOAT8),
    ];
    transaction.execute_typed(&sql, &parameters).await.map(drop)
}

/// A parameter of a statement that is sent once, with its type: no round trip to ask for types.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
fn millis(moment: Timestamp) -> f64 {
    moment.0 as f64
}

/// A run as the column holds it; only equality matters.
fn stored_run(run: Run) -> i64 {
    run.0.cast_signed()
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

/// Notes what is to be noted with rows.
async fn note(
    transaction: &Transaction<'_>,
    origin: &Origin,
    notes: Notes<'_>,
    refused: &Refused,
) -> Result<(), Error> {
    let ranges: Vec<RangeInclusive<Ordinal>> = match notes {
        Notes::Ranges(ranges) => ranges.to_vec(),
        Notes::Messages { ordinals, noter } => {
            let sources = [origin.source];
            complete::data_came(transaction, noter, origin.kind, &sources, origin.now).await?;
            let written = ordinals.iter().enumerate().filter(|(i, _)| !refused.contains_key(i));
            let written = written.filter_map(|(_, ordinal)| Some((*ordinal)?..=(*ordinal)?));
            written.collect::<Ranges>().iter().collect()
        }
    };
    let Some((version, run)) = origin.source else { return Ok(()) };
    for range in ranges {
        let file = DumpName { version, kind: origin.kind };
        note_delivered(transaction, file, run, range).await?;
    }
    Ok(())
}

/// Notes a range of a run's ordinals as dealt with, joined to the ranges that it touches.
async fn note_delivered(
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

/// Notes that a run finds its table empty, if it does.
///
/// # Errors
/// What the server says.
pub async fn note_first(client: &Client, file: DumpName, run: Run) -> Result<(), Error> {
    let (version, kind, run) = (file.version.to_string(), file.kind.name(), stored_run(run));
    let note = format!(
        "INSERT INTO extractor_first (type, version, run)
         SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM {kind})
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

/// The database's own identity, a UUID; `new` becomes it if there is none.
///
/// # Errors
/// What the server says.
pub async fn identity(client: &Client, new: &str) -> Result<String, Error> {
    let sql = "INSERT INTO extractor_job (id) VALUES ($1) ON CONFLICT DO NOTHING";
    client.execute_typed(sql, &[(&new, Type::TEXT)]).await?;
    client.query_typed_one("SELECT id FROM extractor_job", &[]).await?.try_get(0)
}

/// The identity, if the database has one: it may have been made anew.
///
/// # Errors
/// What the server says.
pub async fn identity_now(client: &Client) -> Result<Option<String>, Error> {
    let there =
        client.query_typed_one("SELECT to_regclass('extractor_job') IS NOT NULL", &[]).await?;
    if !there.try_get(0)? {
        return Ok(None);
    }
    let row = client.query_typed_opt("SELECT id FROM extractor_job", &[]).await?;
    row.map(|row| row.try_get(0)).transpose()
}
