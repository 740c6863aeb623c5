use proptest::prelude::*;

use super::*;
use crate::model::{Ending, Limits, Ordinal, Place, Window, XmlOffset};

const IDENTITY: Identity = Identity::Content { size: 1000, ends: [7; 32] };
const OTHER: Identity = Identity::Content { size: 1001, ends: [7; 32] };

const WRITTEN: Written = Written { records: 5, bad_records: 1 };

/// The bad record of three others, taken after all.
const TAKEN: Written = Written { records: 4, bad_records: 0 };

/// A step from after record `from` to after record `to`, or to the end.
fn step(from: u64, to: Option<u64>) -> Confirmed {
    let position = match from {
        0 => Position::Beginning,
        from => Position::At(Ordinal(from), XmlOffset(from)),
    };
    let mark = Checkpoint { position, records: from, ..Checkpoint::BEGINNING };
    let mut window = Window::new(Limits { records: 1000, bytes: 1000 }, mark);
    let Some(to) = to else {
        let end = XmlOffset(from);
        return window.finish(&Ending { last: Ordinal(from), end, length: end }).unwrap();
    };
    for ordinal in from + 1..=to {
        let place = Place::counted(Ordinal(ordinal), 1);
        window.sent(place, 1).unwrap();
    }
    window.confirm(Ordinal(from + 1)..=Ordinal(to), None).unwrap().unwrap()
}

fn place(ordinal: u64) -> Checkpoint {
    step(0, Some(ordinal)).to().clone()
}

fn events() -> Vec<Event> {
    let at = Timestamp(5);
    vec![
        Event::Registered,
        Event::Started { run: Run(1), identity: IDENTITY, at },
        Event::StartedOver { run: Run(2), identity: OTHER, at },
        Event::Advanced { step: step(3, Some(5)), gzip_offset: GzipOffset(50), at },
        Event::Followed { run: Run(2), at },
        Event::Wrote { written: WRITTEN, at },
        Event::WroteAll { written: WRITTEN, at },
        Event::Taken { written: TAKEN },
        Event::Activity { at },
        Event::Arrived { identity: OTHER },
        Event::Rewound { to: place(2), gzip_offset: GzipOffset(20) },
        Event::Stopped,
        Event::Interrupted,
        Event::Completed { step: step(3, None), at },
        Event::Failed { error: "bad crc".to_owned(), drop_progress: false },
    ]
}

/// A file after record 3, whatever its status.
fn file(status: Status) -> FileState {
    let position = if status == Status::Complete { step(3, None).to().clone() } else { place(3) };
    FileState {
        status,
        run: Some(Run(1)),
        checkpoint: position,
        gzip_offset: GzipOffset(30),
        attempts: 2,
        fruitless: 1,
        first_start: Some(Timestamp(1)),
        last_start: Some(Timestamp(2)),
        last_activity: Some(Timestamp(3)),
        completed_at: (status == Status::Complete).then_some(Timestamp(4)),
        ..FileState::registered(IDENTITY)
    }
}

/// A run of which a consumer wrote three records.
fn followed(status: Status) -> FileState {
    FileState { identity: Identity::unseen(), ..file(status) }
}

