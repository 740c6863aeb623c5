//! What happens to files, forced passes and the outbox, over stops and starts.

use discogs_extractor::model::{
    Checkpoint, GzipOffset, Identity, Kind, Ordinal, Position, Run, XmlOffset,
};
use discogs_extractor::state::view::{Filter, list};
use discogs_extractor::state::{
    Beginning, ForceWord, Forced, Illegal, Keeper, Owed, StateError, Status, open_for_inspection,
};

use crate::{
    BROKER, Steps, TABLES, at, begin, deliver, identity, job, key, open, point, step, wait,
};

#[test]
fn a_file_goes_on_where_it_was_after_the_store_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Releases, 0).await;
        assert_eq!(begun.beginning, Beginning::Fresh);
        let mut steps = Steps::from(begun.checkpoint);
        let batches = [(10, vec![point(8, true)]), (20, vec![point(25, false)]), (5, vec![])];
        for (records, points) in batches {
            let mut advance = step(steps.confirm(records), 10);
            advance.points = points;
            keeper.advance(key(Kind::Releases), advance).await.unwrap().await.unwrap();
        }
        keeper.close().await.unwrap();
        let keeper = open(dir.path()).await;
        let again = begin(&keeper, Kind::Releases, 20).await;
        assert_eq!(again.beginning, Beginning::Resumed);
        assert_eq!(again.run, begun.run);
        assert_eq!(again.checkpoint.position, Position::At(Ordinal(35), XmlOffset(3500)));
        assert_eq!(again.point, Some(point(25, false)));
        let before = |ordinal| keeper.point_before(key(Kind::Releases), Ordinal(ordinal));
        assert_eq!(before(24).await.unwrap(), Some(point(8, true)));
        assert_eq!(before(8).await.unwrap(), Some(point(8, true)));
        assert_eq!(before(7).await.unwrap(), None);
        let inspection = keeper.inspect().await.unwrap();
        assert_eq!(inspection.files[0].points, 2);
        assert_eq!(inspection.files[0].state.attempts, 2);
        keeper.close().await.unwrap();
    });
}

#[test]
fn a_complete_file_is_left_alone_and_keeps_no_resume_points() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Artists, 0).await;
        let mut steps = Steps::from(begun.checkpoint);
        let mut advance = step(steps.confirm(600), 1);
        advance.points = (1..=600).map(|after| point(after, false)).collect();
        keeper.advance(key(Kind::Artists), advance).await.unwrap().await.unwrap();
        assert_eq!(keeper.inspect().await.unwrap().files[0].points, 600);
        keeper.complete(key(Kind::Artists), steps.finish(), TABLES, at(2)).await.unwrap();
        let again = begin(&keeper, Kind::Artists, 3).await;
        assert_eq!(again.beginning, Beginning::AlreadyComplete { at: at(2) });
        assert_eq!(keeper.inspect().await.unwrap().files[0].points, 0);
        keeper.close().await.unwrap();
    });
}

#[test]
fn another_file_under_the_same_name_starts_over_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        deliver(&keeper, Kind::Artists, 5, TABLES, 0).await;
        let before = keeper.inspect().await.unwrap().files[0].state.run.unwrap();
        let other = Identity::Content { size: 17, ends: [1; 32] };
        let begun = keeper.begin(key(Kind::Artists), other, None, at(0)).await.unwrap();
        let why = "the file has changed: it was 1000 bytes and is 17".to_owned();
        assert_eq!(begun.beginning, Beginning::StartedOver { why });
        assert_eq!(begun.checkpoint, Checkpoint::BEGINNING);
        assert_ne!(begun.run, before);
        keeper.close().await.unwrap();
    });
}

#[test]
fn what_was_owed_for_an_earlier_run_falls_with_it() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        for kind in [Kind::Artists, Kind::Labels] {
            deliver(&keeper, kind, 5, TABLES, 0).await;
        }
        let owed = keeper.owed(job()).await.unwrap();
        keeper.refuse(job(), owed[0].id, "too many".to_owned(), at(1)).await.unwrap();
        let other = Identity::Content { size: 17, ends: [1; 32] };
        keeper.begin(key(Kind::Artists), other, None, at(2)).await.unwrap();
        let left = keeper.owed(job()).await.unwrap();
        assert_eq!(left, owed[1..], "the other type's stays");
        keeper.close().await.unwrap();
    });
}

#[test]
fn a_new_run_begins_above_all_that_the_sink_knows_whatever_the_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let known = Run(at(0).0 + 1_000_000);
        keeper.note_run(known).await.unwrap();
        keeper.note_run(Run(5)).await.unwrap();
        keeper.note_run(Run(u64::MAX)).await.unwrap();
        keeper.close().await.unwrap();
        let keeper = open(dir.path()).await;
        assert_eq!(begin(&keeper, Kind::Artists, 0).await.run, Run(known.0 + 1));
        assert_eq!(begin(&keeper, Kind::Labels, 0).await.run, Run(known.0 + 2));
        keeper.close().await.unwrap();
    });
}

