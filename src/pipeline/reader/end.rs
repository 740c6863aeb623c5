//! How reading a dump ends, well or not.

use crate::gzip::GzipError;
use crate::model::{Ending, PointBeyondBoundary, XmlOffset};
use crate::record::SplitError;

/// How reading ended, if not with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The root element closed, all trailers matched, and all that was inflated is accounted for.
    End(Ending),
    /// The limit was reached, and there are more records.
    Limit,
    /// It has met more bad records than are allowed, and given them out.
    TooManyBad,
    /// It was stopped.
    Stopped,
}

/// Why reading failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file as gzip.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// The text as XML.
    #[error(transparent)]
    Xml(#[from] SplitError),
    /// The bytes before the mark are not those that were read before.
    #[error("the text before the checkpoint at xml offset {0} is not what it was")]
    PrefixChanged(XmlOffset),
    /// A resume point that can be none.
    #[error(transparent)]
    Point(#[from] PointBeyondBoundary),
    /// What was cut and what was inflated are not the same: a fault of this program.
    #[error(
        "{inflated} bytes were inflated and {cut} are accounted for\n\
         hint: this is a fault of discogs-extractor"
    )]
    Unaccounted {
        /// Bytes of text that were inflated.
        inflated: XmlOffset,
        /// Bytes of text up to the end of what was cut.
        cut: XmlOffset,
    },
}
