//! Places in a dump, as records, as text and as bytes on disk, and the order of runs. Each number
//! that means something has a type of its own, so that none is taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;

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

/// One pass over a file from its record 1: at least the UTC milliseconds of its start, above every
/// run that store and sink know. It is kept over restarts and new whenever the file starts over. Of
/// two runs of one version the higher wins, in every sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run(pub u64);

impl Run {
    /// Above this there is no run: the milliseconds of 146 million years, and a positive number in
    /// every database. What claims a higher one is refused where it comes in, since no run could
    /// ever begin above it.
    pub const MAX: Run = Run(1 << 62);

    /// A run that begins now, above those that are known.
    pub fn above(known: Run, now: Timestamp) -> Run {
        Run(now.0.max(known.0.saturating_add(1)).min(Run::MAX.0))
    }

    /// The number as a run, if it can be one.
    pub fn checked(number: u64) -> Option<Run> {
        (number <= Run::MAX.0).then_some(Run(number))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_above_all_that_are_known_whatever_the_clock_says() {
        assert_eq!(Run::above(Run(0), Timestamp(500)), Run(500));
        assert_eq!(Run::above(Run(500), Timestamp(500)), Run(501));
        assert_eq!(Run::above(Run(9_000), Timestamp(500)), Run(9_001));
        assert_eq!(Run::above(Run(u64::MAX), Timestamp(500)), Run::MAX);
        assert_eq!(Run::checked(Run::MAX.0), Some(Run::MAX));
        assert_eq!(Run::checked(Run::MAX.0 + 1), None);
    }
}