#[test]
fn every_event_in_every_status_does_what_the_table_says() {
    use Status::{Complete, Extracting, Failed, Pending};
    let no = None;
    #[rustfmt::skip]
    let table = [
        // event            pending            extracting         complete           failed
        ("chosen",       [Some(Pending),    no,                Some(Complete),    Some(Pending)]),
        ("started",      [Some(Extracting), no,                no,                Some(Extracting)]),
        ("started over", [Some(Extracting), no,                Some(Extracting),  Some(Extracting)]),
        ("advanced",     [no,               Some(Extracting),  no,                no]),
        ("followed",     [Some(Extracting), no,                Some(Extracting),  Some(Extracting)]),
        ("written",      [no,               Some(Extracting),  no,                no]),
        ("wholly written", [no,             Some(Complete),    no,                no]),
        ("taken after all", [no,            no,                Some(Complete),    no]),
        ("active",       [no,               Some(Extracting),  no,                no]),
        ("downloaded",   [no,               Some(Extracting),  no,                no]),
        ("rewound",      [no,               Some(Extracting),  no,                no]),
        ("stopped",      [no,               Some(Pending),     no,                no]),
        ("interrupted",  [no,               Some(Pending),     no,                no]),
        ("completed",    [no,               Some(Complete),    no,                no]),
        ("failed",       [Some(Failed),     Some(Failed),      no,                no]),
    ];
    for ((name, row), event) in table.into_iter().zip(events()) {
        assert_eq!(name, event.name());
        for (status, expected) in [Pending, Extracting, Complete, Failed].into_iter().zip(row) {
            let file = match event {
                Event::Followed { .. } | Event::Wrote { .. } | Event::WroteAll { .. } => {
                    followed(status)
                }
                Event::Taken { .. } => {
                    let checkpoint = Checkpoint { bad_records: 1, ..file(status).checkpoint };
                    FileState { checkpoint, ..followed(status) }
                }
                _ => file(status),
            };
            let after = next(&file, event.clone()).map(|state| state.status);
            match expected {
                Some(expected) => assert_eq!(after, Ok(expected), "{status} {name}"),
                None => {
                    assert_eq!(after, Err(Illegal::NotWhile { status, event: name }), "{status}");
                }
            }
        }
    }
}

#[test]
fn a_step_must_begin_where_the_file_is_and_lead_on() {
    let extracting = file(Status::Extracting);
    let (gzip_offset, at) = (GzipOffset(9), Timestamp(9));
    let advance = |step| next(&extracting, Event::Advanced { step, gzip_offset, at });
    assert!(matches!(advance(step(4, Some(5))), Err(Illegal::Gap { .. })));
    assert!(matches!(advance(step(2, Some(5))), Err(Illegal::Gap { .. })));
    assert!(matches!(advance(step(3, None)), Err(Illegal::Direction { .. })));
    assert_eq!(advance(step(3, Some(4))).unwrap().checkpoint, *step(3, Some(4)).to());
    let complete = |step| next(&extracting, Event::Completed { step, at });
    assert!(matches!(complete(step(3, Some(4))), Err(Illegal::Direction { .. })));
    assert!(matches!(complete(step(2, None)), Err(Illegal::Gap { .. })));
}

#[test]
fn a_way_back_leads_back() {
    let rewind = |to| {
        let gzip_offset = GzipOffset(900);
        next(&file(Status::Extracting), Event::Rewound { to, gzip_offset })
    };
    assert!(matches!(rewind(place(3)), Err(Illegal::Direction { .. })));
    let back = rewind(place(1)).unwrap();
    assert_eq!((back.checkpoint, back.gzip_offset), (place(1), GzipOffset(30)));
    assert_eq!(rewind(Checkpoint::BEGINNING).unwrap().checkpoint, Checkpoint::BEGINNING);
}

#[test]
fn what_a_consumer_wrote_only_grows() {
    let at = Timestamp(9);
    let written = |records, bad_records| Written { records, bad_records };
    let wrote = |written| next(&followed(Status::Extracting), Event::Wrote { written, at });
    for less in [written(2, 0), written(3, 0), written(2, 2)] {
        assert!(matches!(wrote(less), Err(Illegal::Direction { .. })), "{less:?}");
    }
    let more = wrote(written(4, 1)).unwrap();
    assert_eq!((more.checkpoint.records, more.checkpoint.bad_records), (4, 1));
    assert_eq!((more.checkpoint.ordinal(), more.last_activity), (Ordinal(5), Some(at)));
    let all = |written| next(&more, Event::WroteAll { written, at });
    assert!(matches!(all(written(3, 2)), Err(Illegal::Direction { .. })));
    let all = all(written(4, 1)).unwrap();
    assert_eq!((all.checkpoint.position, all.completed_at), (Position::End, Some(at)));
    let taken = |written| next(&all, Event::Taken { written });
    let after = taken(written(5, 0)).unwrap();
    assert_eq!((after.checkpoint.records, after.checkpoint.bad_records), (5, 0));
    assert_eq!((after.checkpoint.position, after.completed_at), (Position::End, Some(at)));
    for wrong in [written(4, 1), written(5, 1), written(3, 2), written(6, 0)] {
        assert!(matches!(taken(wrong), Err(Illegal::Direction { .. })), "{wrong:?}");
    }
    let event = Event::Wrote { written: written(9, 0), at };
    assert_eq!(next(&file(Status::Extracting), event), Err(Illegal::Identity), "it is read here");
}

