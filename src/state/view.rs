//! What a person may ask of the store, as one value that travels as JSON, and the lists made of
//! it. Pure functions of an [`Inspection`].

mod doing;
mod downloads;
mod files;
mod filter;
mod inspection;
mod list;

pub use doing::{Doing, Stage, TypeEntry};
pub use downloads::{DownloadLine, select as select_downloads};
pub use files::{CRASH_LOOP, FileLine, last_error, line, stalled};
pub use filter::{Filter, select, selects};
pub use inspection::{EventEntry, FileEntry, Inspection, JobEntry, Live, OwedEntry, RunEntry};
pub use list::{List, StoreLine, list};

#[cfg(test)]
mod tests;
