use std::fmt;

use serde::{Deserialize, Serialize};

/// The 1-based place of a record in its dump. Every record has one, bad ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ordinal(pub u64);

impl Ordinal {
    /// The first record.
    pub const FIRST: Ordinal = Ordinal(1);

    /// The record after this one.
    #[must_use]
    pub const fn next(self) -> Ordinal {
        Ordinal(self.0 + 1)
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the decompressed text, in bytes from its beginning, over all gzip members.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct XmlOffset(pub u64);

impl fmt::Display for XmlOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the file as it lies on disk, in bytes from its beginning.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct GzipOffset(pub u64);

impl fmt::Display for GzipOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a file has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// Before the first record.
    Beginning,
    /// After this record, whose last byte stands before this offset.
    At(Ordinal, XmlOffset),
    /// After everything: the root element closed, the trailers matched.
    End,
}

impl Position {
    /// Where the next place must begin; none at the end, after which there is none.
    pub const fn reached(self) -> Option<XmlOffset> {
        match self {
            Position::Beginning => Some(XmlOffset(0)),
            Position::At(_, xml) => Some(xml),
            Position::End => None,
        }
    }
}

/// What a reader has proved of a dump that it read to its end: the last record, the epilog after
/// it, and nothing else make up all that was inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The last record's ordinal; 0 if there is none.
    pub last: Ordinal,
    /// The first byte after the last record; 0 if there is none.
    pub end: XmlOffset,
    /// How many bytes of text the dump has.
    pub length: XmlOffset,
}

/// One pass over a file from its record 1: the UTC milliseconds of its start. It is kept over
/// restarts, new whenever the file starts over, and compared for equality only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run(pub u64);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
