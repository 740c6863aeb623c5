//! Values as the server takes them.

use tokio_postgres::types::{ToSql, Type};

use crate::model::Timestamp;

/// A parameter of a statement that is sent once, with its type: no round trip to ask for types.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A moment for `to_timestamp`.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
pub(super) const fn millis(moment: Timestamp) -> f64 {
    moment.0 as f64
}
