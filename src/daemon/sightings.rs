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
    /// When it is whole, if it looks then as it does now.
    whole_at: Duration,
}

/// All that was seen of a folder.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    dumps: BTreeMap<DumpName, Sighting>,
    last_look: Option<Duration>,
}

impl Sightings {
    /// Takes in a look at the folder, and which dumps were closed or renamed into place before it
    /// and after the last one. Of what the very first look finds nobody can have heard; how long
    /// it has been quiet is known from its modification time.
    pub fn look(&mut self, seen: Vec<(Dump, Stamp)>, closed: &BTreeSet<DumpName>, at: Moment) {
        let first = self.last_look.replace(at.elapsed).is_none();
        let mut before = std::mem::take(&mut self.dumps);
        for (dump, stamp) in seen {
            let name = dump.name;
            let known = before.remove(&name);
            let closings = known.as_ref().map_or(0, |known| known.whole.closings);
            let same = known.filter(|known| known.whole.stamp == stamp);
            let quiet = if first { quiet_for(stamp, at.now) } else { Duration::ZERO };
            let whole_at = match same {
                _ if closed.contains(&name) => at.elapsed,
                Some(known) => known.whole_at,
                None => at.elapsed + QUIET.saturating_sub(quiet),
            };
            let closings = closings + u64::from(closed.contains(&name));
            let whole = Whole { dump, stamp, closings };
            self.dumps.insert(name, Sighting { whole, whole_at });
        }
    }

    /// Takes a dump to be whole as it was last seen, for it is known from elsewhere.
    pub fn trust(&mut self, name: DumpName) {
        if let Some(sighting) = self.dumps.get_mut(&name) {
            sighting.whole_at = Duration::ZERO;
        }
    }

    /// The dumps that were whole at the last look.
    pub fn whole(&self) -> Vec<Whole> {
        let whole = self.dumps.values().filter(|dump| self.is_whole(dump));
        whole.map(|sighting| sighting.whole.clone()).collect()
    }

    /// The dumps that may still grow, and when each is whole if it does not.
    pub fn growing(&self) -> impl Iterator<Item = (&Dump, Duration)> {
        let growing = self.dumps.values().filter(|dump| !self.is_whole(dump));
        growing.map(|sighting| (&sighting.whole.dump, sighting.whole_at))
    }

    fn is_whole(&self, sighting: &Sighting) -> bool {
        self.last_look.is_some_and(|last_look| last_look >= sighting.whole_at)
    }
}

/// How long a file has not changed, by the wall clock; a time in the future says nothing.
fn quiet_for(stamp: Stamp, now: Timestamp) -> Duration {
    let nanos = i128::from(now.0) * 1_000_000 - stamp.modified;
    let nanos = nanos.clamp(0, i128::from(u64::MAX));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
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
        let rows: &[(&str, &[Look], bool)] = &[
            ("old at the start", &[(0, 5, -10, false)], true),
            ("young at the start", &[(0, 5, -9, false)], false),
            ("young, and a second later", &[(0, 5, -9, false), (1, 5, -9, false)], true),
            ("new, and quiet", &[(0, 5, 0, false), (5, 5, 0, false), (10, 5, 0, false)], true),
            ("new, not quiet enough", &[(0, 5, 0, false), (9, 5, 0, false)], false),
            ("from the future, and quiet", &[(0, 5, 9_999, false), (10, 5, 9_999, false)], true),
            ("from the future", &[(0, 5, 9_999, false), (9, 5, 9_999, false)], false),
            ("growing", &[(0, 5, 0, false), (5, 6, 5, false), (14, 6, 5, false)], false),
            ("grown", &[(0, 5, 0, false), (5, 6, 5, false), (15, 6, 5, false)], true),
            ("growing once more", &[(0, 5, 0, false), (9, 5, 0, false), (12, 6, 12, false)], false),
            ("closed", &[(0, 5, 0, false), (1, 6, 1, true)], true),
            ("closed and seen again", &[(0, 6, 0, true), (5, 6, 0, false)], true),
            ("closed and opened again", &[(0, 6, 0, true), (5, 7, 5, false)], false),
            ("closed again", &[(1, 6, 1, true), (2, 7, 2, false), (3, 7, 2, true)], true),
            ("renamed into place with an old time", &[(1, 6, -999, true)], true),
            ("old at the start and touched", &[(0, 5, -99, false), (5, 5, 4, false)], false),
        ];
        for (name, looks, expected) in rows {
            let mut sightings = Sightings::default();
            for (second, size, modified, event) in *looks {
                let seen = seen(*size, *modified);
                let closed = seen.iter().map(|(dump, _)| dump.name).filter(|_| *event).collect();
                sightings.look(seen, &closed, at(*second));
            }
            assert_eq!(sightings.whole().len() == 1, *expected, "{name}");
            assert_eq!(sightings.growing().count() == 0, *expected, "{name}");
        }
    }

    #[test]
    fn an_old_time_proves_nothing_after_the_first_look() {
        let mut sightings = Sightings::default();
        sightings.look(Vec::new(), &BTreeSet::new(), at(0));
        sightings.look(seen(5, -999), &BTreeSet::new(), at(5));
        assert!(sightings.whole().is_empty());
        sightings.look(seen(5, -999), &BTreeSet::new(), at(15));
        assert_eq!(sightings.whole().len(), 1);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_is_known_is_trusted() {
        let mut sightings = Sightings::default();
        let young = seen(5, 0);
        let name = young[0].0.name;
        sightings.look(young, &BTreeSet::new(), at(0));
        sightings.trust(name);
        assert_eq!(sightings.whole().len(), 1);
        sightings.look(Vec::new(), &BTreeSet::new(), at(1));
        assert!(sightings.whole().is_empty());
        sightings.look(seen(5, 0), &BTreeSet::new(), at(100));
        assert!(sightings.whole().is_empty());
    }

    #[test]
    fn a_dump_that_is_closed_again_is_another_even_if_it_looks_the_same() {
        let mut sightings = Sightings::default();
        let closed = seen(5, 0).iter().map(|(dump, _)| dump.name).collect();
        sightings.look(seen(5, 0), &closed, at(0));
        let before = sightings.whole();
        sightings.look(seen(5, 0), &BTreeSet::new(), at(1));
        assert_eq!(sightings.whole(), before);
        sightings.look(seen(5, 0), &closed, at(2));
        assert_ne!(sightings.whole(), before);
    }
}
