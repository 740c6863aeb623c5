//! From XML to canonical JSON: split at record boundaries, parse, flatten, write, hash. No tokio.
//!
//! [`Splitter`] finds the records in the text of a dump, wherever that text is cut into chunks;
//! [`Parser`] turns one record into its canonical document. Both are pure: bytes in, values out.

mod flatten;
mod hash;
mod json;
mod name;
mod parser;
mod reference;
mod scan;
mod split;
mod tree;
mod value;

pub use parser::Parser;
pub use scan::Malformed;
pub use split::{Split, SplitError, Splitter};

/// A record that is larger, in bytes of XML, is set aside.
pub const MAX_RECORD: usize = 64 << 20;

/// A record whose elements are nested deeper is set aside; the record's own element is 1.
pub const MAX_DEPTH: usize = 64;

/// A record with more elements and attributes is set aside: what they take in memory, about 90
/// bytes each, stays bounded. The largest real records have some ten thousand.
pub const MAX_NODES: usize = 1 << 20;

/// XML's white space.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a byte can be part of a name. XML allows far less; what it forbids beyond this does
/// not keep a record from being read, and is let through.
const fn is_name_byte(byte: u8) -> bool {
    const IS_NAME_BYTE: [bool; 256] = {
        let mut table = [true; 256];
        let not = b" \t\n\r<>/=\"'&";
        let mut at = 0;
        while at < not.len() {
            table[not[at] as usize] = false;
            at += 1;
        }
        table
    };
    IS_NAME_BYTE[byte as usize]
}
