//! A look at a database server that writes nothing to it.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;

use super::connect::{ConnectError, Server};
use super::fault::words;
use super::migrate::{POSTGRES, pending};
use super::session::hint;
use crate::database::schema::SchemaError;
use crate::model::{Clock, Finding};

/// How long one question may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(15);

/// By how much the server's clock may differ before it is told: five minutes, in milliseconds.
const CLOCKS: u64 = 300_000;

/// The oldest server that the statements are written for.
const OLDEST: i32 = 12;

const ANOTHER: &str = "correct host, port and database in the URL, or start the server";

/// Looks at the database.
pub async fn checkup(server: &Server, clock: &dyn Clock) -> Vec<Finding> {
    let looked = timeout(PATIENCE, async {
        let connected = server.connect().await.map_err(|error| unreachable(server, &error))?;
        let talking = tokio::spawn(connected.talking);
        let findings = look(server, &connected.client, clock).await;
        talking.abort();
        findings
    });
    match looked.await {
        Ok(Ok(findings)) => findings,
        Ok(Err(finding)) => vec![finding],
        Err(_) => {
            let said = format!("{server} does not answer within {} s", PATIENCE.as_secs());
            vec![Finding::failure("sink", said, ANOTHER)]
        }
    }
}

fn unreachable(server: &Server, error: &ConnectError) -> Finding {
    match error {
        ConnectError::Server(error) => refused(server, error),
        ConnectError::Configuration(error) => Finding::of_error("sink", error),
    }
}

fn refused(server: &Server, error: &tokio_postgres::Error) -> Finding {
    let said = format!("{server}: {}", server.without_user(&words(error)));
    Finding::failure("sink", said, hint(error.code()).unwrap_or(ANOTHER))
}

async fn look(
    server: &Server,
    client: &Client,
    clock: &dyn Clock,
) -> Result<Vec<Finding>, Finding> {
    let failed = |error: tokio_postgres::Error| refused(server, &error);
    let row = client
        .query_typed_one(
            "SELECT current_setting('server_version'),
                    current_setting('server_version_num')::int / 10000,
                    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool,
                    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
                    (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        )
        .await
        .map_err(failed)?;
    let version: String = row.try_get(0).map_err(failed)?;
    let (major, read_only): (i32, bool) =
        (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
    let (may_create, there): (bool, i64) =
        (row.try_get(3).map_err(failed)?, row.try_get(4).map_err(failed)?);
    let mut findings = vec![if major < OLDEST {
        let said = format!("{server} answers, PostgreSQL {version}");
        Finding::warning("sink", said, format!("it was tried with {OLDEST} and later: upgrade it"))
    } else {
        Finding::ok("sink", format!("{server} answers, PostgreSQL {version}"))
    }];
    if read_only {
        findings.push(Finding::failure(
            "rights",
            "the database can only be read",
            "it is a standby, or set to read only: name the server that is written to",
        ));
    }
    findings.push(match pending(client, POSTGRES).await {
        Ok([]) => writable(client).await.map_err(failed)?,
        Ok(_) if may_create => {
            Finding::ok("rights", "tables are made or brought up to date at the start")
        }
        Ok(_) => Finding::failure(
            "rights",
            "tables are to be made, and the user may make none in the schema",
            "GRANT CREATE ON SCHEMA … TO the URL's user, or name another schema \
             (?options=-csearch_path%3DNAME)",
        ),
        Err(SchemaError::Mismatch(error)) => Finding::failure(
            "sink",
            format!("cannot use {server}: {error}"),
            "use the release that made it, or another database",
        ),
        Err(SchemaError::Database(error)) => return Err(refused(server, &error)),
    });
    let apart = there - clock.now().0.cast_signed();
    if apart.unsigned_abs() > CLOCKS {
        findings.push(Finding::warning(
            "clock",
            format!("the database's clock is {} s from the one here", apart / 1_000),
            "let both follow the same time (NTP)",
        ));
    }
    Ok(findings)
}

/// Whether rows may be written to tables that are there.
async fn writable(client: &Client) -> Result<Finding, tokio_postgres::Error> {
    let row = client
        .query_typed_one(
            "SELECT bool_and(has_table_privilege(name, 'SELECT, INSERT, UPDATE, DELETE'))
             FROM unnest(ARRAY['artists', 'labels', 'masters', 'releases', 'extractor_delivered'])
               AS name",
            &[],
        )
        .await?;
    Ok(if row.try_get(0)? {
        Finding::ok("rights", "its tables may be read and written")
    } else {
        Finding::failure(
            "rights",
            "its tables may not be written by this user",
            "let the user own them, or GRANT SELECT, INSERT, UPDATE, DELETE on them",
        )
    })
}
