//! What the daemon takes next, from what is here, what the site has and what the store knows.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{self, Standing, Wishes};
use super::run::{Daemon, Plan};
use super::sightings::Whole;
use super::supply::Supply;
use crate::dump::Dump;
use crate::model::{self, DumpName, Kind, Verification, Version};
use crate::state::{DownloadKey, StateError, Status};

/// The dumps of a pass.
pub(super) struct Chosen {
    /// Of this version.
    pub version: Version,
    /// Wanted types that are not to be had.
    pub missing: Vec<Kind>,
    /// The dumps that are here.
    pub here: Vec<Whole>,
    /// Types that are to be fetched.
    pub there: Vec<Kind>,
}

impl Daemon<'_> {
    /// The dumps that are here and may be taken. Where a checksum is required those are the ones
    /// that are verified, as they lie here; what else there is has to be compared first.
    async fn here(&self) -> Result<Vec<Whole>, StateError> {
        let mut whole = self.folder.whole();
        if self.plan.require_checksum {
            let downloads = self.session.keeper.downloads().await?;
            let folder = self.folder.root().canonicalize().unwrap_or_default();
            let is_verified = |Whole { dump, stamp, .. }: &Whole| {
                let key = DownloadKey::new(dump.name, &folder);
                let as_it_lies = |on_disk: model::Stamp| {
                    (on_disk.size, i128::from(on_disk.modified)) == (stamp.size, stamp.modified)
                };
                downloads.iter().any(|download| {
                    download.key == key
                        && download.verification == Verification::Verified
                        && download.stamp.is_some_and(as_it_lies)
                })
            };
            whole.retain(is_verified);
        }
        Ok(whole)
    }

    /// The dumps that are here and may not be taken, because nobody can say what they should be.
    pub(super) async fn refused(&self) -> Result<BTreeSet<DumpName>, StateError> {
        let (taken, offers) = (self.here().await?, self.supply.as_ref().map(Supply::offers));
        let offered = |name: DumpName| {
            let kinds = offers.as_ref().and_then(|offers| offers.get(&name.version));
            kinds.is_some_and(|kinds| kinds.contains(&name.kind))
        };
        let left = self.folder.whole().into_iter().filter(|whole| !taken.contains(whole));
        Ok(left.map(|whole| whole.dump.name).filter(|name| !offered(*name)).collect())
    }

    /// Where every version stands.
    pub(super) async fn standings(&self) -> Result<BTreeMap<Version, Standing>, StateError> {
        let mut standings: BTreeMap<Version, Standing> = BTreeMap::new();
        for Whole { dump: Dump { name, .. }, .. } in self.here().await? {
            standings.entry(name.version).or_default().here.insert(name.kind);
        }
        for (version, kinds) in self.supply.as_ref().map(Supply::offers).unwrap_or_default() {
            standings.entry(version).or_default().there = kinds;
        }
        for entry in self.session.keeper.inspect().await?.files {
            if entry.key.job != *self.session.sink.job()
                || !self.plan.kinds.contains(&entry.key.kind)
            {
                continue;
            }
            let (version, kind) = (entry.key.version, entry.key.kind);
            let standing = standings.entry(version).or_default();
            if entry.state.attempts > 0 {
                standing.begun.insert(kind);
            }
            if entry.state.status == Status::Complete {
                standing.complete.insert(kind);
                continue;
            }
            let failed = self.failures.get(&DumpName { version, kind }).copied().unwrap_or(0);
            standing.failures = standing.failures.max(failed);
        }
        Ok(standings)
    }

    fn wishes(&self) -> Wishes<'_> {
        let Plan { kinds, version, newest_first, .. } = &self.plan;
        Wishes { kinds, version: *version, newest_first: *newest_first }
    }

    /// The version that is due.
    pub(super) async fn due(&self) -> Result<Option<Version>, StateError> {
        Ok(choice::choose(&self.standings().await?, &self.wishes()))
    }

    /// Versions that are here and not taken, as a newer one is complete.
    pub(super) async fn left_alone(&self) -> Result<BTreeSet<Version>, StateError> {
        Ok(choice::left_alone(&self.standings().await?, &self.wishes()))
    }

    /// Whether something is here that is not complete.
    pub(super) async fn has_work(&self) -> Result<bool, StateError> {
        let Some(version) = self.due().await? else { return Ok(false) };
        let standing = self.standings().await?.remove(&version).unwrap_or_default();
        let wanted = |kind: &&Kind| self.plan.kinds.contains(kind);
        Ok(standing.here.difference(&standing.complete).any(|kind| wanted(&kind)))
    }

    /// What of a version is here, to be fetched, or missing.
    pub(super) async fn plan_of(&self, version: Version) -> Result<Chosen, StateError> {
        let mut standings = self.standings().await?;
        let Standing { here, there, complete, .. } = standings.remove(&version).unwrap_or_default();
        let wanted = || self.plan.kinds.iter().copied();
        // What is complete needs its file no more.
        let left = || wanted().filter(|kind| !here.contains(kind) && !complete.contains(kind));
        let whole = self.here().await?.into_iter();
        let ours = |name: DumpName| name.version == version && self.plan.kinds.contains(&name.kind);
        Ok(Chosen {
            version,
            missing: left().filter(|kind| !there.contains(kind)).collect(),
            here: whole.filter(|whole| ours(whole.dump.name)).collect(),
            there: left().filter(|kind| there.contains(kind)).collect(),
        })
    }
}
