//! The pass of senders that do not number their records, in PostgreSQL. What it is for is
//! `model/agreement/unnumbered`.

use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Error, GenericClient, Transaction};

use super::column::Parameter;
use crate::model::Kind;
use crate::model::agreement::{Noter, Unnumbered};

/// The pass of a type's records, as it was noted last. `locked` is what the statement ends with.
pub(super) async fn unnumbered(
    client: &impl GenericClient,
    noter: &Noter,
    kind: Kind,
    locked: &str,
) -> Result<Unnumbered, Error> {
    let sql = format!(
        "SELECT pass, ids, turn, longest, is_open FROM extractor_unnumbered
         WHERE consumer = $1 AND type = $2 {locked}"
    );
    let Some(row) = client.query_typed_opt(&sql, &of_type(noter, &kind.name())).await? else {
        return Ok(Unnumbered::default());
    };
    let number = |column| row.try_get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Unnumbered {
        pass: number(0)?,
        is_open: row.try_get(4)?,
        ids: number(1)?,
        turn: number(2)?,
        longest: Duration::from_millis(number(3)?),
    })
}

/// Says for this transaction that such records are being written.
pub(super) async fn writes(
    transaction: &Transaction<'_>,
    noter: &Noter,
    kind: Kind,
) -> Result<(), Error> {
    let sql = "SELECT pg_advisory_xact_lock_shared($1, hashtext($2 || '-' || $3))";
    transaction.query_typed(sql, &lock(noter, &kind.name())).await.map(drop)
}

/// Whether nobody is in such a transaction, nor will be until this one ends: whoever waits in one for
/// longer than any batch took has something that is not written.
pub(super) async fn nobody_writes(
    client: &impl GenericClient,
    noter: &Noter,
    kind: Kind,
) -> Result<bool, Error> {
    let sql = "SELECT pg_try_advisory_xact_lock($1, hashtext($2 || '-' || $3))";
    client.query_typed_one(sql, &lock(noter, &kind.name())).await?.try_get(0)
}

/// The first of the two numbers of our locks: others have theirs in the same database.
const OURS: i32 = 0x4469_7363;

fn lock<'a>(noter: &'a Noter, kind: &'a &'static str) -> [Parameter<'a>; 3] {
    [(&OURS, Type::INT4), (&noter.consumer, Type::TEXT), (kind, Type::TEXT)]
}

/// Makes the row, if there is none yet: what is not there cannot be locked.
pub(super) async fn make_unnumbered(
    client: &impl GenericClient,
    noter: &Noter,
    kind: Kind,
) -> Result<(), Error> {
    let sql = "INSERT INTO extractor_unnumbered
                   (consumer, type, pass, is_open, ids, turn, longest)
               VALUES ($1, $2, 0, FALSE, 0, 0, 0) ON CONFLICT DO NOTHING";
    client.execute_typed(sql, &of_type(noter, &kind.name())).await.map(drop)
}

/// Notes it, where the row is locked.
pub(super) async fn note_unnumbered(
    client: &impl GenericClient,
    noter: &Noter,
    kind: Kind,
    unnumbered: &Unnumbered,
) -> Result<(), Error> {
    let Unnumbered { pass, is_open, ids, turn, longest } = *unnumbered;
    let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
    let sql = "UPDATE extractor_unnumbered
               SET pass = $3, is_open = $4, ids = $5, turn = $6, longest = $7
               WHERE consumer = $1 AND type = $2";
    let parameters: [Parameter<'_>; 7] = [
        (&noter.consumer, Type::TEXT),
        (&kind.name(), Type::TEXT),
        (&pass.cast_signed(), Type::INT8),
        (&is_open, Type::BOOL),
        (&ids.cast_signed(), Type::INT8),
        (&turn.cast_signed(), Type::INT8),
        (&longest, Type::INT8),
    ];
    client.execute_typed(sql, &parameters).await.map(drop)
}

fn of_type<'a>(noter: &'a Noter, kind: &'a &'static str) -> [Parameter<'a>; 2] {
    [(&noter.consumer, Type::TEXT), (kind, Type::TEXT)]
}
