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

#[test]
fn every_event_on_every_note() {
    let own = vec![Some((version(), Run(5)))];
    let proven: [(&str, Event, &str); 22] = [
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
        ("cn", Event::Written(vec![None]), "c"),
        ("cnl", Event::Written(vec![own[0], None]), "c"),
        ("cn", Event::Written(vec![Some((version(), Run(6)))]), "c"),
        ("cs", Event::Time, "cs"),
        ("cn", Event::Time, "cnl"),
        ("c", Event::Time, "c"),
        ("cn", Event::Found, "cn"),
        ("cnl", Event::Found, "cs"),
        ("co", Event::Swept(announced(5), Sweep::Done, "2 rows".into()), "cd"),
        ("co", Event::Swept(announced(6), Sweep::Done, "2 rows".into()), "co"),
    ];
    for (before, event, expected) in proven {
        let after = after(note(announced(5), before), &event);
        let expected =
            Note { sweep_words: after.sweep_words.clone(), ..note(announced(5), expected) };
        assert_eq!(after, expected, "{before:?} {event:?}");
    }
    let unproven = [
        ("", Event::Complete(silent()), "cs"),
        ("c", Event::Announced(silent()), ""),
        ("cn", Event::Announced(silent()), "cn"),
        ("cn", Event::Written(vec![None]), "c"),
    ];
    for (before, event, expected) in unproven {
        let after = after(note(silent(), before), &event);
        assert_eq!(after, note(silent(), expected), "without proof {before:?} {event:?}");
    }
}

#[test]
fn a_graph_is_settled_without_proof_too() {
    let rules = Rules { sweep_owed: SweepOwed::Always, ..RULES };
    let before = Completion { notes: vec![note(silent(), "")] };
    let after = next(&before, &Event::Complete(silent()), &rules, NOW);
    assert_eq!(after.notes, [note(silent(), "cso")]);
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
    let claim = |by: &str, until| Claim { by: by.into(), until: Timestamp(until) };
    let rows = [
        ("co", None, "me", Some("me")),
        ("cr", None, "me", Some("me")),
        ("cd", None, "me", None),
        ("c", None, "me", None),
        ("co", Some(claim("you", NOW.0)), "me", Some("you")),
        ("co", Some(claim("you", NOW.0 - 1)), "me", Some("me")),
        ("co", Some(claim("me", NOW.0)), "me", Some("me")),
    ];
    for (has, held, by, expected) in rows {
        let before = Note { claim: held.clone(), ..note(announced(5), has) };
        let event = Event::Sweeps(announced(5), claim(by, LATER.0));
        let after = after(before, &event).claim;
        assert_eq!(after.as_ref().map(|claim| &*claim.by), expected, "{has} {held:?}");
    }
}

#[test]
fn the_run_that_was_completed_last_decides() {
    let due = |notes: &[Note]| Completion { notes: notes.to_vec() }.due();
    assert_eq!(due(&[]), Due::Never);
    assert_eq!(due(&[note(announced(5), "")]), Due::Never);
    assert_eq!(due(&[note(announced(5), "c")]), Due::Never);
    assert_eq!(due(&[note(announced(5), "cs")]), Due::At(LATER));
    assert_eq!(due(&[note(announced(5), "csl")]), Due::Cancelled);
    let last = Note { completed_at: Some(LATER), ..note(announced(6), "cs") };
    assert_eq!(due(&[note(announced(5), "cnl"), last]), Due::At(LATER));
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

fn any_event() -> impl Strategy<Value = Event> {
    let source = |announced: Announced| announced.version.zip(announced.proof.map(|(run, ..)| run));
    let claim = (0..3_usize, 0..40_u64)
        .prop_map(|(by, until)| Claim { by: ["a", "b", "c"][by].into(), until: Timestamp(until) });
    let sweep = prop::sample::select(vec![Sweep::Done, Sweep::Refused]);
    prop_oneof![
        any_announced().prop_map(Event::Announced),
        any_announced().prop_map(Event::Complete),
        prop::collection::vec(any_announced().prop_map(source), 0..3).prop_map(Event::Written),
        Just(Event::Time),
        Just(Event::Found),
        (any_announced(), claim).prop_map(|(announced, claim)| Event::Sweeps(announced, claim)),
        (any_announced(), sweep).prop_map(|(announced, sweep)| Event::Swept(
            announced,
            sweep,
            String::new()
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens in whatever order: an announced run is never forgotten nor noted twice, a
    /// sweep is owed at most once for each time a run became complete, nobody takes a claim that
    /// somebody else holds, and no cancellation comes before its time.
    #[test]
    fn what_replicas_may_rely_on(
        events in prop::collection::vec((any_event(), 0..3_u64), 0..60),
        owed in prop::sample::select(&[SweepOwed::Proven, SweepOwed::Always][..]),
    ) {
        let rules = Rules { cancel_after: Some(Duration::from_millis(10)), sweep_owed: owed };
        let mut completion = Completion::default();
        let mut now = Timestamp(0);
        for (event, passed) in events {
            now = Timestamp(now.0 + passed);
            let after = next(&completion, &event, &rules, now);
            // Who says it again, as a replica that crashed before it knew does, changes nothing.
            prop_assert_eq!(&next(&after, &event, &rules, now), &after, "{:?}", event);
            let notes: BTreeMap<_, _> =
                after.notes.iter().map(|note| (note.announced.key(), note)).collect();
            prop_assert_eq!(notes.len(), after.notes.len(), "a run is noted twice");
            for before in &completion.notes {
                let after = notes[&before.announced.key()];
                let ended = matches!(&event, Event::Swept(of, ..) if of.key() == before.announced.key());
                if let Some(held) = before.claim.as_ref().filter(|held| held.until >= now && !ended) {
                    prop_assert_eq!(after.claim.as_ref().map(|claim| &claim.by), Some(&held.by));
                }
                if before.sweep != after.sweep && after.sweep == Some(Sweep::Owed) {
                    prop_assert!(before.completed_at.is_none() && after.completed_at == Some(now));
                    prop_assert!(after.announced.proof.is_some() || owed == SweepOwed::Always);
                }
                if before.cancelled_at.is_none() && after.cancelled_at.is_some() {
                    prop_assert!(before.cancel_at.is_some_and(|at| at <= now));
                }
                if after.cancel_at.is_some() {
                    prop_assert!(after.completed_at.is_some());
                }
            }
            completion = after;
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
