//! Why a dump could not be fetched, in words for the person who reads them.

use std::io;
use std::path::{Path, PathBuf};

use crate::dump::PartError;
use crate::model::Sha256;
use crate::state::StateError;

/// Why a dump is not here.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DownloadError {
    /// It was stopped; what came is noted.
    #[error("the download was stopped")]
    Stopped,
    /// The site does not have it any more, or not for us.
    #[error(
        "{file} can no longer be had: {site} answers {status}\nhint: \
         `discogs-extractor versions` shows what there is"
    )]
    Gone {
        /// The file.
        file: String,
        /// The site.
        site: String,
        /// HTTP's status.
        status: u16,
    },
    /// An answer that makes no sense here.
    #[error("{site} answers {status} when {file} is asked for\nhint: check the address (--site)")]
    Refused {
        /// The file.
        file: String,
        /// The site.
        site: String,
        /// HTTP's status.
        status: u16,
    },
    /// Try after try brought nothing new.
    #[error(
        "{file}: {tries} tries in a row brought nothing new, the last time {why}\nhint: what came \
         is kept; the same command goes on with it"
    )]
    GivenUp {
        /// The file.
        file: String,
        /// How many.
        tries: u32,
        /// What the last one ended with.
        why: String,
    },
    /// More or less comes than was promised.
    #[error(
        "{file} is {came} bytes long where {promised} were promised\nhint: the site may be putting \
         another file in its place; try again later"
    )]
    Length {
        /// The file.
        file: String,
        /// Bytes that were promised.
        promised: u64,
        /// Bytes that came, or would.
        came: u64,
    },
    /// Its bytes are not the published ones, twice.
    #[error(
        "{file} has the SHA-256 {came}, and {published} was published\nhint: fetched twice; what \
         came is kept as {aside}"
    )]
    Mismatch {
        /// The file.
        file: String,
        /// Its own.
        came: Sha256,
        /// The published one.
        published: Sha256,
        /// Where it is now.
        aside: String,
    },
    /// No checksum is published, and one is required.
    #[error(
        "no checksum is published for {file}, and one is required\nhint: without \
         --require-checksum it is fetched and noted as unverified"
    )]
    NoChecksum {
        /// The file.
        file: String,
    },
    /// The disk is too small for what is to come.
    #[error(
        "{} has {free} bytes free, and {needed} are to come\nhint: free some space and start \
         again; it goes on where it was", folder.display()
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// Bytes to come, of all files that are being fetched.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Another process downloads it into the same folder.
    #[error(
        "{} is being downloaded by another process\nhint: wait until that has ended, or use another \
         folder (--into)", path.display()
    )]
    Busy {
        /// The part.
        path: PathBuf,
    },
    /// The part was replaced, removed or written to by somebody else.
    #[error(
        "{} was replaced or changed by another program while it was downloaded, so it was not taken \
         for the dump\nhint: make sure that nothing else writes there, and start again", path.display()
    )]
    Changed {
        /// The part.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("cannot {what} {}: {words}\nhint: {hint}", path.display())]
    Disk {
        /// What could not be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        words: String,
        /// What to do next.
        hint: &'static str,
    },
    /// The store cannot go on.
    #[error(transparent)]
    State(#[from] StateError),
}

impl DownloadError {
    /// Whether the same command, some time later, may go on with what is here.
    pub const fn may_go_on(&self) -> bool {
        match self {
            DownloadError::Stopped | DownloadError::GivenUp { .. } | DownloadError::Busy { .. } => {
                true
            }
            DownloadError::Gone { .. }
            | DownloadError::Refused { .. }
            | DownloadError::Length { .. }
            | DownloadError::Mismatch { .. }
            | DownloadError::NoChecksum { .. }
            | DownloadError::NoRoom { .. }
            | DownloadError::Changed { .. }
            | DownloadError::Disk { .. }
            | DownloadError::State(_) => false,
        }
    }

    pub(super) fn of_part(what: &'static str, path: &Path, error: PartError) -> DownloadError {
        match error {
            PartError::Busy => DownloadError::Busy { path: path.to_owned() },
            PartError::Changed => DownloadError::Changed { path: path.to_owned() },
            PartError::Stopped => DownloadError::Stopped,
            PartError::Disk(error) => DownloadError::disk(what, path, &error),
        }
    }

    pub(super) fn disk(what: &'static str, path: &Path, error: &io::Error) -> DownloadError {
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space and start again; it goes on where it was"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "make the folder writable for this user, or choose another with --into"
            }
            _ => "check the disk, or choose another folder with --into",
        };
        let words = match error.kind() {
            io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
            _ => error.to_string(),
        };
        DownloadError::Disk { what, path: path.to_owned(), words, hint }
    }
}
