//! Two state directories on one database, as of two machines or a restored backup: real processes,
//! one after the other and at once, killed and stopped anywhere, over two versions. In the end the
//! table is the newer version, whoever wrote what.
//!
//! `DISCOGS_TEST_SEED` repeats the rounds, `DISCOGS_TEST_SECONDS` makes them go on.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

#[path = "postgres/database.rs"]
#[allow(dead_code, reason = "other tests take more of it")]
mod database;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use database::Database;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use support::{Place, gzip, rows};

/// Whoever talks to a service says so by its name; so does `tests/run`.
const SERVER: &str = "DISCOGS_TEST_POSTGRES";
const RECORDS: u64 = 6_000;
const VERSIONS: [&str; 2] = ["20260101", "20260201"];

/// The artists of a version: the newer one lacks some of the older one's, and has others.
fn publish(random: &mut StdRng, place: &Place, version: usize) {
    let mut text = String::from("<artists>\n");
    for id in 1..=RECORDS {
        if random.random_bool(0.03) {
            continue;
        }
        let edition = if random.random_bool(0.3) { version } else { 0 };
        let more = "x".repeat(random.random_range(0..300));
        writeln!(
            text,
            "<artist><id>{id}</id><name>{id} {edition}</name><profile>{more}</profile></artist>"
        )
        .unwrap();
    }
    writeln!(text, "<artist><id>new{version}</id><name>new</name></artist>\n</artists>").unwrap();
    let name = format!("discogs_{}_artists.xml.gz", VERSIONS[version]);
    place.dump(&name, &gzip(text.as_bytes()));
}

fn extract(place: &Place, store: usize, to: &str, version: usize) -> Command {
    let mut command = place.program();
    command.env("STATE_DIR", place.path(&format!("state{store}")));
    let version = VERSIONS[version];
    command.args(["extract", "dumps", "--types", "artists", "--to", to]);
    command.args(["--dump-version", version, "--window", "500"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Lets it run for a while, then ends it, if it has not ended by itself.
fn end_after(mut child: Child, time: Duration, signal: Signal) {
    let began = Instant::now();
    while began.elapsed() < time {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap();
}

/// One thing that happens; in words.
fn act(random: &mut StdRng, place: &Place, to: &str, whole: Duration) -> String {
    let (store, version) = (random.random_range(0..2), random.random_range(0..2));
    let time = whole.mul_f64(random.random_range(0.05..1.2));
    let signal = if random.random_bool(0.7) { Signal::KILL } else { Signal::TERM };
    match random.random_range(0..5) {
        0 => {
            let limit = random.random_range(0..RECORDS).to_string();
            extract(place, store, to, version).args(["--limit", &limit]).status().unwrap();
            format!("store {store} takes {limit} of {}", VERSIONS[version])
        }
        1 => {
            let forced = ["--force-reprocess=restart"];
            end_after(
                extract(place, store, to, version).args(forced).spawn().unwrap(),
                time,
                signal,
            );
            format!("store {store} forces {}, {signal:?} after {time:?}", VERSIONS[version])
        }
        2 => {
            end_after(extract(place, store, to, version).spawn().unwrap(), time, signal);
            format!("store {store} takes {}, {signal:?} after {time:?}", VERSIONS[version])
        }
        _ => {
            let other = random.random_range(0..2);
            let beside = extract(place, 1 - store, to, other).spawn().unwrap();
            end_after(extract(place, store, to, version).spawn().unwrap(), time, signal);
            let later = whole.mul_f64(random.random_range(0.0..2.0));
            end_after(beside, later, signal);
            format!(
                "store {store} takes {} for {time:?} and beside it the other {} for {later:?}, {signal:?}",
                VERSIONS[version], VERSIONS[other]
            )
        }
    }
}

/// Ids and hashes.
type Table = BTreeMap<String, String>;

/// Rounds into databases that `fresh` makes, which are read by `read`.
fn rounds<D>(fresh: impl Fn(&Place) -> (D, String), read: impl Fn(&Place, &D) -> Table) {
    let seconds = std::env::var("DISCOGS_TEST_SECONDS").ok().and_then(|n| n.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(20));
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let (mut rounds, mut actions) = (0, 0);
    loop {
        let place = Place::new();
        for version in 0..VERSIONS.len() {
            publish(random, &place, version);
        }
        let (alone, to) = fresh(&place);
        let began = Instant::now();
        assert!(extract(&place, 9, &to, 1).status().unwrap().success());
        let whole = began.elapsed();
        let expected = read(&place, &alone);
        drop(alone);

        let (database, to) = fresh(&place);
        let mut how = String::new();
        for _ in 0..random.random_range(2..7) {
            writeln!(how, "{}", act(random, &place, &to, whole)).unwrap();
            actions += 1;
        }
        for store in [0, 1] {
            let ended = extract(&place, store, &to, 1).stderr(Stdio::piped()).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.success(), "{how}{said}");
        }
        let table = read(&place, &database);
        let missing = expected.iter().filter(|(id, hash)| table.get(*id) != Some(*hash)).count();
        let others = table.keys().filter(|id| !expected.contains_key(*id)).count();
        assert_eq!(
            (missing, others),
            (0, 0),
            "rows that are missing, and that are too many\n{how}"
        );
        rounds += 1;
        if Instant::now() >= until {
            break;
        }
    }
    println!("{rounds} rounds, {actions} interruptions");
}

#[test]
fn two_stores_on_one_sqlite_database_end_as_the_newer_version() {
    let fresh = |place: &Place| {
        for name in ["out.db", "out.db-wal", "out.db-shm"] {
            _ = fs::remove_file(place.path(name));
        }
        ((), "sqlite:out.db".to_owned())
    };
    let read = |place: &Place, (): &()| {
        let rows = rows(&place.path("out.db"), "artists");
        rows.into_iter().map(|(id, hash, _)| (id, hash)).collect()
    };
    rounds(fresh, read);
}

#[test]
fn two_stores_on_one_postgresql_database_end_as_the_newer_version() {
    let fresh = |_: &Place| {
        let database = Database::new().expect("DISCOGS_TEST_POSTGRES names no server");
        let url = database.url().to_owned();
        (database, url)
    };
    let read = |_: &Place, database: &Database| {
        database.rows("artists").into_iter().map(|(id, hash, _)| (id, hash)).collect()
    };
    rounds(fresh, read);
}
