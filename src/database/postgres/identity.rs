//! Which database it is.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

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
