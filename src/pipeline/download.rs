use std::path::PathBuf;

use crate::model::Identity;

/// How far the download of a dump has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Where its bytes are.
    pub part: PathBuf,
    /// What the file is, as soon as the site has answered.
    pub identity: Option<Identity>,
    /// Another number whenever the bytes start over.
    pub generation: u64,
    /// Bytes that are on disk for good.
    pub synced: u64,
    /// Bytes in all, if the site said so.
    pub length: Option<u64>,
    /// Where it stands.
    pub state: Arriving,
}

/// Where a download stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Arriving {
    /// There is more to come, or to be verified.
    #[default]
    Growing,
    /// It is here, and is what was published.
    Verified,
    /// It is here, and as long as was promised.
    Unverified,
    /// It will not come.
    Failed {
        /// Why.
        why: String,
        /// Whether what came of it is not what was published, so that nothing of it can be kept.
        mismatch: bool,
    },
}

impl Arrived {
    /// Whether there is anything to be read, or nothing will ever be.
    pub fn has_begun(&self) -> bool {
        match self.state {
            Arriving::Growing => self.identity.is_some() && self.synced > 0,
            Arriving::Verified | Arriving::Unverified | Arriving::Failed { .. } => true,
        }
    }
}
