//! The other end of the broker with PostgreSQL behind it: real queues, real servers, real kills.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stderr, reason = "a random test says its seed")]

#[path = "consume/clocks.rs"]
mod clocks;
#[allow(dead_code, reason = "the other tests of the database take the rest")]
#[path = "postgres/database.rs"]
mod database;
#[path = "postgres/own.rs"]
mod own;
#[path = "consume/rabbit.rs"]
mod rabbit;
#[path = "consume/site.rs"]
mod site;
mod support;
#[path = "consume/unnumbered.rs"]
mod unnumbered;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use discogs_extractor::database::postgres::Postgres;
use discogs_extractor::model::{FirstConnection, Kind};
use discogs_extractor::sample::Options;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::broker::private::free_port;
use support::daemon::Daemon;
use support::{Ran, http};
use tokio_util::sync::CancellationToken;

use database::{Database, sqlite_rows};
use own::Own;
use rabbit::{Letter, until, wait};
use site::Site;

/// The variables by which `tests/run` says where a broker and a server are.
const BROKER: &str = "DISCOGS_TEST_AMQP";
const SERVER: &str = "DISCOGS_TEST_POSTGRES";

/// How long a replica may take from noting that a type is complete to saying so.
const A_MOMENT: u64 = 1_000;

fn options(releases: u64, seed: u64) -> Options {
    Options::new(releases, seed, "20260101".parse().unwrap())
}

fn complete_line(kind: Kind) -> String {
    format!("🎉 File processing complete for {kind}!")
}

fn seed() -> u64 {
    let set = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = set.unwrap_or_else(|| rand::rng().random());
    eprintln!("DISCOGS_TEST_SEED={seed}");
    seed
}

fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[test]
fn kills_of_replicas_extractor_and_connections_cost_nothing() {
    let Some(site) = Site::new() else { return };
    let mut random = StdRng::seed_from_u64(seed());
    let direct = Database::new().unwrap();
    site.place.sample(&options(10_000, 11));
    site.place.extract(direct.url()).ends(0, &[]);
    let names = ["a", "b"];
    let mut replicas: Vec<_> =
        names.iter().map(|name| Daemon::start(&mut site.consume(name))).collect();
    let mut extractor = Daemon::start(&mut site.send("dumps"));
    let (mut said, mut disturbed) = (String::new(), Vec::new());
    let until_killed = Instant::now() + Duration::from_secs(10);
    let releases = "SELECT count(*) FROM extractor_complete WHERE type = 'releases'";
    while Instant::now() < until_killed && site.number(releases) == 0 {
        // Not for something to happen: the kills are to come at any time.
        std::thread::sleep(Duration::from_millis(random.random_range(50..700)));
        disturbed.push(unix_millis());
        match random.random_range(0..4) {
            which @ (0 | 1) => {
                said += &replicas.remove(which).kill();
                replicas.insert(which, Daemon::start(&mut site.consume(names[which])));
            }
            2 if !extractor.is_gone() => {
                extractor.kill();
                extractor = Daemon::start(&mut site.send("dumps"));
            }
            _ => site.database.cut(),
        }
    }
    until("the extractor is done", || extractor.is_gone());
    extractor.ends(0);
    until("all types are complete", || site.completed() == 4);
    site.nothing_is_left();
    for kind in Kind::ALL {
        let (expected, found) = (direct.rows(kind.name()), site.database.rows(kind.name()));
        assert_eq!(expected.len(), found.len(), "{kind}");
        assert!(expected == found, "{kind} differ");
    }
    for replica in replicas {
        said += &replica.stops();
    }
    assert!(!said.contains("panicked"), "{said}");
    for kind in Kind::ALL {
        let at = site
            .number(&format!("SELECT completed_at FROM extractor_complete WHERE type = '{kind}'"));
        let times = said.matches(&complete_line(kind)).count();
        // Who is killed, or hears no answer, after it is noted does not get round to saying so.
        let in_peace = !disturbed.iter().any(|moment| (at..at + A_MOMENT).contains(moment));
        assert!(times == 1 || (times == 0 && !in_peace), "{kind}: {times} times\n{said}");
    }
}

