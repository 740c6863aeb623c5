//! `extract` as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, count};
use support::{Place, Ran, artists, gzip, rows};

fn set(records: u64) -> Options {
    Options::new(records, 5, "20260101".parse().unwrap())
}

#[test]
fn a_folder_of_dumps_becomes_a_database_with_a_summary_and_a_query_to_try() {
    let place = Place::new();
    place.sample(&set(500));
    let ran = place.extract("sqlite:discogs.db");
    ran.ends(
        0,
        &[
            "📊 Extraction Progress: ",
            "✅ Completed file types: ['artists', 'labels', 'masters', 'releases']",
        ],
    );
    for kind in Kind::ALL {
        let expected = count(kind, 500);
        assert_eq!(rows(&place.path("discogs.db"), kind.name()).len() as u64, expected, "{kind}");
    }
    let query = ran.out.lines().find_map(|line| line.strip_prefix("try: ")).unwrap();
    let tried = Command::new("sh").args(["-c", query]).current_dir(place.path("")).output();
    let tried = Ran::of(tried.unwrap());
    assert_eq!(tried.out.lines().count(), 5, "{query}: {tried:?}");
    // Again there is nothing to do, and nothing is done; the counts are those of the version.
    let again = place.extract("sqlite:discogs.db");
    let total: u64 = Kind::ALL.iter().map(|kind| count(*kind, 500)).sum();
    let counts = format!("📊 Extraction Progress: {total} total records extracted");
    again.ends(0, &[&counts]);
    assert_eq!(
        again.err.matches("✅ Completed file types: ['artists'").count(),
        2,
        "{}",
        again.err
    );
    assert_eq!(again.err.matches(&counts).count(), 2, "at the start and at the end");
    assert!(again.out.contains("complete already"), "{}", again.out);
    assert!(again.out.contains("0 records delivered"), "{}", again.out);
}

