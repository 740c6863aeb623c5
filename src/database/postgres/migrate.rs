//! Bringing a PostgreSQL database up to date.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, GenericClient};

use super::column::millis;
use crate::database::schema::{self, Applied, Migration, SchemaError};
use crate::model::Timestamp;

/// The migrations of PostgreSQL in order; the first has number 1.
pub const POSTGRES: &[Migration] = &[
    Migration {
        name: "0001_tables.sql",
        sql: include_str!("../../../migrations/postgres/0001_tables.sql"),
    },
    Migration {
        name: "0002_consumers.sql",
        sql: include_str!("../../../migrations/postgres/0002_consumers.sql"),
    },
    Migration {
        name: "0003_order.sql",
        sql: include_str!("../../../migrations/postgres/0003_order.sql"),
    },
    Migration {
        name: "0004_turns.sql",
        sql: include_str!("../../../migrations/postgres/0004_turns.sql"),
    },
    Migration {
        name: "0005_unnumbered.sql",
        sql: include_str!("../../../migrations/postgres/0005_unnumbered.sql"),
    },
    Migration {
        name: "0006_refused.sql",
        sql: include_str!("../../../migrations/postgres/0006_refused.sql"),
    },
];

/// Held while migrating, so that of two processes one waits: `disc` as a number.
const LOCK: i64 = 0x6469_7363;

/// Somebody who reads a table holds a migration up, and it holds up whoever comes after; it gives
/// way after so long and is tried again.
const GIVE_WAY: &str = "SET LOCAL lock_timeout = '5s'";

impl From<Error> for SchemaError<Error> {
    fn from(error: Error) -> Self {
        SchemaError::Database(error)
    }
}

/// Brings a database up to date. Of one that is, nothing is written.
///
/// # Errors
/// If it does not fit, or cannot be written.
pub async fn migrate(
    client: &mut Client,
    known: &[Migration],
    now: Timestamp,
) -> Result<(), SchemaError<Error>> {
    while !pending(client, known).await?.is_empty() {
        let transaction = client.transaction().await?;
        transaction
            .execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])
            .await?;
        transaction.batch_execute(GIVE_WAY).await?;
        transaction
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS extractor_migrations (
                     version    BIGINT PRIMARY KEY,
                     name       TEXT NOT NULL,
                     sha256     TEXT NOT NULL,
                     applied_at TIMESTAMPTZ NOT NULL
                 )",
            )
            .await?;
        // Another process may have done it while this one waited for the lock.
        let applied = applied(&transaction).await?;
        if let Some(next) = schema::pending(known, &applied)?.first() {
            transaction.batch_execute(next.sql).await?;
            let number = applied.len().cast_signed() as i64 + 1;
            transaction
                .execute_typed(
                    "INSERT INTO extractor_migrations (version, name, sha256, applied_at)
                     VALUES ($1, $2, $3, to_timestamp($4 / 1000))",
                    &[
                        (&number, Type::INT8),
                        (&next.name, Type::TEXT),
                        (&next.sha256(), Type::TEXT),
                        (&millis(now), Type::FLOAT8),
                    ],
                )
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// Which migrations a database lacks.
///
/// # Errors
/// If it does not fit, or cannot be read.
pub async fn pending<'a>(
    client: &impl GenericClient,
    known: &'a [Migration],
) -> Result<&'a [Migration], SchemaError<Error>> {
    Ok(schema::pending(known, &applied(client).await?)?)
}

async fn applied(client: &impl GenericClient) -> Result<Vec<Applied>, Error> {
    let there = client
        .query_typed_one("SELECT to_regclass('extractor_migrations') IS NOT NULL", &[])
        .await?;
    if !there.try_get(0)? {
        return Ok(Vec::new());
    }
    let rows = client
        .query_typed("SELECT version, sha256 FROM extractor_migrations ORDER BY version", &[])
        .await?;
    let applied = |row: &tokio_postgres::Row| {
        let version = row.try_get::<_, i64>(0)?.cast_unsigned();
        Ok(Applied { version, sha256: row.try_get(1)? })
    };
    rows.iter().map(applied).collect()
}
