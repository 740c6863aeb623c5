//! What a pass is to do, and whether there is anything for one: functions of the situation and of what
//! is wanted, and of nothing else. Pure.

use super::choice::{VersionStatus, Wishes, choose};
use super::sightings::Whole;
use super::situation::Situation;
use crate::model::{DumpName, Kind, Version};

/// What a pass over a version is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassPlan {
    /// The version.
    pub version: Version,
    /// The dumps that are here.
    pub local: Vec<Whole>,
    /// Types that are to be fetched.
    pub remote: Vec<Kind>,
    /// Wanted types that are not to be had.
    pub missing: Vec<Kind>,
}

impl PassPlan {
    /// The plan for the version that is due, if one is.
    pub fn due(situation: &Situation, wishes: &Wishes) -> Option<PassPlan> {
        Some(PassPlan::of(situation, wishes, choose(&situation.versions, wishes)?))
    }

    /// The plan for a version. What is complete needs its file no more; if it is here, the pass looks
    /// after it all the same.
    pub fn of(situation: &Situation, wishes: &Wishes, version: Version) -> PassPlan {
        let nothing = VersionStatus::default();
        let status = situation.versions.get(&version).unwrap_or(&nothing);
        let is_left = |kind: &Kind| !status.local.contains(kind) && !status.complete.contains(kind);
        let left = wishes.kinds.iter().copied().filter(is_left);
        let (remote, missing) = left.partition(|kind| status.remote.contains(kind));
        let ours = |name: DumpName| name.version == version && wishes.kinds.contains(&name.kind);
        let local = situation.local.iter().filter(|whole| ours(whole.dump.name)).cloned().collect();
        PassPlan { version, local, remote, missing }
    }

    /// Whether there is nothing to be had.
    pub fn is_empty(&self) -> bool {
        self.local.is_empty() && self.remote.is_empty()
    }
}

/// Whether something is here that is not complete, in the version that is due.
pub fn has_local_work(situation: &Situation, wishes: &Wishes) -> bool {
    let status =
        choose(&situation.versions, wishes).and_then(|version| situation.versions.get(&version));
    let is_work = |status: &VersionStatus| {
        wishes
            .kinds
            .iter()
            .any(|kind| status.local.contains(kind) && !status.complete.contains(kind))
    };
    status.is_some_and(is_work)
}

/// Whether a pass would have something to do that the last one, over these dumps, had not. What
/// failed to be fetched waits for its time: where the next pass is another try, it is no news.
pub fn is_news(
    situation: &Situation,
    wishes: &Wishes,
    passed: &[Whole],
    another_try: bool,
) -> bool {
    PassPlan::due(situation, wishes).is_some_and(|PassPlan { local, remote, .. }| {
        local.iter().any(|whole| !passed.contains(whole)) || (!remote.is_empty() && !another_try)
    })
}

/// The dumps that a forced pass over a version starts anew. A type without a dump stays as it is: if
/// it were forgotten, its version would not be complete again, and an older one would be due.
pub fn to_force(situation: &Situation, wishes: &Wishes, version: Version) -> Vec<DumpName> {
    let Some(status) = situation.versions.get(&version) else { return Vec::new() };
    let kinds = wishes.kinds.iter().copied().filter(|kind| status.to_be_had(*kind));
    kinds.map(|kind| DumpName { version, kind }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::daemon::sightings::Stamp;
    use crate::dump::Dump;

    const VERSION: &str = "20260101";

    fn kinds(letters: &str) -> Vec<Kind> {
        let kind = |letter| match letter {
            'a' => Kind::Artists,
            'l' => Kind::Labels,
            'm' => Kind::Masters,
            other => panic!("{other}"),
        };
        letters.chars().map(kind).collect()
    }

    fn whole(kind: Kind, closings: u64) -> Whole {
        let name = DumpName { version: VERSION.parse().unwrap(), kind };
        let dump = Dump { name, path: name.to_string().into() };
        Whole { dump, stamp: Stamp { size: 5, modified: 6 }, closings }
    }

    /// `local/remote/complete` by first letters, of one version.
    fn situation(words: &str) -> Situation {
        let [local, remote, complete] = words.split('/').collect::<Vec<_>>()[..] else {
            panic!("{words}")
        };
        let set = |letters| kinds(letters).into_iter().collect::<BTreeSet<_>>();
        let status = VersionStatus {
            local: set(local),
            remote: set(remote),
            begun: set(complete),
            complete: set(complete),
            failures: 0,
        };
        Situation {
            local: kinds(local).into_iter().map(|kind| whole(kind, 0)).collect(),
            refused: BTreeSet::new(),
            versions: [(VERSION.parse().unwrap(), status)].into(),
        }
    }

    fn wishes(letters: &str) -> Wishes {
        let (version, newest_first, require_checksum) = (None, false, false);
        Wishes { kinds: kinds(letters), version, newest_first, require_checksum }
    }

    #[test]
    fn what_a_pass_is_to_do() {
        // What is known, what is wanted; from here, to be fetched, missing; whether there is work here.
        #[rustfmt::skip]
        let table = [
            ("//", "al", None, false),
            ("a//", "al", Some(("a", "", "l")), true),
            ("a/l/", "al", Some(("a", "l", "")), true),
            ("al/al/", "al", Some(("al", "", "")), true),
            ("alm//", "al", Some(("al", "", "")), true),
            // What is complete needs no file, and is looked after if it is there.
            ("l/a/a", "al", Some(("l", "", "")), true),
            ("a/l/a", "al", Some(("a", "l", "")), false),
            ("a//al", "al", Some(("a", "", "")), false),
            ("//al", "al", None, false),
            ("/l/a", "al", Some(("", "l", "")), false),
            ("m/m/", "al", None, false),
        ];
        for (words, wanted, expected, work) in table {
            let (situation, wishes) = (situation(words), wishes(wanted));
            let plan = PassPlan::due(&situation, &wishes);
            let found = plan.as_ref().map(|plan| {
                let local = plan.local.iter().map(|whole| whole.dump.name.kind).collect::<Vec<_>>();
                (local, plan.remote.clone(), plan.missing.clone())
            });
            let expected = expected.map(|(l, r, m)| (kinds(l), kinds(r), kinds(m)));
            assert_eq!(found, expected, "{words} {wanted}");
            assert!(plan.is_none_or(|plan| !plan.is_empty()), "{words} {wanted}");
            assert_eq!(has_local_work(&situation, &wishes), work, "{words} {wanted}");
        }
    }

    #[test]
    fn what_is_news() {
        let passed = [whole(Kind::Artists, 0)];
        let closed_again = [whole(Kind::Artists, 1)];
        let table = [
            ("a//", &passed, false, false),
            ("a//", &closed_again, false, true),
            ("al//", &passed, true, true),
            ("a/l/", &passed, false, true),
            ("a/l/", &passed, true, false),
            ("a/l/l", &passed, false, false),
            ("//", &passed, false, false),
        ];
        for (words, passed, another_try, expected) in table {
            let news = is_news(&situation(words), &wishes("al"), passed, another_try);
            assert_eq!(news, expected, "{words} {passed:?} {another_try}");
        }
    }

    #[test]
    fn a_forced_pass_starts_anew_what_is_to_be_had() {
        let forced = |words| {
            let names = to_force(&situation(words), &wishes("al"), VERSION.parse().unwrap());
            names.into_iter().map(|name| name.kind).collect::<Vec<_>>()
        };
        assert_eq!(forced("am//al"), kinds("a"));
        assert_eq!(forced("a/l/a"), kinds("al"));
        assert_eq!(forced("//al"), []);
    }
}
