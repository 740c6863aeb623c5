//! What fails again and again rests longer and longer, and is said once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Rests double from the first to the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

/// What rests, by its name.
pub struct Rests<N>(HashMap<N, Rest>);

struct Rest {
    since: Instant,
    until: Instant,
    pause: Duration,
}

impl<N> Default for Rests<N> {
    fn default() -> Rests<N> {
        Rests(HashMap::new())
    }
}

impl<N: Eq + Hash> Rests<N> {
    /// Whether something is not to be tried yet.
    pub fn rests(&self, name: &N, now: Instant) -> bool {
        self.0.get(name).is_some_and(|rest| now < rest.until)
    }

    /// It failed. True the first time in a row.
    pub fn failed(&mut self, name: N, now: Instant) -> bool {
        let known = self.0.get(&name).map(|rest| (rest.since, rest.pause));
        let (since, pause) =
            known.map_or((now, FIRST), |(since, pause)| (since, (pause * 2).min(LONGEST)));
        self.0.insert(name, Rest { since, until: now + pause, pause });
        known.is_none()
    }

    /// It did not fail; since when it had, if it had.
    pub fn well(&mut self, name: &N) -> Option<Instant> {
        self.0.remove(name).map(|rest| rest.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_rests_longer_and_is_new_once() {
        let (mut rests, began) = (Rests::default(), Instant::now());
        assert!(!rests.rests(&1, began) && rests.well(&1).is_none());
        assert!(rests.failed(1, began));
        assert!(rests.rests(&1, began) && !rests.rests(&2, began));
        let mut now = began + FIRST;
        assert!(!rests.rests(&1, now));
        assert!(!rests.failed(1, now));
        now += FIRST;
        assert!(rests.rests(&1, now));
        now += FIRST;
        assert!(!rests.rests(&1, now));
        for _ in 0..99 {
            assert!(!rests.failed(1, now));
        }
        assert!(rests.rests(&1, now + LONGEST / 2) && !rests.rests(&1, now + LONGEST));
        assert_eq!(rests.well(&1), Some(began));
        assert!(rests.failed(1, now));
    }
}