#[test]
fn json_lines_hold_the_messages_in_the_order_of_the_dump() {
    let place = Place::new();
    place.sample(&set(300));
    place.extract("jsonl:out").ends(0, &[]);
    place.extract("sqlite:out.db").ends(0, &[]);
    for kind in Kind::ALL {
        let lines = fs::read_to_string(place.path("out/20260101").join(format!("{kind}.jsonl")));
        let mut ids = Vec::new();
        let mut messages: Vec<(String, String)> = Vec::new();
        for line in lines.unwrap().lines() {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line.starts_with(r#"{"type":"data","id":""#), "{line}");
            let text = |key: &str| message[key].as_str().unwrap().to_owned();
            ids.push(text("id").parse::<u64>().unwrap());
            messages.push((text("id"), text("sha256")));
        }
        assert!(ids.is_sorted(), "{kind}: the sample's ids are in the order of its records");
        messages.sort();
        let rows = rows(&place.path("out.db"), kind.name());
        let rows: Vec<_> = rows.into_iter().map(|(id, hash, _)| (id, hash)).collect();
        assert_eq!(messages, rows, "{kind}");
    }
}

#[test]
fn standard_output_takes_lines_and_nothing_else_and_keeps_no_state() {
    let place = Place::new();
    place.sample(&set(50));
    let ran = place.run(&["extract", "dumps", "--to", "jsonl:-", "--types", "artists"]);
    ran.ends(0, &["records delivered"]);
    assert_eq!(ran.out.lines().count() as u64, count(Kind::Artists, 50));
    assert!(ran.out.lines().all(|line| line.starts_with(r#"{"type":"data""#)));
    assert!(!place.path("state/store").exists());
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let place = Place::new();
    place.sample(&set(20_000));
    let mut child = place
        .program()
        .args(["extract", "dumps", "--to", "jsonl:-", "--types", "releases"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(!said.contains("panicked") && !said.contains("error:"), "{said}");
}

#[test]
fn types_version_and_limit_choose_what_is_extracted() {
    let place = Place::new();
    place.sample(&set(100));
    let mut newer = set(100);
    newer.version = "20260201".parse().unwrap();
    newer.kinds = vec![Kind::Labels];
    place.sample(&newer);
    // The newest version that has all wanted types, else the newest.
    place.extract("jsonl:all").ends(0, &["20260101"]);
    assert!(place.path("all/20260101/releases.jsonl").exists());
    place.run(&["extract", "dumps", "--to", "jsonl:labels", "--types", "labels"]).ends(0, &[]);
    assert!(place.path("labels/20260201/labels.jsonl").exists());
    let asked = ["extract", "dumps", "--to", "jsonl:old", "--dump-version", "20260201"];
    place.run(&asked).ends(0, &["not all wanted types"]);
    assert!(place.path("old/20260201/labels.jsonl").exists());
    // A limit is per file, and what is left can be had later.
    let limited = [
        "extract",
        "dumps/discogs_20260101_releases.xml.gz",
        "dumps/discogs_20260101_masters.xml.gz",
        "--to",
        "sqlite:some.db",
        "--limit",
        "7",
    ];
    place.run(&limited).ends(3, &[]);
    assert_eq!(rows(&place.path("some.db"), "releases").len(), 7);
    assert_eq!(rows(&place.path("some.db"), "masters").len(), 7);
    place.run(&limited[..5]).ends(0, &["going on"]);
    assert_eq!(rows(&place.path("some.db"), "releases").len(), 100);
    // A limit that the file just fills is no limit.
    let whole = ["extract", "dumps", "--to", "null:", "--types", "releases", "--limit", "100"];
    place.run(&whole).ends(0, &[]);
}

#[test]
fn a_deleted_database_is_a_new_job_and_is_extracted_anew() {
    let place = Place::new();
    place.sample(&set(100));
    place.extract("sqlite:out.db").ends(0, &[]);
    for name in ["out.db", "out.db-wal", "out.db-shm"] {
        _ = fs::remove_file(place.path(name));
    }
    place.extract("sqlite:out.db").ends(0, &[]);
    assert_eq!(rows(&place.path("out.db"), "releases").len(), 100);
}

#[test]
fn an_older_copy_of_the_database_is_caught_and_filled_up() {
    let place = Place::new();
    place.sample(&set(2_000));
    let limited = |limit| {
        ["extract", "dumps", "--to", "sqlite:out.db", "--types", "releases", "--limit", limit]
    };
    place.run(&limited("500")).ends(3, &[]);
    fs::copy(place.path("out.db"), place.path("older.db")).unwrap();
    place.run(&limited("1000")).ends(3, &[]);
    fs::copy(place.path("older.db"), place.path("out.db")).unwrap();
    place.extract("sqlite:out.db").ends(0, &["going back", "the sink holds records up to 500"]);
    assert_eq!(rows(&place.path("out.db"), "releases").len(), 2_000);
}

#[test]
fn output_that_was_complete_and_is_gone_is_made_again() {
    let place = Place::new();
    place.sample(&set(100));
    place.run(&["extract", "dumps", "--to", "sqlite:out.db", "--limit", "30"]).ends(3, &[]);
    fs::copy(place.path("out.db"), place.path("older.db")).unwrap();
    place.extract("sqlite:out.db").ends(0, &[]);
    fs::rename(place.path("older.db"), place.path("out.db")).unwrap();
    place.extract("sqlite:out.db").ends(0, &["no longer holds all of it"]);
    assert_eq!(rows(&place.path("out.db"), "releases").len(), 100);
    place.extract("jsonl:out").ends(0, &[]);
    fs::remove_file(place.path("out/20260101/masters.jsonl")).unwrap();
    place.extract("jsonl:out").ends(0, &["no longer holds all of it"]);
    assert!(place.path("out/20260101/masters.jsonl").exists());
}

#[test]
fn what_a_new_version_no_longer_has_is_swept_unless_it_is_too_much() {
    let place = Place::new();
    let dump = |version: &str, records: usize| {
        let name = format!("discogs_{version}_artists.xml.gz");
        place.dump(&name, &gzip(artists(records).as_bytes()));
    };
    dump("20260101", 100);
    place.extract("sqlite:out.db").ends(0, &[]);
    dump("20260201", 95);
    place.extract("sqlite:out.db").ends(0, &["removed what the version no longer has"]);
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 95);
    dump("20260301", 50);
    let refused = place.extract("sqlite:out.db");
    refused.ends(1, &["nothing removed"]);
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 95);
    let outbox = place.run(&["state", "outbox"]);
    assert!(outbox.out.contains("sweep"), "{}", outbox.out);
    let anyway = ["extract", "dumps", "--to", "sqlite:out.db", "--sweep-anyway"];
    place.run(&anyway).ends(0, &[]);
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 50);
    assert_eq!(place.run(&["state", "outbox"]).out, "nothing is owed\n");
}

#[test]
fn a_restart_goes_on_from_a_resume_point() {
    let place = Place::new();
    let mut options = set(40_000);
    options.kinds = vec![Kind::Releases];
    options.members = 2;
    place.sample(&options);
    let limited = ["extract", "dumps", "--to", "jsonl:out", "--limit", "36000"];
    place.run(&limited).ends(3, &[]);
    let show = place.run(&["state", "show", "releases", "--json"]).out;
    let show: serde_json::Value = serde_json::from_str(&show).unwrap();
    assert!(show[0]["points"].as_u64().unwrap() >= 2, "{show:#}");
    let ran = place.extract("jsonl:out");
    ran.ends(0, &["going on", "after=36000"]);
    assert!(!ran.err.contains("does not verify"), "{}", ran.err);
    place.extract("jsonl:whole").ends(0, &[]);
    let output = |folder| fs::read(place.path(folder).join("20260101/releases.jsonl")).unwrap();
    assert!(output("out") == output("whole"));
}

#[test]
fn a_stall_is_told_with_its_reason_and_so_is_its_end() {
    let place = Place::new();
    place.sample(&set(2_000));
    place.run(&["extract", "dumps", "--to", "sqlite:out.db", "--limit", "1"]).ends(3, &[]);
    let other = rusqlite::Connection::open(place.path("out.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut child = place
        .program()
        .args(["extract", "dumps", "--to", "sqlite:out.db", "--types", "releases"])
        .env("STALL_AFTER", "1")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |words: &str| {
        assert!(said.any(|line| line.contains(words)), "{words:?} was never said");
    };
    until("the sink holds records back");
    until("⚠️ Stalled extractors detected: ['releases']");
    until("releases: nothing moved for");
    let list = place.state();
    assert_eq!(
        list["files"].as_array().unwrap().iter().filter(|f| f["stalled"] == true).count(),
        1
    );
    assert_eq!(place.run(&["state", "check"]).code, Some(4));
    other.execute_batch("COMMIT").unwrap();
    until("the sink takes records again");
    until("✅ Completed file types: ['releases']");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_sink_that_hangs_does_not_keep_a_signal_waiting() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::new();
    place.sample(&set(2_000));
    place.run(&["extract", "dumps", "--to", "sqlite:out.db", "--limit", "1"]).ends(3, &[]);
    let other = rusqlite::Connection::open(place.path("out.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for signals in [1, 2] {
        let mut child = place
            .program()
            .args(["extract", "dumps", "--to", "sqlite:out.db"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(said.any(|line| line.contains("the sink holds records back")));
        let began = std::time::Instant::now();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(said.any(|line| line.contains("stopping: ")));
        if signals == 2 {
            kill_process(pid, Signal::TERM).unwrap();
        }
        // Not a clean drain, so not the signal's own code.
        assert_eq!(child.wait().unwrap().code(), Some(3));
        assert!(began.elapsed().as_secs() < 10, "inside Docker's patience");
    }
    other.execute_batch("COMMIT").unwrap();
    place.extract("sqlite:out.db").ends(0, &[]);
    assert_eq!(rows(&place.path("out.db"), "releases").len(), 2_000);
}

#[test]
fn forced_is_forced_once_and_a_token_once_ever() {
    let place = Place::new();
    place.sample(&set(50));
    let with = |word: &str| {
        let word = format!("--force-reprocess={word}");
        place.run(&["extract", "dumps", "--to", "null:", &word])
    };
    place.extract("null:").ends(0, &[]);
    with("yes").ends(0, &["starting over"]);
    with("no").ends(0, &[]);
    with("2026-11-24").ends(0, &["starting over"]);
    with("2026-11-24").ends(0, &["forced once already"]);
    let mut command = place.program();
    command.args(["extract", "dumps", "--to", "null:"]).env("FORCE_REPROCESS", "1");
    Ran::of(command.output().unwrap()).ends(0, &["starting over"]);
}

#[test]
fn the_order_is_flag_environment_file_default() {
    let place = Place::new();
    place.sample(&set(50));
    fs::write(place.path("c.toml"), "to = \"jsonl:file\"\ntypes = [\"labels\"]\n").unwrap();
    place.run(&["--config", "c.toml", "extract", "dumps"]).ends(0, &[]);
    assert!(place.path("file/20260101/labels.jsonl").exists());
    assert!(!place.path("file/20260101/artists.jsonl").exists());
    let mut command = place.program();
    command.args(["extract", "dumps", "--config", "c.toml"]).env("DISCOGS_TO", "jsonl:env");
    Ran::of(command.output().unwrap()).ends(0, &[]);
    assert!(place.path("env/20260101/labels.jsonl").exists());
    let mut command = place.program();
    command.args(["extract", "dumps", "--config", "c.toml", "--to", "jsonl:flag"]);
    Ran::of(command.env("DISCOGS_TO", "jsonl:env2").output().unwrap()).ends(0, &[]);
    assert!(place.path("flag/20260101/labels.jsonl").exists() && !place.path("env2").exists());
    fs::write(place.path("c.toml"), "windwo = 3\n").unwrap();
    let wrong = place.run(&["--config", "c.toml", "extract", "dumps"]);
    wrong.ends(2, &["c.toml", "windwo", "hint: "]);
}

#[test]
fn the_example_configuration_is_one() {
    let place = Place::new();
    place.sample(&set(20));
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/data/config.example.toml");
    place.run(&["--config", example, "extract", "dumps"]).ends(0, &[]);
    let all = fs::read_to_string(example).unwrap().replace("\n# ", "\n");
    let all = all.lines().filter(|line| line.contains(" = ")).collect::<Vec<_>>().join("\n");
    fs::write(place.path("all.toml"), all.replace("/var/lib/discogs-extractor", "state")).unwrap();
    let ran = place.run(&["--config", "all.toml", "extract", "dumps", "--to", "null:"]);
    ran.ends(0, &[]);
}

#[test]
fn the_platforms_variables_are_warned_of_or_refused() {
    let place = Place::new();
    place.sample(&set(20));
    let with = |name: &str, value: &str| {
        let mut command = place.program();
        command.args(["extract", "dumps", "--to", "null:"]).env(name, value);
        Ran::of(command.output().unwrap())
    };
    with("BATCH_SIZE", "100").ends(0, &["BATCH_SIZE", "without meaning here"]);
    with("DATA_QUALITY_RULES", "/rules.yaml").ends(2, &["DATA_QUALITY_RULES", "hint: "]);
    with("EXTRACTOR_SOURCE", "musicbrainz").ends(2, &["EXTRACTOR_SOURCE", "hint: "]);
}

/// An extraction that has begun to deliver.
fn running(place: &Place) -> Child {
    let child = place
        .program()
        .args(["extract", "dumps", "--to", "sqlite:out.db", "--window", "20"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let mut child = child.unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("extracting") && !line.contains("going on") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended by itself");
    }
    // Whoever writes to it next must not be stopped by a closed pipe.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    child
}

#[test]
fn signals_end_it_cleanly_and_it_goes_on_where_it_was() {
    let place = Place::new();
    let mut options = set(20_000);
    options.kinds = vec![Kind::Releases];
    place.sample(&options);
    for (signal, code) in
        [(rustix::process::Signal::TERM, 143), (rustix::process::Signal::INT, 130)]
    {
        let mut child = running(&place);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(code));
        assert_eq!(place.only_file()["status"], "pending");
    }
    place.extract("sqlite:out.db").ends(0, &[]);
    assert_eq!(rows(&place.path("out.db"), "releases").len(), 20_000);
}

#[test]
fn a_full_disk_fails_in_words_and_it_goes_on_when_there_is_room() {
    let place = Place::new();
    let mut options = set(6_000);
    options.kinds = vec![Kind::Releases];
    place.sample(&options);
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs out && {program} extract dumps --to jsonl:out; code=$?
         mount -o remount,size=200m out && {program} extract dumps --to jsonl:out >&2 || exit 99
         cp out/20260101/releases.jsonl . ; exit $code",
        program = env!("CARGO_BIN_EXE_discogs-extractor")
    );
    fs::create_dir(place.path("out")).unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("-r");
    }
    command.args(["-m", "sh", "-c", &script]).current_dir(place.path(""));
    command.env("STATE_DIR", place.path("state"));
    Ran::of(command.output().unwrap()).ends(1, &["space", "hint: "]);
    let lines = fs::read_to_string(place.path("releases.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 6_000);
    place.extract("jsonl:whole").ends(0, &[]);
    assert!(lines == fs::read_to_string(place.path("whole/20260101/releases.jsonl")).unwrap());
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told() {
    let place = Place::new();
    place.sample(&set(20));
    let ran = place.run(&["extract", "dumps", "--to", "null:", "--state-dir", "/proc/nowhere"]);
    ran.ends(1, &["/proc/nowhere"]);
    let ran = place.run(&["extract", "dumps", "--to", "sqlite:/proc/nowhere/x.db"]);
    ran.ends(1, &["/proc/nowhere/x.db", "hint: "]);
}

#[test]
fn help_shows_examples_and_completions_and_manual_pages_are_made() {
    let place = Place::new();
    let help = place.run(&["extract", "--help"]);
    assert!(help.out.contains("discogs-extractor extract dumps/ --to sqlite:discogs.db"));
    assert!(help.out.contains("[env: MAX_WORKERS=]"), "{}", help.out);
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).out.contains("force-reprocess"), "{shell}");
    }
    assert!(place.run(&["man"]).out.starts_with(".ie"), "a roff page");
    place.run(&["man", "--into", "man1"]).ends(0, &[]);
    assert!(place.path("man1/discogs-extractor-state-list.1").exists());
}

#[test]
fn an_older_version_after_a_newer_one_brings_nothing_back_and_says_so() {
    let place = Place::new();
    place.dump("discogs_20260101_artists.xml.gz", &gzip(artists(100).as_bytes()));
    place.dump("discogs_20260201_artists.xml.gz", &gzip(artists(98).as_bytes()));
    let extract = |version: &str| {
        place.run(&["extract", "dumps", "--to", "sqlite:out.db", "--dump-version", version])
    };
    extract("20260201").ends(0, &[]);
    let older = extract("20260101");
    older.ends(0, &[]);
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 98);
    let file = "discogs_20260101_artists.xml.gz";
    for words in [
        format!("not written, 98 records of {file}: a later version or run has written them"),
        format!(
            "not written, 2 records of {file}: a later version, which was swept, does not have"
        ),
    ] {
        assert!(older.out.contains(&words), "{words:?} is missing in:\n{}", older.out);
    }
}
