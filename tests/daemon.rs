//! `run` as a service manager runs it: real folders, real signals, real kills.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, count};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use support::daemon::{Daemon, age};
use support::{Place, artists, copy_folder, gzip, http, rows};

const ARTISTS: &str = "discogs_20260101_artists.xml.gz";
const LABELS: &str = "discogs_20260101_labels.xml.gz";

fn set(records: u64) -> Options {
    Options::new(records, 5, "20260101".parse().unwrap())
}

/// A place with a dump set that is old enough to be whole.
fn place(records: u64) -> Place {
    let place = Place::new();
    place.sample(&set(records));
    place.age();
    place
}

fn empty() -> Place {
    let place = Place::new();
    fs::create_dir(place.path("dumps")).unwrap();
    place
}

fn labels(count: usize) -> Vec<u8> {
    let text = artists(count).replace("<artist", "<label").replace("</artist", "</label");
    gzip(text.as_bytes())
}

/// What the state holds of a type, under one of its names.
fn of(place: &Place, kind: Kind, what: &str) -> serde_json::Value {
    let state = place.state();
    let files = state["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["type"] == kind.name());
    file.map_or(serde_json::Value::Null, |file| file[what].clone())
}

#[test]
fn a_folder_is_extracted_and_then_waited_on_and_a_new_version_is_extracted_too() {
    let place = place(300);
    let mut daemon = Daemon::start(&mut place.daemon("sqlite:out.db"));
    daemon.says("waiting next=");
    let said = daemon.said();
    let total: u64 = Kind::ALL.iter().map(|kind| count(*kind, 300)).sum();
    assert!(said.contains("📊 Extraction Progress: 0 total"), "at the start: {said}");
    assert!(said.contains(&format!("📊 Extraction Progress: {total} total")), "{said}");
    assert!(said.contains("✅ Completed file types: ['artists', 'labels', 'masters', 'releases']"));
    let newer = Place::new();
    newer.sample(&Options { version: "20260201".parse().unwrap(), ..set(400) });
    for kind in Kind::ALL {
        // Until all four are there the old version is the one to have.
        let name = format!("discogs_20260201_{kind}.xml.gz");
        let part = place.path("dumps").join(format!("{name}.part"));
        fs::copy(newer.path("dumps").join(&name), &part).unwrap();
        fs::rename(&part, place.path("dumps").join(&name)).unwrap();
    }
    daemon.says("extracting file=discogs_20260201_artists.xml.gz");
    daemon.says("waiting next=");
    for kind in Kind::ALL {
        let held = rows(&place.path("out.db"), kind.name()).len() as u64;
        assert_eq!(held, count(kind, 400), "{kind}");
    }
    daemon.stops();
    // Another one has nothing to do, and says what there is.
    let mut daemon = Daemon::start(&mut place.daemon("sqlite:out.db"));
    daemon.says("waiting next=");
    let total: u64 = Kind::ALL.iter().map(|kind| count(*kind, 400)).sum();
    let said = daemon.stops();
    let counts = format!("📊 Extraction Progress: {total} total");
    assert_eq!(said.matches(&counts).count(), 2, "at the start and after the pass: {said}");
    assert!(!said.contains("extracting"), "{said}");
}

#[test]
fn an_older_version_than_the_newest_complete_one_is_taken_only_by_name() {
    let kinds = vec![Kind::Artists, Kind::Labels];
    let of = |version: &str| Options {
        version: version.parse().unwrap(),
        kinds: kinds.clone(),
        ..set(100)
    };
    let (place, older) = (Place::new(), Place::new());
    place.sample(&of("20260201"));
    place.age();
    older.sample(&of("20260101"));
    let daemon = || {
        let mut command = place.daemon("sqlite:out.db");
        command.args(["--types", "artists,labels"]);
        command
    };
    let mut running = Daemon::start(&mut daemon());
    running.says("waiting next=");
    for kind in &kinds {
        fs::remove_file(place.path(&format!("dumps/discogs_20260201_{kind}.xml.gz"))).unwrap();
    }
    for name in [ARTISTS, LABELS] {
        let part = place.path("dumps").join(format!("{name}.part"));
        fs::copy(older.path("dumps").join(name), &part).unwrap();
        fs::rename(&part, place.path("dumps").join(name)).unwrap();
    }
    let line = running.says("left alone: a newer version is complete");
    assert!(line.contains("20260101") && line.contains("--dump-version"), "{line}");
    running.is_silent(Duration::from_secs(6));
    let said = running.stops();
    assert_eq!(said.matches("left alone").count(), 1, "told once: {said}");
    assert!(!said.contains(&format!("extracting file={ARTISTS}")), "{said}");
    // Nor at a start, nor by a forced pass, which is one over what is newest.
    place.age();
    for force in ["false", "true"] {
        let mut running = Daemon::start(daemon().env("FORCE_REPROCESS", force));
        running.says("left alone: a newer version is complete");
        running.says("waiting for dumps");
        let said = running.stops();
        assert!(!said.contains("forced") && !said.contains("extracting"), "{said}");
    }
    let mut running = Daemon::start(daemon().args(["--dump-version", "20260101"]));
    running.says(&format!("complete file={LABELS}"));
    running.says("waiting next=");
    assert!(!running.stops().contains("left alone"));
}

#[test]
fn a_forced_pass_leaves_a_type_alone_of_which_the_dump_is_gone() {
    let place = Place::new();
    let kinds = vec![Kind::Artists, Kind::Labels];
    let newer = Options { version: "20260201".parse().unwrap(), kinds: kinds.clone(), ..set(100) };
    place.sample(&newer);
    let types = ["--types", "artists,labels"];
    place.run(&[&["extract", "dumps", "--to", "sqlite:out.db"], &types[..]].concat()).ends(0, &[]);
    fs::remove_file(place.path("dumps/discogs_20260201_labels.xml.gz")).unwrap();
    place.sample(&Options { kinds, ..set(100) });
    place.age();
    let mut command = place.daemon("sqlite:out.db");
    let mut daemon = Daemon::start(command.args(types).env("FORCE_REPROCESS", "true"));
    let line = daemon.says("forced: starting over");
    assert!(line.contains("artists") && !line.contains("labels"), "{line}");
    daemon.says("complete file=discogs_20260201_artists.xml.gz");
    daemon.says("left alone: a newer version is complete");
    daemon.says("waiting next=");
    let said = daemon.stops();
    assert!(!said.contains("20260101_"), "{said}");
}

#[test]
fn dumps_are_taken_up_when_they_are_renamed_closed_or_quiet_and_never_before() {
    let place = empty();
    let mut daemon = Daemon::start(place.daemon("sqlite:out.db").env("STALL_AFTER", "600"));
    daemon.says("waiting for dumps");
    let dump = gzip(artists(500).as_bytes());
    // Never whole, whatever is heard of them.
    place.dump(&format!("{LABELS}.part"), &labels(10));
    place.dump(&format!(".{LABELS}"), &labels(10));
    // One that grows all the while, and is not closed in the end.
    let growing = place.path("dumps/discogs_20260101_masters.xml.gz");
    let masters = artists(500).replace("artist", "master");
    let masters = gzip(masters.as_bytes());
    let mut growing = File::create(growing).unwrap();
    let (most, last) = masters.split_at(masters.len() - 3);
    growing.write_all(most).unwrap();
    // Renamed.
    let renamed = Instant::now();
    place.dump("somewhere-else", &dump);
    fs::rename(place.path("dumps/somewhere-else"), place.path("dumps").join(ARTISTS)).unwrap();
    daemon.says(&format!("complete file={ARTISTS}"));
    let took = renamed.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    daemon.says("waiting next=");
    let began = Instant::now();
    for byte in last {
        // Longer than a look apart, and not as long as quiet is.
        daemon.is_silent(Duration::from_secs(6));
        growing.write_all(&[*byte]).unwrap();
    }
    assert!(began.elapsed() > Duration::from_secs(15));
    let written = Instant::now();
    // Closed after writing, in two steps.
    let mut closed = File::create(place.path("dumps").join(LABELS)).unwrap();
    let labels = labels(500);
    closed.write_all(&labels[..100]).unwrap();
    daemon.is_silent(Duration::from_secs(1));
    closed.write_all(&labels[100..]).unwrap();
    drop(closed);
    daemon.says(&format!("complete file={LABELS}"));
    assert!(written.elapsed() < Duration::from_secs(5));
    daemon.says("complete file=discogs_20260101_masters.xml.gz");
    assert!(written.elapsed() >= Duration::from_secs(10), "it was not quiet yet");
    drop(growing);
    let said = daemon.stops();
    assert!(!said.contains("failed"), "{said}");
    assert_eq!(said.matches("not all wanted types").count(), 1, "{said}");
    assert_eq!(rows(&place.path("out.db"), "labels").len(), 500);
}

#[test]
fn a_folder_that_is_not_there_is_waited_for() {
    let place = Place::new();
    let mut daemon = Daemon::start(&mut place.daemon("null:"));
    daemon.says("the folder cannot be looked at");
    place.dump(ARTISTS, &gzip(artists(10).as_bytes()));
    age(&place.path("dumps").join(ARTISTS));
    daemon.says("the folder can be looked at");
    daemon.says(&format!("complete file={ARTISTS}"));
    daemon.says("waiting next=");
    // And again, after somebody took it away.
    fs::rename(place.path("dumps"), place.path("elsewhere")).unwrap();
    daemon.says("the folder cannot be looked at");
    fs::rename(place.path("elsewhere"), place.path("dumps")).unwrap();
    daemon.says("the folder can be looked at");
    let said = daemon.stops();
    assert!(!said.contains("failed"), "{said}");
}

#[test]
fn what_fails_is_tried_again_told_once_and_taken_up_when_it_is_repaired() {
    let place = empty();
    place.dump(LABELS, &labels(20));
    let whole = gzip(artists(2_000).as_bytes());
    place.dump(ARTISTS, &whole[..whole.len() / 2]);
    place.age();
    let mut daemon = Daemon::start(place.daemon("sqlite:out.db").args(["--retry-after", "1"]));
    daemon.says("failed file=");
    daemon.says("failures=1");
    daemon.says("failed again");
    daemon.says("failures=2");
    let said = daemon.said();
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
    assert!(said.contains(&format!("complete file={LABELS}")), "the other one goes on: {said}");
    place.dump("repaired", &whole);
    fs::rename(place.path("dumps/repaired"), place.path("dumps").join(ARTISTS)).unwrap();
    daemon.says(&format!("complete file={ARTISTS}"));
    daemon.says("waiting next=");
    daemon.stops();
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 2_000);
}

