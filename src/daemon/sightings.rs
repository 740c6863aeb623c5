//! Which dumps in a folder are whole, given what was seen and heard of them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::dump::Dump;
use crate::model::{DumpName, Timestamp};

/// A dump that has not changed for so long is whole, whatever wrote it.
const QUIET: Duration = Duration::from_secs(10);

/// What tells one moment of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Modification time, in nanoseconds since 1970.
    pub modified: i128,
}

/// When somebody looked.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// On the wall.
    pub now: Timestamp,
    /// On the clock that never jumps.
    pub elapsed: Duration,
}

/// A dump that is whole, at one moment of its life: if it is written to again, it is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The dump.
    pub dump: Dump,
    /// How it looked.
    pub stamp: Stamp,
    /// How often it was closed or renamed into place while it was looked at: a change that keeps
    /// size and time is one all the same.
    pub closings: u64,
}

#[derive(Clone, Debug)]
struct Sighting {
    whole: Whole,
    /// Since when it looks like this.
    since: Duration,
    /// Whether that is known to be its last look.
    last: bool,
}

/// All that was seen of a folder.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    dumps: BTreeMap<DumpName, Sighting>,
    looked: bool,
}

impl Sightings {
    /// Takes in a look at the folder, and which dumps were closed or renamed into place before it
    /// and after the last one. What the very first look finds is whole if it is old enough: nobody
    /// can have heard of it.
    pub fn look(&mut self, seen: Vec<(Dump, Stamp)>, closed: &BTreeSet<DumpName>, at: Moment) {
        let first = !std::mem::replace(&mut self.looked, true);
        let mut before = std::mem::take(&mut self.dumps);
        for (dump, stamp) in seen {
            let name = dump.name;
            let known = before.remove(&name);
            let closings = known.as_ref().map_or(0, |known| known.whole.closings);
            let closings = closings + u64::from(closed.contains(&name));
            let same = known.filter(|known| known.whole.stamp == stamp);
            let old = first && is_old(stamp, at.now);
            let last = closed.contains(&name) || old || same.as_ref().is_some_and(|k| k.last);
            let since = same.map_or(at.elapsed, |known| known.since);
            let whole = Whole { dump, stamp, closings };
            self.dumps.insert(name, Sighting { whole, since, last });
        }
    }

    /// Takes a dump to be whole as it was last seen, for it is known from elsewhere.
    pub fn trust(&mut self, name: DumpName) {
        if let Some(sighting) = self.dumps.get_mut(&name) {
            sighting.last = true;
        }
    }

    /// The dumps that are whole.
    pub fn whole(&self, elapsed: Duration) -> Vec<Whole> {
        let is_whole = |s: &&Sighting| s.last || elapsed.saturating_sub(s.since) >= QUIET;
        self.dumps.values().filter(is_whole).map(|sighting| sighting.whole.clone()).collect()
    }

    /// The dumps that may still grow.
    pub fn growing(&self, elapsed: Duration) -> Vec<Dump> {
        let whole: BTreeSet<_> = self.whole(elapsed).iter().map(|whole| whole.dump.name).collect();
        let dumps = self.dumps.values().map(|sighting| &sighting.whole.dump);
        dumps.filter(|dump| !whole.contains(&dump.name)).cloned().collect()
    }
}

