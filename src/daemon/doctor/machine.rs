//! The program, the clock, and what the system allows.

use rustix::process::{Resource, getrlimit};

use crate::model::{Clock, Finding, Timestamp};
use crate::observe::PROGRAM_VERSION;
use crate::state::FORMAT;

/// Files, sockets and pipes that may be open at once with four dumps, a database, a broker and as
/// many clients as HTTP serves: about a hundred, and as many again for what was not thought of.
const OPEN_FILES: u64 = 256;

/// The first day of this program: no clock that is right shows an earlier one.
const FIRST_DAY: Timestamp = Timestamp(1_764_547_200_000);

/// By how much a clock may go back before it is told: a minute, in milliseconds.
const BACK: u64 = 60_000;

/// Which release this is.
pub fn program() -> Finding {
    Finding::ok("program", format!("discogs-extractor {PROGRAM_VERSION}, state format {FORMAT}"))
}

/// How many files may be open.
pub fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    allowed(limit.current)
}

fn allowed(open: Option<u64>) -> Finding {
    match open {
        Some(open) if open < OPEN_FILES => Finding::warning(
            "open files",
            format!("only {open} files may be open at once"),
            format!("raise it to {OPEN_FILES} or more (ulimit -n, LimitNOFILE= in a unit)"),
        ),
        Some(open) => Finding::ok("open files", format!("{open} may be open at once")),
        None => Finding::ok("open files", "as many as wanted may be open at once"),
    }
}

/// Whether the clock can be right, as far as the latest thing that is known to have happened says.
pub fn clock(clock: &dyn Clock, latest: Option<Timestamp>) -> Finding {
    let now = clock.now();
    let hint = "set it (NTP): last activity, completion times and schedules come from it";
    match latest {
        _ if now < FIRST_DAY => Finding::failure("clock", format!("it says {now}"), hint),
        Some(latest) if now.0 + BACK < latest.0 => Finding::warning(
            "clock",
            format!("it says {now}, and the state knows of something at {latest}"),
            hint,
        ),
        _ => Finding::ok("clock", format!("it says {now}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Level;

    struct Stopped(Timestamp);

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            self.0
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let today = FIRST_DAY.0 + 1_000_000_000;
        let rows = [
            (0, None, Level::Failure),
            (today, None, Level::Ok),
            (today, Some(today + 59_000), Level::Ok),
            (today, Some(today + 61_000), Level::Warning),
            (today, Some(today - 1), Level::Ok),
        ];
        for (now, latest, status) in rows {
            let found = clock(&Stopped(Timestamp(now)), latest.map(Timestamp));
            assert_eq!(found.status, status, "{found:?}");
        }
    }

    #[test]
    fn few_files_are_warned_of() {
        assert_eq!(allowed(Some(255)).status, Level::Warning);
        assert_eq!(allowed(Some(1_024)).status, Level::Ok);
        assert_eq!(allowed(None).status, Level::Ok);
    }
}