#[test]
fn complete_types_are_cancelled_in_both_replicas_and_a_message_wakes_them() {
    let Some(site) = Site::new() else { return };
    site.place.sample(&options(40, 3));
    let replica = |name: &str| {
        let mut command = site.consume(name);
        command.env("CONSUMER_CANCEL_DELAY", "2").env("QUEUE_CHECK_INTERVAL", "1");
        Daemon::start(&mut command)
    };
    let (mut a, b) = (replica("a"), replica("b"));
    site.all_are_read_by(2);
    Ran::of(site.send("dumps").output().unwrap()).ends(0, &[]);
    until("all types are complete", || site.completed() == 4);
    b.kill();
    let b = replica("b");
    for kind in Kind::ALL {
        let line = format!("🔌 Canceling consumer for {kind}");
        until(&line, || a.said().contains(&line));
    }
    site.nobody_reads(&Kind::ALL);
    let waited = "SELECT min(cancelled_at - completed_at) FROM extractor_complete";
    assert!(site.number(waited) >= 2_000);
    let cancelled = "SELECT count(cancelled_at) FROM extractor_complete";
    assert_eq!(site.number(cancelled), 4);

    let hash = "0".repeat(64);
    let record = format!(r#"{{"type":"data","id":"new","sha256":"{hash}","name":"x"}}"#);
    let new = Letter::of(record, "20260201", &[("x-run", 9), ("x-ordinal", 1)]);
    site.rabbit.publish(Kind::Artists, [new]);
    let written = "SELECT count(*) FROM artists WHERE data_id = 'new' AND version = '20260201'";
    until("the record is written", || site.number(written) == 1);
    until("both read", || site.rabbit.queue(Kind::Artists).consumers == 2);
    for kind in [Kind::Labels, Kind::Masters, Kind::Releases] {
        assert_eq!(site.rabbit.queue(kind).consumers, 0, "{kind}");
    }
    // The run's end: there is nothing of it to wait for, and reading ends again.
    let end = r#"{"type":"file_complete","data_type":"artists","total_processed":1}"#;
    let proof = [("x-run", 9), ("x-last-ordinal", 1), ("x-bad-records", 0)];
    site.rabbit.publish(Kind::Artists, [Letter::of(end, "20260201", &proof)]);
    until("it is complete too", || site.completed() == 5);
    site.nobody_reads(&[Kind::Artists]);
    // Each was to remove all other artists, and refused: that is the exit code.
    for mut replica in [a, b] {
        replica.says("22 of 23 rows would go");
        replica.signal(Signal::TERM);
        replica.ends(1);
    }
}

#[test]
fn a_server_that_is_away_costs_a_message_at_most_one_delivery() {
    // Whoever has no server to test with has none to stop.
    if Database::new().is_none() {
        return;
    }
    let Some(own) = Own::new() else { return };
    own.control(&["start"]);
    let mut site = Site::with(Database::on(&own.url()));
    site.place.sample(&options(3_000, 4));
    site.place.extract("sqlite:direct.db").ends(0, &[]);
    let mut replicas =
        ["a", "b"].map(|name| Daemon::start(site.consume(name).env("LOG_LEVEL", "DEBUG")));
    site.all_are_read_by(2);
    let mut extractor = Daemon::start(&mut site.send("dumps"));
    until("something is written", || site.count(Kind::Releases) > 0);
    own.control(&["-m", "immediate", "stop"]);
    for replica in &mut replicas {
        replica.says("the database is away");
        for _ in Kind::ALL {
            replica.says("messages were given back");
        }
    }
    until("all is sent", || extractor.is_gone());
    // The broker answers before its queues have settled.
    site.nobody_reads(&Kind::ALL);
    until("messages wait", || Kind::ALL.into_iter().any(|kind| site.rabbit.queue(kind).ready > 0));
    for kind in Kind::ALL {
        let deliveries = site.rabbit.delivery_count(kind);
        assert!(deliveries <= 1, "{kind}: {deliveries}");
    }
    own.control(&["start"]);
    let back = Database::at(site.database.url());
    // It is not to drop the database at the end of a connection that is lost.
    std::mem::forget(std::mem::replace(&mut site.database, back));
    until("all types are complete", || site.completed() == 4);
    site.nothing_is_left();
    for kind in Kind::ALL {
        let expected = sqlite_rows(&site.place.path("direct.db"), kind.name());
        assert!(expected == site.database.rows(kind.name()), "{kind} differ");
    }
    for replica in replicas {
        let said = replica.stops();
        for words in ["the database is away", "the database is back"] {
            assert_eq!(said.matches(words).count(), 1, "{words}: {said}");
        }
    }
}

#[test]
fn a_new_version_changes_exactly_its_rows_and_removes_only_on_proof() {
    let Some(site) = Site::new() else { return };
    for (folder, version, ids, changed) in
        [("one", "20260101", 1..=100, 0), ("two", "20260201", 6..=103, 50)]
    {
        let record = |id| {
            let name = if id == changed { "changed" } else { "same" };
            format!("<artist><id>{id}</id><name>{name} {id}</name></artist>")
        };
        let text: String = ids.map(record).collect();
        std::fs::create_dir_all(site.place.path(folder)).unwrap();
        let path = site.place.path(&format!("{folder}/discogs_{version}_artists.xml.gz"));
        std::fs::write(path, support::gzip(format!("<artists>{text}</artists>").as_bytes()))
            .unwrap();
    }
    let mut consumer = Daemon::start(&mut site.consume("a"));
    Ran::of(site.send("one").output().unwrap()).ends(0, &[]);
    consumer.says(&complete_line(Kind::Artists));
    assert_eq!(site.count(Kind::Artists), 100);
    site.database.run(
        "UPDATE artists SET updated_at = 'epoch';
         CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
         CREATE TRIGGER no BEFORE UPDATE ON artists FOR EACH ROW
             WHEN (new.data_id IN ('50', '60')) EXECUTE FUNCTION no()",
    );
    Ran::of(site.send("two").output().unwrap()).ends(0, &[]);
    let dead_letters = || site.rabbit.dead_letters(Kind::Artists).ready;
    until("they are dead letters", || dead_letters() == 2);
    site.rabbit.publish(Kind::Artists, [Letter::plain("no JSON")]);
    until("that is a dead letter too", || dead_letters() == 3);
    // The type is complete without them, but nothing is removed.
    until("both versions are complete", || site.completed() == 2);
    for words in ["not this one", "2 records of the dump were set aside"] {
        until(words, || consumer.said().contains(words));
    }
    let written = "SELECT count(*) FROM artists WHERE version = '20260201'";
    assert_eq!((site.number(written), site.count(Kind::Artists)), (96, 103));
    let file = || {
        let mut state = site.place.program();
        let state = state.env("STATE_DIR", site.place.path("a"));
        let ran = Ran::of(state.args(["state", "list", "--json"]).output().unwrap());
        let state: Value = serde_json::from_str(&ran.out).unwrap();
        let mut files = state["files"].as_array().unwrap().iter();
        files.find(|file| file["version"] == "20260201").cloned().unwrap_or_default()
    };
    until("the state tells of them", || file()["status"] == "complete");
    assert_eq!((&file()["records"], &file()["bad_records"]), (&json!(96), &json!(2)));

    site.database.run("DROP TRIGGER no ON artists");
    let mut replay = site.rabbit.program(&site.place);
    replay.args(["consume", "replay-dead-letters", "tables", "--from", &site.rabbit.address]);
    let replayed = Ran::of(replay.output().unwrap());
    replayed.ends(0, &[]);
    assert!(replayed.out.contains("3 dead letters put back"), "{replayed:?}");
    until("the removed rows are gone", || site.count(Kind::Artists) == 98);
    until("what is no JSON is back", || dead_letters() == 1);
    let swept = "SELECT sweep_words FROM extractor_complete WHERE version = '20260201'";
    until("it is swept", || site.database.value(swept) == "5 rows removed");
    until("they are struck off", || file()["bad_records"] == 0);
    assert_eq!((&file()["records"], &file()["status"]), (&json!(98), &json!("complete")));
    let moved = "SELECT string_agg(data ->> 'name', ', ' ORDER BY data_id::int) FROM artists
                 WHERE updated_at > 'epoch'";
    assert_eq!(site.database.value(moved), "changed 50, same 101, same 102, same 103");
    assert_eq!(site.number(written), 98);
    assert_eq!(site.database.value("SELECT min(data_id::int) FROM artists"), "6");
    consumer.stops();
}

#[test]
fn what_is_refused_for_good_or_cannot_be_read_counts_once_however_often_it_comes() {
    let Some(site) = Site::new() else { return };
    let beside = |run: i64, ordinal: i64| [("x-run", run), ("x-ordinal", ordinal)];
    let of = |run: i64, ordinal: i64, name: &str| {
        let hash = format!("{ordinal:064x}");
        let body =
            format!(r#"{{"type":"data","id":"{ordinal}","sha256":"{hash}","name":"{name}"}}"#);
        Letter::of(body, "20260101", &beside(run, ordinal))
    };
    let refused = |run| of(run, 2, r"a\u0000b");
    let unreadable = || Letter::of("no JSON", "20260101", &beside(9, 3));
    let end = |run: i64| {
        let body = r#"{"type":"file_complete","data_type":"artists","total_processed":5}"#;
        let numbers = [("x-run", run), ("x-last-ordinal", 5), ("x-bad-records", 1)];
        Letter::of(body, "20260101", &numbers)
    };
    // Two who note at once may leave ranges that overlap: they are read as one.
    let noted = "SELECT string_agg(concat_ws(' ', run, at), ', ' ORDER BY run, at) FROM (
                     SELECT DISTINCT run, generate_series(first, last) AS at FROM extractor_refused
                 ) AS refused";
    let dead_letters = || site.rabbit.dead_letters(Kind::Artists).ready;

    // Two replicas, of which one dies after its commit and before it tells the broker: the first
    // message goes alone, the others while it is written.
    let first = Daemon::start(&mut site.consume("b"));
    site.all_are_read_by(1);
    first.stops();
    site.rabbit.publish(Kind::Artists, [of(9, 1, "one"), refused(9), unreadable()]);
    let mut dying = site.consume("b");
    let mut dying = Daemon::start(dying.env("DISCOGS_FAULT_AT", "postgres.commit.after:2"));
    until("it dies", || dying.is_gone());
    assert_eq!(site.database.value(noted), "9 2, 9 3");
    assert_eq!(dead_letters(), 0);
    let mut replicas = ["a", "b"].map(|name| Daemon::start(&mut site.consume(name)));
    until("they are dead letters", || dead_letters() == 2);
    assert_eq!((site.database.value(noted).as_str(), site.completed()), ("9 2, 9 3", 0));
    // Of five there is one bad one, and one to come.
    site.rabbit.publish(Kind::Artists, [end(9), refused(9), unreadable(), refused(8)]);
    until("they are dead letters", || dead_letters() == 5);
    assert_eq!(site.completed(), 0);
    site.rabbit.publish(Kind::Artists, [of(9, 4, "four")]);
    until("it is complete", || site.completed() == 1);
    assert_eq!(site.database.value(noted), "8 2, 9 2, 9 3");
    let line = complete_line(Kind::Artists);
    until(&line, || replicas.iter_mut().any(|replica| replica.said().contains(&line)));

    // One is taken after all, and cannot be refused any more: what is there is there.
    site.rabbit.publish(Kind::Artists, [of(9, 2, "two")]);
    until("it is written", || site.count(Kind::Artists) == 3);
    site.rabbit.publish(Kind::Artists, [refused(9)]);
    until("it is a dead letter", || dead_letters() == 6);
    let held = "SELECT string_agg(concat_ws(' ', first, last), ', ' ORDER BY first)
                FROM extractor_delivered WHERE run = 9";
    assert_eq!(site.database.value(held), "1 2, 4 4");
    for replica in replicas {
        replica.stops();
    }
}

#[test]
fn what_a_sweep_removed_does_not_come_back_and_a_lower_run_takes_nothing() {
    let Some(site) = Site::new() else { return };
    let consumer = Daemon::start(&mut site.consume("a"));
    site.all_are_read_by(1);
    let hash = "0".repeat(64);
    let of = |id: &str, name: &str, version: &str, run: i64, ordinal: i64| {
        let body = format!(r#"{{"type":"data","id":"{id}","sha256":"{hash}","name":"{name}"}}"#);
        Letter::of(body, version, &[("x-run", run), ("x-ordinal", ordinal)])
    };
    let end = |version: &str, run: i64, last: i64| {
        let body = r#"{"type":"file_complete","data_type":"artists","total_processed":1}"#;
        let numbers = [("x-run", run), ("x-last-ordinal", last), ("x-bad-records", 0)];
        Letter::of(body, version, &numbers)
    };
    let publish = |letters: Vec<Letter>| site.rabbit.publish(Kind::Artists, letters);
    let names = "SELECT string_agg(concat_ws(' ', data_id, version, run, ordinal), ', '
                     ORDER BY data_id) FROM artists";
    // The higher run comes first; the lower one completes, and takes nothing of it.
    publish((1..=20).map(|n| of(&format!("h{n:02}"), "x", "20260101", 5, n)).collect());
    publish(vec![of("low", "x", "20260101", 4, 1), end("20260101", 4, 1)]);
    let swept = "SELECT count(*) FROM extractor_complete WHERE sweep = 'done'";
    until("the lower run is swept", || site.number(swept) == 1);
    assert_eq!(site.count(Kind::Artists), 21);
    let memory = "SELECT concat_ws(' ', version, run) FROM extractor_swept WHERE type = 'artists'";
    assert_eq!(site.database.value(memory), "20260101 4");
    publish(vec![end("20260101", 5, 20)]);
    until("the higher run is swept", || site.number(swept) == 2);
    assert_eq!(
        (site.count(Kind::Artists), site.database.value(memory).as_str()),
        (20, "20260101 5")
    );

    // What is late is acknowledged, and brings nothing back.
    site.database.run("DELETE FROM artists WHERE data_id > 'h02'");
    publish(vec![
        of("low", "x", "20260101", 4, 1),
        of("old", "x", "20251201", 9, 1),
        of("h01", "x", "20251201", 9, 2),
        of("new", "x", "20260101", 6, 1),
        record(7),
    ]);
    until("the others are written", || site.count(Kind::Artists) == 4);
    site.nothing_is_left();
    // The one without a version bears its pass as its run.
    let expected = "7 1, h01 20260101 5 1, h02 20260101 5 2, new 20260101 6 1";
    assert_eq!(site.database.value(names), expected);
    consumer.stops();
}

/// A record as the platform sends it, but that its hash is none.
fn record(id: usize) -> Letter {
    let hash = "0".repeat(64);
    Letter::plain(format!(r#"{{"type":"data","id":"{id}","sha256":"{hash}","id":"{id}"}}"#))
}

#[test]
fn health_and_metrics_tell_what_a_consumer_is_at() {
    let Some(site) = Site::new() else { return };
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = site.consume("a");
    command.env("HEALTH_PORT", address.port().to_string()).env("STALL_AFTER", "1");
    let mut consumer = Daemon::start(command.env("CONSUMER_CANCEL_DELAY", "1"));
    site.all_are_read_by(1);
    let health = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let mut answer = http::get(address, "/health");
        until(what, || {
            answer = http::get(address, "/health");
            is_so(&answer.json())
        });
        (answer.status, answer.json())
    };
    let (status, said) =
        health("it reads", &|said| said["active_consumers"].as_array().unwrap().len() == 4);
    assert_eq!(
        (status, &said["status"], &said["service"]),
        (200, &json!("healthy"), &json!("tableinator"))
    );
    assert_eq!(said["last_message_time"]["releases"], Value::Null);
    assert_eq!(http::get(address, "/ready").status, 200);

    // A connection that is cut is made again, which is no outage.
    site.database.cut();
    site.rabbit.publish(Kind::Releases, (1..=30).map(record));
    site.rabbit.publish(Kind::Labels, [Letter::plain("no JSON")]);
    let (_, said) = health("they are written", &|said| {
        said["records_written"]["releases"] == 30 && said["dead_letters"]["labels"] == 1
    });
    assert_eq!(
        said["message_counts"],
        json!({"artists": 0, "labels": 1, "masters": 0, "releases": 30})
    );
    assert!(said["last_message_time"]["releases"].is_u64(), "{said}");
    let metrics = http::get(address, "/metrics").body;
    for line in [
        r#"discogs_extractor_records_total{type="releases"} 30"#,
        r#"discogs_extractor_poison_messages_total{type="labels"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }

    let state = http::get(address, "/api/state");
    assert_eq!((state.status, &state.json()["store"]["format"]), (200, &json!(2)));

    // What is not written for a second is a stall, and no longer when it is written.
    site.database.run("BEGIN; LOCK TABLE releases");
    site.rabbit.publish(Kind::Releases, (31..=35).map(record));
    let (status, said) = health("it is stalled", &|said| said["status"] == "unhealthy");
    assert_eq!((status, &said["stalled"]), (503, &json!(["releases"])));
    assert_eq!(said["in_flight"], json!({"artists": 0, "labels": 0, "masters": 0, "releases": 5}));
    site.database.run("COMMIT");
    let (status, said) = health("it moves again", &|said| said["status"] == "healthy");
    assert_eq!((status, &said["records_written"]["releases"]), (200, &json!(35)));
    health("all is acknowledged", &|said| said["in_flight"]["releases"] == 0);

    for kind in Kind::ALL {
        let end = format!(r#"{{"type":"file_complete","data_type":"{kind}","total_processed":1}}"#);
        site.rabbit.publish(kind, [Letter::plain(end)]);
    }
    let all = json!(["artists", "labels", "masters", "releases"]);
    let (_, said) = health("all are cancelled", &|said| said["cancelled_consumers"] == all);
    assert_eq!(said["completed_files"], all);
    health("none is read", &|said| said["active_consumers"] == json!([]));
    assert_eq!(http::get(address, "/ready").status, 200);
    // Lines come every ten seconds, and a stall is one: who is done and rests is not stalled.
    consumer.says("📊 Consumer Progress: 35 records written");
    let (status, said) = health("it is as before", &|_| true);
    assert_eq!((status, &said["stalled"]), (200, &json!([])));
    let said = consumer.stops();
    assert_eq!(said.matches("Stalled consumers detected").count(), 1, "{said}");
    assert_eq!(said.matches("the consumers move again").count(), 1, "{said}");
    assert!(!said.contains("the database is away"), "{said}");
}

#[test]
fn clocks_that_are_hours_ahead_or_behind_cancel_on_time() {
    let Some(site) = Site::new() else { return };
    let cancelled = "SELECT count(*) FROM extractor_complete WHERE cancelled_at IS NOT NULL";
    let noted = || (site.completed(), site.number(cancelled));
    let server = site.database.url().parse().unwrap();
    let open = |noter, clock| {
        let stop = CancellationToken::new();
        wait(Postgres::open(&server, Some(noter), clock, FirstConnection::Whenever, stop)).unwrap()
    };
    clocks::cancellations_are_on_time(&site.rabbit, &open, &noted);
}

#[test]
fn what_is_sent_without_numbers_is_complete_when_all_of_it_is_written_and_so_when_it_is_sent_again()
{
    let Some(site) = Site::new() else { return };
    let start = |name: &str| Daemon::start(site.consume(name).env("CONSUMER_CANCEL_DELAY", "2"));
    let rows = "SELECT count(*) FROM artists WHERE version IS NULL AND run";
    let of_pass = |pass| site.number(&format!("{rows} = {pass}"));
    let replicas = unnumbered::passes_end_when_all_is_written(&site.rabbit, start, &of_pass);
    assert_eq!(site.number("SELECT count(sweep) FROM extractor_complete"), 0);
    let said = replicas.stop();
    assert!(!said.contains(" ERROR ") && !said.contains("panicked"), "{said}");
}

#[test]
fn nothing_is_complete_while_a_replica_writes_for_longer_than_any_batch_took() {
    let Some(site) = Site::new() else { return };
    let mut replicas = ["a", "b"].map(|name| Daemon::start(&mut site.consume(name)));
    site.all_are_read_by(2);
    site.rabbit.publish(Kind::Artists, (1..=50).map(unnumbered::record));
    until("they are written", || site.count(Kind::Artists) == 50);
    // Whoever has one of these is held up; ids repeat, so that nobody knows how many there are.
    site.database.run("BEGIN; SELECT FROM artists WHERE data_id = '7' FOR UPDATE");
    let more = [8, 7, 9, 10].map(unnumbered::record);
    site.rabbit.publish(Kind::Artists, more.into_iter().chain([unnumbered::end(54)]));
    until("the end is known", || site.number("SELECT count(*) FROM extractor_complete") == 1);
    let held = Instant::now();
    while held.elapsed() < Duration::from_secs(9) {
        assert_eq!(site.completed(), 0, "after {:?}", held.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    site.database.run("COMMIT");
    until("it is complete", || site.completed() == 1);
    let line = complete_line(Kind::Artists);
    until(&line, || replicas.iter_mut().any(|replica| replica.said().contains(&line)));
    for replica in replicas {
        replica.stops();
    }
}

#[test]
fn messages_in_todays_form_are_written_and_complete_without_ordinals() {
    let Some(site) = Site::new() else { return };
    let mut replicas = ["a", "b"].map(|name| Daemon::start(&mut site.consume(name)));
    site.all_are_read_by(2);
    let year = |date: &Value| date.as_str().and_then(|date| date.get(..4)?.parse::<i32>().ok());
    for kind in Kind::ALL {
        let prefix = format!("{kind}\t");
        let sent = include_str!("consume/todays_messages.jsonl").lines();
        let sent: Vec<_> = sent.filter_map(|line| line.strip_prefix(&prefix)).collect();
        site.rabbit.publish(kind, sent.iter().map(|body| Letter::plain(*body)));
        let mut said = || replicas.iter_mut().map(Daemon::said).collect::<String>();
        let line = complete_line(kind);
        until(&line, || said().contains(&line));
        let mut expected: Vec<_> = sent
            .into_iter()
            .map(|body| serde_json::from_str::<Value>(body).unwrap())
            .filter(|message| message["type"] == "data")
            .map(|mut data| {
                match kind {
                    Kind::Masters => data["year"] = json!(year(&data["year"])),
                    Kind::Releases => data["year"] = json!(year(&data["released"])),
                    Kind::Artists | Kind::Labels => {}
                }
                let members = data.as_object_mut().unwrap();
                members.remove("type");
                let hash = members.remove("sha256").unwrap().as_str().unwrap().to_owned();
                (members["id"].as_str().unwrap().to_owned(), hash, data)
            })
            .collect();
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(site.database.rows(kind.name()), expected, "{kind}");
    }
    site.nothing_is_left();
    // Without proof nothing is removed, now or later.
    let swept = "SELECT count(sweep) FROM extractor_complete";
    assert_eq!((site.completed(), site.number(swept)), (4, 0));
    let said = replicas.map(Daemon::stops).concat();
    for kind in Kind::ALL {
        assert_eq!(said.matches(&complete_line(kind)).count(), 1, "{said}");
    }
}
