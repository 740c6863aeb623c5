//! The life of one type's consumer: it reads, is cancelled some time after the type is complete,
//! and reads again when there is something in its queue. It waits by the clock of its own process
//! that never jumps: what the others' clocks say is no matter.

use std::time::Duration;

use crate::model::agreement::{Cancellation, Due};

/// Where one type's consumer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It reads.
    Consuming,
    /// It reads; the type is complete, and it is cancelled if this stands for long enough.
    Ending {
        /// What is agreed on.
        cancellation: Cancellation,
        /// When that was first seen here.
        since: Duration,
    },
    /// It does not read.
    Cancelled,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All who read the queue have agreed on this.
    Agreed(Due),
    /// Time passes.
    Tick,
    /// There are messages in the queue, which nobody here reads.
    Found,
}

/// The time of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// What this process's own clock says: it never jumps.
    pub elapsed: Duration,
    /// How long a cancellation stands before it comes; none for ever.
    pub delay: Option<Duration>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Tell the others that the time of this has come; then ask what is agreed.
    Settle(Cancellation),
    /// Cancel the consumer.
    Cancel,
    /// Consume.
    Consume,
    /// Consume, and tell the others.
    Resume,
}

impl State {
    /// Where a consumer begins.
    pub fn begin(due: Due, time: Time) -> State {
        next(State::Consuming, Event::Agreed(due), time).0
    }

    /// Whether it reads.
    pub const fn reads(self) -> bool {
        match self {
            State::Consuming | State::Ending { .. } => true,
            State::Cancelled => false,
        }
    }

    /// Waits for a cancellation, since now if it is another one than before.
    fn ending(self, cancellation: Cancellation, elapsed: Duration) -> State {
        match self {
            State::Ending { cancellation: before, .. } if before == cancellation => self,
            State::Consuming | State::Ending { .. } | State::Cancelled => {
                State::Ending { cancellation, since: elapsed }
            }
        }
    }
}