#[test]
fn a_wrong_checksum_makes_the_next_attempt_a_new_run() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let first = begin(&keeper, Kind::Labels, 0).await;
        let mut steps = Steps::from(first.checkpoint);
        let mut advance = step(steps.confirm(9), 1);
        advance.points = vec![point(9, false)];
        keeper.advance(key(Kind::Labels), advance).await.unwrap().await.unwrap();
        keeper.fail(key(Kind::Labels), "bad crc".to_owned(), true, at(2)).await.unwrap();
        let second = begin(&keeper, Kind::Labels, 0).await;
        assert_eq!(second.beginning, Beginning::StartedOver { why: "bad crc".to_owned() });
        assert_eq!((second.checkpoint, second.point), (Checkpoint::BEGINNING, None));
        assert_ne!(second.run, first.run);
        keeper.close().await.unwrap();
    });
}

#[test]
fn a_gap_and_an_overlap_are_errors_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Masters, 0).await;
        let mut steps = Steps::from(begun.checkpoint);
        let (first, second) = (steps.confirm(3), steps.confirm(3));
        let advance = |of: &_| keeper.advance(key(Kind::Masters), step(Clone::clone(of), 1));
        let gap = advance(&second).await.unwrap().await.unwrap_err();
        assert_eq!(
            gap.to_string(),
            "the state of discogs_20260101_masters.xml.gz in sqlite:2f0c does not allow this: a \
             step begins at record 3 (byte 300), but the beginning is stored"
        );
        advance(&first).await.unwrap().await.unwrap();
        let overlap = advance(&first).await.unwrap().await.unwrap_err();
        assert!(matches!(overlap, StateError::Illegal { illegal: Illegal::Gap { .. }, .. }));
        advance(&second).await.unwrap().await.unwrap();
        let mut beyond = step(steps.confirm(1), 1);
        beyond.points = vec![point(8, false)];
        let refused = keeper.advance(key(Kind::Masters), beyond).await.unwrap().await.unwrap_err();
        assert!(matches!(refused, StateError::Illegal { illegal: Illegal::PointBeyondMark, .. }));
        let early = keeper.complete(key(Kind::Masters), steps.confirm(1), BROKER, at(2)).await;
        assert!(early.is_err());
        assert!(keeper.owed(job()).await.unwrap().is_empty());
        keeper.close().await.unwrap();
    });
}

#[test]
fn a_sink_that_lost_records_gets_them_again() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Masters, 0).await;
        let mut steps = Steps::from(begun.checkpoint);
        let early = steps.confirm(3);
        let place = early.to().clone();
        for confirmed in [early, steps.confirm(3)] {
            let advance = step(confirmed, 1);
            keeper.advance(key(Kind::Masters), advance).await.unwrap().await.unwrap();
        }
        let why = "the table holds 3 records".to_owned();
        let back = keeper.rewind(key(Kind::Masters), place.clone(), GzipOffset(3), why, at(2));
        back.await.unwrap();
        let mut steps = Steps::from(place);
        let advance = step(steps.confirm(7), 3);
        keeper.advance(key(Kind::Masters), advance).await.unwrap().await.unwrap();
        keeper.close().await.unwrap();
    });
}

#[test]
fn the_fourth_type_owes_the_end_of_the_extraction_once() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let mut keeper = open(dir.path()).await;
        for (n, kind) in (1..).zip([Kind::Releases, Kind::Masters, Kind::Artists, Kind::Labels]) {
            deliver(&keeper, kind, n * 10, BROKER, n * 100).await;
            keeper.close().await.unwrap();
            keeper = open(dir.path()).await;
        }
        let owed = keeper.owed(job()).await.unwrap();
        assert_eq!(owed.len(), 5);
        assert!(owed.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(matches!(
            &owed[0].owed,
            Owed::FileComplete { kind: Kind::Releases, records: 10, .. }
        ));
        assert_eq!(
            owed[4].owed,
            Owed::ExtractionComplete {
                version: "20260101".parse().unwrap(),
                started_at: at(100),
                record_counts: [30, 40, 20, 10],
                at: at(402),
            }
        );
        for entry in owed {
            keeper.strike(job(), entry.id).await.unwrap();
        }
        begin(&keeper, Kind::Labels, 500).await;
        assert!(keeper.owed(job()).await.unwrap().is_empty());
        keeper.close().await.unwrap();
    });
}

#[test]
fn a_refused_sweep_stays_owed_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Artists, 0).await;
        let mut steps = Steps::from(begun.checkpoint);
        for confirmed in [steps.confirm(4), steps.set_aside()] {
            let advance = step(confirmed, 1);
            keeper.advance(key(Kind::Artists), advance).await.unwrap().await.unwrap();
        }
        let done = keeper.complete(key(Kind::Artists), steps.finish(), TABLES, at(2)).await;
        let owed = done.unwrap();
        assert!(matches!(owed[0].owed, Owed::Sweep { last: Ordinal(5), bad_records: 1, .. }));
        keeper.refuse(job(), owed[0].id, "bad records".to_owned(), at(3)).await.unwrap();
        keeper.close().await.unwrap();
        let inspection = open_for_inspection(dir.path()).unwrap();
        assert_eq!(inspection.owed[0].refused.as_deref(), Some("bad records"));
        assert_eq!(list(&inspection, &Filter::default()).owed, 1);
    });
}

