//! What can go wrong with the state, in words for the person who reads them.

use std::path::{Path, PathBuf};

use super::{Holder, Illegal};

/// What can go wrong with the state, in words for the person who reads them.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has the state directory.
    #[error(
        "the state in {} is in use by {holder}\nhint: one process at a time owns a state directory; \
         stop the other one, or give this one its own with --state-dir",
        dir.display()
    )]
    Owned {
        /// The state directory.
        dir: PathBuf,
        /// Who has it, as far as is known.
        holder: Holder,
    },
    /// The store was written by a later release.
    #[error(
        "the state in {} was written by a newer discogs-extractor (format {format}, this one knows \
         {knows})\nhint: use that release again, or another directory with --state-dir",
        dir.display()
    )]
    Newer {
        /// The state directory.
        dir: PathBuf,
        /// The format it has.
        format: u32,
        /// The newest format this release knows.
        knows: u32,
    },
    /// The store cannot be trusted.
    #[error(
        "the state in {} is damaged: {words}\nhint: run `discogs-extractor state repair \
         --state-dir {}`: it moves the damaged store aside and rebuilds it from the last snapshot",
        dir.display(),
        dir.display()
    )]
    Damaged {
        /// The state directory.
        dir: PathBuf,
        /// What is wrong.
        words: String,
    },
    /// The disk or the system said no.
    #[error("cannot {what}: {words}\nhint: {hint}")]
    Disk {
        /// What could not be done, with the path.
        what: String,
        /// The system's words.
        words: String,
        /// What to do next.
        hint: &'static str,
    },
    /// A step that does not fit what is stored: a fault of this program, never of input.
    #[error("the state of {file} does not allow this: {illegal}")]
    Illegal {
        /// The file.
        file: String,
        /// Why not.
        illegal: Illegal,
    },
    /// A file that is not in the store.
    #[error("nothing is known of {file}")]
    Unknown {
        /// The file.
        file: String,
    },
    /// A file cannot be forgotten while it is being extracted.
    #[error(
        "{file} is being extracted right now\nhint: stop the extraction first, then run it again"
    )]
    Busy {
        /// The file.
        file: String,
    },
    /// A line of an export that cannot be taken in.
    #[error(
        "line {line} of the export cannot be read: {words}\nhint: import takes what `state export` \
         of this or an earlier release wrote"
    )]
    Export {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        words: String,
    },
    /// An import into a store that is not empty.
    #[error(
        "the state in {} already knows {files} files\nhint: import into an empty state directory, \
         or say that what is there may be replaced",
        dir.display()
    )]
    NotEmpty {
        /// The state directory.
        dir: PathBuf,
        /// How many files it knows.
        files: usize,
    },
    /// A repair without a snapshot would begin with nothing.
    #[error(
        "there is no snapshot beside the store in {}\nhint: a repair would begin with an empty \
         state, and every file with its first record; confirm that with --yes",
        dir.display()
    )]
    NoSnapshot {
        /// The state directory.
        dir: PathBuf,
    },
    /// The thread that keeps the state has ended.
    #[error("the state is closed")]
    Closed,
}

impl StateError {
    /// Whether the store takes nothing any more, rather than this one request.
    pub const fn is_lasting(&self) -> bool {
        match self {
            StateError::Owned { .. }
            | StateError::Newer { .. }
            | StateError::Damaged { .. }
            | StateError::Disk { .. }
            | StateError::NoSnapshot { .. }
            | StateError::Closed => true,
            StateError::Illegal { .. }
            | StateError::Unknown { .. }
            | StateError::Busy { .. }
            | StateError::Export { .. }
            | StateError::NotEmpty { .. } => false,
        }
    }

    /// The disk's refusal to do `what` with `path`.
    pub(super) fn disk(what: &str, path: &Path, error: &std::io::Error) -> StateError {
        StateError::Disk {
            what: format!("{what} {}", path.display()),
            words: words_of(error),
            hint: hint_for(error),
        }
    }

    pub(super) fn unreadable(dir: &Path, error: &std::io::Error) -> StateError {
        StateError::Disk {
            what: format!("look at {}", dir.display()),
            words: words_of(error),
            hint: "look as the user that it runs as, or say with --state-dir where the state is",
        }
    }

    /// A store that cannot be trusted, and why.
    pub(super) fn damaged(dir: &Path, words: String) -> StateError {
        StateError::Damaged { dir: dir.to_owned(), words }
    }

    /// Whether the store is beyond use for whoever has it open: it must be opened again, and a
    /// person may have to act first.
    pub const fn is_final(&self) -> bool {
        match self {
            StateError::Owned { .. }
            | StateError::Newer { .. }
            | StateError::Damaged { .. }
            | StateError::Disk { .. }
            | StateError::Closed => true,
            StateError::Illegal { .. }
            | StateError::Unknown { .. }
            | StateError::Busy { .. }
            | StateError::Export { .. }
            | StateError::NotEmpty { .. }
            | StateError::NoSnapshot { .. } => false,
        }
    }
}

fn words_of(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        _ => error.to_string(),
    }
}

fn hint_for(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space and start again; it goes on where it was"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "make the state directory writable for this user, or choose another with --state-dir"
        }
        _ => "check the disk, or choose another state directory with --state-dir",
    }
}
