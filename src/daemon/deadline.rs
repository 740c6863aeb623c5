//! A moment that is waited for. Pure.

use std::time::Duration;

use crate::model::{Clock, Timestamp};

/// A moment to come, on both clocks: one stands still while the machine sleeps, the other may
/// jump. Whichever gets there first counts.
pub struct Deadline {
    elapsed: Duration,
    /// On the wall.
    pub now: Timestamp,
}

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration, clock: &dyn Clock) -> Deadline {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = Timestamp(clock.now().0.saturating_add(millis));
        Deadline { elapsed: clock.elapsed().saturating_add(time), now }
    }

    /// How long that still is.
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        let left = self.elapsed.saturating_sub(clock.elapsed());
        left.min(self.now.since(clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(Duration, Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.1
        }

        fn elapsed(&self) -> Duration {
            self.0
        }
    }

    #[test]
    fn a_moment_has_come_when_either_clock_says_so() {
        const DAY: Duration = Duration::from_hours(24);
        let at = |elapsed_hours, wall_hours: u64| {
            let wall = Timestamp(Duration::from_hours(1_000 + wall_hours).as_secs() * 1_000);
            At(Duration::from_hours(elapsed_hours), wall)
        };
        let due = Deadline::after(DAY, &at(10, 0));
        let left = |elapsed, wall| due.left(&at(elapsed, wall)).as_secs() / 3_600;
        assert_eq!(left(10, 0), 24);
        assert_eq!(left(11, 1), 23);
        assert_eq!(left(34, 24), 0);
        assert_eq!(left(11, 25), 0, "the machine slept");
        assert_eq!(left(34, 0), 0, "the clock was set back");
    }
}
