//! Which version is due, given what is here, what the site has and what the store knows. Pure.
//!
//! The daemon never goes back by itself: a version below the newest complete one is taken only when
//! it is asked for by name. Complete means in all wanted types: a version that lacks one holds back
//! no older version.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::model::{Kind, Version};

/// So many failures of one of its files, and a version no longer holds up the next.
pub const PATIENCE: u32 = 3;

/// Where a version stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionStatus {
    /// Types of which a whole dump lies in the folder.
    pub local: BTreeSet<Kind>,
    /// Types that the site has, if it has published all of the version.
    pub remote: BTreeSet<Kind>,
    /// Types that were begun.
    pub begun: BTreeSet<Kind>,
    /// Types that are complete.
    pub complete: BTreeSet<Kind>,
    /// The most failures in a row of one of its files that are not complete.
    pub failures: u32,
}

impl VersionStatus {
    /// Whether there is a dump of a type, here or at the site.
    pub fn to_be_had(&self, kind: Kind) -> bool {
        self.local.contains(&kind) || self.remote.contains(&kind)
    }

    fn has_any(&self, wanted: &[Kind]) -> bool {
        wanted.iter().any(|kind| self.to_be_had(*kind))
    }

    /// Whether a pass can make it complete; a type that is complete needs its dump no more.
    fn is_whole(&self, wanted: &[Kind]) -> bool {
        let can_be = |kind: &Kind| self.complete.contains(kind) || self.to_be_had(*kind);
        self.has_any(wanted) && wanted.iter().all(can_be)
    }

    fn is_complete(&self, wanted: &[Kind]) -> bool {
        wanted.iter().all(|kind| self.complete.contains(kind))
    }

    /// Whether it was begun and can be finished.
    fn is_unfinished(&self, wanted: &[Kind]) -> bool {
        let left = || wanted.iter().filter(|kind| !self.complete.contains(kind));
        let begun = wanted.iter().any(|kind| self.begun.contains(kind));
        begun
            && left().next().is_some()
            && left().all(|kind| self.to_be_had(*kind))
            && self.failures < PATIENCE
    }
}

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The wanted types.
    pub kinds: Vec<Kind>,
    /// The only version to take, if only one is wanted.
    pub version: Option<Version>,
    /// Whether a newer version begins although an older one is unfinished.
    pub newest_first: bool,
    /// Whether only dumps are taken of which the published checksum was compared.
    pub require_checksum: bool,
}

/// Versions, and where each stands.
pub type Versions = BTreeMap<Version, VersionStatus>;

fn newest_complete(versions: &Versions, kinds: &[Kind]) -> Option<Version> {
    let complete = versions.iter().rev().find(|(_, status)| status.is_complete(kinds));
    complete.map(|(version, _)| *version)
}

/// The version that is due: the one asked for; else, of the newest complete one and those newer,
/// the oldest that was begun and can be finished; else the newest that is complete or to be had in
/// all wanted types; else the newest that has any.
pub fn choose(versions: &Versions, wishes: &Wishes) -> Option<Version> {
    let Wishes { kinds, version, newest_first, .. } = wishes;
    if let Some(version) = *version {
        return versions.get(&version).filter(|it| it.has_any(kinds)).map(|_| version);
    }
    let from = newest_complete(versions, kinds).map_or(Bound::Unbounded, Bound::Included);
    let eligible = || versions.range((from, Bound::Unbounded));
    let unfinished = || eligible().find(|(_, status)| status.is_unfinished(kinds));
    let newest =
        |of: fn(&VersionStatus, &[Kind]) -> bool| eligible().rev().find(|(_, it)| of(it, kinds));
    let unfinished = if *newest_first { None } else { unfinished() };
    let chosen = unfinished.or_else(|| newest(VersionStatus::is_whole));
    chosen.or_else(|| newest(VersionStatus::has_any)).map(|(version, _)| *version)
}

