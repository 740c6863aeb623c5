use serde::{Deserialize, Serialize};

use super::{GzipOffset, Ordinal, Position, XmlOffset};

/// What a gzip member's trailer will be compared with, as it stands at some place inside the
/// member: RFC 1952's CRC-32 of the bytes so far, and how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberCheck {
    /// CRC-32 of the member's decompressed bytes so far.
    pub crc: u32,
    /// How many bytes that is.
    pub length: u64,
}

/// A place at which inflating can start: the boundary of a deflate block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InflatePoint {
    /// The first whole byte of the file that has not been read yet.
    pub gzip: GzipOffset,
    /// How many of the upper bits of the byte before `gzip` belong to the next block: 0 to 7.
    pub bits: u8,
    /// How many bytes of text come before the point.
    pub xml: XmlOffset,
    /// The text before the point that later blocks may refer to, at most 32 KiB, zlib-compressed.
    pub window: Vec<u8>,
}

/// An inflate point together with what the reader must know to go on from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// Where inflating starts.
    pub place: InflatePoint,
    /// The member's check at the point.
    pub member: MemberCheck,
    /// The last record that ends at or before `boundary`, or 0.
    pub after: Ordinal,
    /// The first place at or after the point that lies between two records.
    pub boundary: XmlOffset,
}

/// The mark made durable: what a restart goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last record up to which every delivery is confirmed.
    pub position: Position,
    /// The member's check at the position, where it is known: the bytes between resume point
    /// and position are compared with it before the first record goes out again.
    pub check: Option<MemberCheck>,
    /// Records delivered so far in this run.
    pub records: u64,
    /// Records set aside so far in this run.
    pub bad_records: u64,
    /// The sink's own position at the mark (JSONL: bytes written).
    pub sink: Option<u64>,
}

impl Checkpoint {
    /// The checkpoint of a file that has not begun.
    pub const BEGINNING: Checkpoint = Checkpoint {
        position: Position::Beginning,
        check: None,
        records: 0,
        bad_records: 0,
        sink: None,
    };

    /// The last record at or before the checkpoint; 0 at the beginning.
    pub const fn ordinal(&self) -> Ordinal {
        match self.position {
            Position::At(ordinal, _) => ordinal,
            Position::Beginning | Position::End => Ordinal(self.records + self.bad_records),
        }
    }
}
