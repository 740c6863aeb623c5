//! Damage, repair, export and import, compaction.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use discogs_extractor::model::Kind;
use discogs_extractor::state::{
    Beginning, ForceWord, StateError, Status, compact, export, import, open_for_inspection, repair,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{
    BROKER, Steps, TABLES, at, begin, deliver, job, key, open, point, step, try_open, wait,
};

/// Two complete files, one half done with resume points, a forced pass.
fn filled(dir: &Path) {
    wait(async {
        let keeper = open(dir).await;
        keeper.register_job(job(), "sqlite:a.db".to_owned(), at(0)).await.unwrap();
        let (version, word) = ("20260101".parse().unwrap(), ForceWord::Token("x".to_owned()));
        keeper.force(job(), version, Kind::ALL.to_vec(), word, at(0)).await.unwrap();
        deliver(&keeper, Kind::Artists, 5, BROKER, 0).await;
        deliver(&keeper, Kind::Labels, 5, TABLES, 10).await;
        let begun = begin(&keeper, Kind::Releases, 20).await;
        let mut steps = Steps::from(begun.checkpoint);
        for _ in 0..40 {
            let confirmed = steps.confirm(2);
            let points = vec![point(confirmed.to().ordinal().0, false)];
            let advance = step(confirmed, 30);
            let advance = discogs_extractor::state::Advance { points, ..advance };
            keeper.advance(key(Kind::Releases), advance).await.unwrap().await.unwrap();
        }
        keeper.stop(key(Kind::Releases), "signal".to_owned(), at(40)).await.unwrap();
        keeper.close().await.unwrap();
    });
}

fn is_damage(error: &StateError) -> bool {
    let words = error.to_string();
    matches!(error, StateError::Damaged { .. })
        && words.contains("is damaged: ")
        && words.contains("\nhint: run `discogs-extractor state repair")
}

#[test]
fn what_a_kill_leaves_of_sleds_own_snapshot_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let known = open_for_inspection(dir.path()).unwrap().files;
    for torn in ["", "half of a snapshot"] {
        fs::write(dir.path().join("store/snap.FFFFFFFFFFFFFFFF.generating"), torn).unwrap();
        assert_eq!(open_for_inspection(dir.path()).unwrap().files, known);
    }
}

#[test]
fn a_store_that_lost_its_files_is_damaged_and_not_empty() {
    let harms: [fn(&Path); 4] = [
        |dir| fs::remove_dir_all(dir.join("store")).unwrap(),
        |dir| fs::remove_file(dir.join("store/db")).unwrap(),
        |dir| fs::write(dir.join("store/db"), b"").unwrap(),
        |dir| {
            fs::remove_dir_all(dir.join("store")).unwrap();
            fs::create_dir(dir.join("store")).unwrap();
        },
    ];
    for harm in harms {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        harm(dir.path());
        let error = open_for_inspection(dir.path()).unwrap_err();
        assert!(is_damage(&error), "{error}");
        let error = wait(try_open(dir.path())).err().unwrap();
        assert!(is_damage(&error), "{error}");
        repair(dir.path(), false, at(99)).unwrap();
        assert_eq!(open_for_inspection(dir.path()).unwrap().files.len(), 3);
    }
}

#[test]
fn whatever_happens_to_the_bytes_the_store_is_whole_or_called_damaged() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let whole = open_for_inspection(dir.path()).unwrap();
    let store = dir.path().join("store");
    let files: Vec<_> = fs::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let (db, good) = files.iter().find(|(path, _)| path.ends_with("db")).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    let mut called = 0;
    for _ in 0..60 {
        let mut bad = good.clone();
        match random.random_range(0..3) {
            0 => bad.truncate(random.random_range(0..used)),
            1 => bad[random.random_range(0..used)] ^= 1 << random.random_range(0..8),
            _ => {
                let from = random.random_range(0..used);
                let to = (from + random.random_range(1..9000)).min(used);
                bad[from..to].fill(random.random());
            }
        }
        fs::remove_dir_all(&store).unwrap();
        fs::create_dir(&store).unwrap();
        for (path, bytes) in &files {
            fs::write(path, bytes).unwrap();
        }
        fs::write(db, &bad).unwrap();
        match open_for_inspection(dir.path()) {
            Ok(inspection) => assert_eq!(inspection, whole),
            Err(error) => {
                called += 1;
                assert!(is_damage(&error), "{error}");
            }
        }
    }
    println!("{called} of 60 were called damaged");
}

