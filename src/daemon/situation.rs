//! What a pass is decided by, as of one moment: what lies in the folder, what the site has, what the
//! store knows, and how often a dump has failed. It is asked for once, before each decision, and
//! never in the middle of one: whoever asked twice could be answered differently. Pure; what follows
//! from it is in `choice` and `plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::choice::{VersionStatus, Versions, Wishes};
use super::sightings::{Stamp, Whole};
use crate::model::{self, DumpName, Job, Kind, Verification, Version};
use crate::state::view::Inspection;
use crate::state::{Download, DownloadKey, Status};

/// What was answered by everybody who knows something.
pub struct Answers<'a> {
    /// The dumps in the folder that are whole.
    pub folder: Vec<Whole>,
    /// Where that is, in full.
    pub root: &'a Path,
    /// The types of each version that the site has published, and gives.
    pub offers: BTreeMap<Version, BTreeSet<Kind>>,
    /// The store.
    pub store: &'a Inspection,
    /// The sink's part of it.
    pub job: &'a Job,
    /// How often each dump failed in a row, in this process.
    pub failures: &'a BTreeMap<DumpName, u32>,
}

/// What they come to together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The dumps that are here and may be taken.
    pub local: Vec<Whole>,
    /// The dumps that are here and may not be taken, because nobody can say what they should be.
    pub refused: BTreeSet<DumpName>,
    /// Where every version stands.
    pub versions: Versions,
}

impl Situation {
    /// Puts the answers together. Where a checksum is required, a dump that is here may be taken if it
    /// is verified as it lies there; what else there is has to be compared first, which needs a site
    /// that has it.
    pub fn of(answers: Answers<'_>, wishes: &Wishes) -> Situation {
        let Answers { folder, root, offers, store, job, failures } = answers;
        let may_be_taken = |Whole { dump, stamp, .. }: &Whole| {
            let key = DownloadKey::new(dump.name, root);
            !wishes.require_checksum || store.downloads.iter().any(|it| is_proof(it, &key, *stamp))
        };
        let offered = |name: &DumpName| {
            offers.get(&name.version).is_some_and(|kinds| kinds.contains(&name.kind))
        };
        let (local, left): (Vec<_>, Vec<_>) = folder.into_iter().partition(may_be_taken);
        let left = left.into_iter().map(|whole| whole.dump.name);
        let refused = left.filter(|name| !offered(name)).collect();
        let mut versions = Versions::new();
        for Whole { dump, .. } in &local {
            of_version(&mut versions, dump.name.version).local.insert(dump.name.kind);
        }
        for (version, kinds) in offers {
            of_version(&mut versions, version).remote = kinds;
        }
        let ours = store.files.iter().filter(|entry| entry.key.job == *job);
        for entry in ours.filter(|entry| wishes.kinds.contains(&entry.key.kind)) {
            let name = DumpName { version: entry.key.version, kind: entry.key.kind };
            let status = of_version(&mut versions, name.version);
            if entry.state.attempts > 0 {
                status.begun.insert(name.kind);
            }
            if entry.state.status == Status::Complete {
                status.complete.insert(name.kind);
            } else {
                let failed = failures.get(&name).copied().unwrap_or(0);
                status.failures = status.failures.max(failed);
            }
        }
        Situation { local, refused, versions }
    }
}

fn of_version(versions: &mut Versions, version: Version) -> &mut VersionStatus {
    versions.entry(version).or_default()
}

