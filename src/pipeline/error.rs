//! Why a file could not be extracted, and why what is owed after it could not be paid. A pass has an
//! error of its own (`pass`), which no file's holds.

use std::io;
use std::path::PathBuf;

use super::reader::ReadError;
use crate::model::{DumpName, Ordinal, WindowError};
use crate::sink::{SinkEnd, SinkError};
use crate::state::StateError;

/// Why one file could not be extracted. The others go on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The dump could not be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The dump.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// The dump could not be downloaded.
    #[error("{file} could not be downloaded: {why}")]
    Download {
        /// The dump.
        file: String,
        /// Why.
        why: String,
        /// Whether what came of it is not what was published.
        mismatch: bool,
    },
    /// The dump is damaged.
    #[error("{file}: {cause}")]
    Damaged {
        /// The dump.
        file: String,
        /// How.
        cause: ReadError,
    },
    /// The dump was replaced or written to while it was read.
    #[error(
        "{0} changed while it was read\nhint: put dumps into the folder under another name and \
         rename them when they are whole"
    )]
    Changed(String),
    /// Too many bad records.
    #[error(
        "{file}: {count} bad records, the last is record {last}: {reason}\nhint: look at them in \
         {}; --max-bad-records allows more",
        folder.display()
    )]
    TooManyBad {
        /// The dump.
        file: String,
        /// How many.
        count: u64,
        /// The last of them.
        last: Ordinal,
        /// What is wrong with it.
        reason: String,
        /// Where they are kept.
        folder: PathBuf,
    },
    /// A bad record could not be kept.
    #[error(
        "cannot keep bad record {ordinal} in {}: {cause}\nhint: make room or make the state \
         directory writable, then start again",
        folder.display()
    )]
    CannotSetAside {
        /// The record.
        ordinal: Ordinal,
        /// Where.
        folder: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// The sink cannot go on.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The sink's lane ended before everything was settled.
    #[error("the sink ended with {0} deliveries in flight")]
    SinkEnded(usize),
    /// The store cannot go on.
    #[error(transparent)]
    State(#[from] StateError),
    /// What is owed after completion could not be done; it stays owed.
    #[error("what is owed after completion could not be done: {0}")]
    Owed(#[from] OwedError),
    /// The sink does not hold what the store calls complete, although that began anew.
    #[error(
        "{0}: the sink does not hold what was begun anew\nhint: this is a fault of discogs-extractor"
    )]
    SinkLost(String),
    /// A thread died.
    #[error("{file}: a {thread} thread died: {words}\nhint: this is a fault of discogs-extractor")]
    Died {
        /// The dump.
        file: String,
        /// Which thread.
        thread: &'static str,
        /// Its last words.
        words: String,
    },
    /// The bookkeeping does not add up.
    #[error("{file}: {cause}\nhint: this is a fault of discogs-extractor")]
    Window {
        /// The dump.
        file: String,
        /// What.
        cause: WindowError,
    },
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    NoThread(io::Error),
}

impl FileError {
    /// A thread that worked for a file died, with these words.
    pub fn died(file: DumpName, thread: &'static str, words: String) -> FileError {
        FileError::Died { file: file.to_string(), thread, words }
    }

    /// Whether whoever read the output went away, as `head` does.
    pub const fn reader_gone(&self) -> bool {
        matches!(self, FileError::Sink(SinkError { end: SinkEnd::ReaderGone, .. }))
    }

    /// Whether everything was told to stop before the sink answered: no failure.
    pub const fn is_stop(&self) -> bool {
        matches!(self, FileError::Sink(SinkError { end: SinkEnd::Stopped, .. }))
    }

    /// Whether what was delivered of the file cannot be trusted to be a beginning of it: the next
    /// attempt is a new run.
    pub fn drops_progress(&self) -> bool {
        match self {
            FileError::Damaged { cause: ReadError::Gzip(cause), .. } => cause.is_checksum(),
            FileError::Changed(_) => true,
            FileError::Download { mismatch, .. } => *mismatch,
            FileError::Damaged { .. }
            | FileError::Unreadable { .. }
            | FileError::TooManyBad { .. }
            | FileError::CannotSetAside { .. }
            | FileError::Sink(_)
            | FileError::SinkEnded(_)
            | FileError::State(_)
            | FileError::Owed(_)
            | FileError::SinkLost(_)
            | FileError::Died { .. }
            | FileError::Window { .. }
            | FileError::NoThread(_) => false,
        }
    }

    /// Whether the dump itself is to blame: only another one will do.
    pub const fn blames_dump(&self) -> bool {
        match self {
            FileError::Damaged { .. } | FileError::TooManyBad { .. } => true,
            FileError::Changed(_)
            | FileError::Download { .. }
            | FileError::Unreadable { .. }
            | FileError::CannotSetAside { .. }
            | FileError::Sink(_)
            | FileError::SinkEnded(_)
            | FileError::State(_)
            | FileError::Owed(_)
            | FileError::SinkLost(_)
            | FileError::Died { .. }
            | FileError::Window { .. }
            | FileError::NoThread(_) => false,
        }
    }

    /// The store's own failure, if that is the reason.
    pub const fn of_state(&self) -> Option<&StateError> {
        match self {
            FileError::State(error) => Some(error),
            FileError::Owed(error) => error.of_state(),
            FileError::Damaged { .. }
            | FileError::TooManyBad { .. }
            | FileError::Changed(_)
            | FileError::Download { .. }
            | FileError::Unreadable { .. }
            | FileError::CannotSetAside { .. }
            | FileError::Sink(_)
            | FileError::SinkEnded(_)
            | FileError::SinkLost(_)
            | FileError::Died { .. }
            | FileError::Window { .. }
            | FileError::NoThread(_) => None,
        }
    }
}

/// Why what is owed to the sink could not be paid. It stays owed.
#[derive(Debug, thiserror::Error)]
pub enum OwedError {
    /// The store cannot go on.
    #[error(transparent)]
    State(#[from] StateError),
    /// A thread of the sink died.
    #[error("a sink thread died: {0}\nhint: this is a fault of discogs-extractor")]
    Died(String),
    /// The sink cannot settle it.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl OwedError {
    /// The store's own failure, if that is the reason.
    pub const fn of_state(&self) -> Option<&StateError> {
        match self {
            OwedError::State(error) => Some(error),
            OwedError::Died(_) | OwedError::Sink(_) => None,
        }
    }
}
