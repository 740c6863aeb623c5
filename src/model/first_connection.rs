//! How long somebody waits for a first connection: a daemon for as long as it takes, whoever typed a
//! command not longer than it takes to notice that there is a typo in it. Once a connection stood, an
//! outage is waited for by both. Pure.

use std::time::Duration;

/// How long a first connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstConnection {
    /// As long as it takes.
    Whenever,
    /// So long, and no longer than until an answer that waiting does not change.
    Within(Duration),
}

/// Pauses between tries double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a try to connect failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// There was no answer, or one that may be another the next time.
    NotYet,
    /// Who we are, or what we ask for, is refused.
    Refused,
}

impl FirstConnection {
    /// What a command waits that somebody typed.
    pub const TYPED: FirstConnection = FirstConnection::Within(Duration::from_secs(30));

    /// How long to rest before the next try, after so many; none if there is to be no other.
    pub fn rest(self, why: NoConnection, tries: u32, waited: Duration) -> Option<Duration> {
        let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE);
        match (self, why) {
            (FirstConnection::Whenever, NoConnection::NotYet | NoConnection::Refused) => {
                Some(pause)
            }
            (FirstConnection::Within(_), NoConnection::Refused) => None,
            (FirstConnection::Within(limit), NoConnection::NotYet) => {
                let left = limit.saturating_sub(waited);
                Some(pause.min(left)).filter(|rest| !rest.is_zero())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_typed_it_hears_of_a_refusal_at_once_and_of_silence_after_a_while() {
        let typed = FirstConnection::TYPED;
        let seconds = Duration::from_secs;
        assert_eq!(typed.rest(NoConnection::Refused, 0, Duration::ZERO), None);
        assert_eq!(typed.rest(NoConnection::NotYet, 0, Duration::ZERO), Some(FIRST_PAUSE));
        assert_eq!(typed.rest(NoConnection::NotYet, 99, seconds(9)), Some(LONGEST_PAUSE));
        assert_eq!(typed.rest(NoConnection::NotYet, 99, seconds(29)), Some(seconds(1)));
        assert_eq!(typed.rest(NoConnection::NotYet, 99, seconds(30)), None);
        assert_eq!(typed.rest(NoConnection::NotYet, 99, seconds(300)), None);
    }

    #[test]
    fn a_daemon_waits_for_as_long_as_it_takes() {
        for why in [NoConnection::NotYet, NoConnection::Refused] {
            let rest = FirstConnection::Whenever.rest(why, 99, Duration::MAX);
            assert_eq!(rest, Some(LONGEST_PAUSE));
        }
    }
}
