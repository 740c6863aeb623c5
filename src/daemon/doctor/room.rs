//! Whether the disks have room for the next version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{stat, statvfs};

use crate::dump::RemoteVersion;
use crate::model::{DumpName, Finding, Kind};
use crate::observe::bytes;

/// Something that will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// What: `downloads`, `the sink`.
    pub what: &'static str,
    /// Where.
    pub folder: PathBuf,
    /// How much, roughly.
    pub bytes: u64,
}

/// A month's dumps together, where nobody says how large the next ones are: those of 2025, rounded
/// up.
const MONTH: u64 = 14_000_000_000;

/// Compressed bytes of the next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// All of them.
    pub whole: u64,
    /// Those that are still to be fetched.
    pub to_come: u64,
}

/// How large the next version is: of a folder alone what lies in it, else what the site says; what
/// it does not say is taken to be as much as lies here, and a month at least.
pub fn next(
    here: &[(DumpName, u64)],
    fetched: bool,
    listed: Option<&RemoteVersion>,
    kinds: &[Kind],
) -> Next {
    let whole = here.iter().map(|(_, bytes)| bytes).sum::<u64>();
    if !fetched {
        return Next { whole, to_come: 0 };
    }
    let listed = listed.map_or(&[][..], |listed| &listed.dumps);
    let wanted = listed.iter().filter(|dump| kinds.contains(&dump.name.kind));
    let sizes: Option<Vec<_>> = wanted.map(|dump| Some((dump.name, dump.size?))).collect();
    let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty()) else {
        let whole = whole.max(MONTH);
        return Next { whole, to_come: whole };
    };
    let is_here = |name| here.iter().any(|(there, _)| *there == name);
    let to_come = sizes.iter().filter(|(name, _)| !is_here(*name)).map(|(_, bytes)| bytes).sum();
    Next { whole: sizes.iter().map(|(_, bytes)| bytes).sum(), to_come }
}

/// Compares what will be written with what is free, disk by disk.
pub fn disks(rooms: &[Room]) -> Vec<Finding> {
    let mut disks: BTreeMap<u64, (PathBuf, u64, Vec<&Room>)> = BTreeMap::new();
    for room in rooms {
        let there = existing(&room.folder);
        let (Ok(disk), Ok(space)) = (stat(&there), statvfs(&there)) else { continue };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let there = there.canonicalize().unwrap_or(there);
        disks.entry(disk.st_dev).or_insert_with(|| (there, free, Vec::new())).2.push(room);
    }
    disks.values().map(|(folder, free, rooms)| enough(folder, *free, rooms)).collect()
}

fn existing(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    there.filter(|there| !there.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn enough(folder: &Path, free: u64, rooms: &[&Room]) -> Finding {
    let needed = rooms.iter().map(|room| room.bytes).sum::<u64>();
    let parts = rooms.iter().filter(|room| room.bytes > 0);
    let parts: Vec<_> =
        parts.map(|room| format!("{} for {}", bytes(room.bytes), room.what)).collect();
    let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(" and ") };
    let words = format!("{}: {} free, {parts} needed", folder.display(), bytes(free));
    if free < needed {
        return Finding::failure(
            "disk",
            words,
            "free some space, or choose other places; --keep 1 removes the dumps of older versions",
        );
    }
    Finding::ok("disk", words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::RemoteDump;
    use crate::model::Level;

    #[test]
    fn what_is_here_need_not_come_and_what_nobody_says_is_a_month() {
        let name = |kind: Kind| DumpName { version: "20260201".parse().unwrap(), kind };
        let listed = |sizes: [Option<u64>; 2]| RemoteVersion {
            version: "20260201".parse().unwrap(),
            dumps: [Kind::Artists, Kind::Labels]
                .into_iter()
                .zip(sizes)
                .map(|(kind, size)| RemoteDump {
                    name: name(kind),
                    place: String::new(),
                    size,
                    checksum: None,
                })
                .collect(),
            checksums: None,
        };
        let here = [(name(Kind::Artists), 5)];
        let of = |fetched, listed: Option<&RemoteVersion>, kinds: &[Kind]| {
            let Next { whole, to_come } = next(&here, fetched, listed, kinds);
            (whole, to_come)
        };
        let known = listed([Some(6), Some(7)]);
        assert_eq!(of(false, None, &Kind::ALL), (5, 0));
        assert_eq!(of(true, Some(&known), &Kind::ALL), (13, 7));
        assert_eq!(of(true, Some(&known), &[Kind::Labels]), (7, 7));
        assert_eq!(of(true, Some(&listed([Some(6), None])), &Kind::ALL), (MONTH, MONTH));
        assert_eq!(of(true, None, &Kind::ALL), (MONTH, MONTH));
    }

    #[test]
    fn what_goes_to_one_disk_is_added_up() {
        let room = |what, bytes| Room { what, folder: "/nowhere/at/all".into(), bytes };
        let (downloads, sink) =
            (room("downloads", 11_400_000_000), room("the sink", 68_000_000_000));
        let found = enough(Path::new("/"), 79_400_000_000, &[&downloads, &sink]);
        assert_eq!(found.status, Level::Ok);
        assert_eq!(
            found.message,
            "/: 79.4 GB free, 11.4 GB for downloads and 68.0 GB for the sink needed"
        );
        let found = enough(Path::new("/"), 79_399_999_999, &[&downloads, &sink]);
        assert_eq!(found.status, Level::Failure);
        assert_eq!(disks(&[downloads, sink]).len(), 1, "a folder is made on the disk above it");
    }
}
