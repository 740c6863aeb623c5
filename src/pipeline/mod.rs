//! The way of a record: a reader thread per file inflates and splits, parse threads make documents,
//! a task per file puts them in order, delivers them and moves the mark.

mod attempt;
mod bad;
mod budget;
mod deliver;
pub mod download;
mod error;
mod extraction;
mod opening;
mod order;
mod outbox;
mod pass;
mod reader;
mod room;
mod sizes;
mod source;
mod workers;

pub use error::FileError;
pub use pass::{FileEnd, Finished, Input, Pass, PassError, Queued, Settings, Told, Watched, queue};
pub use sizes::Sizes;