#[test]
fn how_a_consumer_begins() {
    let at = Timestamp(9);
    let follow = |stored: Option<FileState>, run| {
        let (state, beginning) = follow(stored.as_ref(), Run(run), at).unwrap();
        (beginning, state.run.unwrap().0, state.checkpoint.ordinal().0)
    };
    let over = Beginning::StartedOver { why: "another run is being sent".to_owned() };
    let expected = FileState::registered(Identity::unseen());
    let nothing = FileState { checkpoint: Checkpoint::BEGINNING, ..followed(Status::Pending) };
    let complete = Beginning::AlreadyComplete { at: Timestamp(4) };
    let rows = [
        (follow(None, 1), (Beginning::Fresh, 1, 0)),
        (follow(Some(expected), 1), (Beginning::Fresh, 1, 0)),
        (follow(Some(nothing), 1), (Beginning::Fresh, 1, 0)),
        (follow(Some(followed(Status::Pending)), 1), (Beginning::Resumed, 1, 3)),
        (follow(Some(followed(Status::Pending)), 2), (over.clone(), 2, 0)),
        (follow(Some(followed(Status::Complete)), 2), (over, 2, 0)),
        (follow(Some(followed(Status::Complete)), 1), (complete, 1, 3)),
    ];
    for (is, expected) in rows {
        assert_eq!(is, expected);
    }
    assert!(super::follow(Some(&followed(Status::Extracting)), Run(1), at).is_err());
}

#[test]
fn what_an_earlier_release_kept_of_a_run_that_is_followed_is_understood() {
    let of = |size, ends, run| FileState {
        identity: Identity::Content { size, ends },
        run,
        ..followed(Status::Complete)
    };
    let mut sender = [0; 32];
    sender[..8].copy_from_slice(&77_u64.to_be_bytes());
    let known = of(0, sender, Some(Run(8))).of_sender();
    assert_eq!(known, FileState { run: Some(Run(77)), ..followed(Status::Complete) });
    let nothing_said = of(0, [0; 32], Some(Run(8))).of_sender();
    assert_eq!((nothing_said.identity, nothing_said.run), (Identity::unseen(), Some(Run(0))));
    for dump in [of(1, sender, Some(Run(8))), of(0, [7; 32], Some(Run(8))), of(0, [0; 32], None)] {
        assert_eq!(dump.clone().of_sender(), dump);
    }
}

#[test]
fn starts_without_progress_are_counted_until_the_mark_moves() {
    let at = Timestamp(9);
    let mut state = FileState::registered(IDENTITY);
    for fruitless in 1..=3 {
        state = next(&state, Event::Started { run: Run(1), identity: IDENTITY, at }).unwrap();
        assert_eq!((state.fruitless, state.attempts), (fruitless, fruitless));
        state = next(&state, Event::Activity { at }).unwrap();
        state = next(&state, Event::Interrupted).unwrap();
    }
    state = next(&state, Event::Started { run: Run(1), identity: IDENTITY, at }).unwrap();
    let (step, gzip_offset) = (step(0, Some(1)), GzipOffset(1));
    state = next(&state, Event::Advanced { step, gzip_offset, at }).unwrap();
    assert_eq!((state.fruitless, state.attempts), (0, 4));
}

#[test]
fn a_wrong_checksum_drops_the_progress_and_any_other_error_keeps_it() {
    let fail = |drop_progress| {
        let event = Event::Failed { error: "e".to_owned(), drop_progress };
        next(&file(Status::Extracting), event).unwrap()
    };
    assert_eq!(fail(false).checkpoint, place(3));
    let dropped = fail(true);
    assert_eq!((dropped.run, dropped.checkpoint), (None, Checkpoint::BEGINNING));
    assert_eq!(dropped.first_start, Some(Timestamp(1)), "kept over restarts");
}

#[test]
fn the_clock_may_jump_back_but_the_last_activity_does_not() {
    let state = next(&file(Status::Extracting), Event::Activity { at: Timestamp(1) }).unwrap();
    assert_eq!(state.last_activity, Some(Timestamp(3)));
}

