//! Databases: what all of them are to whoever writes to them, and the two that hold rows, each with
//! everything that knows its SQL, over `migrations/`.

mod batch;
mod database;
pub mod hints;
mod order;
mod outage;
pub mod postgres;
pub mod schema;
pub mod sqlite;
pub mod sweep;
mod year;

pub use batch::{Batch, Notes, Refused, Row, Written};
pub use database::{
    After, Answer, Database, GoOn, Need, OpenError, Passes, SweepLimits, Trouble, VersionEnd,
};
pub use order::{LeftOut, Which};
pub use outage::{Outage, Patience};
