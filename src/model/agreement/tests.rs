use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::{Kind, Ordinal};

const NOW: Timestamp = Timestamp(100_000);
const LATER: Timestamp = Timestamp(400_000);
const RULES: Rules =
    Rules { cancel_after: Some(Duration::from_mins(5)), sweep_owed: SweepOwed::Proven };

fn version() -> Version {
    "20260101".parse().unwrap()
}

fn announced(run: u64) -> Announced {
    let proof = Some((Run(run), Ordinal(10), 2));
    Announced { kind: Kind::Labels, version: Some(version()), proof }
}

const fn silent() -> Announced {
    Announced { kind: Kind::Labels, version: None, proof: None }
}

/// Each letter is what a note has: `c`omplete, cancellation `s`cheduled at [`LATER`] or at `n`ow,
/// cance`l`led; sweep `o`wed, `d`one, `r`efused.
fn note(announced: Announced, has: &str) -> Note {
    let if_has = |letter, at: Timestamp| has.contains(letter).then_some(at);
    let sweep = [('o', Sweep::Owed), ('d', Sweep::Done), ('r', Sweep::Refused)];
    Note {
        written: 7,
        completed_at: if_has('c', NOW),
        cancel_at: if_has('s', LATER).or(if_has('n', NOW)),
        cancelled_at: if_has('l', NOW),
        sweep: sweep.into_iter().find(|(letter, _)| has.contains(*letter)).map(|(_, sweep)| sweep),
        ..Note::new(announced)
    }
}

fn after(before: Note, event: &Event) -> Note {
    let before = Completion { notes: vec![before] };
    next(&before, event, &RULES, NOW).notes.remove(0)
}

/// A cancellation of [`note`]'s, due at that moment.
fn schedule_of(announced: Announced, at: Timestamp) -> Schedule {
    Schedule { after: announced.key(), turn: 0, at }
}

#[test]
fn every_event_on_every_note() {
    let own = vec![Some((version(), Run(5)))];
    let older_version = vec![Some(("20251201".parse().unwrap(), Run(9)))];
    let time = |at| Event::Time(schedule_of(announced(5), at));
    let put_off = Event::Time(Schedule { turn: 1, ..schedule_of(announced(5), NOW) });
    let proven: [(&str, Event, &str); 26] = [
        ("", Event::Announced(announced(5)), ""),
        ("c", Event::Announced(announced(5)), "cs"),
        ("cn", Event::Announced(announced(5)), "cn"),
        ("cnl", Event::Announced(announced(5)), "cnl"),
        ("", Event::Complete(announced(5)), "cso"),
        ("c", Event::Complete(announced(5)), "c"),
        ("cnld", Event::Complete(announced(5)), "cnld"),
        ("", Event::Complete(announced(6)), ""),
        ("", Event::Written(own.clone()), ""),
        ("cn", Event::Written(own.clone()), "cs"),
        ("cnl", Event::Written(own.clone()), "cs"),
        ("cn", Event::Written(vec![]), "cn"),
        ("cn", Event::Written(vec![None]), "cs"),
        ("cnl", Event::Written(vec![own[0], None]), "cs"),
        ("cn", Event::Written(vec![Some((version(), Run(4)))]), "cs"),
        ("cnl", Event::Written(older_version), "cs"),
        ("cn", Event::Written(vec![Some((version(), Run(6)))]), "c"),
        ("cnl", Event::Written(vec![own[0], Some((version(), Run(6)))]), "c"),
        ("cs", time(NOW), "cs"),
        ("cn", put_off, "cn"),
        ("cn", time(NOW), "cnl"),
        ("cnl", time(NOW), "cnl"),
        ("c", time(NOW), "c"),
        ("cn", Event::Found, "cn"),
        ("cnl", Event::Found, "cs"),
        ("co", Event::Swept(announced(5), Sweep::Done, "2 rows".into()), "cd"),
    ];
    for (before, event, expected) in proven {
        let before_turn = note(announced(5), before).cancel_turn;
        let after = after(note(announced(5), before), &event);
        let (cancel_turn, sweep_words) = (after.cancel_turn, after.sweep_words.clone());
        let is_another = expected.contains('s') && !before.contains('s');
        assert_eq!(cancel_turn - before_turn, u64::from(is_another), "{before:?} {event:?}");
        let expected = Note { cancel_turn, sweep_words, ..note(announced(5), expected) };
        assert_eq!(after, expected, "{before:?} {event:?}");
    }
    let other = Event::Swept(announced(6), Sweep::Done, "2 rows".into());
    assert_eq!(after(note(announced(5), "co"), &other), note(announced(5), "co"));
    let unproven = [
        ("", Event::Complete(silent()), "cs"),
        ("c", Event::Announced(silent()), ""),
        ("cn", Event::Announced(silent()), "cn"),
        ("cn", Event::Written(vec![None]), "cs"),
    ];
    for (before, event, expected) in unproven {
        let after = after(note(silent(), before), &event);
        let expected = Note { cancel_turn: after.cancel_turn, ..note(silent(), expected) };
        assert_eq!(after, expected, "without proof {before:?} {event:?}");
    }
}

