//! Whether the disks have room for the next version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{stat, statvfs};

use crate::model::Finding;
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
    use crate::model::Level;

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
