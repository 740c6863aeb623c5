//! The way of a record: a reader thread per file inflates and splits, parse threads make documents,
//! a task per file puts them in order, delivers them and moves the mark.

mod attempt;
mod bad;
mod budget;
mod completion;
mod context;
mod deliver;
mod disk_space;
pub mod download;
mod error;
mod extraction;
mod input;
mod lane;
mod opening;
mod outbox;
mod outcome;
mod pass;
mod reader;
mod reading;
mod reorder;
mod sizes;
mod source;
mod workers;

pub use context::{Context, Settings, Told};
pub use error::{FileError, OwedError};
pub use input::{Input, Queued, Watched, queue};
pub use outcome::{FileEnd, Finished};
pub use pass::{PassError, run};
pub use sizes::Sizes;
