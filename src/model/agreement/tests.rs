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
    Announced { kind: Kind::Labels, version: Some(version()), proof, unproven: Unproven::default() }
}

const fn silent() -> Announced {
    let unproven = Unproven { pass: 0, sent: None };
    Announced { kind: Kind::Labels, version: None, proof: None, unproven }
}

/// The end of a pass of a sender that does not number its records, of so many.
fn sent(pass: u64, sent: u64) -> Announced {
    let unproven = Unproven { pass, sent: Some(sent) };
    Announced { version: Some(version()), unproven, ..silent() }
}

fn of_runs(runs: &[(Version, Run)]) -> Event {
    Event::Written(Sources { runs: runs.to_vec(), unnumbered: None })
}

/// So many new ids of that pass, after a moment.
const fn counted(pass: u64, ids: u64) -> Counted {
    Counted { pass, ids, took: Duration::from_millis(1) }
}

fn unnumbered(pass: u64, ids: u64) -> Event {
    Event::Written(Sources { runs: vec![], unnumbered: Some(counted(pass, ids)) })
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
    let before = Completion { notes: vec![before], ..Completion::default() };
    next(&before, event, &RULES, NOW).notes.remove(0)
}

/// A cancellation of [`note`]'s, due at that moment.
fn cancellation_of(announced: Announced, at: Timestamp) -> Cancellation {
    Cancellation { after: announced.key(), turn: 0, at }
}