/// By the wall clock; a time in the future proves nothing.
fn is_old(stamp: Stamp, now: Timestamp) -> bool {
    let quiet = i128::try_from(QUIET.as_nanos()).unwrap_or(i128::MAX);
    i128::from(now.0) * 1_000_000 - stamp.modified >= quiet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wall clock's second at which the folder is first looked at.
    const START: u64 = 1_000_000;

    fn at(seconds: u64) -> Moment {
        let now = Timestamp((START + seconds) * 1_000);
        Moment { now, elapsed: Duration::from_secs(seconds) }
    }

    /// A size, and seconds from `START` to the modification.
    fn seen(size: u64, modified: i64) -> Vec<(Dump, Stamp)> {
        let name: DumpName = "discogs_20260101_artists.xml.gz".parse().unwrap();
        let modified = (i128::from(START) + i128::from(modified)) * 1_000_000_000;
        vec![(Dump { name, path: name.to_string().into() }, Stamp { size, modified })]
    }

    /// At a second: a look that finds a file of this size and time, after an event or not.
    type Look = (u64, u64, i64, bool);

    #[test]
    fn when_a_dump_is_whole() {
        let rows: &[(&str, &[Look], u64, bool)] = &[
            ("old at the start", &[(0, 5, -10, false)], 0, true),
            ("young at the start", &[(0, 5, -9, false)], 0, false),
            ("young, then quiet", &[(0, 5, -9, false), (5, 5, -9, false)], 10, true),
            ("young, not quiet enough", &[(0, 5, -9, false), (5, 5, -9, false)], 9, false),
            ("from the future, then quiet", &[(0, 5, 9_999, false)], 10, true),
            ("from the future", &[(0, 5, 9_999, false)], 9, false),
            ("growing", &[(0, 5, 0, false), (5, 6, 5, false), (10, 7, 10, false)], 14, false),
            ("grown", &[(0, 5, 0, false), (5, 6, 5, false), (10, 6, 5, false)], 15, true),
            ("closed", &[(0, 5, 0, false), (1, 6, 1, true)], 1, true),
            ("closed and seen again", &[(1, 6, 1, true), (5, 6, 1, false)], 5, true),
            ("closed and opened again", &[(1, 6, 1, true), (5, 7, 5, false)], 5, false),
            ("closed again", &[(1, 6, 1, true), (2, 7, 2, false), (3, 7, 2, true)], 3, true),
            ("renamed into place with an old time", &[(1, 6, -999, true)], 1, true),
            ("old at the start and touched", &[(0, 5, -99, false), (5, 5, 4, false)], 5, false),
        ];
        for (name, looks, asked_at, expected) in rows {
            let mut sightings = Sightings::default();
            for (second, size, modified, event) in *looks {
                let seen = seen(*size, *modified);
                let closed = seen.iter().map(|(dump, _)| dump.name).filter(|_| *event).collect();
                sightings.look(seen, &closed, at(*second));
            }
            let asked_at = Duration::from_secs(*asked_at);
            assert_eq!(sightings.whole(asked_at).len() == 1, *expected, "{name}");
            assert_eq!(sightings.growing(asked_at).is_empty(), *expected, "{name}");
        }
    }

    #[test]
    fn an_old_time_proves_nothing_after_the_first_look() {
        let mut sightings = Sightings::default();
        sightings.look(Vec::new(), &BTreeSet::new(), at(0));
        sightings.look(seen(5, -999), &BTreeSet::new(), at(5));
        assert!(sightings.whole(at(5).elapsed).is_empty());
        assert_eq!(sightings.whole(at(15).elapsed).len(), 1);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_is_known_is_trusted() {
        let mut sightings = Sightings::default();
        let young = seen(5, 0);
        let name = young[0].0.name;
        sightings.look(young, &BTreeSet::new(), at(0));
        sightings.trust(name);
        assert_eq!(sightings.whole(Duration::ZERO).len(), 1);
        sightings.look(Vec::new(), &BTreeSet::new(), at(1));
        assert!(sightings.whole(at(99).elapsed).is_empty());
        sightings.look(seen(5, 0), &BTreeSet::new(), at(100));
        assert!(sightings.whole(at(100).elapsed).is_empty());
    }

    #[test]
    fn a_dump_that_is_closed_again_is_another_even_if_it_looks_the_same() {
        let mut sightings = Sightings::default();
        let closed = seen(5, 0).iter().map(|(dump, _)| dump.name).collect();
        sightings.look(seen(5, 0), &closed, at(0));
        let before = sightings.whole(at(0).elapsed);
        sightings.look(seen(5, 0), &BTreeSet::new(), at(1));
        assert_eq!(sightings.whole(at(1).elapsed), before);
        sightings.look(seen(5, 0), &closed, at(2));
        assert_ne!(sightings.whole(at(2).elapsed), before);
    }
}