#[test]
fn a_graph_is_settled_without_proof_too() {
    let rules = Rules { sweep_owed: SweepOwed::Always, ..RULES };
    let before = Completion { notes: vec![note(silent(), "")] };
    let after = next(&before, &Event::Complete(silent()), &rules, NOW);
    assert_eq!(after.notes, [Note { cancel_turn: 1, ..note(silent(), "cso") }]);
}

#[test]
fn who_never_cancels_never_schedules_it() {
    let rules = Rules { cancel_after: None, ..RULES };
    let before = Completion { notes: vec![note(announced(5), "")] };
    let after = next(&before, &Event::Complete(announced(5)), &rules, NOW);
    assert_eq!(after.notes, [note(announced(5), "co")]);
}

#[test]
fn one_sweeps_at_a_time_and_whoever_has_it_goes_on() {
    let claim = |by: &str, turn| Claim { by: by.into(), until: Timestamp(0), turn };
    let yours = || Some(claim("you", 3));
    let rows = [
        ("co", None, None, Some(("me", 1))),
        ("cr", None, None, Some(("me", 1))),
        ("cd", None, None, None),
        ("c", None, None, None),
        ("co", yours(), None, Some(("you", 3))),
        // It was renewed after it was seen.
        ("co", yours(), Some(claim("you", 2)), Some(("you", 3))),
        ("co", yours(), yours(), Some(("me", 4))),
        ("co", Some(claim("me", 3)), None, Some(("me", 4))),
    ];
    for (has, held, abandoned, expected) in rows {
        let before = Note { claim: held.clone(), ..note(announced(5), has) };
        let during = Duration::from_secs(30);
        let event = Event::Sweeps { after: announced(5), by: "me".into(), during, abandoned };
        let after = after(before, &event).claim;
        let claimed = after.as_ref().map(|claim| (&*claim.by, claim.turn));
        assert_eq!(claimed, expected, "{has} {held:?}");
    }
}

#[test]
fn the_newest_complete_run_decides() {
    let due = |notes: &[Note]| Completion { notes: notes.to_vec() }.due();
    let scheduled = |run| Due::Scheduled(schedule_of(announced(run), LATER));
    assert_eq!(due(&[]), Due::Never);
    assert_eq!(due(&[note(announced(5), "")]), Due::Never);
    assert_eq!(due(&[note(announced(5), "c")]), Due::Never);
    assert_eq!(due(&[note(announced(5), "cs")]), scheduled(5));
    assert_eq!(due(&[note(announced(5), "csl")]), Due::Cancelled);
    let newer = note(announced(6), "cs");
    assert_eq!(due(&[note(announced(5), "cnl"), newer.clone()]), scheduled(6));
    // Whatever the clocks said when they were completed.
    let by_a_fast_clock = Note { completed_at: Some(LATER), ..note(announced(5), "cnl") };
    assert_eq!(due(&[newer.clone(), by_a_fast_clock]), scheduled(6));
    let of_a_later_version =
        Announced { version: Some("20260201".parse().unwrap()), ..announced(4) };
    assert_eq!(due(&[newer, note(of_a_later_version, "cnl")]), Due::Cancelled);
}