#[test]
fn every_event_on_every_note() {
    let (own, lower, higher) = ((version(), Run(5)), (version(), Run(4)), (version(), Run(6)));
    let older_version = ("20251201".parse().unwrap(), Run(9));
    let both = |run| Event::Written(Sources { runs: vec![run], unnumbered: Some(counted(1, 1)) });
    let time = |at| Event::Time(cancellation_of(announced(5), at));
    let put_off = Event::Time(Cancellation { turn: 1, ..cancellation_of(announced(5), NOW) });
    let proven: [(&str, Event, &str); 26] = [
        ("", Event::Announced(announced(5)), ""),
        ("c", Event::Announced(announced(5)), "cs"),
        ("cn", Event::Announced(announced(5)), "cn"),
        ("cnl", Event::Announced(announced(5)), "cnl"),
        ("", Event::Complete(announced(5)), "cso"),
        ("c", Event::Complete(announced(5)), "c"),
        ("cnld", Event::Complete(announced(5)), "cnld"),
        ("", Event::Complete(announced(6)), ""),
        ("", of_runs(&[own]), ""),
        ("cn", of_runs(&[own]), "cs"),
        ("cnl", of_runs(&[own]), "cs"),
        ("cn", of_runs(&[]), "cn"),
        ("cn", unnumbered(1, 1), "cs"),
        ("cnl", both(own), "cs"),
        ("cn", of_runs(&[lower]), "cs"),
        ("cnl", of_runs(&[older_version]), "cs"),
        ("cn", of_runs(&[higher]), "c"),
        ("cnl", both(higher), "c"),
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
}

/// What is agreed on after all of these events.
fn all(events: &[Event], rules: &Rules) -> Completion {
    events.iter().fold(Completion::default(), |before, event| next(&before, event, rules, NOW))
}

#[test]
fn a_pass_is_complete_when_nothing_is_written_any_more() {
    let rules = Rules { sweep_owed: SweepOwed::Always, ..RULES };
    let begun = [unnumbered(1, 3), Event::Announced(sent(0, 3))];
    let announced = all(&begun, &rules);
    let silence = announced.silence().unwrap();
    assert_eq!((silence.of, silence.turn), (sent(1, 3), 1));
    // Somebody wrote after it was seen: it is not silent.
    let late = next(&announced, &unnumbered(1, 0), &rules, NOW);
    assert_eq!(next(&late, &Event::Silent(silence), &rules, NOW), late);
    let silence = late.silence().unwrap();
    let complete = next(&late, &Event::Silent(silence), &rules, NOW);
    assert_eq!((complete.silence(), complete.unnumbered.is_open), (None, false));
    let note = &complete.notes[0];
    assert_eq!((note.completed_at, note.sweep), (Some(NOW), Some(Sweep::Owed)));
    assert!(matches!(complete.due(), Due::Scheduled(_)));

    // The same message once more is no other end.
    let again = next(&complete, &Event::Announced(sent(0, 3)), &rules, NOW);
    assert_eq!(again, complete);
    let straggler = next(&complete, &unnumbered(2, 1), &rules, NOW);
    assert!(matches!(straggler.due(), Due::Scheduled(of) if of.turn == note.cancel_turn + 1));

    // It is sent again: another pass, which has to be found complete and is swept by itself.
    let second = [unnumbered(2, 2), Event::Announced(sent(0, 3))];
    let second = second.iter().fold(straggler, |before, event| next(&before, event, &rules, NOW));
    let silence = second.silence().unwrap();
    assert_eq!((silence.of, second.unnumbered.ids), (sent(2, 3), 3));
    assert_eq!((second.notes.len(), second.notes[0].sweep), (1, None));
    // Somebody must listen until it is.
    assert_eq!(second.due(), Due::Never);
    let swept = Event::Swept(sent(1, 3), Sweep::Done, String::new());
    assert_eq!(next(&second, &swept, &rules, NOW), second);
    let complete = next(&second, &Event::Silent(silence), &rules, NOW);
    assert_eq!(complete.notes[0].sweep, Some(Sweep::Owed));
    assert_eq!(next(&complete, &swept, &rules, NOW), complete);
}

#[test]
fn a_pass_that_is_ended_takes_no_rows_any_more() {
    let begun = all(&[unnumbered(1, 3), Event::Announced(sent(0, 4))], &RULES);
    let complete = next(&begun, &Event::Silent(begun.silence().unwrap()), &RULES, NOW);
    let late = next(&complete, &unnumbered(1, 1), &RULES, NOW);
    assert_eq!((late.unnumbered, late.unnumbered.has(1)), (complete.unnumbered, false));
    assert!(next(&complete, &unnumbered(2, 1), &RULES, NOW).unnumbered.has(2));
}

#[test]
fn an_end_of_an_earlier_release_waits_for_silence() {
    let before = Completion { notes: vec![note(silent(), "")], ..Completion::default() };
    let silence = before.silence().unwrap();
    assert!(silence.lasts >= Duration::from_secs(5));
    let complete = next(&before, &Event::Silent(silence), &RULES, NOW);
    assert_eq!(complete.notes[0].completed_at, Some(NOW));
    // Nothing is swept without proof.
    assert_eq!(complete.notes[0].sweep, None);
    let again = next(&complete, &Event::Announced(silent()), &RULES, NOW);
    assert_eq!((again.notes[0].completed_at, again.notes[0].announced.unproven.pass), (None, 1));
}

#[test]
fn a_graph_is_settled_without_proof_too() {
    let rules = Rules { sweep_owed: SweepOwed::Always, ..RULES };
    let before = Completion { notes: vec![note(silent(), "")], ..Completion::default() };
    let after = next(&before, &Event::Complete(silent()), &rules, NOW);
    assert_eq!(after.notes, [Note { cancel_turn: 1, ..note(silent(), "cso") }]);
}

#[test]
fn who_never_cancels_never_schedules_it() {
    let rules = Rules { cancel_after: None, ..RULES };
    let before = Completion { notes: vec![note(announced(5), "")], ..Completion::default() };
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
    let due = |notes: &[Note]| Completion { notes: notes.to_vec(), ..Completion::default() }.due();
    let scheduled = |run| Due::Scheduled(cancellation_of(announced(run), LATER));
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
        let completion = Completion { notes: vec![note(own, ""), other], ..Completion::default() };
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
        sent(0, 3),
        sent(0, 4),
    ])
}

/// Something that happens, given what is agreed on before.
#[derive(Clone, Debug)]
enum Happens {
    Event(Event),
    /// Somebody found that the cancellation that is agreed on has stood for long enough.
    Time,
    /// Somebody found that nothing was written for long enough.
    Silence,
    /// So many new ids were written of the pass that there is.
    Unnumbered(u64),
    /// One of three sweeps after a run; the claim that was held before it found to be abandoned.
    Sweeps(Announced, usize, bool),
}

