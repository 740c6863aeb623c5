//! What is told to people: lines, stall verdicts, rates. Functions of a snapshot and a time.

mod figures;
mod health;
pub mod lines;
mod metrics;
pub mod picture;
mod rate;
mod snapshot;
mod stall;

pub use crate::state::view::Stage;
pub use figures::{bytes, grouped};
pub use health::{ExtractionStatus, Health, PROGRAM_VERSION};
pub use metrics::{METRICS, Metric, Metrics, Type};
pub use rate::{Rate, Speed};
pub use snapshot::{FileNow, Snapshot};
pub use stall::{Idle, STALL_TICK};