#[test]
fn a_run_is_dropped_for_a_higher_one_of_its_version_that_is_complete() {
    let of = |at: &str, run| Announced { version: Some(at.parse().unwrap()), ..announced(run) };
    let own = of("20260101", 5);
    let dropped_for = |other| {
        let completion = Completion { notes: vec![note(own, ""), other] };
        completion.dropped_for(&own)
    };
    assert_eq!(dropped_for(note(of("20260101", 6), "c")), Some(Run(6)));
    assert_eq!(dropped_for(note(of("20260101", 6), "")), None);
    assert_eq!(dropped_for(note(of("20260101", 4), "c")), None);
    assert_eq!(dropped_for(note(of("20260201", 6), "c")), None);
}

#[test]
fn what_is_missing() {
    assert_eq!(note(announced(5), "").missing(), Some(1));
    assert_eq!(note(silent(), "").missing(), None);
}

/// Ends of two runs of each of two versions, and one of which nothing is said.
fn any_announced() -> impl Strategy<Value = Announced> {
    let of = |at: &str, run| Announced { version: Some(at.parse().unwrap()), ..announced(run) };
    prop::sample::select(vec![
        of("20260101", 5),
        of("20260101", 6),
        of("20260201", 7),
        of("20260201", 8),
        silent(),
    ])
}

/// Something that happens, given what is agreed on before.
#[derive(Clone, Debug)]
enum Happens {
    Event(Event),
    /// Somebody found that the cancellation that is agreed on has stood for long enough.
    Time,
    /// One of three sweeps after a run; the claim that was held before it found to be abandoned.
    Sweeps(Announced, usize, bool),
}

impl Happens {
    fn event(&self, completion: &Completion) -> Event {
        match self {
            Happens::Event(event) => event.clone(),
            Happens::Time => match completion.due() {
                Due::Scheduled(schedule) => Event::Time(schedule),
                Due::Never | Due::Cancelled => Event::Written(vec![]),
            },
            Happens::Sweeps(announced, by, abandoned) => {
                let held = completion.of(announced).and_then(|note| note.claim.clone());
                Event::Sweeps {
                    after: *announced,
                    by: ["a", "b", "c"][*by].into(),
                    during: Duration::from_secs(30),
                    abandoned: held.filter(|_| *abandoned),
                }
            }
        }
    }
}

fn any_happening() -> impl Strategy<Value = Happens> {
    let source = |announced: Announced| announced.version.zip(announced.proof.map(|(run, ..)| run));
    let sweep = prop::sample::select(vec![Sweep::Done, Sweep::Refused]);
    let event = prop_oneof![
        any_announced().prop_map(Event::Announced),
        any_announced().prop_map(Event::Complete),
        prop::collection::vec(any_announced().prop_map(source), 0..3).prop_map(Event::Written),
        Just(Event::Found),
        (any_announced(), sweep).prop_map(|(announced, sweep)| Event::Swept(
            announced,
            sweep,
            String::new()
        )),
    ];
    prop_oneof![
        5 => event.prop_map(Happens::Event),
        1 => Just(Happens::Time),
        2 => (any_announced(), 0..3_usize, any::<bool>())
            .prop_map(|(announced, by, abandoned)| Happens::Sweeps(announced, by, abandoned)),
    ]
}

/// All that is noted but for people.
fn without_times(completion: &Completion) -> Completion {
    let nothing = |at: Option<Timestamp>| at.map(|_| Timestamp(0));
    let of = |note: &Note| Note {
        completed_at: nothing(note.completed_at),
        cancel_at: nothing(note.cancel_at),
        cancelled_at: nothing(note.cancelled_at),
        claim: note.claim.clone().map(|claim| Claim { until: Timestamp(0), ..claim }),
        ..note.clone()
    };
    Completion { notes: completion.notes.iter().map(of).collect() }
}

