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

/// A record whose canonical JSON is larger is set aside. Of 60 MiB of control characters 360 MiB
/// would be made, and every sink copies that once or twice.
pub const MAX_DOCUMENT: usize = 64 << 20;

/// A record whose id is longer is set aside: a sink has the id several times beside the document,
/// and may index it. The largest real ones have eight digits.
pub const MAX_ID: usize = 64 << 10;

/// A record with names that are not UTF-8 is copied for being read; one whose copy would be larger
/// is set aside. With all that else is in memory this stays within 256 MiB.
const MAX_COPY: usize = 32 << 20;

/// A record whose elements are nested deeper is set aside; the record's own element is 1.
pub const MAX_DEPTH: usize = 64;

/// A record with more elements, attributes and pieces of interrupted text is set aside: what they
/// take in memory, at most 64 bytes each, stays bounded. The largest real records have some ten thousand.
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
