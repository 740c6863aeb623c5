//! Sudden death: a child process that works on a store is killed at a random line of its output,
//! or at a named place, and the store must hold everything that it said was durable.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use discogs_extractor::model::{Kind, Ordinal, Position};
use discogs_extractor::state::{
    ForceWord, Inspection, Status, compact, open_for_inspection, repair,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{BROKER, Steps, at, begin, deliver, job, key, open, point, step, wait};

const DIR: &str = "STATE_STORE_DIR";
const TASK: &str = "STATE_STORE_TASK";

/// Not a test of its own: the other process of the tests below.
#[test]
fn child() {
    let (Ok(dir), Ok(task)) = (std::env::var(DIR), std::env::var(TASK)) else { return };
    let dir = Path::new(&dir);
    match task.as_str() {
        "advance" => wait(advance_for_ever(dir)),
        "complete" => wait(complete_the_fourth(dir)),
        "force" => wait(async {
            let keeper = open(dir).await;
            let (version, word) = ("20260101".parse().unwrap(), ForceWord::Once);
            keeper.force(job(), version, Kind::ALL.to_vec(), word, at(50)).await.unwrap();
            keeper.close().await.unwrap();
        }),
        "open" => wait(async { open(dir).await.close().await.unwrap() }),
        "compact" => drop(compact(dir, at(0)).unwrap()),
        "repair" => drop(repair(dir, false, at(0)).unwrap()),
        other => panic!("no such work: {other}"),
    }
}

async fn advance_for_ever(dir: &Path) {
    let keeper = open(dir).await;
    let begun = begin(&keeper, Kind::Releases, 0).await;
    let mut steps = Steps::from(begun.checkpoint);
    for round in 1_u64.. {
        let confirmed = steps.confirm(1 + round % 7);
        let mark = confirmed.to().ordinal();
        let mut advance = step(confirmed, round);
        advance.points = vec![point(mark.0, round % 5 == 0)];
        keeper.advance(key(Kind::Releases), advance).await.unwrap().await.unwrap();
        println!("\ndurable {mark}");
    }
}

async fn complete_the_fourth(dir: &Path) {
    let keeper = open(dir).await;
    deliver(&keeper, Kind::Releases, 9, BROKER, 100).await;
    keeper.close().await.unwrap();
}

fn spawn(dir: &Path, work: &str, fault: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "kill::child", "--nocapture"])
        .env(DIR, dir)
        .env(TASK, work)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(fault) = fault {
        command.env("DISCOGS_FAULT_AT", fault);
    }
    command.spawn().unwrap()
}

pub(crate) fn die_at(dir: &Path, work: &str, fault: &str) -> bool {
    let status: ExitStatus = spawn(dir, work, Some(fault)).wait().unwrap();
    let died = status.code().is_none();
    assert!(died || status.success(), "{work} at {fault} failed: {status}");
    died
}

#[test]
fn what_was_called_durable_is_there_after_a_kill() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let (mut last, mut run) = (0, None);
    for attempt in 1..=20 {
        let mut child = spawn(dir.path(), "advance", None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let durable = lines.map_while(Result::ok).filter_map(|line| {
            line.strip_prefix("durable ").map(|ordinal| ordinal.parse::<u64>().unwrap())
        });
        last = durable.take(random.random_range(1..30)).last().unwrap_or(last);
        child.kill().unwrap();
        child.wait().unwrap();

        let inspection = open_for_inspection(dir.path()).unwrap();
        let file = &inspection.files[0];
        let stored = file.state.checkpoint.ordinal();
        assert!(stored.0 >= last, "attempt {attempt}: {stored} is stored, {last} was durable");
        assert_eq!(file.state.status, Status::Extracting);
        assert_eq!(file.state.attempts, attempt);
        assert_eq!(*run.get_or_insert(file.state.run), file.state.run);
        let Position::At(ordinal, xml) = file.state.checkpoint.position else { panic!() };
        assert_eq!((ordinal, xml.0), (stored, stored.0 * 100));
        assert_eq!(file.points, steps_up_to(stored, &inspection));
    }
}

