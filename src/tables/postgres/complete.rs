//! Consumers' notes in PostgreSQL.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, GenericClient, Row};

use super::{Parameter, delivered, stored_run};
use crate::model::complete::{Announced, Note, Noter, Sweep};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp, Version};

/// What names a note beside the consumer and the type, as the table holds it.
fn key(announced: &Announced) -> (String, i64) {
    let version = announced.version.map(|version| version.to_string()).unwrap_or_default();
    (version, announced.proof.map_or(0, |(run, ..)| stored_run(run)))
}

fn stored(at: Timestamp) -> i64 {
    at.0.cast_signed()
}

/// Everything that is noted of a type.
///
/// # Errors
/// What the server says.
pub async fn notes(client: &Client, noter: &Noter, kind: Kind) -> Result<Vec<Note>, Error> {
    let sql = "SELECT version, run, last, bad_records, completed_at, cancel_at, cancelled_at, sweep
               FROM extractor_complete WHERE consumer = $1 AND type = $2";
    let parameters: [Parameter<'_>; 2] =
        [(&noter.consumer, Type::TEXT), (&kind.name(), Type::TEXT)];
    let mut found = Vec::new();
    for row in client.query_typed(sql, &parameters).await? {
        let mut note = read(&row, kind)?;
        let Announced { version, proof, .. } = note.announced;
        if let Some((version, (run, last, _))) = version.zip(proof) {
            let held = delivered(client, DumpName { version, kind }, run).await?;
            note.written = held.count_to(last);
        }
        found.push(note);
    }
    Ok(found)
}

fn read(row: &Row, kind: Kind) -> Result<Note, Error> {
    let number =
        |column| row.try_get::<_, Option<i64>>(column).map(|number| number.map(i64::cast_unsigned));
    let time = |column| number(column).map(|at| at.map(Timestamp));
    let run = Run(row.try_get::<_, i64>(1)?.cast_unsigned());
    let proof = number(2)?.zip(number(3)?);
    Ok(Note {
        announced: Announced {
            kind,
            version: row.try_get::<_, &str>(0)?.parse::<Version>().ok(),
            proof: proof.map(|(last, bad_records)| (run, Ordinal(last), bad_records)),
        },
        written: 0,
        completed_at: time(4)?,
        cancel_at: time(5)?,
        cancelled_at: time(6)?,
        sweep: row.try_get::<_, Option<&str>>(7)?.and_then(Sweep::named),
    })
}

/// Notes the end of a run. That of one that is complete schedules its cancellation if there is
/// none; without proof it has to be found complete again.
///
/// # Errors
/// What the server says.
pub async fn announce(
    client: &Client,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> Result<(), Error> {
    let (version, run) = key(announced);
    let (last, bad_records) = announced.proof.map(|(_, last, bad)| (last.0, bad)).unzip();
    let sql = "INSERT INTO extractor_complete AS note
                   (consumer, type, version, run, last, bad_records, announced_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (consumer, type, version, run) DO UPDATE SET
                   last = excluded.last, bad_records = excluded.bad_records,
                   completed_at = CASE WHEN excluded.last IS NULL AND note.cancel_at IS NULL
                       THEN NULL ELSE note.completed_at END,
                   cancel_at = CASE WHEN note.completed_at IS NOT NULL
                           AND excluded.last IS NOT NULL
                       THEN coalesce(note.cancel_at, $8) ELSE note.cancel_at END";
    let parameters: [Parameter<'_>; 8] = [
        (&noter.consumer, Type::TEXT),
        (&announced.kind.name(), Type::TEXT),
        (&version, Type::TEXT),
        (&run, Type::INT8),
        (&last.map(u64::cast_signed), Type::INT8),
        (&bad_records.map(u64::cast_signed), Type::INT8),
        (&stored(now), Type::INT8),
        (&noter.cancel_at(now).map(stored), Type::INT8),
    ];
    client.execute_typed(sql, &parameters).await.map(drop)
}

/// Notes that a run is complete; false if that was noted before.
///
/// # Errors
/// What the server says.
pub async fn complete(
    client: &Client,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> Result<bool, Error> {
    let (version, run) = key(announced);
    let sweep = announced.proof.map(|_| Sweep::Owed.name());
    let sql = "UPDATE extractor_complete
               SET completed_at = $5, cancel_at = $6, cancelled_at = NULL, sweep = $7
               WHERE consumer = $1 AND type = $2 AND version = $3 AND run = $4
                   AND completed_at IS NULL";
    let parameters: [Parameter<'_>; 7] = [
        (&noter.consumer, Type::TEXT),
        (&announced.kind.name(), Type::TEXT),
        (&version, Type::TEXT),
        (&run, Type::INT8),
        (&stored(now), Type::INT8),
        (&noter.cancel_at(now).map(stored), Type::INT8),
        (&sweep, Type::TEXT),
    ];
    client.execute_typed(sql, &parameters).await.map(|changed| changed > 0)
}

/// Notes what written records mean for cancellations. Within the records' transaction.
///
/// # Errors
/// What the server says.
pub async fn data_came(
    client: &impl GenericClient,
    noter: &Noter,
    kind: Kind,
    sources: &[Option<(Version, Run)>],
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "SELECT version, run, last, bad_records, completed_at, cancel_at, cancelled_at, sweep
               FROM extractor_complete
               WHERE consumer = $1 AND type = $2 AND cancel_at IS NOT NULL";
    let of_type: [Parameter<'_>; 2] = [(&noter.consumer, Type::TEXT), (&kind.name(), Type::TEXT)];
    for row in client.query_typed(sql, &of_type).await? {
        let before = read(&row, kind)?;
        let after = before.after_data(noter, sources, now);
        let (version, run) = key(&before.announced);
        let sql = "UPDATE extractor_complete SET cancel_at = $5, cancelled_at = $6
                   WHERE consumer = $1 AND type = $2 AND version = $3 AND run = $4";
        let parameters: [Parameter<'_>; 6] = [
            (&noter.consumer, Type::TEXT),
            (&kind.name(), Type::TEXT),
            (&version, Type::TEXT),
            (&run, Type::INT8),
            (&after.cancel_at.map(stored), Type::INT8),
            (&after.cancelled_at.map(stored), Type::INT8),
        ];
        client.execute_typed(sql, &parameters).await?;
    }
    Ok(())
}

/// Notes that a type's consumers are cancelled, if that is due.
///
/// # Errors
/// What the server says.
pub async fn cancel(
    client: &Client,
    noter: &Noter,
    kind: Kind,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "UPDATE extractor_complete SET cancelled_at = $3
               WHERE consumer = $1 AND type = $2 AND cancel_at <= $3 AND cancelled_at IS NULL";
    let parameters: [Parameter<'_>; 3] =
        [(&noter.consumer, Type::TEXT), (&kind.name(), Type::TEXT), (&stored(now), Type::INT8)];
    client.execute_typed(sql, &parameters).await.map(drop)
}

/// Notes that a type's consumers read again; they are cancelled again, unless records come.
///
/// # Errors
/// What the server says.
pub async fn resume(
    client: &Client,
    noter: &Noter,
    kind: Kind,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "UPDATE extractor_complete SET cancelled_at = NULL, cancel_at = $3
               WHERE consumer = $1 AND type = $2 AND cancelled_at IS NOT NULL";
    let at = noter.cancel_at(now).map(stored);
    let parameters: [Parameter<'_>; 3] =
        [(&noter.consumer, Type::TEXT), (&kind.name(), Type::TEXT), (&at, Type::INT8)];
    client.execute_typed(sql, &parameters).await.map(drop)
}

/// Notes the end of a version as it was announced on one type's exchange.
///
/// # Errors
/// What the server says.
pub async fn extraction_complete(
    client: &Client,
    noter: &Noter,
    kind: Kind,
    version: Version,
    words: (Option<&str>, Option<&str>),
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "INSERT INTO extractor_announced
                   (consumer, version, type, started_at, record_counts, received_at)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (consumer, version, type) DO UPDATE SET
                   started_at = excluded.started_at, record_counts = excluded.record_counts";
    let parameters: [Parameter<'_>; 6] = [
        (&noter.consumer, Type::TEXT),
        (&version.to_string(), Type::TEXT),
        (&kind.name(), Type::TEXT),
        (&words.0, Type::TEXT),
        (&words.1, Type::TEXT),
        (&stored(now), Type::INT8),
    ];
    client.execute_typed(sql, &parameters).await.map(drop)
}

/// Takes an owed sweep, or one that was refused, for `me` until some time; false if somebody else
/// has it.
///
/// # Errors
/// What the server says.
pub async fn claim_sweep(
    client: &Client,
    noter: &Noter,
    announced: &Announced,
    me: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Error> {
    let (version, run) = key(announced);
    let sql = "UPDATE extractor_complete SET swept_by = $5, swept_until = $6
               WHERE consumer = $1 AND type = $2 AND version = $3 AND run = $4
                   AND sweep IN ('owed', 'refused')
                   AND (swept_by = $5 OR swept_until IS NULL OR swept_until < $7)";
    let parameters: [Parameter<'_>; 7] = [
        (&noter.consumer, Type::TEXT),
        (&announced.kind.name(), Type::TEXT),
        (&version, Type::TEXT),
        (&run, Type::INT8),
        (&me, Type::TEXT),
        (&stored(until), Type::INT8),
        (&stored(now), Type::INT8),
    ];
    client.execute_typed(sql, &parameters).await.map(|changed| changed > 0)
}

/// Notes how a sweep ended.
///
/// # Errors
/// What the server says.
pub async fn end_sweep(
    client: &Client,
    noter: &Noter,
    announced: &Announced,
    sweep: Sweep,
    words: &str,
) -> Result<(), Error> {
    let (version, run) = key(announced);
    let sql = "UPDATE extractor_complete
               SET sweep = $5, sweep_words = $6, swept_until = NULL
               WHERE consumer = $1 AND type = $2 AND version = $3 AND run = $4";
    let parameters: [Parameter<'_>; 6] = [
        (&noter.consumer, Type::TEXT),
        (&announced.kind.name(), Type::TEXT),
        (&version, Type::TEXT),
        (&run, Type::INT8),
        (&sweep.name(), Type::TEXT),
        (&words, Type::TEXT),
    ];
    client.execute_typed(sql, &parameters).await.map(drop)
}
