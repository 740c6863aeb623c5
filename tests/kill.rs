//! `SIGKILL` at random times and at every named place: the output is that of an uninterrupted
//! run, and what is delivered twice stays within window and checkpoint interval.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use discogs_extractor::model::{Kind, fault};
use discogs_extractor::sample::Options;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{Place, artists, copy_folder, gzip, rows};

const RECORDS: u64 = 8_000;
const WINDOW: u64 = 1_000;

/// From `DISCOGS_TEST_SEED`, or a new one, which is printed.
fn random() -> StdRng {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn releases() -> Options {
    let mut options = Options::new(RECORDS, 7, "20260101".parse().unwrap());
    options.kinds = vec![Kind::Releases];
    options.members = 3;
    options
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Sqlite,
    Jsonl,
    Null,
}

impl To {
    fn argument(self) -> &'static str {
        match self {
            To::Sqlite => "sqlite:out.db",
            To::Jsonl => "jsonl:out",
            To::Null => "null:",
        }
    }

    /// Everything a reader of the output sees.
    fn output(self, place: &Place) -> String {
        match self {
            To::Sqlite => format!("{:?}", rows(&place.path("out.db"), "releases")),
            To::Jsonl => fs::read_to_string(place.path("out/20260101/releases.jsonl")).unwrap(),
            To::Null => place.only_file()["records"].to_string(),
        }
    }
}

fn arguments(to: To) -> Vec<String> {
    let window = WINDOW.to_string();
    let words = ["extract", "dumps", "--to", to.argument(), "--window", &window];
    words.map(String::from).to_vec()
}

/// Lets the program run for a while, then kills it; false if it had ended by itself.
fn killed_after(place: &Place, to: To, time: Duration) -> bool {
    let mut child = place
        .program()
        .args(arguments(to))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while began.elapsed() < time {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return false;
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal() == Some(9), "{status}");
    status.signal() == Some(9)
}

/// The state may lag behind what the sink holds by the window and one interval, and is never
/// ahead of it.
fn check_lag(place: &Place, to: To, in_an_interval: u64) {
    if to != To::Sqlite || !place.path("out.db").exists() {
        return;
    }
    let state = place.state();
    let Some(file) = state["files"].as_array().and_then(|files| files.first()) else { return };
    let known = file["records"].as_u64().unwrap();
    let database = rusqlite::Connection::open(place.path("out.db")).unwrap();
    let held = "SELECT COALESCE(MAX(last), 0) FROM extractor_delivered";
    let Ok(held) = database.query_row(held, [], |row| row.get::<_, i64>(0)) else { return };
    let held = u64::try_from(held).unwrap();
    assert!(known <= held, "the store claims {known} records, the sink holds {held}");
    let most = WINDOW + in_an_interval;
    assert!(held - known <= most, "{held} delivered and {known} known: more than {most} repeated");
}

fn survives(to: To, kills: u32) {
    let mut random = random();
    let reference = Place::new();
    reference.sample(&releases());
    let began = Instant::now();
    reference.run(&arguments(to).iter().map(String::as_str).collect::<Vec<_>>()).ends(0, &[]);
    let whole = began.elapsed();
    let rate = u64::try_from(u128::from(RECORDS) * 1_000 / whole.as_millis().max(1)).unwrap();
    let expected = to.output(&reference);

    // States at which the last 5 % of the file are left, and none of it is done.
    let near_end = Place::new();
    copy_folder(&reference.path("dumps"), &near_end.path("dumps"));
    let limit = (RECORDS * 95 / 100).to_string();
    let mut limited = arguments(to);
    limited.extend(["--limit".to_owned(), limit]);
    near_end.run(&limited.iter().map(String::as_str).collect::<Vec<_>>()).ends(3, &[]);

    // With nothing to do, a start takes this long.
    let began = Instant::now();
    reference.run(&arguments(to).iter().map(String::as_str).collect::<Vec<_>>()).ends(0, &[]);
    let in_a_twentieth = began.elapsed() + whole / 20;

    // A quarter in the first 5 %, a quarter in the last, the rest anywhere; a few in each place.
    for (part, from_the_end, wanted) in [
        (in_a_twentieth, false, kills / 4),
        (in_a_twentieth, true, kills / 4),
        (whole, false, kills / 2),
    ] {
        let mut killed = 0;
        while killed < wanted {
            let place = Place::new();
            copy_folder(&reference.path("dumps"), &place.path("dumps"));
            if from_the_end {
                copy_outcome(&near_end, &place);
            }
            for _ in 0..4 {
                if !killed_after(&place, to, part.mul_f64(random.random_range(0.0..1.0))) {
                    break;
                }
                killed += 1;
                check_lag(&place, to, rate);
            }
            place.run(&arguments(to).iter().map(String::as_str).collect::<Vec<_>>()).ends(0, &[]);
            assert!(to.output(&place) == expected, "the output differs, kill {killed}");
            assert_eq!(place.only_file()["status"], "complete");
            assert_eq!(place.only_file()["records"], RECORDS);
        }
    }
}

