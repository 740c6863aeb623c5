//! Values as the server takes them.

use tokio_postgres::types::{ToSql, Type};

use crate::model::{Run, Timestamp};

/// A parameter of a statement that is sent once, with its type: no round trip to ask for types.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A moment for `to_timestamp`.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
pub(super) const fn millis(moment: Timestamp) -> f64 {
    moment.0 as f64
}

/// A run as the column holds it.
pub(super) const fn stored_run(run: Run) -> i64 {
    run.0.cast_signed()
}
