//! What surrounds the compressed data of a gzip member: RFC 1952, section 2.3.

use super::error::{GzipError, HeaderFault};
use crate::model::{GzipOffset, MemberCheck};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;
/// Magic, method, flags, time, extra flags, operating system.
const FIXED: usize = 10;

/// The length of the header that `bytes` begin with; none while its end is not among them.
///
/// # Errors
/// As soon as the bytes cannot be the beginning of a header.
pub(super) fn header_length(bytes: &[u8]) -> Result<Option<usize>, HeaderFault> {
    if bytes.iter().zip(&MAGIC).any(|(is, must)| is != must) {
        return Err(HeaderFault::Magic);
    }
    if let Some(&method) = bytes.get(2).filter(|method| **method != DEFLATE) {
        return Err(HeaderFault::Method(method));
    }
    let Some(&flags) = bytes.get(3) else { return Ok(None) };
    if flags & RESERVED != 0 {
        return Err(HeaderFault::Flags(flags));
    }
    let mut end = FIXED;
    if flags & EXTRA != 0 {
        let Some(length) = number(bytes, end) else { return Ok(None) };
        end += 2 + usize::from(length);
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let rest = bytes.get(end..).unwrap_or_default();
            let Some(length) = memchr::memchr(0, rest) else { return Ok(None) };
            end += length + 1;
        }
    }
    if flags & HEADER_CRC != 0 {
        let Some(stated) = number(bytes, end) else { return Ok(None) };
        if crc32fast::hash(&bytes[..end]) & 0xffff != u32::from(stated) {
            return Err(HeaderFault::Crc);
        }
        end += 2;
    }
    Ok((end <= bytes.len()).then_some(end))
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_le_bytes(*two))
}

/// What a member ends with: how its text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// CRC-32 of the member's text.
    pub crc: u32,
    /// Bytes of the member's text, modulo 2^32.
    pub length: u32,
    /// The first byte of the file after the member.
    pub end: GzipOffset,
}

impl Trailer {
    /// Bytes of a trailer.
    pub(super) const SIZE: usize = 8;

    /// The trailer that `bytes`, which stand at `at`, begin with; none while its end is not among
    /// them.
    pub(super) fn parse(bytes: &[u8], at: GzipOffset) -> Option<Trailer> {
        let crc = bytes.first_chunk()?;
        let length = bytes.get(4..)?.first_chunk()?;
        Some(Trailer {
            crc: u32::from_le_bytes(*crc),
            length: u32::from_le_bytes(*length),
            end: GzipOffset(at.0 + Trailer::SIZE as u64),
        })
    }
}

/// The running check of a member's text, to be led over every byte of it in order.
#[derive(Clone, Debug, Default)]
pub struct MemberHasher {
    crc: crc32fast::Hasher,
    length: u64,
}

impl MemberHasher {
    /// The check at a member's beginning.
    pub fn new() -> MemberHasher {
        MemberHasher::default()
    }

    /// The check as it stood at some place inside a member.
    pub fn resume(from: MemberCheck) -> MemberHasher {
        MemberHasher {
            crc: crc32fast::Hasher::new_with_initial_len(from.crc, from.length),
            length: from.length,
        }
    }

    /// Goes over the next bytes of text.
    pub fn update(&mut self, text: &[u8]) {
        self.crc.update(text);
        self.length += text.len() as u64;
    }

    /// The check as it stands. Costs next to nothing.
    pub fn check(&self) -> MemberCheck {
        MemberCheck { crc: self.crc.clone().finalize(), length: self.length }
    }

    /// Compares the check with the member's trailer and begins the next member's.
    ///
    /// # Errors
    /// If the text is not what was packed.
    pub fn finish(&mut self, trailer: &Trailer) -> Result<(), GzipError> {
        let MemberCheck { crc: computed, length } = std::mem::take(self).check();
        let &Trailer { crc: stated, length: stated_length, end } = trailer;
        if computed != stated {
            return Err(GzipError::Crc { end, computed, stated });
        }
        if length & u64::from(u32::MAX) != u64::from(stated_length) {
            return Err(GzipError::Length { end, computed: length, stated: stated_length });
        }
        Ok(())
    }
}