/// Whether a download proves that a dump, as it lies there, is what was published.
fn is_proof(download: &Download, key: &DownloadKey, stamp: Stamp) -> bool {
    let as_it_lies = |on_disk: model::Stamp| {
        (on_disk.size, i128::from(on_disk.modified)) == (stamp.size, stamp.modified)
    };
    download.key == *key
        && download.verification == Verification::Verified
        && download.stamp.is_some_and(as_it_lies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::Dump;
    use crate::model::{Identity, Timestamp};
    use crate::state::view::FileEntry;
    use crate::state::{DownloadStatus, FileKey, FileState};

    const VERSION: &str = "20260101";

    fn name(kind: Kind) -> DumpName {
        DumpName { version: VERSION.parse().unwrap(), kind }
    }

    fn whole(kind: Kind) -> Whole {
        let dump = Dump { name: name(kind), path: name(kind).to_string().into() };
        Whole { dump, stamp: Stamp { size: 5, modified: 6 }, closings: 0 }
    }

    /// A dump that was downloaded into a folder and verified, with the modification time of then.
    fn verified(kind: Kind, folder: &str, modified: i64) -> Download {
        let key = DownloadKey::new(name(kind), Path::new(folder));
        Download {
            status: DownloadStatus::Complete,
            verification: Verification::Verified,
            stamp: Some(model::Stamp { size: 5, modified, inode: 7 }),
            ..Download::begun(key, "site", None, Timestamp(0))
        }
    }

    fn entry(job: &str, kind: Kind, status: Status, attempts: u32) -> FileEntry {
        let state = FileState { status, attempts, ..FileState::registered(Identity::unseen()) };
        FileEntry { key: FileKey::new(Job::new(job), name(kind)), state, points: 0, live: None }
    }

    fn situation(kinds: &[Kind], require_checksum: bool, store: &Inspection) -> Situation {
        let offers = BTreeMap::from([(VERSION.parse().unwrap(), [Kind::Labels].into())]);
        let answers = Answers {
            folder: [Kind::Artists, Kind::Labels, Kind::Masters].map(whole).into(),
            root: Path::new("/dumps"),
            offers,
            store,
            job: &Job::new("ours"),
            failures: &BTreeMap::from([(name(Kind::Artists), 4), (name(Kind::Labels), 2)]),
        };
        let (kinds, version, newest_first) = (kinds.to_vec(), None, false);
        Situation::of(answers, &Wishes { kinds, version, newest_first, require_checksum })
    }

    #[test]
    fn where_a_checksum_is_required_only_what_is_verified_as_it_lies_may_be_taken() {
        let taken = |require, downloads: &[Download]| {
            let downloads = downloads.to_vec();
            let store = Inspection { downloads, ..Inspection::default() };
            let Situation { local, refused, versions } = situation(&Kind::ALL, require, &store);
            let local: Vec<_> = local.iter().map(|whole| whole.dump.name.kind).collect();
            let status = &versions[&VERSION.parse().unwrap()];
            assert_eq!(status.local, local.iter().copied().collect());
            assert_eq!(status.remote, [Kind::Labels].into());
            (local, refused.iter().map(|name| name.kind).collect::<Vec<_>>())
        };
        let all = vec![Kind::Artists, Kind::Labels, Kind::Masters];
        assert_eq!(taken(false, &[]), (all, vec![]));
        // Of the labels it can be found out: the site has them.
        assert_eq!(taken(true, &[]), (vec![], vec![Kind::Artists, Kind::Masters]));
        let there = verified(Kind::Artists, "/dumps", 6);
        assert_eq!(
            taken(true, std::slice::from_ref(&there)),
            (vec![Kind::Artists], vec![Kind::Masters])
        );
        let unverified = Download { verification: Verification::Unverified, ..there };
        for not in [
            unverified,
            verified(Kind::Artists, "/dumps", 7),
            verified(Kind::Artists, "/elsewhere", 6),
        ] {
            let refused = vec![Kind::Artists, Kind::Masters];
            assert_eq!(taken(true, std::slice::from_ref(&not)), (vec![], refused), "{not:?}");
        }
    }

    #[test]
    fn of_the_store_counts_what_is_ours_and_wanted() {
        let files = vec![
            entry("ours", Kind::Artists, Status::Complete, 1),
            entry("ours", Kind::Labels, Status::Failed, 3),
            entry("ours", Kind::Masters, Status::Pending, 0),
            entry("another", Kind::Releases, Status::Complete, 1),
        ];
        let store = Inspection { files, ..Inspection::default() };
        let status = |kinds: &[Kind]| {
            let Situation { versions, .. } = situation(kinds, false, &store);
            let VersionStatus { begun, complete, failures, .. } =
                versions[&VERSION.parse().unwrap()].clone();
            (Vec::from_iter(begun), Vec::from_iter(complete), failures)
        };
        let begun = vec![Kind::Artists, Kind::Labels];
        assert_eq!(status(&Kind::ALL), (begun, vec![Kind::Artists], 2));
        assert_eq!(status(&[Kind::Artists]), (vec![Kind::Artists], vec![Kind::Artists], 0));
        assert_eq!(status(&[Kind::Masters]), (vec![], vec![], 0));
    }
}
