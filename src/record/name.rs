//! The names of elements and attributes, eight bytes at a time.

use super::is_name_byte;
use super::value;

/// A name in the record.
pub(super) struct Name {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The first eight bytes, padded with zeros, as a number that sorts like them.
    pub(super) prefix: u64,
    /// Whether it may have bytes that are escaped in JSON.
    pub(super) is_escaped: bool,
}

/// In each byte, the bit that is set in letters and clear in everything that ends a name.
const LETTER: u64 = 0x4040_4040_4040_4040;

impl Name {
    /// The name, possibly empty, that begins at `start`.
    #[inline]
    pub(super) fn read(record: &[u8], start: usize) -> Name {
        let mut at = start;
        let mut is_escaped = false;
        while let Some(bytes) = record.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let bytes = u64::from_be_bytes(*bytes);
            is_escaped |= has_backslash(bytes);
            let mut others = !bytes & LETTER;
            while others != 0 {
                let place = others.leading_zeros();
                let end = at + (place / 8) as usize;
                let byte = record[end];
                if !is_name_byte(byte) {
                    return Name { start, end, prefix: prefix(record, start, end), is_escaped };
                }
                is_escaped |= value::is_escaped(byte);
                others &= !(1 << (63 - place));
            }
            at += 8;
        }
        let rest = &record[at..];
        let end = at + rest.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(rest.len());
        is_escaped |= record[at..end].iter().any(|byte| value::is_escaped(*byte));
        Name { start, end, prefix: prefix(record, start, end), is_escaped }
    }
}

/// The prefix of the name at `start..end`.
#[inline]
pub(super) fn prefix(record: &[u8], start: usize, end: usize) -> u64 {
    let len = end - start;
    let wide = record[start..].first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    match wide {
        Some(bytes) if len >= 8 => bytes,
        Some(bytes) => bytes & !(u64::MAX >> (8 * len)),
        None => {
            let mut padded = [0; 8];
            padded[..len].copy_from_slice(&record[start..end]);
            u64::from_be_bytes(padded)
        }
    }
}

/// Whether one of the eight bytes is a backslash, which is the only letter that JSON escapes.
const fn has_backslash(bytes: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero_if_equal = bytes ^ (ONES * b'\\' as u64);
    zero_if_equal.wrapping_sub(ONES) & !zero_if_equal & (ONES << 7) != 0
}