#[test]
fn a_repair_goes_on_from_the_snapshot_and_keeps_the_damaged_store() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let before = open_for_inspection(dir.path()).unwrap();
    fs::write(dir.path().join("store/db"), b"").unwrap();
    let repaired = repair(dir.path(), false, at(99)).unwrap();
    assert_eq!(repaired.files, 3);
    assert_eq!(repaired.aside, Some(dir.path().join("store.damaged-1")));
    assert!(dir.path().join("store.damaged-1/db").exists());
    let after = open_for_inspection(dir.path()).unwrap();
    assert_eq!((&after.owed, &after.forced), (&before.owed, &before.forced));
    assert_eq!(after.files[2].state, before.files[2].state);
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Releases, 100).await;
        assert_eq!((begun.beginning, begun.point), (Beginning::Resumed, None));
        keeper.close().await.unwrap();
    });
}

#[test]
fn a_repair_without_a_snapshot_begins_with_nothing_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    fs::remove_file(dir.path().join("state.jsonl")).unwrap();
    fs::write(dir.path().join("store/db"), b"").unwrap();
    let error = repair(dir.path(), false, at(0)).unwrap_err();
    assert!(error.to_string().contains("there is no snapshot"), "{error}");
    assert!(dir.path().join("store").exists());
    assert_eq!(repair(dir.path(), true, at(0)).unwrap().files, 0);
    assert!(open_for_inspection(dir.path()).unwrap().files.is_empty());
}

#[test]
fn an_export_taken_in_elsewhere_is_the_same_state() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path());
    let mut inspection = open_for_inspection(dir.path()).unwrap();
    let lines = export(&inspection);
    assert_eq!(lines, fs::read_to_string(dir.path().join("state.jsonl")).unwrap());
    assert_eq!(import(other.path(), &lines, false, at(99)).unwrap(), 3);
    let mut imported = open_for_inspection(other.path()).unwrap();
    assert_eq!(imported.events.pop().unwrap().what, "imported");
    inspection.files.iter_mut().for_each(|file| file.points = 0);
    inspection.sequence += 1;
    assert_eq!(imported, inspection);
    let again = import(other.path(), &lines, false, at(99)).unwrap_err();
    assert!(again.to_string().contains("already knows 3 files\nhint: "), "{again}");
    assert_eq!(import(other.path(), &lines, true, at(99)).unwrap(), 3);
    let torn = import(other.path(), &lines[..lines.len() - 9], true, at(99)).unwrap_err();
    let last = lines.lines().count();
    assert!(torn.to_string().contains(&format!("line {last} of the export")), "{torn}");
    let newer = lines.replacen("\"format\":2", "\"format\":7", 1);
    let newer = import(other.path(), &newer, true, at(99)).unwrap_err();
    assert!(newer.to_string().contains("newer discogs-extractor (format 7, this one knows 2)"));
    let run = format!("\"last_run\":{}", inspection.last_run);
    let absurd = lines.replace(&run, &format!("\"last_run\":{}", u64::MAX));
    let absurd = import(other.path(), &absurd, true, at(99)).unwrap_err();
    assert!(absurd.to_string().contains("run is none: it is above 2^62"), "{absurd}");
}

#[test]
fn a_compacted_store_holds_the_same_and_is_smaller() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        for kind in Kind::ALL {
            let begun = begin(&keeper, kind, 0).await;
            let mut steps = Steps::from(begun.checkpoint);
            for _ in 0..50 {
                let confirmed = steps.confirm(1);
                let points = vec![point(confirmed.to().ordinal().0, true)];
                let advance = step(confirmed, 30);
                let advance = discogs_extractor::state::Advance { points, ..advance };
                keeper.advance(key(kind), advance).await.unwrap().await.unwrap();
            }
            if kind != Kind::Releases {
                keeper.complete(key(kind), steps.finish(), BROKER, at(40)).await.unwrap();
            }
        }
        keeper.close().await.unwrap();
    });
    let before = open_for_inspection(dir.path()).unwrap();
    assert_eq!(before.files[3].points, 50);
    let compacted = compact(dir.path(), at(50)).unwrap();
    assert!(compacted.after < compacted.before, "{compacted:?}");
    assert_eq!(open_for_inspection(dir.path()).unwrap(), before);
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Releases, 100).await;
        assert_eq!(begun.point, Some(point(50, true)));
        keeper.close().await.unwrap();
    });
}

#[test]
fn what_may_only_be_read_can_be_inspected_but_not_owned() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let before = open_for_inspection(dir.path()).unwrap();
    let allow = |mode| {
        for path in ["", "store", "store/db", "store/conf", "lock"] {
            let path = dir.path().join(path);
            let mode = if path.is_dir() { mode | 0o111 } else { mode };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    allow(0o444);
    // root may write whatever the mode says
    let bound_by_modes = fs::File::create(dir.path().join("probe")).is_err();
    assert_eq!(open_for_inspection(dir.path()).unwrap(), before);
    if bound_by_modes {
        let error = wait(try_open(dir.path())).err().unwrap().to_string();
        assert!(
            error.contains("permission denied\nhint: make the state directory writable"),
            "{error}"
        );
    }
    allow(0o644);
    assert_eq!(before.files[0].state.status, Status::Complete);
}
