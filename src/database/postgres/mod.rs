//! Rows of a PostgreSQL database: batches of records go in by `unnest`, and the ordinals they came
//! with go into `extractor_delivered` in the same transaction.

mod checkup;
mod connect;
mod indexes;
mod migrate;
pub mod notes;
mod order;
mod runs;
mod session;
mod stretch;
mod target;
mod tls;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ops::RangeInclusive;

use futures_util::future::try_join;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Transaction};

use super::{Batch, LeftOut, Notes, Refused, Row, Written};
use crate::model::agreement::Event;
use crate::model::fault::place;
use crate::model::{DumpName, Ordinal, Ranges, Run, Timestamp};

pub use checkup::checkup;
pub use connect::{ConnectError, Connected, Server, ServerError};
pub use indexes::{INDEXES, Index, create, missing};
pub use migrate::{POSTGRES, migrate, pending};
use notes::agree_within;
use order::{Insert, stamp, upsert};
use runs::may_insert;
pub use runs::{is_only_run, last_run, note_first, remember_sweep};
pub use stretch::{Stretch, next_stretch, remove_stale};
pub use target::Postgres;

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

/// A batch on its way.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The moment that changed rows are dated with.
    pub now: Timestamp,
    /// Whether no other run is known to have written to the table: then rows that are there are
    /// not looked for first. It costs time and nothing else if that is wrong.
    pub only_run: bool,
    /// What is noted with the rows.
    pub notes: Notes<'a>,
}

/// Writes a batch in one transaction, all but what is refused. Of several rows of one id that of
/// the highest ordinal wins, else the last.
///
/// # Errors
/// What the server says; nothing was written then, unless the connection was lost at the end.
pub async fn write(client: &mut Client, writing: &Writing<'_>) -> Result<Written, Error> {
    let mut refused = Refused::new();
    loop {
        let rows = last_of_each(&writing.batch.rows, &refused);
        match write_all(client, writing, &rows, &refused).await {
            Ok(left_out) => return Ok(Written { refused, left_out }),
            Err(error) if fault(&error) == Fault::Record => {
                let found = look_for_refused(client, writing, &rows).await?;
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
type Numbered<'a> = (usize, &'a Row);

/// The row of each id that wins of those that are not refused, sorted by id, so that two who write
/// the same rows wait for each other and do not deadlock.
fn last_of_each<'a>(rows: &'a [Row], refused: &Refused) -> Vec<Numbered<'a>> {
    let taken = rows.iter().enumerate().filter(|(index, _)| !refused.contains_key(index));
    let mut last: BTreeMap<&str, Numbered<'a>> = BTreeMap::new();
    for (index, row) in taken {
        let winner = last.entry(&row.id).or_insert((index, row));
        if winner.1.ordinal <= row.ordinal {
            *winner = (index, row);
        }
    }
    last.into_values().collect()
}

async fn write_all(
    client: &mut Client,
    writing: &Writing<'_>,
    rows: &[Numbered<'_>],
    refused: &Refused,
) -> Result<LeftOut, Error> {
    let transaction = client.transaction().await?;
    // Sent at once, done one after the other: a stamp need not know the answer of the first.
    let stamping = async {
        if writing.only_run || rows.is_empty() {
            return Ok(Vec::new());
        }
        stamp(&transaction, writing.batch, rows).await
    };
    let (insert, stamped) = try_join(may_insert(&transaction, writing.batch), stamping).await?;
    let not_stamped =
        |(_, row): &&Numbered<'_>| stamped.binary_search_by(|id| id.as_str().cmp(&row.id)).is_err();
    let rows: Vec<Numbered<'_>> = rows.iter().filter(not_stamped).copied().collect();
    let mut left_out = LeftOut::default();
    if !rows.is_empty() && upsert(&transaction, writing, &rows, insert).await? < rows.len() as u64 {
        // Some were there already, as they came or later ones, or are to have no row.
        left_out = order::left_out(&transaction, writing.batch, &rows, insert).await?;
    }
    note(&transaction, writing, refused).await?;
    place("postgres.commit.before");
    transaction.commit().await?;
    place("postgres.commit.after");
    Ok(left_out)
}

/// Finds the rows that the server refuses, by halves; it writes nothing.
async fn look_for_refused(
    client: &mut Client,
    writing: &Writing<'_>,
    rows: &[Numbered<'_>],
) -> Result<Refused, Error> {
    let mut refused = Refused::new();
    let mut transaction = client.transaction().await?;
    let mut parts = vec![rows];
    while let Some(part) = parts.pop() {
        let savepoint = transaction.savepoint("part").await?;
        let written = upsert(&savepoint, writing, part, Insert::Allowed).await;
        savepoint.rollback().await?;
        match (written, part) {
            (Ok(_), _) | (Err(_), []) => {}
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

/// A parameter of a statement that is sent once, with its type: no round trip to ask for types.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
fn millis(moment: Timestamp) -> f64 {
    moment.0 as f64
}

/// A run as the column holds it.
fn stored_run(run: Run) -> i64 {
    run.0.cast_signed()
}

/// Notes what is to be noted with rows.
async fn note(
    transaction: &Transaction<'_>,
    writing: &Writing<'_>,
    refused: &Refused,
) -> Result<(), Error> {
    let Writing { batch, now, notes, .. } = writing;
    if let Notes::Messages(noter) = notes {
        let came = Event::Written(vec![batch.source]);
        agree_within(transaction, noter, batch.kind, &came, *now).await?;
    }
    let Some((file, run)) = batch.of() else { return Ok(()) };
    for range in batch.noted(*notes, refused) {
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
