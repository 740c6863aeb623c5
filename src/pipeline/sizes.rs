//! The measures of a record's way, in one place.

use std::time::Duration;

use crate::gzip::POINT_EVERY;
use crate::record::MAX_RECORD;

/// The measures of a record's way from the file to the sink. They are values so that a test can
/// make them tiny, and meets in a few kilobytes what else takes gigabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// A larger record, in bytes of XML, is set aside.
    pub record: usize,
    /// Bytes of text that are inflated before their records go to the parse threads. 512 KiB are 120
    /// releases, 1.3 ms of parsing; with 256 KiB a run took 5 % longer.
    pub chunk: usize,
    /// Records that go there at once. More than that are in 512 KiB only where they are tiny, and
    /// what is noted of each (100 bytes) would come to more than its text.
    pub cuts: usize,
    /// Compressed bytes between resume points, at least.
    pub points_every: u64,
    /// How often the mark is made durable while it moves. The contract is 250 ms; the rest is for
    /// the disk. Zero: whenever it has moved.
    pub checkpoint_every: Duration,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            record: MAX_RECORD,
            chunk: 512 << 10,
            cuts: 16_384,
            points_every: POINT_EVERY,
            checkpoint_every: Duration::from_millis(200),
        }
    }
}
