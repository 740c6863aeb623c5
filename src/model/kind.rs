use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The type of a dump: what its records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `discogs_*_artists.xml.gz`
    Artists,
    /// `discogs_*_labels.xml.gz`
    Labels,
    /// `discogs_*_masters.xml.gz`
    Masters,
    /// `discogs_*_releases.xml.gz`
    Releases,
}

impl Kind {
    /// All four, in the order in which they are listed everywhere.
    pub const ALL: [Kind; 4] = [Kind::Artists, Kind::Labels, Kind::Masters, Kind::Releases];

    /// The plural name: the root element, the table, the exchange's suffix.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Artists => "artists",
            Kind::Labels => "labels",
            Kind::Masters => "masters",
            Kind::Releases => "releases",
        }
    }

    /// The name of the element that is one record.
    pub const fn record_tag(self) -> &'static str {
        match self {
            Kind::Artists => "artist",
            Kind::Labels => "label",
            Kind::Masters => "master",
            Kind::Releases => "release",
        }
    }

    /// The name as a heading: `Artists`.
    pub const fn title(self) -> &'static str {
        match self {
            Kind::Artists => "Artists",
            Kind::Labels => "Labels",
            Kind::Masters => "Masters",
            Kind::Releases => "Releases",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names none of the four types.
#[derive(Debug, thiserror::Error)]
#[error("unknown type {0:?}\nhint: the types are artists, labels, masters and releases")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == word)
            .ok_or_else(|| UnknownKind(word.to_owned()))
    }
}