#[test]
fn a_signal_ends_it_with_code_0_wherever_it_is() {
    let place = empty();
    let mut daemon = Daemon::start(&mut place.daemon("null:"));
    daemon.says("waiting for dumps");
    daemon.signal(Signal::INT);
    daemon.ends(0);
    // In the middle of a file.
    place.sample(&set(20_000));
    place.age();
    let mut daemon = Daemon::start(&mut place.daemon("sqlite:out.db"));
    daemon.says("extracting file=discogs_20260101_releases.xml.gz");
    daemon.stops();
    assert_eq!(of(&place, Kind::Releases, "status"), "pending");
    // While the next look or another try is waited for.
    fs::remove_dir_all(place.path("dumps")).unwrap();
    place.dump(ARTISTS, &gzip(artists(10).as_bytes()));
    place.age();
    let mut daemon = Daemon::start(&mut place.daemon("null:"));
    daemon.says("waiting next=");
    daemon.stops();
    place.dump(ARTISTS, b"garbage");
    place.age();
    let mut daemon = Daemon::start(&mut place.daemon("null:"));
    daemon.says("trying again what failed");
    let said = daemon.stops();
    assert!(said.contains("hint:") || said.contains("gzip"), "{said}");
}

#[test]
fn a_signal_ends_it_while_a_broker_is_away() {
    let place = place(50);
    let mut command = place.program();
    command.args(["run", "--root", "dumps"]).env("HEALTH_PORT", "0");
    command.env("RABBITMQ_HOST", "127.0.0.1").env("RABBITMQ_PORT", "1");
    let password = place.path("password");
    fs::write(&password, "s3cret\n").unwrap();
    let mut daemon = Daemon::start(command.env("RABBITMQ_PASSWORD_FILE", password));
    daemon.says("127.0.0.1:1");
    let said = daemon.stops();
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_signal_ends_it_while_it_waits_for_the_store() {
    let place = empty();
    let mut first = Daemon::start(&mut place.daemon("null:"));
    first.says("waiting for dumps");
    let second = Daemon::start(&mut place.daemon("null:"));
    second.heeds_signals();
    second.stops();
    first.stops();
    // Without a signal it is told who has it.
    let mut first = Daemon::start(&mut place.daemon("null:"));
    first.says("waiting for dumps");
    let said = Daemon::start(&mut place.daemon("null:")).ends(1);
    assert!(said.contains("in use by process"), "{said}");
}

/// A sink that takes nothing: somebody else holds the database.
fn blocked(place: &Place) -> (Daemon, rusqlite::Connection) {
    let limited = ["extract", "dumps", "--to", "sqlite:out.db", "--limit", "10"];
    place.run(&limited).ends(3, &[]);
    let database = rusqlite::Connection::open(place.path("out.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut daemon = Daemon::start(place.daemon("sqlite:out.db").args(["--window", "100"]));
    daemon.says("the sink holds records back");
    (daemon, database)
}

#[test]
fn a_signal_ends_it_while_the_sink_takes_nothing_and_a_second_one_at_once() {
    let place = place(1_000);
    let (daemon, database) = blocked(&place);
    daemon.stops();
    drop(database);
    let (mut daemon, database) = blocked(&place);
    daemon.signal(Signal::TERM);
    daemon.says("stopping");
    daemon.signal(Signal::TERM);
    let began = Instant::now();
    daemon.ends(3);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(database);
    let mut daemon = Daemon::start(&mut place.daemon("sqlite:out.db"));
    daemon.says("waiting next=");
    daemon.stops();
    assert_eq!(rows(&place.path("out.db"), "releases").len(), 1_000);
}

/// From `DISCOGS_TEST_SEED`, or a new one, which is printed.
fn random() -> StdRng {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

#[test]
fn fifty_kills_during_one_pass_cost_nothing_and_nothing_is_called_stalled() {
    const KILLS: usize = 50;
    // What is delivered in less time than this is not remembered.
    const A_CHECKPOINT: Duration = Duration::from_millis(200);
    let mut random = random();
    let reference = Place::new();
    let releases = Options { kinds: vec![Kind::Releases, Kind::Artists], ..set(40_000) };
    reference.sample(&releases);
    reference.age();
    reference.extract("sqlite:out.db").ends(0, &[]);
    let killed_place = Place::new();
    copy_folder(&reference.path("dumps"), &killed_place.path("dumps"));
    killed_place.age();
    let mut said = String::new();
    let mut in_the_middle = 0;
    for _ in 0..KILLS {
        let mut daemon = Daemon::start(&mut killed_place.daemon("sqlite:out.db"));
        std::thread::sleep(A_CHECKPOINT.mul_f64(random.random_range(0.0..2.0)));
        assert!(!daemon.is_gone());
        let words = daemon.kill();
        in_the_middle += usize::from(words.contains("going on file="));
        said += &words;
    }
    println!("{in_the_middle} of {KILLS} went on in the middle of a file");
    let mut daemon = Daemon::start(&mut killed_place.daemon("sqlite:out.db"));
    daemon.says("waiting next=");
    said += &daemon.stops();
    assert!(in_the_middle > 0, "{said}");
    assert!(!said.contains("talled") && !said.contains("ERROR"), "{said}");
    for kind in releases.kinds {
        assert_eq!(of(&killed_place, kind, "status"), "complete");
        let same = rows(&reference.path("out.db"), kind.name())
            == rows(&killed_place.path("out.db"), kind.name());
        assert!(same, "{kind} differs");
    }
}

#[test]
fn a_forced_pass_that_is_killed_goes_on_and_is_one_pass_in_a_process() {
    let place = Place::new();
    place.sample(&Options { kinds: vec![Kind::Artists, Kind::Releases], ..set(20_000) });
    place.age();
    place.extract("null:").ends(0, &[]);
    let first = run_of(&place, ARTISTS);
    let forced = || {
        let mut command = place.daemon("null:");
        command.env("FORCE_REPROCESS", "true").args(["--workers", "1", "--types"]);
        command.arg("artists,releases");
        command
    };
    // It is killed at the end of the second file, which is the releases.
    let mut daemon = Daemon::start(forced().env("DISCOGS_FAULT_AT", "sink.finish.before:2"));
    daemon.says("forced: starting over");
    daemon.says(&format!("complete file={ARTISTS}"));
    daemon.says("extracting file=discogs_20260101_releases.xml.gz");
    while !daemon.is_gone() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = run_of(&place, ARTISTS);
    assert_ne!(first, second);
    let mut daemon = Daemon::start(&mut forced());
    daemon.says("forced pass goes on, these are left");
    daemon.says("waiting next=");
    assert_eq!(run_of(&place, ARTISTS), second, "what is done stays done");
    // A later pass of the same process is not forced.
    place.run(&["state", "reset", "releases", "--yes"]).ends(0, &[]);
    daemon.says("complete file=discogs_20260101_releases.xml.gz");
    daemon.says("waiting next=");
    assert_eq!(run_of(&place, ARTISTS), second);
    daemon.stops();
    // A new process is told anew.
    let mut daemon = Daemon::start(&mut forced());
    daemon.says("forced: starting over");
    daemon.says("waiting next=");
    daemon.stops();
}

/// The run of a file, which is another whenever it starts over.
fn run_of(place: &Place, file: &str) -> u64 {
    let export = place.run(&["state", "export"]).out;
    let mut lines = export.lines();
    let line = lines.find(|line| line.contains("\"identity\"") && line.contains(file)).unwrap();
    let file: serde_json::Value = serde_json::from_str(line).unwrap();
    file["run"].as_u64().unwrap()
}

#[test]
fn what_is_reset_is_extracted_at_once_and_what_is_being_extracted_is_not_reset() {
    let place = place(1_000);
    let mut daemon = Daemon::start(&mut place.daemon("sqlite:out.db"));
    daemon.says("waiting next=");
    let reset = place.run(&["state", "reset", "artists", "--yes"]);
    reset.ends(0, &[]);
    daemon.says(&format!("extracting file={ARTISTS}"));
    daemon.says("waiting next=");
    let said = daemon.said();
    assert_eq!(said.matches(&format!("complete file={LABELS}")).count(), 1, "{said}");
    // Everything, and the whole job.
    place.run(&["state", "reset", "--yes"]).ends(0, &[]);
    daemon.says("complete file=discogs_20260101_releases.xml.gz");
    daemon.says("waiting next=");
    let job = place.state()["files"][0]["job"].as_str().unwrap().to_owned();
    place.run(&["state", "forget", &job, "--yes"]).ends(0, &[]);
    daemon.says("complete file=discogs_20260101_releases.xml.gz");
    daemon.says("waiting next=");
    assert!(place.run(&["state"]).out.contains("sqlite:out.db"), "it is known by its name again");
    daemon.stops();
    let database = rusqlite::Connection::open(place.path("out.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let over = ["--force-reprocess", "--types", "artists"];
    let mut daemon = Daemon::start(place.daemon("sqlite:out.db").args(over));
    daemon.says(&format!("extracting file={ARTISTS}"));
    place.run(&["state", "reset", "artists", "--yes"]).ends(1, &["is being extracted right now"]);
    drop(database);
    daemon.says("waiting next=");
    daemon.stops();
}

#[test]
fn the_service_manager_is_told() {
    let place = place(100);
    let socket = UnixDatagram::bind(place.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = place.daemon("null:");
    command.env("NOTIFY_SOCKET", place.path("notify")).env("WATCHDOG_USEC", "400000");
    let daemon = Daemon::start(&mut command);
    let told = |words: &str| {
        let mut all = Vec::new();
        loop {
            let mut bytes = [0; 4_096];
            let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{error}: {all:?}"));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.contains(words) {
                return text;
            }
            all.push(text);
        }
    };
    told("READY=1");
    told("STATUS=waiting, the next look is at 20");
    let first = Instant::now();
    told("WATCHDOG=1");
    told("WATCHDOG=1");
    assert!(first.elapsed() < Duration::from_secs(5));
    daemon.signal(Signal::TERM);
    told("STOPPING=1");
    daemon.ends(0);
}

/// A port that is free this moment.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn health_says_how_it_is_and_a_trigger_begins_a_pass() {
    let place = place(1_000);
    let address = free_port();
    let mut command = place.daemon("sqlite:out.db");
    command.env("HEALTH_PORT", address.port().to_string()).env("TRIGGER_TOKEN", "sesame");
    let mut daemon = Daemon::start(&mut command);
    daemon.says("waiting next=");
    let status = || http::get(address, "/health").json()["extraction_status"].clone();
    assert_eq!(status(), "completed");
    let records = format!("_records_total{{type=\"releases\"}} {}", count(Kind::Releases, 1_000));
    let metrics = http::get(address, "/metrics").body;
    assert!(metrics.contains(&records), "{metrics}");
    let key = [("Authorization", "Bearer sesame")];
    assert_eq!(http::trigger(address, &[], "").status, 401);
    let first = run_of(&place, ARTISTS);
    assert_eq!(http::trigger(address, &key, "").status, 202);
    daemon.says("waiting next=");
    assert_eq!(run_of(&place, ARTISTS), first);
    // A forced one, which cannot end as somebody else holds the database.
    let database = rusqlite::Connection::open(place.path("out.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let forced = r#"{"force_reprocess": true}"#;
    assert_eq!(http::trigger(address, &key, forced).status, 202);
    assert_eq!(status(), "running");
    daemon.says("forced: starting over");
    daemon.says("extracting file=");
    assert_eq!(http::trigger(address, &key, forced).status, 409);
    drop(database);
    daemon.says("waiting next=");
    assert_ne!(run_of(&place, ARTISTS), first);
    let said = daemon.stops();
    assert!(!said.contains("sesame"), "{said}");
    assert_eq!(said.matches("forced:").count(), 1, "{said}");
}

#[test]
fn a_forced_pass_that_is_asked_for_before_there_are_dumps_comes_with_them() {
    let place = place(100);
    place.extract("null:").ends(0, &[]);
    let first = run_of(&place, ARTISTS);
    fs::rename(place.path("dumps"), place.path("elsewhere")).unwrap();
    fs::create_dir(place.path("dumps")).unwrap();
    let address = free_port();
    let mut command = place.daemon("null:");
    let mut daemon = Daemon::start(command.env("HEALTH_PORT", address.port().to_string()));
    daemon.says("waiting for dumps");
    assert_eq!(http::trigger(address, &[], r#"{"force_reprocess": true}"#).status, 202);
    assert_eq!(http::get(address, "/health").status, 200);
    for dump in fs::read_dir(place.path("elsewhere")).unwrap() {
        let dump = dump.unwrap();
        fs::rename(dump.path(), place.path("dumps").join(dump.file_name())).unwrap();
    }
    daemon.says("forced: starting over");
    daemon.says("waiting next=");
    assert_ne!(run_of(&place, ARTISTS), first);
    daemon.stops();
}

#[test]
fn a_busy_port_is_an_error_that_says_what_to_do() {
    let place = empty();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = Daemon::start(place.daemon("null:").env("HEALTH_PORT", &port)).ends(1);
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
    assert!(said.contains("hint: ") && said.contains("HEALTH_PORT"), "{said}");
}

#[test]
fn health_fails_while_the_last_pass_has_failed() {
    let place = empty();
    place.dump(ARTISTS, b"garbage");
    place.age();
    let address = free_port();
    let mut command = place.daemon("null:");
    let mut daemon = Daemon::start(command.env("HEALTH_PORT", address.port().to_string()));
    daemon.says("trying again what failed");
    let health = http::get(address, "/health");
    assert_eq!((health.status, &health.json()["extraction_status"]), (503, &"failed".into()));
    daemon.stops();
}

#[test]
fn an_environment_that_cannot_be_used_is_named() {
    let place = empty();
    let rows: [(&str, &str, i32); 11] = [
        ("PERIODIC_CHECK_DAYS", "0", 2),
        ("PERIODIC_CHECK_DAYS", "soon", 2),
        ("RABBITMQ_PORT", "http", 2),
        ("RABBITMQ_HOST", "rabbit:5672", 2),
        ("RABBITMQ_PASSWORD_FILE", "/nowhere/password", 1),
        ("TRIGGER_TOKEN_FILE", "/nowhere/token", 1),
        ("HEALTH_PORT", "80000", 2),
        ("LISTEN", "localhost", 2),
        ("DISCOGS_RETRY_AFTER", "0", 2),
        ("DATA_QUALITY_RULES", "/rules.yaml", 2),
        ("EXTRACTOR_SOURCE", "musicbrainz", 2),
    ];
    for (name, value, code) in rows {
        let mut command = place.program();
        command.args(["run", "--root", "dumps"]).env(name, value);
        let ran = support::Ran::of(command.output().unwrap());
        ran.ends(code, &[name, if code == 1 { value } else { "" }]);
    }
    let ran = place.run(&["run", "--root", "dumps", "--to", "jsonl:-"]);
    ran.ends(2, &["standard output", "hint: use jsonl:DIR"]);
    let mut command = place.daemon("null:");
    command.env("BATCH_SIZE", "100").env("FAILURE_COOLDOWN_SECS", "600");
    let mut daemon = Daemon::start(&mut command);
    let line = daemon.says("without meaning here");
    assert!(line.contains("BATCH_SIZE") && line.contains("FAILURE_COOLDOWN_SECS"), "{line}");
    daemon.says("waiting for dumps");
    daemon.stops();
}

#[test]
fn a_restart_takes_a_young_dump_that_it_knows_for_whole() {
    let place = empty();
    place.dump(ARTISTS, &gzip(artists(500).as_bytes()));
    place.age();
    let limited = ["extract", "dumps", "--to", "sqlite:out.db", "--limit", "10"];
    place.run(&limited).ends(3, &[]);
    touch(&place.path("dumps").join(ARTISTS));
    let began = Instant::now();
    let mut daemon = Daemon::start(&mut place.daemon("sqlite:out.db"));
    daemon.says(&format!("complete file={ARTISTS}"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    daemon.stops();
}

#[test]
fn a_store_that_has_no_room_ends_it_with_code_1_for_the_service_manager() {
    let place = empty();
    fs::create_dir(place.path("state")).unwrap();
    // Its own file system for the state, which is filled when the daemon is at work.
    let script = format!(
        "mount -t tmpfs -o size=6m tmpfs state || exit 99
         {{ while [ ! -e fill ]; do sleep 0.02; done
           head -c 100000000 /dev/zero > state/filler; : > filled; }} 2>/dev/null &
         exec {} run --root dumps --to null:",
        env!("CARGO_BIN_EXE_discogs-extractor")
    );
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("-r");
    }
    command.args(["-m", "sh", "-c", &script]).current_dir(place.path(""));
    command.env("STATE_DIR", place.path("state")).env("HEALTH_PORT", "0");
    let mut daemon = Daemon::start(&mut command);
    daemon.says("waiting for dumps");
    fs::write(place.path("fill"), "").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !place.path("filled").exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    place.sample(&set(5_000));
    let said = daemon.ends(1);
    assert!(said.contains("error: cannot ") && said.contains("hint: free some space"), "{said}");
}

fn touch(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
}
