use std::fmt;
use std::io;

use crate::model::GzipOffset;

/// Which part of a gzip member a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Before the compressed data.
    Header,
    /// In the compressed data.
    Data,
    /// After it, in the CRC and the length.
    Trailer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Part::Header => "header",
            Part::Data => "compressed data",
            Part::Trailer => "trailer",
        })
    }
}

/// Why a file cannot be inflated, or was but is not what was packed. Offsets count compressed
/// bytes from the beginning of the file.
#[derive(Debug, thiserror::Error)]
pub enum GzipError {
    /// There is not one byte.
    #[error("the file is empty\nhint: the download failed; fetch the file again")]
    Empty,
    /// The file does not begin as gzip does.
    #[error(
        "the file is not gzip: it does not begin with the bytes 1f 8b\nhint: dumps are read as \
         the site serves them, as .xml.gz; this one was unpacked, or is an error page"
    )]
    NotGzip,
    /// The file ends where it must not.
    #[error(
        "the file is truncated: it ends at byte {at}, inside a gzip member's {inside}\n\
         hint: the download was cut off; fetch the file again"
    )]
    Truncated {
        /// Bytes in the file.
        at: GzipOffset,
        /// What is not there to its end.
        inside: Part,
    },
    /// A member's header says what RFC 1952 does not allow.
    #[error("the gzip header at byte {at} {why}\nhint: the file is damaged; fetch it again")]
    Header {
        /// Where the member begins.
        at: GzipOffset,
        /// What is wrong with it.
        why: HeaderFault,
    },
    /// The compressed data breaks the rules of RFC 1951.
    #[error(
        "damaged compressed data at byte {at}: {why}\nhint: the file is damaged; fetch it again"
    )]
    Data {
        /// Where the damage was noticed; it may lie before.
        at: GzipOffset,
        /// What the inflating library says.
        why: String,
    },
    /// What came out is not what was packed.
    #[error(
        "wrong CRC in the gzip member that ends at byte {end}: its text has {computed:08x}, its \
         trailer says {stated:08x}\nhint: the file is damaged; fetch it again"
    )]
    Crc {
        /// The first byte after the member.
        end: GzipOffset,
        /// CRC-32 of the text.
        computed: u32,
        /// CRC-32 in the trailer.
        stated: u32,
    },
    /// More or less came out than was packed.
    #[error(
        "wrong length in the gzip member that ends at byte {end}: its text has {computed} bytes, \
         its trailer says {stated} (modulo 4 GiB)\nhint: the file is damaged; fetch it again"
    )]
    Length {
        /// The first byte after the member.
        end: GzipOffset,
        /// Bytes of text.
        computed: u64,
        /// The number in the trailer: bytes modulo 2^32.
        stated: u32,
    },
    /// After a member's trailer comes something that is no member.
    #[error(
        "garbage at byte {at}, after the end of the gzip data\nhint: something was appended to \
         the file, or it is damaged; fetch it again"
    )]
    Garbage {
        /// Where it begins.
        at: GzipOffset,
    },
    /// A resume point that cannot be one.
    #[error("unusable resume point at byte {at}: {why}\nhint: inflate from the start instead")]
    Point {
        /// Where the point claims to be.
        at: GzipOffset,
        /// What is wrong with it.
        why: String,
    },
    /// The inflating library could not be set up.
    #[error("inflating cannot begin: {0}\nhint: free some memory")]
    Setup(String),
    /// The file cannot be read.
    #[error("the file cannot be read at byte {at}")]
    Io {
        /// Where.
        at: GzipOffset,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl GzipError {
    /// Whether inflating went through but the text is not what was packed: the places found on
    /// the way are then worth nothing.
    pub const fn is_checksum(&self) -> bool {
        matches!(self, GzipError::Crc { .. } | GzipError::Length { .. })
    }
}

/// What is wrong with a member's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// It does not begin with `1f 8b`.
    #[error("does not begin with the bytes 1f 8b")]
    Magic,
    /// It was packed with something else than deflate.
    #[error("names the unknown compression method {0}")]
    Method(u8),
    /// Bits that RFC 1952 keeps for later and wants refused.
    #[error("has reserved flags set ({0:#04x})")]
    Flags(u8),
    /// The header's own CRC-16 is wrong.
    #[error("has a wrong CRC")]
    Crc,
    /// Its name or comment has no end.
    #[error("is longer than the {0} bytes that are read at once")]
    Long(usize),
}
