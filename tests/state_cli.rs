//! `state` as its users run it: beside a living owner, after a dead one, and alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::thread;

use discogs_extractor::model::Kind;
use discogs_extractor::sample::Options;
use serde_json::Value;
use support::{Place, artists, gzip};

fn set(records: u64) -> Options {
    Options::new(records, 5, "20260101".parse().unwrap())
}

/// Asserts that a list is as its schema says.
#[track_caller]
fn conforms(list: &Value) {
    support::conforms(include_str!("../docs/state-list.schema.json"), list);
}

#[test]
fn the_list_is_as_its_schema_says_in_every_state() {
    let place = Place::new();
    let nothing = place.state();
    conforms(&nothing);
    assert_eq!(nothing["files"], Value::Array(Vec::new()));
    place.sample(&set(100));
    place.run(&["extract", "dumps", "--to", "null:", "--limit", "5"]).ends(3, &[]);
    conforms(&place.state());
    place.dump("discogs_20260101_artists.xml.gz", b"nothing");
    place.extract("null:").ends(1, &[]);
    let state = place.state();
    conforms(&state);
    assert_eq!(state["completed_types"], serde_json::json!(["labels", "masters", "releases"]));
    assert_eq!(state["active_types"], Value::Array(Vec::new()));
    assert_eq!(state["store"]["owner"], Value::Null);
    let file = &state["files"][3];
    assert_eq!(file["type"], "releases");
    assert_eq!(file["records"], 100);
    assert_eq!(file["percent"], 100.0);
    assert!(file["completed_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_table_is_for_people() {
    let place = Place::new();
    place.sample(&set(1_500));
    place.extract("sqlite:discogs.db").ends(0, &[]);
    let table = place.run(&["state"]).out;
    assert!(table.contains("sqlite:discogs.db"), "{table}");
    assert!(table.contains("1,500"), "{table}");
    assert!(table.contains("100.0 %"), "{table}");
    assert!(table.contains(" ago (") || table.contains("now ("), "{table}");
    let show = place.run(&["state", "show", "releases"]).out;
    assert!(show.contains("discogs_20260101_releases.xml.gz"), "{show}");
    assert!(show.contains("first start"), "{show}");
    let history = place.run(&["state", "history"]).out;
    let of_releases = history.lines().filter(|line| line.contains("releases.xml.gz"));
    let (run, events) = (of_releases.clone().next().unwrap(), of_releases.skip(1));
    assert!(run.contains(" 1,500 ") && run.trim_end().ends_with(" complete"), "{history}");
    let told: Vec<_> = events.map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(told, ["starts", "complete: 1500 records"], "{history}");
    for command in [
        &["state", "show", "releases", "--json"][..],
        &["state", "history", "--json"],
        &["state", "outbox", "--json"],
    ] {
        let text = place.run(command).out;
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    let unknown = place.run(&["state", "show", "videos"]);
    unknown.ends(1, &["videos", "hint: "]);
}

#[test]
fn a_state_that_cannot_be_read_is_never_an_empty_one() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    for command in [&["state"][..], &["state", "check"], &["state", "export"]] {
        let ran = place.run(&[command, &["--state-dir", "file"]].concat());
        ran.ends(1, &["cannot look at file: Not a directory", "--state-dir"]);
        assert_eq!(ran.out, "");
    }
}

#[test]
fn an_owner_that_dies_while_it_is_asked_is_not_waited_for() {
    let place = Place::new();
    place.sample(&set(100));
    place.extract("null:").ends(0, &[]);
    for said in [None, Some("{\"inspection\":{\"files")] {
        let socket = place.path("state/control.sock");
        _ = fs::remove_file(&socket);
        let owner = UnixListener::bind(&socket).unwrap();
        let dying = thread::spawn(move || {
            let (mut asker, _) = owner.accept().unwrap();
            let Some(said) = said else { return };
            BufReader::new(&asker).read_line(&mut String::new()).unwrap();
            asker.write_all(said.as_bytes()).unwrap();
        });
        assert_eq!(place.state()["files"].as_array().unwrap().len(), 4);
        dying.join().unwrap();
    }
}

#[test]
fn check_tells_by_its_exit_code() {
    let place = Place::new();
    let check = || place.run(&["state", "check"]).code;
    assert_eq!(check(), Some(3), "nothing is known");
    place.sample(&set(100));
    place.run(&["extract", "dumps", "--to", "null:", "--limit", "5"]).ends(3, &[]);
    assert_eq!(check(), Some(3));
    place.extract("null:").ends(0, &[]);
    assert_eq!(check(), Some(0));
    let artists_only = ["extract", "dumps", "--to", "null:", "--types", "artists"];
    place.dump("discogs_20260101_artists.xml.gz", b"nothing");
    place.run(&artists_only).ends(1, &[]);
    assert_eq!(check(), Some(1));
    // Three starts in a row that end before anything moved are a stall.
    place.dump("discogs_20260101_artists.xml.gz", &gzip(artists(10).as_bytes()));
    for _ in 0..3 {
        let mut command = place.program();
        command.args(artists_only).env("DISCOGS_FAULT_AT", "state.advance.before");
        assert_eq!(command.output().unwrap().status.code(), None, "killed");
    }
    assert_eq!(check(), Some(4));
}

#[test]
fn beside_a_living_owner_it_shows_this_second_and_refuses_what_is_being_extracted() {
    let place = Place::new();
    let mut options = set(60_000);
    options.kinds = vec![Kind::Releases];
    place.sample(&options);
    // A deep path, longer than a socket's address may be.
    let deep = format!("state/{}", "deep/".repeat(30));
    let mut owner = place
        .program()
        .args(["extract", "dumps", "--to", "sqlite:out.db", "--state-dir", &deep])
        .args(["--window", "100"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(owner.stderr.take().unwrap()).lines();
    while !said.next().unwrap().unwrap().contains("extracting") {}
    let list = || -> Value {
        let ran = place.run(&["state", "list", "--json", "--state-dir", &deep]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    };
    let first = list();
    conforms(&first);
    assert_eq!(first["store"]["owner"]["pid"], owner.id());
    assert_eq!(first["active_types"], serde_json::json!(["releases"]));
    let records = |list: &Value| list["files"][0]["records"].as_u64().unwrap();
    let mut second = list();
    while records(&second) == records(&first) {
        second = list();
    }
    assert!(records(&second) > records(&first), "the values are alive");
    // What is durable follows within an interval.
    let show = ["state", "show", "releases", "--json", "--state-dir", &deep];
    while place.run(&show).out.contains("\"position\": \"Beginning\"") {}
    let reset = place.run(&["state", "reset", "releases", "--yes", "--state-dir", &deep]);
    reset.ends(1, &["is being extracted right now"]);
    owner.kill().unwrap();
    owner.wait().unwrap();
    let dead = list();
    conforms(&dead);
    assert_eq!(dead["store"]["owner"], Value::Null);
    assert_eq!(dead["files"][0]["status"], "extracting");
    assert!(records(&dead) > 0 && dead["files"][0]["last_activity_at"].is_string());
    assert_eq!(dead["active_types"], Value::Array(Vec::new()));
}

#[test]
fn reset_and_forget_show_first_and_act_with_yes() {
    let place = Place::new();
    place.sample(&set(50));
    place.extract("null:").ends(0, &[]);
    place.extract("jsonl:out").ends(0, &[]);
    let count = || place.state()["files"].as_array().unwrap().len();
    let shown = place.run(&["state", "reset", "--job", "null:", "labels"]);
    assert!(shown.out.contains("discogs_20260101_labels.xml.gz") && shown.out.contains("--yes"));
    assert_eq!(count(), 8);
    place.run(&["state", "reset", "--job", "null:", "labels", "--yes"]).ends(0, &[]);
    assert_eq!(count(), 7);
    place.extract("null:").ends(0, &["extracting"]);
    assert_eq!(count(), 8);
    place.run(&["state", "forget", "null:"]).ends(0, &[]);
    assert_eq!(count(), 8);
    place.run(&["state", "forget", "null:", "--yes"]).ends(0, &[]);
    assert_eq!(count(), 4);
    place.run(&["state", "forget", "null:", "--yes"]).ends(1, &["no job", "hint: "]);
}

#[test]
fn export_import_compact_and_repair_keep_what_is_known() {
    let place = Place::new();
    place.sample(&set(200));
    place.run(&["extract", "dumps", "--to", "sqlite:out.db", "--limit", "150"]).ends(3, &[]);
    let known = place.state();
    let exported = place.run(&["state", "export"]).out;
    assert!(exported.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    fs::write(place.path("state.export"), &exported).unwrap();
    place.run(&["state", "compact"]).ends(0, &[]);
    assert_eq!(place.state()["files"], known["files"]);
    place.run(&["state", "import", "state.export"]).ends(1, &["already knows", "hint: "]);
    let elsewhere = |command: &[&str]| place.run(&[command, &["--state-dir", "other"]].concat());
    elsewhere(&["state", "import", "state.export"]).ends(0, &[]);
    let list = elsewhere(&["state", "list", "--json"]).out;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["files"], known["files"]);
    elsewhere(&["extract", "dumps", "--to", "sqlite:out.db"]).ends(0, &["going on"]);
    place.run(&["state", "repair"]).ends(0, &[]);
    place.extract("sqlite:out.db").ends(0, &[]);
    assert_eq!(place.run(&["state", "check"]).code, Some(0));
}

#[test]
fn another_version_is_shown_when_it_is_asked_for() {
    let place = Place::new();
    for version in ["20260101", "20260201"] {
        let name = format!("discogs_{version}_artists.xml.gz");
        place.dump(&name, &gzip(artists(10).as_bytes()));
        place.extract("null:").ends(0, &[]);
    }
    assert_eq!(place.only_file()["version"], "20260201");
    let older = place.run(&["state", "list", "--json", "--dump-version", "20260101"]).out;
    let older: Value = serde_json::from_str(&older).unwrap();
    assert_eq!(older["files"][0]["version"], "20260101");
    let job = place.run(&["state", "list", "--json", "--job", "sqlite"]).out;
    assert!(job.contains("\"files\": []"), "{job}");
}
