//! What both ends of the tables share: schema and writers over `migrations/`.

mod order;
pub mod postgres;
pub mod schema;
pub mod sqlite;
pub mod sweep;
mod year;

pub use order::{LeftOut, Which};