/// Versions with a dump that is here and not complete, which are not taken because a newer version
/// is complete.
pub fn left_alone(versions: &Versions, wishes: &Wishes) -> BTreeSet<Version> {
    let Wishes { kinds, version, .. } = wishes;
    let complete = newest_complete(versions, kinds).filter(|_| version.is_none());
    let older = complete.into_iter().flat_map(|complete| versions.range(..complete));
    let has_news =
        |it: &VersionStatus| it.local.difference(&it.complete).any(|of| kinds.contains(of));
    older.filter(|(_, it)| has_news(it)).map(|(version, _)| *version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Kind; 2] = [Kind::Artists, Kind::Labels];

    /// `local/remote/begun/complete` by first letters, and failures.
    fn status(words: &str, failures: u32) -> VersionStatus {
        let kinds = |word: &str| {
            let kind = |letter| match letter {
                'a' => Kind::Artists,
                'l' => Kind::Labels,
                other => panic!("{other}"),
            };
            word.chars().map(kind).collect::<BTreeSet<_>>()
        };
        let mut parts = words.split('/').map(kinds);
        let mut part = || parts.next().unwrap();
        VersionStatus { local: part(), remote: part(), begun: part(), complete: part(), failures }
    }

    /// Version, status, failures.
    type Row = (&'static str, &'static str, u32);

    fn versions(rows: &[Row]) -> Versions {
        let versions = rows
            .iter()
            .map(|(version, words, failures)| (version.parse().unwrap(), status(words, *failures)));
        versions.collect()
    }

    fn wishes(kinds: &[Kind], version: Option<Version>, newest_first: bool) -> Wishes {
        Wishes { kinds: kinds.to_vec(), version, newest_first, require_checksum: false }
    }

    fn chosen(rows: &[Row], kinds: &[Kind], newest_first: bool) -> Option<String> {
        let wishes = wishes(kinds, None, newest_first);
        choose(&versions(rows), &wishes).map(|version| version.to_string())
    }

    #[test]
    fn the_version_that_is_due() {
        #[rustfmt::skip]
        let rows: &[(&[Row], Option<&str>)] = &[
            (&[], None),
            // The newest whole one, wherever its parts are.
            (&[("20260101", "al///", 0), ("20260201", "a/l//", 0)], Some("20260201")),
            (&[("20260101", "al///", 0), ("20260201", "a///", 0)], Some("20260101")),
            (&[("20260101", "a///", 0), ("20260201", "l///", 0)], Some("20260201")),
            (&[("20260101", "//al/al", 0)], None),
            // What was begun is finished first.
            (&[("20260101", "al//a/", 0), ("20260201", "/al//", 0)], Some("20260101")),
            (&[("20260101", "a/l/al/a", 2), ("20260201", "/al//", 0)], Some("20260101")),
            // Unless it cannot be, or nobody needs it any more.
            (&[("20260101", "a//al/a", 0), ("20260201", "/al//", 0)], Some("20260201")),
            (&[("20260101", "al//a/", 3), ("20260201", "/al//", 0)], Some("20260201")),
            (&[("20260101", "al//a/", 0), ("20260201", "al//al/al", 0)], Some("20260201")),
            (&[("20260101", "al//al/al", 0), ("20260201", "al//a/", 0), ("20260301", "al///", 0)],
             Some("20260201")),
        ];
        for (versions, expected) in rows {
            assert_eq!(chosen(versions, &BOTH, false).as_deref(), *expected, "{versions:?}");
        }
        let begun = [("20260101", "al//a/", 0), ("20260201", "/al//", 0)];
        assert_eq!(chosen(&begun, &BOTH, true).as_deref(), Some("20260201"));
    }

    #[test]
    fn it_never_goes_back_behind_what_is_complete() {
        // Version by version, what is chosen with and without `newest_first`, what is left alone.
        type Case<'a> = (&'a [Row], Option<&'a str>, &'a [&'a str]);
        #[rustfmt::skip]
        let rows: &[Case<'_>] = &[
            // The newest complete one has lost its files, whatever there is of an older one.
            (&[("20260101", "al///", 0), ("20260201", "//al/al", 0)], None, &["20260101"]),
            (&[("20260101", "a///", 0), ("20260201", "//al/al", 0)], None, &["20260101"]),
            (&[("20260101", "al//a/", 0), ("20260201", "//al/al", 0)], None, &["20260101"]),
            (&[("20260101", "l//al/a", 0), ("20260201", "//al/al", 0)], None, &["20260101"]),
            (&[("20260101", "/al//", 0), ("20260201", "//al/al", 0)], None, &[]),
            (&[("20260101", "al//al/al", 0), ("20260201", "//al/al", 0)], None, &[]),
            (&[("20251201", "a///", 0), ("20260101", "l///", 0), ("20260201", "//al/al", 0)],
             None, &["20251201", "20260101"]),
            // Some of them: it stays the one to have.
            (&[("20260101", "al///", 0), ("20260201", "a//al/al", 0)],
             Some("20260201"), &["20260101"]),
            (&[("20260101", "al///", 0), ("20260201", "/l/al/al", 0)],
             Some("20260201"), &["20260101"]),
            // A newer one is taken as ever, also in part.
            (&[("20260101", "al///", 0), ("20260201", "//al/al", 0), ("20260301", "a///", 0)],
             Some("20260301"), &["20260101"]),
            (&[("20260101", "al///", 0), ("20260201", "//al/al", 0), ("20260301", "al//a/", 9)],
             Some("20260301"), &["20260101"]),
            // Complete in part is not complete: the older one has what is lacking.
            (&[("20260101", "al///", 0), ("20260201", "//a/a", 0)], Some("20260101"), &[]),
            (&[("20260101", "al///", 0), ("20260201", "a//al/a", 0)], Some("20260101"), &[]),
            // But not if the rest can be had.
            (&[("20260101", "al///", 0), ("20260201", "l//a/a", 0)], Some("20260201"), &[]),
            (&[("20260101", "al///", 0), ("20260201", "l//al/a", 3)], Some("20260201"), &[]),
            // A forced pass: the newest one is no longer complete, and comes first until it is.
            (&[("20260101", "al///", 0), ("20260201", "al///", 0)], Some("20260201"), &[]),
            (&[("20260101", "al///", 0), ("20260201", "al//al/a", 0)], Some("20260201"), &[]),
            (&[("20260101", "al///", 0), ("20260201", "a///l", 0)], Some("20260201"), &[]),
        ];
        for (rows, expected, left) in rows {
            for newest_first in [false, true] {
                let chosen = chosen(rows, &BOTH, newest_first);
                assert_eq!(chosen.as_deref(), *expected, "{rows:?} {newest_first}");
            }
            let wishes = wishes(&BOTH, None, false);
            let alone = left_alone(&versions(rows), &wishes);
            let alone: Vec<_> = alone.iter().map(ToString::to_string).collect();
            assert_eq!(alone, *left, "{rows:?}");
        }
        // The wanted types decide what is complete.
        let rows = [("20260101", "al///", 0), ("20260201", "//a/a", 0)];
        assert_eq!(chosen(&rows, &[Kind::Artists], false), None);
        assert_eq!(chosen(&rows, &[Kind::Labels], false).as_deref(), Some("20260101"));
        // By name it is taken, and nothing is left alone.
        let rows = versions(&[("20260101", "al///", 0), ("20260201", "//al/al", 0)]);
        let version = "20260101".parse().ok();
        let wishes = wishes(&BOTH, version, false);
        assert_eq!(choose(&rows, &wishes), version);
        assert_eq!(left_alone(&rows, &wishes), BTreeSet::new());
    }

    #[test]
    fn a_version_that_is_asked_for_is_the_only_one() {
        let versions = BTreeMap::from([
            ("20260101".parse().unwrap(), status("a///", 9)),
            ("20260201".parse().unwrap(), status("al///", 0)),
        ]);
        let asked = |version: &str| {
            let version = Some(version.parse().unwrap());
            choose(&versions, &wishes(&BOTH, version, true))
        };
        assert_eq!(asked("20260101"), Some("20260101".parse().unwrap()));
        assert_eq!(asked("20250101"), None);
    }
}
