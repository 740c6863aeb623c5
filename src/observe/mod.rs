//! What is told to people: lines, stall verdicts, rates. Functions of a snapshot and a time.

pub mod lines;
mod rate;
mod snapshot;
mod stall;

pub use rate::{Rate, Speed};
pub use snapshot::{FileNow, Snapshot, Stage};
pub use stall::{Idle, STALL_TICK};