/// Every step brought one resume point, and every attempt began where the last one had got.
fn steps_up_to(stored: Ordinal, inspection: &Inspection) -> u64 {
    let starts = inspection.runs.iter().map(|run| run.from.0).chain([stored.0]);
    let mut steps = 0;
    let mut from = None;
    for to in starts {
        let mut at = from.unwrap_or(to);
        let mut round = 1;
        while at < to {
            at += 1 + round % 7;
            round += 1;
            steps += 1;
        }
        assert_eq!(at, to, "a step was torn");
        from = Some(to);
    }
    steps
}

fn three_of_four(dir: &Path) {
    wait(async {
        let keeper = open(dir).await;
        for kind in [Kind::Artists, Kind::Labels, Kind::Masters] {
            deliver(&keeper, kind, 5, BROKER, 10).await;
        }
        keeper.close().await.unwrap();
    });
}

#[test]
fn completion_and_what_it_owes_are_there_together_or_not_at_all() {
    let places = [
        ("state.begin.before", false),
        ("state.advance.after", false),
        ("state.complete.before", false),
        ("state.complete.after", true),
        ("state.snapshot.written", true),
        ("state.snapshot.renamed", true),
    ];
    for (place, complete) in places {
        let dir = tempfile::tempdir().unwrap();
        three_of_four(dir.path());
        assert!(die_at(dir.path(), "complete", place), "{place}");
        let inspection = open_for_inspection(dir.path()).unwrap();
        let releases = inspection.files.iter().find(|file| file.key.kind == Kind::Releases);
        let is_complete = releases.is_some_and(|file| file.state.status == Status::Complete);
        assert_eq!(is_complete, complete, "{place}");
        assert_eq!(inspection.owed.len(), if complete { 5 } else { 3 }, "{place}");
    }
    // written but perhaps not yet durable: either, but never half
    let dir = tempfile::tempdir().unwrap();
    three_of_four(dir.path());
    assert!(die_at(dir.path(), "complete", "state.complete.written"));
    let inspection = open_for_inspection(dir.path()).unwrap();
    let complete = inspection.files.iter().filter(|f| f.state.status == Status::Complete).count();
    assert_eq!(inspection.owed.len(), if complete == 4 { 5 } else { 3 });
}

#[test]
fn a_forced_pass_clears_everything_or_nothing() {
    for (place, cleared) in [("state.force.before", false), ("state.snapshot.written", true)] {
        let dir = tempfile::tempdir().unwrap();
        three_of_four(dir.path());
        assert!(die_at(dir.path(), "force", place), "{place}");
        let inspection = open_for_inspection(dir.path()).unwrap();
        assert_eq!(inspection.files.len(), if cleared { 0 } else { 3 }, "{place}");
        assert_eq!(inspection.owed.len(), if cleared { 0 } else { 3 }, "{place}");
        assert_eq!(inspection.forced.len(), usize::from(cleared), "{place}");
        wait(async { open(dir.path()).await.close().await.unwrap() });
    }
}

#[test]
fn a_compaction_cut_off_anywhere_leaves_the_store() {
    for place in ["state.compact.built", "state.compact.aside", "state.compact.swapped"] {
        let dir = tempfile::tempdir().unwrap();
        three_of_four(dir.path());
        let before = open_for_inspection(dir.path()).unwrap();
        assert!(die_at(dir.path(), "compact", place), "{place}");
        assert_eq!(open_for_inspection(dir.path()).unwrap(), before, "{place}");
        wait(async { open(dir.path()).await.close().await.unwrap() });
        assert_eq!(open_for_inspection(dir.path()).unwrap(), before, "{place}");
        assert!(!dir.path().join("store.old").exists(), "{place}");
        assert!(!dir.path().join("store.compact").exists(), "{place}");
    }
}

#[test]
fn a_repair_cut_off_anywhere_can_be_run_again() {
    for place in ["state.repair.built", "state.repair.aside"] {
        let dir = tempfile::tempdir().unwrap();
        three_of_four(dir.path());
        let before = open_for_inspection(dir.path()).unwrap();
        assert!(die_at(dir.path(), "repair", place), "{place}");
        repair(dir.path(), false, at(9)).unwrap();
        let after = open_for_inspection(dir.path()).unwrap();
        assert_eq!((after.files, after.owed), (before.files, before.owed), "{place}");
    }
}
