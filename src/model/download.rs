//! What of a file on disk or at a site tells whether it is the one it was.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sha256::from_hex;

/// What changes of a file on disk whenever somebody writes to it or puts another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// When it was last written to: nanoseconds since 1970 in UTC.
    pub modified: i64,
    /// The number of its inode.
    pub inode: u64,
}

/// What is known of a downloaded file's bytes being the right ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verification {
    /// Nothing yet: it is not wholly here.
    Pending,
    /// Its SHA-256 is the published one.
    Verified,
    /// It is as long as was promised; no checksum was to be had.
    Unverified,
    /// Its SHA-256 was another than the published one.
    Mismatch,
}

impl Verification {
    /// The word for it everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Verification::Pending => "pending",
            Verification::Verified => "verified",
            Verification::Unverified => "unverified",
            Verification::Mismatch => "mismatch",
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A SHA-256 in the middle of its work, so that it can go on in another process; as text, hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashState(pub Vec<u8>);

impl Serialize for HashState {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let digits = |byte: &u8| format!("{byte:02x}");
        out.serialize_str(&self.0.iter().map(digits).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for HashState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<HashState, D::Error> {
        let text = String::deserialize(from)?;
        from_hex(&text).map(HashState).ok_or_else(|| D::Error::custom("not pairs of hex digits"))
    }
}
