//! How one file of a pass ended, and what the store is told of that.

use super::error::FileError;
use crate::dump::Dump;
use crate::sink::LeftOut;

/// How one file ended.
#[derive(Debug)]
pub struct Finished {
    /// The dump.
    pub dump: Dump,
    /// How it ended.
    pub end: FileEnd,
    /// Records delivered in this run.
    pub records: u64,
    /// Records set aside in this run.
    pub bad_records: u64,
    /// Records that this process delivered.
    pub now: u64,
    /// Of them, those that the sink did not write.
    pub left_out: LeftOut,
}

/// The ways a file can end.
#[derive(Debug)]
pub enum FileEnd {
    /// There was nothing to do.
    AlreadyComplete,
    /// All of it is delivered.
    Complete,
    /// As many records as were asked for are delivered, and there are more.
    Limited,
    /// It was stopped and will go on; whether everything sent was settled.
    Stopped {
        /// False if the drain took too long.
        drained: bool,
    },
    /// It failed.
    Failed(FileError),
}

/// What the store is told of how a file ended.
#[derive(Debug)]
pub enum StoreNote<'a> {
    /// Nothing: that it is complete is noted already, and a store that fails cannot be told so.
    Nothing,
    /// It stopped, and can go on.
    Stopped(&'static str),
    /// It failed.
    Failed(&'a FileError),
}

/// What to tell the store of how a file ended.
pub const fn store_note(end: &Result<FileEnd, FileError>) -> StoreNote<'_> {
    match end {
        Ok(FileEnd::AlreadyComplete | FileEnd::Complete) => StoreNote::Nothing,
        Ok(FileEnd::Limited) => StoreNote::Stopped("limit reached"),
        Ok(FileEnd::Stopped { .. }) => StoreNote::Stopped("stopped"),
        Ok(FileEnd::Failed(error)) | Err(error) => match error {
            FileError::State(error) if error.is_lasting() => StoreNote::Nothing,
            error => StoreNote::Failed(error),
        },
    }
}
