//! What the daemon tells once, and not at every pass: each of these remembers what it told last, and
//! tells what is new.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{DumpName, Kind, Version};

/// What was told.
#[derive(Debug, Default)]
pub struct Said {
    /// That there are no dumps.
    empty: bool,
    /// Versions of which types are missing.
    missing: BTreeSet<Version>,
    /// Dumps of which nobody can say what they should be.
    refused: BTreeSet<DumpName>,
    /// Versions that are here and older than the newest complete one.
    left_alone: BTreeSet<Version>,
    /// What the newest version at the site lacks.
    half_published: Option<(Version, String)>,
}

impl Said {
    /// That a version was chosen of which types are missing.
    pub fn missing(&mut self, version: Version, missing: &[Kind]) {
        if missing.is_empty() || !self.missing.insert(version) {
            return;
        }
        let missing: Vec<_> = missing.iter().map(|kind| kind.name()).collect();
        let missing = missing.join(", ");
        tracing::warn!(%version, missing, "chosen, although not all wanted types are there");
    }

    /// The dumps that may not be taken.
    pub fn refused(&mut self, refused: &BTreeSet<DumpName>) {
        for file in refused.difference(&self.refused) {
            tracing::warn!(%file, "left out: a checksum is required, and none is to be had for it");
        }
        self.refused.clone_from(refused);
    }

    /// The versions that are here and not taken.
    pub fn left_alone(&mut self, left: BTreeSet<Version>) {
        let news: Vec<_> = left.difference(&self.left_alone).map(ToString::to_string).collect();
        if !news.is_empty() {
            let (versions, hint) = (news.join(", "), "--dump-version takes one all the same");
            tracing::info!(versions, hint, "left alone: a newer version is complete");
        }
        self.left_alone = left;
    }

    /// What the newest version at the site lacks, if anything.
    pub fn half_published(&mut self, half: Option<(Version, String)>) {
        if let Some((version, missing)) = half.as_ref().filter(|_| self.half_published != half) {
            tracing::info!(%version, missing, "is not completely published yet");
        }
        self.half_published = half;
    }

    /// That there are no dumps in a folder, but so many that still grow.
    pub fn empty(&mut self, folder: &Path, growing: usize) {
        if !std::mem::replace(&mut self.empty, true) {
            tracing::info!(folder = %folder.display(), growing, "waiting for dumps");
        }
    }

    /// There are dumps, and a pass over them begins.
    pub const fn begins(&mut self) {
        self.empty = false;
    }
}