impl Happens {
    fn event(&self, completion: &Completion) -> Event {
        match self {
            Happens::Event(event) => event.clone(),
            Happens::Time => match completion.due() {
                Due::Scheduled(schedule) => Event::Time(schedule),
                Due::Never | Due::Cancelled => of_runs(&[]),
            },
            Happens::Silence => match completion.silence() {
                Some(silence) => Event::Silent(silence),
                None => of_runs(&[]),
            },
            Happens::Unnumbered(ids) => unnumbered(completion.unnumbered.now(), *ids),
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
    let run = |announced: Announced| announced.version.zip(announced.proof.map(|(run, ..)| run));
    let sweep = prop::sample::select(vec![Sweep::Done, Sweep::Refused]);
    let sources = prop::collection::vec(any_announced().prop_map(run), 0..3);
    let event = prop_oneof![
        any_announced().prop_map(Event::Announced),
        any_announced().prop_map(Event::Complete),
        sources.prop_map(|runs| Event::Written(Sources {
            runs: runs.into_iter().flatten().collect(),
            unnumbered: None,
        })),
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
        1 => Just(Happens::Silence),
        2 => (0..3_u64).prop_map(Happens::Unnumbered),
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
    Completion { notes: completion.notes.iter().map(of).collect(), ..*completion }
}

/// The same, but for what goes up each time.
fn without_turns(completion: &Completion) -> Completion {
    let of = |note: Note| Note {
        cancel_turn: 0,
        claim: note.claim.map(|claim| Claim { turn: 0, ..claim }),
        ..note
    };
    let Completion { notes, unnumbered } = without_times(completion);
    let unnumbered = Unnumbered { ids: 0, turn: 0, ..unnumbered };
    Completion { notes: notes.into_iter().map(of).collect(), unnumbered }
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
                    let schedule = before.cancellation();
                    prop_assert!(matches!(&event, Event::Time(of) if Some(*of) == schedule));
                }
                if before.cancel_at.is_some() && after.cancel_at.is_none() {
                    let Event::Written(Sources { runs, .. }) = &event else { panic!("{event:?}") };
                    let of = |(version, run): (Version, Run)| (Some(version), run);
                    prop_assert!(runs.iter().any(|run| Some(of(*run)) > newest));
                }
                if after.cancel_at.is_some() && after.announced.proof.is_some() {
                    prop_assert!(after.completed_at.is_some());
                }
                if before.completed_at.is_some() && after.completed_at.is_none() {
                    // It was sent again.
                    let (before, after) = (before.announced.unproven, after.announced.unproven);
                    prop_assert!(before.pass < after.pass);
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

#[test]
fn what_was_counted_stays_when_only_the_newest_runs_are_looked_at() {
    let note = |run: u64, completed: bool, written: u64| {
        let version = Some("20260101".parse().unwrap());
        let proof = Some((Run(run), Ordinal(9), 0));
        let (kind, unproven) = (Kind::Labels, Unproven::default());
        let completed_at = completed.then_some(Timestamp(1));
        let announced = Announced { kind, version, proof, unproven };
        Note { written, completed_at, ..Note::new(announced) }
    };
    let of = |notes: Vec<Note>| Completion { notes, ..Completion::default() };
    let known = of(vec![note(1, true, 9), note(2, false, 3)]);
    // Open runs are counted anew, complete ones keep what was counted; new ones come along.
    let newest = of(vec![note(1, true, 0), note(2, false, 5), note(3, false, 1)]);
    let expected = of(vec![note(1, true, 9), note(2, false, 5), note(3, false, 1)]);
    assert_eq!(known.looked_at(newest), Some(expected));
    // What is not among the newest stays.
    let expected = of(vec![note(1, true, 9), note(2, false, 4)]);
    assert_eq!(known.looked_at(of(vec![note(2, false, 4)])), Some(expected));
    // What became complete is to be counted.
    assert_eq!(known.looked_at(of(vec![note(2, true, 0)])), None);
    assert_eq!(known.looked_at(of(vec![note(3, true, 0)])), None);
}
