use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How long the first rest is at most.
const FIRST: Duration = Duration::from_millis(500);
/// How long a rest is at most: a site that comes back is noticed within a minute.
const LONGEST: Duration = Duration::from_mins(1);
/// How long a server may make us wait; what asks for more has no interest in being asked again.
const LONGEST_ASKED_FOR: Duration = Duration::from_hours(2);

/// How long to rest before the next try, after so many in a row (from 1) brought nothing new. What
/// the server asked for counts, within reason. `jitter` is between 0 and 1: without it, all who
/// lost the same server would come back to it in the same moment.
pub fn rest(fruitless: u32, asked_for: Option<Duration>, jitter: f64) -> Duration {
    let doubled = 1_u32.checked_shl(fruitless.saturating_sub(1)).unwrap_or(u32::MAX);
    let most = FIRST.saturating_mul(doubled).min(LONGEST);
    let own = most.mul_f64(jitter.clamp(0.0, 1.0).mul_add(0.5, 0.5));
    asked_for.map_or(own, |time| time.min(LONGEST_ASKED_FOR))
}

/// A number between 0 and 1, another one each time.
pub fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(random).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_a_minute_and_never_vanish() {
        let rows = [(1, 500), (2, 1_000), (3, 2_000), (7, 32_000), (8, 60_000), (99, 60_000)];
        for (fruitless, most) in rows {
            assert_eq!(rest(fruitless, None, 1.0), Duration::from_millis(most), "{fruitless}");
            assert_eq!(rest(fruitless, None, 0.0), Duration::from_millis(most / 2), "{fruitless}");
        }
    }

    #[test]
    fn what_the_server_asks_for_counts_within_reason() {
        assert_eq!(rest(1, Some(Duration::from_secs(90)), 0.3), Duration::from_secs(90));
        assert_eq!(rest(9, Some(Duration::ZERO), 0.3), Duration::ZERO);
        assert_eq!(rest(1, Some(Duration::from_hours(50)), 0.3), Duration::from_hours(2));
    }

    #[test]
    fn jitter_is_a_part_of_one() {
        let some: Vec<f64> = (0..50).map(|_| jitter()).collect();
        assert!(some.iter().all(|part| (0.0..=1.0).contains(part)), "{some:?}");
        assert!(some.iter().any(|part| (part - some[0]).abs() > 0.01), "{some:?}");
    }
}