#[test]
fn how_a_file_begins() {
    let at = Timestamp(9);
    let begin = |stored: Option<FileState>, identity, over: Option<&str>| {
        let over = over.map(str::to_owned);
        let (state, beginning) = begin(stored.as_ref(), &identity, over, Run(8), at).unwrap();
        (beginning, state.run.unwrap().0, state.checkpoint.ordinal().0)
    };
    let over = |why: &str| Beginning::StartedOver { why: why.to_owned() };
    let changed = "the file has changed: it was 1000 bytes and is 1001";
    let dropped = FileState {
        run: None,
        error: Some("bad crc".to_owned()),
        checkpoint: Checkpoint::BEGINNING,
        ..file(Status::Failed)
    };
    let seen = FileState::registered(IDENTITY);
    let complete = Beginning::AlreadyComplete { at: Timestamp(4) };
    let rows = [
        (begin(None, IDENTITY, None), (Beginning::Fresh, 8, 0)),
        (begin(Some(seen.clone()), IDENTITY, None), (Beginning::Fresh, 8, 0)),
        (begin(Some(seen), OTHER, None), (Beginning::Fresh, 8, 0)),
        (begin(Some(file(Status::Pending)), IDENTITY, None), (Beginning::Resumed, 1, 3)),
        (begin(Some(file(Status::Failed)), IDENTITY, None), (Beginning::Resumed, 1, 3)),
        (begin(Some(file(Status::Pending)), OTHER, None), (over(changed), 8, 0)),
        (begin(Some(file(Status::Complete)), OTHER, None), (over(changed), 8, 0)),
        (begin(Some(file(Status::Complete)), IDENTITY, Some("x")), (over("x"), 8, 0)),
        (begin(Some(dropped), IDENTITY, None), (over("bad crc"), 8, 0)),
        (begin(Some(file(Status::Complete)), IDENTITY, None), (complete, 1, 3)),
    ];
    for (is, expected) in rows {
        assert_eq!(is, expected);
    }
    let busy = super::begin(Some(&file(Status::Extracting)), &IDENTITY, None, Run(8), at);
    assert!(busy.is_err());
}

proptest! {
    /// Whatever is asked in whatever order: complete means that the end was reached by steps
    /// without a gap, and only a start over or a way back ever loses ground.
    #[test]
    fn no_order_of_events_breaks_the_rules(
        orders in prop::collection::vec((0..14_usize, 0..6_u64, 0..6_u64), 1..200)
    ) {
        let mut state = FileState::registered(IDENTITY);
        for (n, (kind, from, more)) in (1..).zip(orders) {
            let at = Timestamp(n);
            let from = if kind % 2 == 0 { state.checkpoint.ordinal().0 } else { from };
            let event = match kind {
                0 | 1 => Event::Advanced {
                    step: step(from, Some(from + 1 + more)),
                    gzip_offset: GzipOffset(from),
                    at,
                },
                2 => Event::Completed { step: step(from, None), at },
                3 => Event::Started { run: state.run.unwrap_or(Run(n)), identity: IDENTITY, at },
                4 => Event::StartedOver { run: Run(n), identity: IDENTITY, at },
                5 => Event::Rewound { to: place(1 + from), gzip_offset: GzipOffset(0) },
                6 => Event::Stopped,
                7 => Event::Interrupted,
                8 => Event::Failed { error: String::new(), drop_progress: more == 0 },
                9 => Event::Followed { run: Run(n), at },
                10 => Event::Wrote { written: Written { records: from, bad_records: more }, at },
                11 => Event::WroteAll { written: Written { records: from, bad_records: more }, at },
                12 => Event::Taken { written: Written { records: from, bad_records: more } },
                _ => Event::Registered,
            };
            let loses = matches!(kind, 4 | 5 | 8 | 9);
            let Ok(after) = next(&state, event) else { continue };
            let complete = after.status == Status::Complete;
            prop_assert_eq!(complete, after.checkpoint.position == Position::End);
            prop_assert_eq!(complete, after.completed_at.is_some());
            prop_assert!(loses || after.checkpoint.ordinal() >= state.checkpoint.ordinal());
            prop_assert!(after.attempts >= state.attempts && after.fruitless <= after.attempts);
            prop_assert!(after.status != Status::Extracting || after.run.is_some());
            prop_assert!(kind != 4 || after.run != state.run);
            state = after;
        }
    }
}
