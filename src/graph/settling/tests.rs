use super::*;
use proptest::prelude::*;

fn stepping(stage: Stage, after: &str, nodes: usize) -> Stepping {
    let at = Spot { stage, after: after.to_owned() };
    Stepping { at, nodes, tries: 0, failures: 0, left_out: 0 }
}

fn tried(nodes: usize, last: &str) -> Nodes {
    Nodes { nodes, last: last.to_owned() }
}

#[test]
fn every_step_of_a_settling() {
    use Event::{Ended, Failed, Stepped, Stopped, TakenOver, TooMany, Written};
    let people = || stepping(Stage::People, "m", 500);
    let rest = |millis| Act::Rest(Duration::from_millis(millis));
    let last = stepping(Stage::Orphans(Label::Person), "", 2_000);
    let rows = [
        // A step that is done leads to the next; what was halved grows again, fast, then slowly.
        (people(), Stepped(tried(500, "p")), Ok(stepping(Stage::People, "p", 500)), Act::Step),
        (
            Stepping { nodes: 10, tries: 2, failures: 9, ..people() },
            Stepped(tried(10, "n")),
            Ok(stepping(Stage::People, "n", 20)),
            Act::Step,
        ),
        (
            Stepping { nodes: 80, ..people() },
            Stepped(tried(80, "n")),
            Ok(stepping(Stage::People, "n", 90)),
            Act::Step,
        ),
        (people(), Ended, Ok(stepping(Stage::Masters, "", 2_000)), Act::Step),
        (last, Ended, Err(End::Settled), Act::End),
        // Too much for a step is half of it, and one node is gathered.
        (people(), TooMany(tried(7, "n")), Ok(stepping(Stage::People, "m", 3)), Act::Step),
        (
            Stepping { nodes: 1, ..people() },
            TooMany(tried(1, "n")),
            Ok(stepping(Stage::People, "n", 2)),
            Act::Gather(tried(1, "n")),
        ),
        // What fails in passing is tried again, later and later; what does not is halved at once.
        (
            people(),
            Failed(tried(4, "n"), true),
            Ok(Stepping { tries: 1, failures: 1, ..people() }),
            rest(100),
        ),
        (
            Stepping { tries: 1, failures: 5, ..people() },
            Failed(tried(4, "n"), true),
            Ok(Stepping { tries: 2, failures: 6, ..people() }),
            rest(1_000),
        ),
        (
            Stepping { tries: 2, failures: 2, ..people() },
            Failed(tried(4, "n"), true),
            Ok(Stepping { nodes: 2, tries: 0, failures: 3, ..people() }),
            rest(400),
        ),
        (
            people(),
            Failed(tried(4, "n"), false),
            Ok(Stepping { nodes: 2, tries: 0, failures: 1, ..people() }),
            rest(100),
        ),
        // One node that fails for good is left out, but not all of them.
        (
            Stepping { nodes: 1, ..people() },
            Failed(tried(1, "n"), false),
            Ok(Stepping { left_out: 1, ..stepping(Stage::People, "n", 2) }),
            Act::LeaveOut(tried(1, "n")),
        ),
        (
            Stepping { left_out: MOST_LEFT_OUT, ..people() },
            Failed(tried(1, "n"), false),
            Err(End::GivenUp),
            Act::End,
        ),
        // Nothing to leave out.
        (people(), Failed(tried(0, ""), false), Err(End::GivenUp), Act::End),
        (people(), Written, Err(End::Written), Act::End),
        (people(), TakenOver, Err(End::TakenOver), Act::End),
        (people(), Stopped, Err(End::Stopped), Act::End),
    ];
    for (before, event, after, act) in rows {
        let after = after.map_or_else(State::Over, State::Stepping);
        let found = next(State::Stepping(before.clone()), event.clone());
        assert_eq!(found, (after, act), "{before:?} {event:?}");
        for end in [End::Settled, End::Stopped, End::Written] {
            assert_eq!(next(State::Over(end), event.clone()), (State::Over(end), Act::End));
        }
    }
}

/// A server with some nodes in every stage, of which some cannot be counted and some have too much
/// leading to them.
fn run(nodes: usize, bad: &[usize], heavy: &[usize]) -> (Vec<usize>, Vec<usize>, Vec<usize>, End) {
    let (mut state, mut act) = (State::begin(Spot::BEGINNING), Act::Step);
    let (mut done, mut left_out, mut gathered) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match &act {
            Act::Step | Act::Rest(_) | Act::End => {}
            Act::Gather(one) => gathered.push(one.last.parse().unwrap()),
            Act::LeaveOut(one) => left_out.push(one.last.parse().unwrap()),
        }
        let event = match &state {
            State::Over(end) => return (done, left_out, gathered, *end),
            State::Stepping(now) if now.at.stage != Stage::People => Event::Ended,
            State::Stepping(now) => {
                let after = now.at.after.parse().map_or(0, |after: usize| after + 1);
                let keys: Vec<_> = (after..nodes).take(now.nodes).collect();
                let has = |some: &[usize]| keys.iter().any(|key| some.contains(key));
                match keys.last() {
                    None => Event::Ended,
                    Some(last) => {
                        let tried = tried(keys.len(), &last.to_string());
                        if has(heavy) {
                            Event::TooMany(tried)
                        } else if has(bad) {
                            Event::Failed(tried, last % 2 == 0)
                        } else {
                            done.extend(&keys);
                            Event::Stepped(tried)
                        }
                    }
                }
            }
        };
        (state, act) = next(state, event);
    }
}

proptest! {
    #[test]
    fn every_node_is_settled_once_but_those_that_cannot_be(
        nodes in 0..900usize,
        bad in prop::collection::btree_set(0..900usize, 0..9),
        heavy in prop::collection::btree_set(0..900usize, 0..9),
    ) {
        let heavy: Vec<_> = heavy.into_iter().filter(|key| *key < nodes).collect();
        let bad: Vec<_> =
            bad.into_iter().filter(|key| *key < nodes && !heavy.contains(key)).collect();
        let (done, left_out, gathered, end) = run(nodes, &bad, &heavy);
        prop_assert_eq!(end, End::Settled);
        prop_assert_eq!(left_out, bad.clone());
        prop_assert_eq!(gathered, heavy.clone());
        let rest: Vec<_> =
            (0..nodes).filter(|key| !bad.contains(key) && !heavy.contains(key)).collect();
        prop_assert_eq!(done, rest);
    }
}
