//! Which dump a file is: its version, its type, and what tells it from another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Kind;

/// The day a dump set was made, as its file names say it: `20260101`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(u32);

impl Version {
    /// The eight digits as a number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:08}", self.0))
    }
}

impl FromStr for Version {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.map(Version).ok_or_else(|| NameError::Version(text.to_owned()))
    }
}

impl TryFrom<String> for Version {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

/// What a dump's file name says: `discogs_20260101_artists.xml.gz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DumpName {
    /// The day the set was made.
    pub version: Version,
    /// What the records are.
    pub kind: Kind,
}

impl fmt::Display for DumpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("discogs_{}_{}.xml.gz", self.version, self.kind))
    }
}

impl FromStr for DumpName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let parts = name
            .strip_prefix("discogs_")
            .and_then(|rest| rest.strip_suffix(".xml.gz"))
            .and_then(|rest| rest.split_once('_'));
        let parsed = parts.and_then(|(version, kind)| {
            Some(DumpName { version: version.parse().ok()?, kind: kind.parse().ok()? })
        });
        parsed.ok_or_else(|| NameError::Dump(name.to_owned()))
    }
}

/// A name that does not follow the dumps' pattern.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// Not `discogs_YYYYMMDD_TYPE.xml.gz`.
    #[error(
        "{0:?} does not say which dump it is\nhint: dumps are named discogs_YYYYMMDD_TYPE.xml.gz, \
         with TYPE one of artists, labels, masters, releases"
    )]
    Dump(String),
    /// Not eight digits.
    #[error("{0:?} is no dump version\nhint: a version is the dump's date, for example 20260101")]
    Version(String),
}

/// What makes a dump on disk the same dump as before, whatever its folder or modification time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// A file that is wholly here: its size, and SHA-256 over its first and last 64 KiB.
    Content {
        /// Bytes on disk.
        size: u64,
        /// SHA-256 of the first 64 KiB followed by the last 64 KiB; as text, lower-case hex.
        #[serde(with = "hex")]
        ends: [u8; 32],
    },
    /// A file that is being downloaded, or was and is not complete yet: known before it is here.
    Source {
        /// Bytes that the site promised; 0 if it did not say.
        size: u64,
        /// SHA-256 over what names the download: see [`Identity::of_source`]; as text, hex.
        #[serde(with = "hex")]
        named: [u8; 32],
    },
}

impl Identity {
    /// Compressed bytes of the whole file.
    pub const fn size(&self) -> u64 {
        match self {
            Identity::Content { size, .. } | Identity::Source { size, .. } => *size,
        }
    }

    /// What stands for the identity of a file of which nothing was seen yet. No file that is seen
    /// has it.
    pub fn unseen() -> Identity {
        Identity::of_source(&[], 0)
    }

    /// The identity of a download of so many bytes, 0 if that was not said. What names it are
    /// parts of which none has a line end.
    pub fn of_source(parts: &[&str], size: u64) -> Identity {
        use sha2::Digest;
        let mut hasher = sha2::Sha256::new();
        for part in parts {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
        }
        Identity::Source { size, named: hasher.finalize().into() }
    }
}

/// Thirty-two bytes as 64 hex digits.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::sha256::{Sha256, from_hex};

    pub(super) fn serialize<S: Serializer>(ends: &[u8; 32], out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&Sha256(*ends))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let bytes = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| D::Error::custom("not 64 hex digits"))
    }
}