/// State and output of another place.
fn copy_outcome(from: &Place, to: &Place) {
    copy_folder(&from.path("state"), &to.path("state"));
    for name in ["out.db", "out.db-wal", "out.db-shm"] {
        if from.path(name).exists() {
            fs::copy(from.path(name), to.path(name)).unwrap();
        }
    }
    if from.path("out").exists() {
        copy_folder(&from.path("out"), &to.path("out"));
    }
}

#[test]
fn sqlite_survives_kills_at_random_times() {
    survives(To::Sqlite, 80);
}

#[test]
fn jsonl_survives_kills_at_random_times() {
    survives(To::Jsonl, 80);
}

#[test]
fn null_survives_kills_at_random_times() {
    survives(To::Null, 48);
}

#[test]
fn a_dump_with_resume_points_survives_kills_and_repeats_little() {
    const MANY: u64 = 40_000;
    let mut random = random();
    for to in [To::Jsonl, To::Sqlite] {
        let run = |place: &Place| {
            place.run(&arguments(to).iter().map(String::as_str).collect::<Vec<_>>()).ends(0, &[]);
        };
        let reference = Place::new();
        reference.sample(&Options { records: MANY, ..releases() });
        let began = Instant::now();
        run(&reference);
        let whole = began.elapsed();
        // An interval is 250 ms; on a machine that runs other tests it may take twice as long.
        let in_two_intervals = u64::try_from(u128::from(MANY) * 500 / whole.as_millis()).unwrap();
        let place = Place::new();
        copy_folder(&reference.path("dumps"), &place.path("dumps"));
        let mut killed = 0;
        let mut time = || whole.mul_f64(random.random_range(0.0..0.4));
        while killed < 10 && killed_after(&place, to, time()) {
            killed += 1;
            check_lag(&place, to, in_two_intervals);
        }
        run(&place);
        assert!(to.output(&place) == to.output(&reference), "after {killed} kills");
    }
}

/// Places on the way of an extraction into a file; those of `state` commands, downloads and the
/// broker have their own tests.
fn on_the_way(place: &str) -> bool {
    let elsewhere = ["announce.", "postgres.", "download.", "state.upgrade.", "state.compact."];
    let by_request = ["state.repair.", "state.force."];
    !elsewhere.iter().chain(&by_request).any(|prefix| place.starts_with(prefix))
}

fn survives_at_every_place(to: To) -> Vec<&'static str> {
    let reference = Place::new();
    let mut options = releases();
    options.records = 400;
    reference.sample(&options);
    reference.extract(to.argument()).ends(0, &[]);
    let expected = to.output(&reference);
    let mut reached = Vec::new();
    for fault in fault::PLACES.iter().copied().filter(|place| on_the_way(place)) {
        let place = Place::new();
        copy_folder(&reference.path("dumps"), &place.path("dumps"));
        let arguments = ["extract", "dumps", "--to", to.argument()];
        let status = place.program().args(arguments).env("DISCOGS_FAULT_AT", fault).output();
        let status = status.unwrap().status;
        if status.signal() == Some(9) {
            reached.push(fault);
        } else {
            assert!(status.success(), "{fault}: {status}");
        }
        place.extract(to.argument()).ends(0, &[]);
        assert!(to.output(&place) == expected, "{fault}: the output differs");
        assert_eq!(place.only_file()["status"], "complete", "{fault}");
        let ran = place.run(&["state", "outbox"]);
        assert_eq!(ran.out, "nothing is owed\n", "{fault}");
    }
    reached
}

#[test]
fn every_named_place_is_survived_and_reached() {
    let mut reached = survives_at_every_place(To::Sqlite);
    reached.extend(survives_at_every_place(To::Jsonl));
    let missed: Vec<_> = fault::PLACES
        .iter()
        .filter(|place| on_the_way(place) && !of_bad_input(place) && !reached.contains(place))
        .collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}

