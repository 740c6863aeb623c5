//! What both ends of the tables share: schema and writers over `migrations/`.

mod batch;
mod order;
pub mod postgres;
pub mod schema;
pub mod sqlite;
pub mod sweep;
mod year;

pub use batch::{Batch, Notes, Refused, Row, Written};
pub use order::{LeftOut, Which};