async fn force(keeper: &Keeper, kinds: &[Kind], word: &str) -> Forced {
    let word = match word {
        "true" => ForceWord::Once,
        "restart" => ForceWord::Restart,
        token => ForceWord::Token(token.to_owned()),
    };
    let version = "20260101".parse().unwrap();
    keeper.force(job(), version, kinds.to_vec(), word, at(900)).await.unwrap()
}

#[test]
fn a_forced_pass_clears_once_and_goes_on_until_it_is_done() {
    use Kind::{Artists, Labels};
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let mut keeper = open(dir.path()).await;
        for kind in [Artists, Labels] {
            deliver(&keeper, kind, 5, BROKER, 0).await;
        }
        let runs = keeper.inspect().await.unwrap().files;
        let both = [Artists, Labels];
        assert_eq!(force(&keeper, &both, "true").await, Forced::Cleared(both.to_vec()));
        assert!(keeper.owed(job()).await.unwrap().is_empty());
        deliver(&keeper, Artists, 5, BROKER, 0).await;
        keeper.close().await.unwrap();

        keeper = open(dir.path()).await;
        assert_eq!(force(&keeper, &both, "true").await, Forced::Resumed(vec![Labels]));
        let inspection = keeper.inspect().await.unwrap();
        assert_eq!(inspection.files[0].state.status, Status::Complete);
        assert_ne!(inspection.files[0].state.run, runs[0].state.run);
        deliver(&keeper, Labels, 5, BROKER, 0).await;
        assert!(keeper.inspect().await.unwrap().forced.is_empty());

        assert_eq!(force(&keeper, &both, "monday").await, Forced::Cleared(both.to_vec()));
        assert_eq!(force(&keeper, &both, "monday").await, Forced::Resumed(both.to_vec()));
        assert_eq!(force(&keeper, &both, "restart").await, Forced::Cleared(both.to_vec()));
        for kind in both {
            deliver(&keeper, kind, 5, BROKER, 0).await;
        }
        assert_eq!(force(&keeper, &both, "monday").await, Forced::Honoured);
        keeper.close().await.unwrap();
    });
}

#[test]
fn what_is_being_extracted_cannot_be_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        keeper.register_job(job(), "sqlite:a.db".to_owned(), at(0)).await.unwrap();
        deliver(&keeper, Kind::Artists, 5, BROKER, 0).await;
        begin(&keeper, Kind::Labels, 5).await;
        let both = vec![key(Kind::Artists), key(Kind::Labels)];
        let refused = keeper.reset(both.clone(), at(6)).await.unwrap_err();
        assert!(refused.to_string().contains("is being extracted right now"), "{refused}");
        assert!(keeper.forget(job(), at(6)).await.is_err());
        assert_eq!(keeper.inspect().await.unwrap().files.len(), 2);
        keeper.stop(key(Kind::Labels), "signal".to_owned(), at(7)).await.unwrap();
        assert_eq!(keeper.reset(both, at(8)).await.unwrap(), 2);
        let inspection = keeper.inspect().await.unwrap();
        assert!(inspection.files.is_empty() && inspection.owed.is_empty());
        deliver(&keeper, Kind::Artists, 5, BROKER, 9).await;
        assert_eq!(keeper.forget(job(), at(20)).await.unwrap(), 1);
        let inspection = keeper.inspect().await.unwrap();
        assert!(inspection.files.is_empty() && inspection.jobs.is_empty());
        keeper.close().await.unwrap();
    });
}

#[test]
fn an_inspector_is_told_who_owns_the_store() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let refused = open_for_inspection(dir.path()).unwrap_err().to_string();
        let owner = format!("is in use by process {} on ", std::process::id());
        assert!(refused.contains(&owner) && refused.contains("\nhint: "), "{refused}");
        keeper.close().await.unwrap();
        open_for_inspection(dir.path()).unwrap();
    });
}

#[test]
fn inspecting_nothing_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("state");
    assert!(open_for_inspection(&inside).unwrap().files.is_empty());
    assert!(!inside.exists());
}

#[test]
fn a_waiting_file_is_pending_until_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        keeper.register(key(Kind::Artists), identity()).await.unwrap();
        let status = async || keeper.inspect().await.unwrap().files[0].state.status;
        assert_eq!(status().await, Status::Pending);
        begin(&keeper, Kind::Artists, 0).await;
        assert_eq!(status().await, Status::Extracting);
        let again = keeper.begin(key(Kind::Artists), identity(), None, at(1)).await;
        assert!(again.is_err(), "two workers on one file");
        drop(keeper);
        let keeper = open(dir.path()).await;
        let inspection = keeper.inspect().await.unwrap();
        assert_eq!(inspection.files[0].state.status, Status::Pending);
        let reason = inspection.runs[0].reason.as_deref().unwrap();
        assert!(reason.starts_with("ended without a word"), "{reason}");
        keeper.close().await.unwrap();
    });
}
