//! `sqlite:PATH`: records go in by upserts, and the ordinals they came with go into
//! `extractor_delivered` in the same transaction.

mod busy;
mod checkup;
mod delivered;
mod fault;
mod migrate;
mod notes;
mod open;
mod order;
mod refused;
mod rows;
mod runs;
mod stretch;
mod target;
mod thread;
mod unnumbered;

pub use checkup::checkup;
pub use migrate::{SQLITE, migrate};
pub use open::{connect, prepare};
pub use rows::write;
pub use runs::remember_sweep;
pub use stretch::{Stretch, next_stretch, remove_stale};
pub use target::{Sqlite, need};
