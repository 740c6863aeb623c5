//! Which dumps are removed from the folder when only so many versions are kept. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{DumpName, Version};

/// The dumps to be removed of those that are here: of all versions but the newest `keep`, and only
/// of versions of which every dump that is here is `complete`.
pub fn superfluous(
    here: impl IntoIterator<Item = DumpName>,
    keep: usize,
    complete: impl Fn(DumpName) -> bool,
) -> Vec<DumpName> {
    let mut versions: BTreeMap<Version, BTreeSet<DumpName>> = BTreeMap::new();
    for name in here {
        versions.entry(name.version).or_default().insert(name);
    }
    let older = versions.into_values().rev().skip(keep);
    older.filter(|dumps| dumps.iter().all(|name| complete(*name))).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn only_older_versions_go_and_only_complete_ones() {
        let name = |version: &str, kind| DumpName { version: version.parse().unwrap(), kind };
        let here: Vec<_> = ["20260101", "20260201", "20260301", "20260401"]
            .iter()
            .flat_map(|version| [name(version, Kind::Artists), name(version, Kind::Labels)])
            .collect();
        let unfinished = name("20260201", Kind::Labels);
        let gone = |keep| superfluous(here.iter().copied(), keep, |name| name != unfinished);
        assert_eq!(gone(4), []);
        assert_eq!(gone(3), here[..2]);
        assert_eq!(gone(1), [&here[4..6], &here[..2]].concat());
        assert_eq!(superfluous(here.iter().copied(), 1, |_| false), []);
    }
}
