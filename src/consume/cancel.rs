//! The life of one type's consumer: it reads, is cancelled some time after the type is complete,
//! and reads again when there is something in its queue.

use crate::model::Timestamp;
use crate::model::agreement::Due;

/// Where one type's consumer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It reads.
    Consuming,
    /// It reads; the type is complete, and it is cancelled then.
    Ending(Timestamp),
    /// It does not read.
    Cancelled,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All who read the queue have agreed on this.
    Agreed(Due),
    /// It is this late.
    Now(Timestamp),
    /// There are messages in the queue, which nobody here reads.
    Found,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Tell the others that the time has come; then ask what is agreed.
    Settle,
    /// Cancel the consumer.
    Cancel,
    /// Consume.
    Consume,
    /// Consume, and tell the others.
    Resume,
}

impl State {
    /// Where a consumer begins.
    pub const fn begin(due: Due) -> State {
        match due {
            Due::Never => State::Consuming,
            Due::At(at) => State::Ending(at),
            Due::Cancelled => State::Cancelled,
        }
    }

    /// Whether it reads.
    pub const fn reads(self) -> bool {
        match self {
            State::Consuming | State::Ending(_) => true,
            State::Cancelled => false,
        }
    }
}

/// What becomes of a consumer, and what is to be done.
pub fn next(state: State, event: Event) -> (State, Act) {
    match (state, event) {
        (State::Consuming | State::Ending(_), Event::Agreed(Due::Never)) => {
            (State::Consuming, Act::Nothing)
        }
        (State::Consuming | State::Ending(_), Event::Agreed(Due::At(at))) => {
            (State::Ending(at), Act::Nothing)
        }
        (State::Consuming | State::Ending(_), Event::Agreed(Due::Cancelled)) => {
            (State::Cancelled, Act::Cancel)
        }
        (State::Cancelled, Event::Agreed(Due::Never)) => (State::Consuming, Act::Consume),
        (State::Cancelled, Event::Agreed(Due::At(at))) => (State::Ending(at), Act::Consume),
        (State::Cancelled, Event::Agreed(Due::Cancelled)) => (State::Cancelled, Act::Nothing),
        (State::Ending(at), Event::Now(now)) if now >= at => (State::Ending(at), Act::Settle),
        (State::Consuming | State::Ending(_) | State::Cancelled, Event::Now(_)) => {
            (state, Act::Nothing)
        }
        (State::Consuming | State::Ending(_), Event::Found) => (state, Act::Nothing),
        (State::Cancelled, Event::Found) => (State::Consuming, Act::Resume),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp(10);

    #[test]
    fn every_step_of_a_consumers_life() {
        use Act::{Cancel, Consume, Nothing, Resume, Settle};
        use Event::{Agreed, Found, Now};
        use State::{Cancelled, Consuming, Ending};
        let later = Timestamp(20);
        let rows = [
            (Consuming, Agreed(Due::Never), Consuming, Nothing),
            (Consuming, Agreed(Due::At(AT)), Ending(AT), Nothing),
            (Consuming, Agreed(Due::Cancelled), Cancelled, Cancel),
            (Consuming, Now(later), Consuming, Nothing),
            (Consuming, Found, Consuming, Nothing),
            (Ending(AT), Agreed(Due::Never), Consuming, Nothing),
            (Ending(AT), Agreed(Due::At(later)), Ending(later), Nothing),
            (Ending(AT), Agreed(Due::Cancelled), Cancelled, Cancel),
            (Ending(AT), Now(Timestamp(9)), Ending(AT), Nothing),
            (Ending(AT), Now(AT), Ending(AT), Settle),
            (Ending(AT), Found, Ending(AT), Nothing),
            (Cancelled, Agreed(Due::Never), Consuming, Consume),
            (Cancelled, Agreed(Due::At(AT)), Ending(AT), Consume),
            (Cancelled, Agreed(Due::Cancelled), Cancelled, Nothing),
            (Cancelled, Now(later), Cancelled, Nothing),
            (Cancelled, Found, Consuming, Resume),
        ];
        for (before, event, after, act) in rows {
            assert_eq!(next(before, event), (after, act), "{before:?} {event:?}");
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        let due = prop_oneof![
            Just(Due::Never),
            (0..30u64).prop_map(|at| Due::At(Timestamp(at))),
            Just(Due::Cancelled)
        ];
        prop_oneof![
            due.prop_map(Event::Agreed),
            (0..30u64).prop_map(|now| Event::Now(Timestamp(now))),
            Just(Event::Found)
        ]
    }

    proptest! {
        #[test]
        fn it_is_cancelled_and_consumes_again_in_turn_and_never_before_its_time(
            events in prop::collection::vec(event(), 0..60)
        ) {
            let mut state = State::begin(Due::Never);
            let mut reads = true;
            for event in events {
                let (after, act) = next(state, event);
                match act {
                    Act::Cancel => {
                        prop_assert!(reads && event == Event::Agreed(Due::Cancelled));
                        reads = false;
                    }
                    Act::Consume | Act::Resume => {
                        prop_assert!(!reads);
                        reads = true;
                    }
                    Act::Settle => {
                        let due = matches!((state, event),
                            (State::Ending(at), Event::Now(now)) if now >= at);
                        prop_assert!(due);
                    }
                    Act::Nothing => {}
                }
                prop_assert_eq!(after.reads(), reads);
                state = after;
            }
        }
    }
}
