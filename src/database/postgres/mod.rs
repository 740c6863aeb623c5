//! `postgres://…`: batches of records go in by `unnest`, and the ordinals they came with go into
//! `extractor_delivered` in the same transaction.

mod checkup;
mod column;
mod connect;
mod delivered;
mod fault;
mod identity;
mod indexes;
mod migrate;
mod notes;
mod order;
mod refused;
mod rows;
mod runs;
mod session;
mod stretch;
mod target;
mod tls;
mod unnumbered;
mod unusable;

pub use checkup::checkup;
pub use connect::{ConnectError, Connected, Server};
pub use indexes::{INDEXES, Index};
pub use migrate::{POSTGRES, migrate};
pub use rows::{Writing, write};
pub use runs::{is_only_run, last_run, note_first, remember_sweep};
pub use stretch::{Stretch, next_stretch, remove_stale};
pub use target::Postgres;
pub use unusable::ServerError;
