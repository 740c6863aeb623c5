use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::Clock;

/// How much may be taken at once after a pause, as time: what was not used is not saved up.
const CREDIT: Duration = Duration::from_millis(250);

/// So many bytes a second, shared by all who hold it.
pub struct RateLimit {
    bytes_a_second: u64,
    clock: Arc<dyn Clock>,
    /// The time at which all that was taken so far is paid for.
    paid: Mutex<Duration>,
}

impl RateLimit {
    /// A limit of so many bytes a second, at least one.
    pub fn new(bytes_a_second: u64, clock: Arc<dyn Clock>) -> RateLimit {
        RateLimit { bytes_a_second: bytes_a_second.max(1), clock, paid: Mutex::default() }
    }

    /// Charges for bytes that came, and says how long to take no more.
    pub fn charge(&self, bytes: usize) -> Duration {
        let now = self.clock.elapsed();
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = pay(*paid, now, bytes, self.bytes_a_second);
        paid.saturating_sub(now)
    }
}

/// When `bytes` more will be paid for, at `now`, if what came before is paid for at `paid`.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn pay(paid: Duration, now: Duration, bytes: usize, bytes_a_second: u64) -> Duration {
    let takes = Duration::from_secs_f64(bytes as f64 / bytes_a_second as f64);
    paid.max(now.saturating_sub(CREDIT)).saturating_add(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_paid_for_at_the_rate_and_a_pause_saves_little_up() {
        let second = Duration::from_secs(1);
        let mut paid = Duration::ZERO;
        for _ in 0..20 {
            paid = pay(paid, Duration::ZERO, 100, 1_000);
        }
        assert_eq!(paid, 2 * second);
        // An hour later one second's worth is there after three quarters of a second.
        let later = Duration::from_hours(1);
        assert_eq!(pay(paid, later, 1_000, 1_000) + CREDIT, later + second);
    }
}