/// What becomes of a consumer, and what is to be done.
pub fn next(state: State, event: Event, time: Time) -> (State, Act) {
    let Time { elapsed, delay } = time;
    match (state, event) {
        (State::Consuming | State::Ending { .. }, Event::Agreed(Due::Never)) => {
            (State::Consuming, Act::Nothing)
        }
        (State::Consuming | State::Ending { .. }, Event::Agreed(Due::Scheduled(cancellation))) => {
            (state.ending(cancellation, elapsed), Act::Nothing)
        }
        (State::Consuming | State::Ending { .. }, Event::Agreed(Due::Cancelled)) => {
            (State::Cancelled, Act::Cancel)
        }
        (State::Cancelled, Event::Agreed(Due::Never)) => (State::Consuming, Act::Consume),
        (State::Cancelled, Event::Agreed(Due::Scheduled(cancellation))) => {
            (state.ending(cancellation, elapsed), Act::Consume)
        }
        (State::Cancelled, Event::Agreed(Due::Cancelled)) => (State::Cancelled, Act::Nothing),
        (State::Ending { cancellation, since }, Event::Tick) => {
            let has_come = delay.is_some_and(|delay| elapsed.saturating_sub(since) >= delay);
            (state, if has_come { Act::Settle(cancellation) } else { Act::Nothing })
        }
        (State::Consuming | State::Cancelled, Event::Tick)
        | (State::Consuming | State::Ending { .. }, Event::Found) => (state, Act::Nothing),
        (State::Cancelled, Event::Found) => (State::Consuming, Act::Resume),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Run, Timestamp};
    use proptest::prelude::*;

    const fn cancellation(turn: u64) -> Cancellation {
        Cancellation { after: (None, Run(1)), turn, at: Timestamp(0) }
    }

    /// At so many seconds, where a cancellation stands for ten.
    const fn at(seconds: u64) -> Time {
        Time { elapsed: Duration::from_secs(seconds), delay: Some(Duration::from_secs(10)) }
    }

    #[test]
    fn every_step_of_a_consumers_life() {
        use Act::{Cancel, Consume, Nothing, Resume, Settle};
        use Event::{Agreed, Found, Tick};
        use State::{Cancelled, Consuming};
        let ending = |turn, since| State::Ending {
            cancellation: cancellation(turn),
            since: Duration::from_secs(since),
        };
        let scheduled = |turn| Agreed(Due::Scheduled(cancellation(turn)));
        let rows = [
            (Consuming, Agreed(Due::Never), Consuming, Nothing),
            (Consuming, scheduled(1), ending(1, 15), Nothing),
            (Consuming, Agreed(Due::Cancelled), Cancelled, Cancel),
            (Consuming, Tick, Consuming, Nothing),
            (Consuming, Found, Consuming, Nothing),
            (ending(1, 5), Agreed(Due::Never), Consuming, Nothing),
            (ending(1, 5), scheduled(1), ending(1, 5), Nothing),
            (ending(1, 5), scheduled(2), ending(2, 15), Nothing),
            (ending(1, 5), Agreed(Due::Cancelled), Cancelled, Cancel),
            (ending(1, 6), Tick, ending(1, 6), Nothing),
            (ending(1, 5), Tick, ending(1, 5), Settle(cancellation(1))),
            (ending(1, 5), Found, ending(1, 5), Nothing),
            (Cancelled, Agreed(Due::Never), Consuming, Consume),
            (Cancelled, scheduled(1), ending(1, 15), Consume),
            (Cancelled, Agreed(Due::Cancelled), Cancelled, Nothing),
            (Cancelled, Tick, Cancelled, Nothing),
            (Cancelled, Found, Consuming, Resume),
        ];
        for (state, event, after, act) in rows {
            assert_eq!(next(state, event, at(15)), (after, act), "{state:?} {event:?}");
        }
        let never = Time { delay: None, ..at(1_000) };
        assert_eq!(next(ending(1, 5), Tick, never), (ending(1, 5), Nothing));
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let due = prop_oneof![
            Just(Due::Never),
            (0..3_u64).prop_map(|turn| Due::Scheduled(cancellation(turn))),
            Just(Due::Cancelled)
        ];
        prop_oneof![due.prop_map(Event::Agreed), Just(Event::Tick), Just(Event::Found)]
    }

    proptest! {
        /// Whatever comes: it is cancelled only when all have agreed on that, and says that the time
        /// has come only for what it saw stand for as long as was agreed on; it is asked to read
        /// exactly when it did not and does now.
        #[test]
        fn what_a_consumer_does_follows_from_what_was_agreed(
            events in prop::collection::vec((any_event(), 0..6_u64), 0..60),
        ) {
            let mut state = State::begin(Due::Never, at(0));
            let (mut reads, mut now, mut stands) = (true, 0, None);
            for (event, passed) in events {
                now += passed;
                if let Event::Agreed(due) = event {
                    let seen = match due {
                        Due::Scheduled(cancellation) => Some(cancellation),
                        Due::Never | Due::Cancelled => None,
                    };
                    if stands.is_none_or(|(stood, _)| seen != Some(stood)) {
                        stands = seen.map(|cancellation| (cancellation, now));
                    }
                }
                let (after, act) = next(state, event, at(now));
                match act {
                    Act::Cancel => {
                        prop_assert!(reads && event == Event::Agreed(Due::Cancelled));
                        reads = false;
                    }
                    Act::Consume | Act::Resume => {
                        prop_assert!(!reads);
                        reads = true;
                    }
                    Act::Settle(cancellation) => {
                        let (stood, since) = stands.unwrap();
                        prop_assert!(event == Event::Tick && stood == cancellation && now - since >= 10);
                    }
                    Act::Nothing => {}
                }
                prop_assert_eq!(after.reads(), reads);
                state = after;
            }
        }
    }
}
