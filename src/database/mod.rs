//! Databases: what all of them are to whoever writes to them, and the two that hold rows, each with
//! everything that knows its SQL, over `migrations/`.

mod ask;
mod batch;
mod first;
pub mod hints;
mod obstacle;
mod order;
mod outage;
pub mod postgres;
pub mod schema;
pub mod sqlite;
mod stored;
pub mod sweep;
mod year;

pub use ask::{After, Answer, Database, GoOn, Need, Noted, SweepLimits, VersionEnd};
pub use batch::{
    Batch, MOST_REFUSED, Notes, Refusal, Refused, Row, RunRanges, Unreadable, Written,
};
pub use first::connected;
pub use obstacle::{Obstacle, OpenError, Passes};
pub use order::{LeftOut, Which};
pub use outage::{Outage, Patience};