/// The same, but for what goes up each time.
fn without_turns(completion: &Completion) -> Completion {
    let of = |note: Note| Note {
        cancel_turn: 0,
        claim: note.claim.map(|claim| Claim { turn: 0, ..claim }),
        ..note
    };
    Completion { notes: without_times(completion).notes.into_iter().map(of).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens in whatever order: an announced run is never forgotten nor noted twice, a
    /// sweep is owed at most once for each time a run became complete, nobody takes a claim that
    /// somebody else holds and did not abandon, a cancellation comes only when the one that is agreed
    /// on has stood for long enough, and only records of a newer run call it off.
    #[test]
    fn what_replicas_may_rely_on(
        happenings in prop::collection::vec((any_happening(), 0..3_u64), 0..60),
        owed in prop::sample::select(&[SweepOwed::Proven, SweepOwed::Always][..]),
    ) {
        let rules = Rules { cancel_after: Some(Duration::from_millis(10)), sweep_owed: owed };
        let mut completion = Completion::default();
        let mut now = Timestamp(0);
        for (happens, passed) in happenings {
            now = Timestamp(now.0 + passed);
            let event = happens.event(&completion);
            let after = next(&completion, &event, &rules, now);
            // Who says it again, as a replica that crashed before it knew does, agrees on the same.
            let again = next(&after, &event, &rules, now);
            prop_assert_eq!(without_turns(&again), without_turns(&after), "{:?}", event);
            let notes: BTreeMap<_, _> =
                after.notes.iter().map(|note| (note.announced.key(), note)).collect();
            prop_assert_eq!(notes.len(), after.notes.len(), "a run is noted twice");
            let newest = completion.newest().map(|note| note.announced.key());
            for before in &completion.notes {
                let key = before.announced.key();
                let after = notes[&key];
                let ended = matches!(&event, Event::Swept(of, ..) if of.key() == key);
                let abandoned = matches!(&event, Event::Sweeps { abandoned: Some(_), .. });
                if let Some(held) = before.claim.as_ref().filter(|_| !ended && !abandoned) {
                    prop_assert_eq!(after.claim.as_ref().map(|claim| &claim.by), Some(&held.by));
                }
                if before.sweep != after.sweep && after.sweep == Some(Sweep::Owed) {
                    prop_assert!(before.completed_at.is_none() && after.completed_at == Some(now));
                    prop_assert!(after.announced.proof.is_some() || owed == SweepOwed::Always);
                }
                prop_assert!(after.cancel_turn >= before.cancel_turn);
                if before.cancelled_at.is_none() && after.cancelled_at.is_some() {
                    let schedule = before.schedule();
                    prop_assert!(matches!(&event, Event::Time(of) if Some(*of) == schedule));
                }
                if before.cancel_at.is_some() && after.cancel_at.is_none() {
                    let Event::Written(sources) = &event else { panic!("{event:?}") };
                    let of = |(version, run): (Version, Run)| (Some(version), run);
                    prop_assert!(sources.iter().flatten().any(|source| Some(of(*source)) > newest));
                }
                if after.cancel_at.is_some() {
                    prop_assert!(after.completed_at.is_some());
                }
            }
            completion = after;
        }
    }

    /// Replicas whose clocks differ by hours agree on what those with right clocks agree on.
    #[test]
    fn no_clock_decides(
        happenings in prop::collection::vec((any_happening(), 0..20_000_000_u64), 0..60),
    ) {
        let (mut right, mut wrong) = (Completion::default(), Completion::default());
        for (happens, clock) in happenings {
            right = next(&right, &happens.event(&right), &RULES, NOW);
            wrong = next(&wrong, &happens.event(&wrong), &RULES, Timestamp(clock));
            prop_assert_eq!(without_times(&wrong), without_times(&right));
        }
    }

    /// Ends are announced and runs are completed in any order by any number of replicas, and end
    /// the same.
    #[test]
    fn the_order_of_announcements_does_not_matter(
        events in prop::collection::vec(any_announced(), 0..8).prop_shuffle(),
    ) {
        let all = |events: &[Announced]| {
            let mut completion = Completion::default();
            for announced in events {
                completion = next(&completion, &Event::Announced(*announced), &RULES, NOW);
            }
            for announced in events {
                completion = next(&completion, &Event::Complete(*announced), &RULES, NOW);
            }
            completion.notes.sort_by_key(|note| note.announced.key());
            completion
        };
        let mut sorted = events.clone();
        sorted.sort_by_key(Announced::key);
        prop_assert_eq!(all(&events), all(&sorted));
    }
}
