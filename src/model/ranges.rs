//! Sets of ordinals as few ranges.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::Ordinal;

/// A set of ordinals, kept as ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<Ordinal, Ordinal>);

impl Ranges {
    /// Adds a range, which swallows all that it touches. An empty one adds nothing.
    pub fn insert(&mut self, range: RangeInclusive<Ordinal>) {
        let (mut first, mut last) = range.into_inner();
        if first > last {
            return;
        }
        while let Some((&begin, &end)) = self.0.range(..=last.next()).next_back() {
            if end.next() < first {
                break;
            }
            self.0.remove(&begin);
            first = first.min(begin);
            last = last.max(end);
        }
        self.0.insert(first, last);
    }

    /// The last ordinal of the unbroken range that begins with the first record; 0 if there is
    /// none.
    pub fn prefix(&self) -> Ordinal {
        self.0.get(&Ordinal::FIRST).copied().unwrap_or(Ordinal(0))
    }

    /// How many ordinals up to `last` it holds.
    pub fn count_to(&self, last: Ordinal) -> u64 {
        let until = self.iter().take_while(|range| *range.start() <= last);
        until.map(|range| range.end().0.min(last.0) + 1 - range.start().0).sum()
    }

    /// How many ordinals up to `last` it holds that another does not.
    pub fn count_beside(&self, other: &Ranges, last: Ordinal) -> u64 {
        let beside = |range: RangeInclusive<Ordinal>| {
            let (first, end) = (*range.start(), last.min(*range.end()));
            let in_other = other.count_to(end) - other.count_to(Ordinal(first.0.saturating_sub(1)));
            (end.0 + 1).saturating_sub(first.0) - in_other
        };
        self.iter().take_while(|range| *range.start() <= last).map(beside).sum()
    }

    /// Whether it holds an ordinal.
    pub fn contains(&self, ordinal: Ordinal) -> bool {
        self.0.range(..=ordinal).next_back().is_some_and(|(_, last)| *last >= ordinal)
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<Ordinal>> {
        self.0.iter().map(|(first, last)| *first..=*last)
    }
}

impl FromIterator<RangeInclusive<Ordinal>> for Ranges {
    fn from_iter<T: IntoIterator<Item = RangeInclusive<Ordinal>>>(ranges: T) -> Ranges {
        let mut set = Ranges::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds_and_never_touch(
            inserts in prop::collection::vec((1..60u64, 0..9u64), 0..40)
        ) {
            let ranges: Ranges =
                inserts.iter().map(|(first, more)| Ordinal(*first)..=Ordinal(first + more)).collect();
            let set: BTreeSet<u64> =
                inserts.iter().flat_map(|(first, more)| *first..=first + more).collect();
            let held: Vec<u64> =
                ranges.iter().flat_map(|range| range.start().0..=range.end().0).collect();
            prop_assert_eq!(held, set.iter().copied().collect::<Vec<_>>());
            let all: Vec<_> = ranges.iter().collect();
            prop_assert!(all.windows(2).all(|two| two[0].end().next() < *two[1].start()));
            let prefix = (1..100).take_while(|ordinal| set.contains(ordinal)).count() as u64;
            prop_assert_eq!(ranges.prefix(), Ordinal(prefix));
            let odd: Ranges = (0..50).map(|half| Ordinal(2 * half + 1)).map(|at| at..=at).collect();
            for last in 0..100 {
                let even = set.range(..=last).filter(|ordinal| *ordinal % 2 == 0).count() as u64;
                prop_assert_eq!(ranges.count_beside(&odd, Ordinal(last)), even);
                prop_assert_eq!(ranges.contains(Ordinal(last)), set.contains(&last));
                prop_assert_eq!(ranges.count_to(Ordinal(last)), set.range(..=last).count() as u64);
            }
        }
    }
}
