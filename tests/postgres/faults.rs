//! What may go wrong while records are written: the program's end, the server's, the way there.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::Options;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;

use super::database::{Database, sqlite_rows};
use super::own::Own;
use super::support::{Place, artists, daemon::Daemon, gzip};
use super::{VERSION, name};

/// Releases that take a few seconds to write.
fn releases(records: u64) -> Options {
    let mut options = Options::new(records, 7, VERSION.parse().unwrap());
    options.kinds = vec![Kind::Releases];
    options
}

/// A place with releases, whose rows `out.db` has.
fn place(records: u64) -> Place {
    let place = Place::new();
    place.sample(&releases(records));
    place.extract("sqlite:out.db").ends(0, &[]);
    place
}

#[track_caller]
fn has_all(database: &Database, place: &Place) {
    assert_eq!(database.rows("releases"), sqlite_rows(&place.path("out.db"), "releases"));
    let ranges = "SELECT string_agg(first || '-' || last, ' ') FROM extractor_delivered";
    let count = database.value("SELECT count(*) FROM releases");
    assert_eq!(database.value(ranges), format!("1-{count}"));
}

fn extract(place: &Place, to: &str) -> Command {
    let mut command = place.program();
    command.args(["extract", "dumps", "--to", to, "--window", "1000", "--progress", "none"]);
    command
}

fn random() -> StdRng {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

#[test]
fn killed_at_any_time_it_ends_with_the_rows_of_an_uninterrupted_run() {
    let Some(database) = Database::new() else { return };
    let place = place(6_000);
    let mut random = random();
    for place_name in ["postgres.commit.before", "postgres.commit.after"] {
        let times = random.random_range(1..4);
        let status = extract(&place, database.url())
            .env("DISCOGS_FAULT_AT", format!("{place_name}:{times}"))
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(9), "{place_name}:{times}");
    }
    for _ in 0..8 {
        let mut child = extract(&place, database.url())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let time = Duration::from_millis(random.random_range(0..400));
        let began = Instant::now();
        while began.elapsed() < time && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = extract(&place, database.url()).status().unwrap();
    assert!(last.success());
    has_all(&database, &place);
}

#[test]
fn connections_that_are_cut_are_made_again() {
    let Some(database) = Database::new() else { return };
    let place = place(12_000);
    let extract = Daemon::start(&mut extract(&place, database.url()));
    let mut held = 0;
    for _ in 0..4 {
        let more = |last: &str| last.parse::<u64>().is_ok_and(|last| last > held);
        let there = "SELECT to_regclass('extractor_delivered')";
        database.settled(there, |there| !there.is_empty());
        let last = database.settled("SELECT max(last) FROM extractor_delivered", more);
        held = last.parse().unwrap();
        database.cut();
    }
    let said = extract.ends(0);
    let times = |words: &str| said.matches(words).count();
    assert!(times("the database is away") >= 1, "{said}");
    assert_eq!(times("the database is away"), times("the database is back"), "{said}");
    has_all(&database, &place);
}

#[test]
fn a_database_that_is_not_there_yet_is_waited_for() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    place.dump(&name(VERSION), &gzip(artists(10).as_bytes()));
    let missing = format!("{}_later", database.name());
    let url = database.url().replace(database.name(), &missing);
    let mut extract = Daemon::start(extract(&place, &url).arg("--wait"));
    let said = extract.says("the database refuses, trying until it does not");
    assert!(said.contains("does not exist") && said.contains("create the database"), "{said}");
    database.run_outside(&format!("CREATE DATABASE {missing}"));
    extract.says("the database is back");
    extract.ends(0);
    database.run_outside(&format!("DROP DATABASE {missing} WITH (FORCE)"));
}

#[test]
fn a_database_that_is_made_anew_under_it_is_another_one() {
    let Some(database) = Database::new() else { return };
    let place = place(12_000);
    let extract = Daemon::start(&mut extract(&place, database.url()));
    let there = "SELECT to_regclass('extractor_delivered')";
    database.settled(there, |there| !there.is_empty());
    database.settled("SELECT max(last) FROM extractor_delivered", |last| !last.is_empty());
    database.run("DROP TABLE extractor_job");
    database.cut();
    let said = extract.ends(1);
    assert!(said.contains("it was made anew") && said.contains("hint: start again"), "{said}");
}

#[test]
fn user_and_password_are_never_shown() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    place.dump(&name(VERSION), &gzip(artists(10).as_bytes()));
    let who = "s3cret_user:s3cret%20word";
    let url = database.url().replace("://postgres@", &format!("://{who}@"));
    assert!(url.contains(who), "{url}");
    let extracting = Daemon::start(extract(&place, &url).env("LOG_LEVEL", "DEBUG"));
    // It is not waited for that somebody makes the user.
    let said = extracting.ends(1);
    assert!(said.contains("cannot connect to postgres://"), "{said}");
    let mut waiting = extract(&place, &url);
    let mut extract = Daemon::start(waiting.arg("--wait").env("LOG_LEVEL", "DEBUG"));
    extract.says("the database refuses");
    extract.signal(Signal::TERM);
    let said = said + &extract.ends(143);
    assert!(!said.contains("s3cret"), "{said}");
    for wrong in [format!("postgres://{who}@"), format!("postgres://{who}@host/d?sslmode=s3cret")] {
        let ran = place.extract(&wrong);
        ran.ends(2, &["hint: write postgres://USER:PASSWORD@HOST:PORT/DATABASE"]);
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    }
}

#[test]
fn while_the_server_is_away_it_ends_soon_after_a_signal() {
    let place = Place::new();
    place.dump(&name(VERSION), &gzip(artists(10).as_bytes()));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://postgres@{nobody}/nothing");
    let mut away = Daemon::start(extract(&place, &url).arg("--wait"));
    away.says("the database is away, trying until it is back");
    let began = Instant::now();
    away.signal(Signal::TERM);
    away.ends(143);
    assert!(began.elapsed() < Duration::from_secs(2));
    let mut away = Daemon::start(&mut place.daemon(&url));
    away.says("the database is away, trying until it is back");
    away.stops();
}

#[test]
fn a_server_that_is_stopped_and_started_again_is_waited_for() {
    // Whoever has no server to test with has none to stop.
    if Database::new().is_none() {
        return;
    }
    let Some(own) = Own::new() else { return };
    own.control(&["start"]);
    let place = place(12_000);
    let database = Database::on(&own.url());
    let mut extract = Daemon::start(&mut extract(&place, database.url()));
    database.settled("SELECT to_regclass('extractor_delivered')", |there| !there.is_empty());
    database.settled("SELECT max(last) FROM extractor_delivered", |last| !last.is_empty());
    let to = database.url().to_owned();
    drop_without_a_word(database);
    own.control(&["-m", "immediate", "stop"]);
    extract.says("the database is away");
    own.control(&["start"]);
    extract.says("the database is back");
    let said = extract.ends(0);
    assert_eq!(said.matches("the database is away").count(), 1, "{said}");
    let database = Database::at(&to);
    has_all(&database, &place);
}

/// Its server is about to be stopped, and its database is still needed.
fn drop_without_a_word(database: Database) {
    std::mem::forget(database);
}
