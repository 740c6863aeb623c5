//! The mark made durable, and the places from which a restart can begin: values, and the rules that
//! they cannot break. Who makes them: `pipeline/reader`; who keeps them: `state`.

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

/// A place between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// The record that ends here.
    pub after: Ordinal,
    /// The first byte after it.
    pub xml: XmlOffset,
    /// The member's check here.
    pub check: MemberCheck,
}

/// An inflate point together with what the reader must know to go on from it.
///
/// INVARIANT: the boundary is the first one at or after the point. A point whose boundary lay before
/// it would let a restart begin at text that it never sees, so none can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    place: InflatePoint,
    member: MemberCheck,
    boundary: Boundary,
}

/// A resume point that claims a boundary before itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the resume point at byte {point} of the XML claims the boundary at byte {boundary} before it"
)]
pub struct PointBeyondBoundary {
    /// Where the point is.
    pub point: XmlOffset,
    /// The boundary that it claims.
    pub boundary: XmlOffset,
}

impl ResumePoint {
    /// A point with the first record boundary at or after it.
    ///
    /// # Errors
    /// If the boundary lies before the point.
    pub fn new(
        place: InflatePoint,
        member: MemberCheck,
        boundary: Boundary,
    ) -> Result<ResumePoint, PointBeyondBoundary> {
        if boundary.xml < place.xml {
            return Err(PointBeyondBoundary { point: place.xml, boundary: boundary.xml });
        }
        Ok(ResumePoint { place, member, boundary })
    }

    /// Where inflating starts.
    pub const fn place(&self) -> &InflatePoint {
        &self.place
    }

    /// The member's check at the point.
    pub const fn member(&self) -> MemberCheck {
        self.member
    }

    /// The first record boundary at or after the point.
    pub const fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// Whether a restart at `mark` may begin here: the boundary, and the point with it, lies at or
    /// before the mark in records and in bytes.
    pub fn is_before(&self, mark: Position) -> bool {
        match mark {
            Position::At(ordinal, xml) => {
                self.boundary.after <= ordinal && self.boundary.xml <= xml
            }
            Position::Beginning | Position::End => false,
        }
    }
}

/// The mark made durable: what a restart goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last record up to which every delivery is confirmed.
    pub position: Position,
    /// The member's check at the position: the bytes between resume point and position are compared
    /// with it before the first record goes out again. Where it is not known (a store of an earlier
    /// format), reading begins at the start of the file.
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
