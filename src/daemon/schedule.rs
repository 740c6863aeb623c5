//! When the next pass is due, given how the last ones ended. Pure.

use std::time::Duration;

/// What keeps failing for reasons that may pass is tried again at least this often.
const LONGEST_RETRY: Duration = Duration::from_mins(15);

/// How often the site is looked at while the newest version is half published. It takes the site
/// hours to publish one.
const SOON: Duration = Duration::from_hours(1);

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All there was to do is done; or there was nothing.
    Done,
    /// Something failed that may go by itself: a disk, a broker.
    Failed,
    /// Only what the dumps hold is wrong. Trying again costs the whole file and rarely helps.
    Damaged,
}

impl Ended {
    /// How the pass ends if one of its files failed, too, and the dump itself is to blame for that
    /// or not.
    #[must_use]
    pub const fn and_failed(self, blames_dump: bool) -> Ended {
        match (self, blames_dump) {
            (Ended::Done | Ended::Damaged, true) => Ended::Damaged,
            (Ended::Done | Ended::Damaged, false) | (Ended::Failed, true | false) => Ended::Failed,
        }
    }
}

/// What is waited for after a pass, beside new dumps and those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The next look.
    Check(Duration),
    /// Another try, after so many failures in a row.
    Retry {
        /// How long from now.
        after: Duration,
        /// How many, at least 1.
        failures: u32,
    },
}

impl Wait {
    /// How long it is.
    pub const fn time(self) -> Duration {
        match self {
            Wait::Check(time) | Wait::Retry { after: time, .. } => time,
        }
    }

    /// The same wait, but no shorter than that.
    #[must_use]
    pub fn at_least(self, least: Duration) -> Wait {
        match self {
            Wait::Check(time) => Wait::Check(time.max(least)),
            Wait::Retry { after, failures } => Wait::Retry { after: after.max(least), failures },
        }
    }

    const fn failures(self) -> u32 {
        match self {
            Wait::Check(_) => 0,
            Wait::Retry { failures, .. } => failures,
        }
    }
}

/// The times that were configured.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// From a pass that did all there was to do to the next look.
    pub check_every: Duration,
    /// From the first failure to the next try; it doubles with each.
    pub retry_after: Duration,
}

impl Schedule {
    /// A wait of an hour at most: the site is publishing.
    #[must_use]
    pub fn soon(&self, wait: Wait) -> Wait {
        match wait {
            Wait::Check(time) => Wait::Check(time.min(SOON)),
            Wait::Retry { .. } => wait,
        }
    }

    /// What to wait for before the first pass has ended.
    pub const fn first(&self) -> Wait {
        Wait::Check(self.check_every)
    }

    /// What to wait for after a pass, given what was waited for before it.
    #[must_use]
    pub fn next(&self, before: Wait, ended: Ended) -> Wait {
        let longest = match ended {
            Ended::Done => return Wait::Check(self.check_every),
            Ended::Failed => LONGEST_RETRY,
            Ended::Damaged => self.check_every,
        };
        let failures = before.failures().saturating_add(1);
        let doubled = 2u32.saturating_pow(failures - 1);
        let after = self.retry_after.saturating_mul(doubled).min(longest);
        Wait::Retry { after, failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const SCHEDULE: Schedule = Schedule { check_every: DAY, retry_after: Duration::from_mins(1) };

    fn minutes(ends: &[Ended]) -> Vec<u64> {
        let mut wait = SCHEDULE.first();
        let next = |ended: &Ended| {
            wait = SCHEDULE.next(wait, *ended);
            wait.time().as_secs() / 60
        };
        ends.iter().map(next).collect()
    }

    #[test]
    fn a_pass_is_damaged_only_if_the_dumps_are_all_that_is_wrong() {
        let ended =
            |files: &[bool]| files.iter().fold(Ended::Done, |it, &dump| it.and_failed(dump));
        assert_eq!(ended(&[]), Ended::Done);
        assert_eq!(ended(&[true, true]), Ended::Damaged);
        assert_eq!(ended(&[true, false]), Ended::Failed);
        assert_eq!(ended(&[false, true]), Ended::Failed);
    }

    #[test]
    fn a_failed_pass_is_tried_again_ever_later_up_to_a_quarter_of_an_hour() {
        assert_eq!(minutes(&[Ended::Failed; 7]), [1, 2, 4, 8, 15, 15, 15]);
        let much = minutes(&[Ended::Failed; 100]);
        assert_eq!(much[99], 15);
    }

    #[test]
    fn a_pass_that_succeeds_begins_the_count_anew() {
        let ends = [Ended::Failed, Ended::Failed, Ended::Done, Ended::Failed];
        assert_eq!(minutes(&ends), [1, 2, 24 * 60, 1]);
    }

    #[test]
    fn a_damaged_dump_is_read_again_less_and_less_often() {
        let tries = minutes(&[Ended::Damaged; 13]);
        assert_eq!(tries[..6], [1, 2, 4, 8, 16, 32]);
        assert_eq!(tries[10..], [1_024, 24 * 60, 24 * 60]);
        assert_eq!(minutes(&[Ended::Damaged, Ended::Damaged, Ended::Failed])[2], 4);
    }
}