/// Places that only bad input leads to.
fn of_bad_input(place: &str) -> bool {
    place.starts_with("state.fail.") || place.starts_with("bad_record.")
}

#[test]
fn every_place_that_bad_input_leads_to_is_survived_and_reached() {
    let bad = "<artist><id>x</id><name>never closed</artist>\n</artists>";
    let text = artists(500).replacen("</artists>", bad, 1);
    let mut damaged = gzip(text.as_bytes());
    damaged.extend_from_slice(b"garbage");
    for fault in fault::PLACES.iter().filter(|place| of_bad_input(place)) {
        let place = Place::new();
        place.dump("discogs_20260101_artists.xml.gz", &damaged);
        let mut command = place.program();
        command.args(["extract", "dumps", "--to", "sqlite:out.db"]).env("DISCOGS_FAULT_AT", fault);
        assert_eq!(command.output().unwrap().status.signal(), Some(9), "{fault} is not reached");
        place.extract("sqlite:out.db").ends(1, &["after"]);
        assert_eq!(rows(&place.path("out.db"), "artists").len(), 500, "{fault}");
        let file = place.only_file();
        assert_eq!(file["status"], "failed", "{fault}");
        assert_eq!((&file["records"], &file["bad_records"]), (&500.into(), &1.into()), "{fault}");
        let kept = fs::read_dir(place.path("state/bad-records")).unwrap().next().unwrap().unwrap();
        let kept = fs::read_dir(kept.path().join("20260101/artists")).unwrap().count();
        assert_eq!(kept, 2, "{fault}: one record and one note");
    }
}

#[test]
fn a_forced_pass_that_is_killed_goes_on_as_a_forced_pass() {
    let reference = Place::new();
    reference.sample(&Options::new(300, 3, "20260101".parse().unwrap()));
    reference.extract("sqlite:out.db").ends(0, &[]);
    let complete = |place: &Place, table| rows(&place.path("out.db"), table).len();
    for fault in ["state.force.before", "state.force.after", "state.complete.after"] {
        let place = Place::new();
        copy_folder(&reference.path("dumps"), &place.path("dumps"));
        place.extract("sqlite:out.db").ends(0, &[]);
        let runs = |place: &Place| -> Vec<String> {
            let lines = place.run(&["state", "export"]).out;
            let files = lines.lines().filter(|line| line.contains("\"identity\""));
            files.map(run_of).collect()
        };
        let before = runs(&place);
        let forced = ["extract", "dumps", "--to", "sqlite:out.db", "--force-reprocess"];
        let status = place.program().args(forced).env("DISCOGS_FAULT_AT", fault).output();
        assert_eq!(status.unwrap().status.signal(), Some(9), "{fault}");
        place.run(&forced).ends(0, &[]);
        let after = runs(&place);
        assert_eq!(after.len(), 4, "{fault}");
        for run in &after {
            assert!(!before.contains(run), "{fault}: run {run} was not forced");
        }
        for kind in Kind::ALL {
            assert_eq!(complete(&place, kind.name()), complete(&reference, kind.name()));
        }
    }
}

fn run_of(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    value["run"].to_string()
}

#[test]
fn a_killed_reset_forgets_all_or_nothing() {
    let place = Place::new();
    place.sample(&Options::new(100, 3, "20260101".parse().unwrap()));
    place.extract("null:").ends(0, &[]);
    let saved = Place::new();
    copy_folder(&place.path("state"), &saved.path("state"));
    let mut random = random();
    for _ in 0..12 {
        fs::remove_dir_all(place.path("state")).unwrap();
        copy_folder(&saved.path("state"), &place.path("state"));
        let reset = ["state", "reset", "--yes"];
        let mut child = place.program().args(reset).stdout(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        let time = Duration::from_micros(random.random_range(0..60_000));
        while began.elapsed() < time {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = place.state()["files"].as_array().unwrap().len();
        assert!(left == 4 || left == 0, "{left} files are left");
    }
}

#[test]
fn nothing_of_a_kill_is_left_on_the_way() {
    let place = Place::new();
    place.sample(&releases());
    killed_after(&place, To::Jsonl, Duration::from_millis(200));
    place.run(&arguments(To::Jsonl).iter().map(String::as_str).collect::<Vec<_>>()).ends(0, &[]);
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&place.path("out/20260101")), ["releases.jsonl"]);
    assert!(!names(&place.path("state")).contains(&"control.sock".to_owned()));
}
