//! Which version is due, given what is here, what the site has and what the store knows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Kind, Version};

/// So many failures of one of its files, and a version no longer holds up the next.
pub const PATIENCE: u32 = 3;

/// Where a version stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Types of which a whole dump lies in the folder.
    pub here: BTreeSet<Kind>,
    /// Types that the site has, if it has published all of the version.
    pub there: BTreeSet<Kind>,
    /// Types that were begun.
    pub begun: BTreeSet<Kind>,
    /// Types that are complete.
    pub complete: BTreeSet<Kind>,
    /// The most failures in a row of one of its files that are not complete.
    pub failures: u32,
}

impl Standing {
    fn to_be_had(&self, kind: Kind) -> bool {
        self.here.contains(&kind) || self.there.contains(&kind)
    }

    fn is_whole(&self, wanted: &[Kind]) -> bool {
        wanted.iter().all(|kind| self.to_be_had(*kind))
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
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// The wanted types.
    pub kinds: &'a [Kind],
    /// The only version to take, if only one is wanted.
    pub version: Option<Version>,
    /// Whether a newer version begins although an older one is unfinished.
    pub newest_first: bool,
}

/// The version that is due: the one asked for; else the oldest that was begun and can be finished,
/// if it is newer than the newest complete one; else the newest of which all wanted types are to
/// be had; else the newest that has any.
pub fn choose(versions: &BTreeMap<Version, Standing>, wishes: &Wishes<'_>) -> Option<Version> {
    let Wishes { kinds, version, newest_first } = *wishes;
    let any = |standing: &Standing| kinds.iter().any(|kind| standing.to_be_had(*kind));
    if let Some(version) = version {
        return versions.get(&version).filter(|standing| any(standing)).map(|_| version);
    }
    let newest = |of: &dyn Fn(&Standing) -> bool| {
        versions.iter().rev().find(|(_, standing)| of(standing)).map(|(version, _)| *version)
    };
    let done = newest(&|standing| standing.is_complete(kinds));
    let unfinished = || {
        let newer = |version: &Version| done.is_none_or(|done| *version > done);
        let mut unfinished = versions.iter().filter(|(_, it)| it.is_unfinished(kinds));
        unfinished.find(|(version, _)| newer(version)).map(|(version, _)| *version)
    };
    let unfinished = if newest_first { None } else { unfinished() };
    unfinished.or_else(|| newest(&|it| it.is_whole(kinds))).or_else(|| newest(&any))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Kind; 2] = [Kind::Artists, Kind::Labels];

    /// `here/there/begun/complete` by first letters, and failures.
    fn standing(words: &str, failures: u32) -> Standing {
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
        Standing { here: part(), there: part(), begun: part(), complete: part(), failures }
    }

    /// Version, standing, failures.
    type Row = (&'static str, &'static str, u32);

    fn chosen(rows: &[Row], newest_first: bool) -> Option<String> {
        let versions = rows.iter().map(|(version, words, failures)| {
            (version.parse().unwrap(), standing(words, *failures))
        });
        let wishes = Wishes { kinds: &BOTH, version: None, newest_first };
        choose(&versions.collect(), &wishes).map(|version| version.to_string())
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
            assert_eq!(chosen(versions, false).as_deref(), *expected, "{versions:?}");
        }
        let begun = [("20260101", "al//a/", 0), ("20260201", "/al//", 0)];
        assert_eq!(chosen(&begun, true).as_deref(), Some("20260201"));
    }

    #[test]
    fn a_version_that_is_asked_for_is_the_only_one() {
        let versions = BTreeMap::from([
            ("20260101".parse().unwrap(), standing("a///", 9)),
            ("20260201".parse().unwrap(), standing("al///", 0)),
        ]);
        let asked = |version: &str| {
            let version = Some(version.parse().unwrap());
            choose(&versions, &Wishes { kinds: &BOTH, version, newest_first: true })
        };
        assert_eq!(asked("20260101"), Some("20260101".parse().unwrap()));
        assert_eq!(asked("20250101"), None);
    }
}
