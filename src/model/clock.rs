//! Moments, and where they come from.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment of the wall clock: milliseconds since 1970 in UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Time from `earlier` to this moment; none if the clock went backwards.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment so long after this one.
    #[must_use]
    pub fn after(self, time: Duration) -> Timestamp {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }

    /// Day and time of day in UTC, as people read them: `2026-01-02` and `03:04:05`.
    pub fn day_and_hour(self) -> (String, String) {
        let text = self.to_string();
        let (day, hour) = text.split_once('T').unwrap_or((&text, ""));
        (day.to_owned(), hour.trim_end_matches('Z').to_owned())
    }

    /// The calendar year in UTC.
    pub fn year(self) -> i32 {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        jiff::tz::Offset::UTC.to_datetime(moment).year().into()
    }
}

/// RFC 3339 in UTC, to the second unless a precision is given: `2026-01-02T03:04:05Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{moment:.*}", f.precision().unwrap_or(0))
    }
}

/// Where time comes from, so that tests need not wait for it.
pub trait Clock: Send + Sync {
    /// The wall clock: for people and for records. It may jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment of this process; it never jumps, and stands still while the
    /// machine sleeps.
    fn elapsed(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose `elapsed` counts from now.
    pub fn new() -> SystemClock {
        SystemClock { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
