//! The other end of the broker: real queues, real processes, real kills.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stderr, reason = "a random test says its seed")]

#[path = "consume/clocks.rs"]
mod clocks;
#[path = "consume/rabbit.rs"]
mod rabbit;
mod support;
#[path = "consume/unnumbered.rs"]
mod unnumbered;

use std::path::Path;
use std::time::{Duration, Instant};

use discogs_extractor::database::sqlite::Sqlite;
use discogs_extractor::model::Kind;
use discogs_extractor::sample::Options;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use rustix::process::Signal;
use support::broker::private::Private;
use support::daemon::Daemon;
use support::{Place, Ran};

use rabbit::{Letter, Rabbit, until};

/// The broker that the tests use.
const BROKER: &str = "DISCOGS_TEST_AMQP";

fn options(releases: u64, seed: u64) -> Options {
    Options::new(releases, seed, "20260101".parse().unwrap())
}

/// All rows of a table but for when and by which run they were written.
fn rows(database: &Path, kind: Kind) -> Vec<(String, String, String, Option<String>)> {
    let database = Connection::open(database).unwrap();
    let query = format!("SELECT data_id, hash, data, version FROM {kind} ORDER BY data_id");
    let mut query = database.prepare(&query).unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn count(database: &Path, kind: Kind) -> u64 {
    one(database, &format!("SELECT count(*) FROM {kind}")).unwrap_or(0)
}

/// The number that a query gives; none while there is no such table.
fn one(database: &Path, query: &str) -> Option<u64> {
    let database = Connection::open(database).unwrap();
    database.query_row(query, [], |row| row.get::<_, i64>(0)).ok().map(i64::cast_unsigned)
}

/// How many types a database holds as complete.
fn completed(database: &Path) -> u64 {
    let query = "SELECT count(*) FROM extractor_complete WHERE completed_at IS NOT NULL";
    one(database, query).unwrap_or(0)
}

#[track_caller]
fn same_tables(direct: &Path, consumed: &Path) {
    for kind in Kind::ALL {
        let (expected, found) = (rows(direct, kind), rows(consumed, kind));
        assert_eq!(expected.len(), found.len(), "{kind}");
        assert!(expected == found, "{kind} differ");
    }
}

#[track_caller]
fn nothing_is_left(rabbit: &Rabbit) {
    for kind in Kind::ALL {
        until("the queue is empty", || rabbit.queue(kind).ready == 0);
        assert_eq!(rabbit.dead_letters(kind).ready, 0, "{kind}");
    }
}

fn seed() -> u64 {
    let set = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = set.unwrap_or_else(|| rand::rng().random());
    eprintln!("DISCOGS_TEST_SEED={seed}");
    seed
}

#[test]
fn what_was_sent_and_read_equals_the_direct_sink_row_for_row() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&options(600, 1));
    place.extract("sqlite:direct.db").ends(0, &[]);
    // Either side may start first: here it is the consumer.
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    until("the queues are read", || {
        Kind::ALL.into_iter().all(|kind| rabbit.queue(kind).consumers == 1)
    });
    Ran::of(rabbit.extract(&place, "dumps").output().unwrap()).ends(0, &[]);
    let database = place.path("c.db");
    until("all types are complete", || completed(&database) == 4);
    for kind in Kind::ALL {
        let line = format!("🎉 File processing complete for {kind}!");
        until(&line, || consumer.said().matches(&line).count() == 1);
    }
    same_tables(&place.path("direct.db"), &database);
    nothing_is_left(&rabbit);
    let said = consumer.stops();
    assert!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");
}

#[test]
fn a_version_is_complete_when_its_last_type_is() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&options(100, 3));
    let consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    let state = |words: &[&str]| place.run(&[&["state", "--state-dir", "a"], words].concat());
    let check = || state(&["check"]).code;
    let send = |types: &str| {
        let mut extract = rabbit.extract(&place, "dumps");
        Ran::of(extract.args(["--types", types]).output().unwrap()).ends(0, &[]);
    };
    send("artists");
    until("artists are complete", || state(&["history"]).out.contains("complete"));
    assert_eq!(check(), Some(3), "{}", state(&["list"]).out);
    send("labels,masters,releases");
    until("all is complete", || check() == Some(0));
    consumer.stops();
}

#[test]
fn kills_of_two_replicas_and_of_the_extractor_cost_nothing() {
    let mut random = StdRng::seed_from_u64(seed());
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&options(6_000, 2));
    place.extract("sqlite:direct.db").ends(0, &[]);
    let database = place.path("c.db");
    let mut said = String::new();
    let mut replicas: Vec<_> =
        ["a", "b"].map(|name| Daemon::start(&mut rabbit.consume(&place, "c.db", name))).into();
    let mut extractor = Daemon::start(&mut rabbit.extract(&place, "dumps"));
    let until_killed = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until_killed && completed(&database) < 4 {
        std::thread::sleep(Duration::from_millis(random.random_range(50..500)));
        match random.random_range(0..3) {
            2 => {
                if !extractor.is_gone() {
                    extractor.signal(Signal::KILL);
                    extractor = Daemon::start(&mut rabbit.extract(&place, "dumps"));
                }
            }
            which => {
                let name = ["a", "b"][which];
                let new = Daemon::start(&mut rabbit.consume(&place, "c.db", name));
                let old = std::mem::replace(&mut replicas[which], new);
                said += &old.kill();
            }
        }
    }
    until("the extractor is done", || extractor.is_gone());
    until("all types are complete", || completed(&database) == 4);
    nothing_is_left(&rabbit);
    same_tables(&place.path("direct.db"), &database);
    for replica in replicas {
        said += &replica.stops();
    }
    for kind in Kind::ALL {
        let line = format!("🎉 File processing complete for {kind}!");
        assert!(said.matches(&line).count() <= 1, "{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_complete_type_is_cancelled_in_both_replicas_and_restarts_forget_nothing() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&options(40, 3));
    let replica = |name: &str| {
        let mut command = rabbit.consume(&place, "c.db", name);
        command.env("CONSUMER_CANCEL_DELAY", "2").env("QUEUE_CHECK_INTERVAL", "1");
        Daemon::start(&mut command)
    };
    let (mut a, b) = (replica("a"), replica("b"));
    Ran::of(rabbit.extract(&place, "dumps").output().unwrap()).ends(0, &[]);
    let database = place.path("c.db");
    until("all types are complete", || completed(&database) == 4);
    // A restart in the delay.
    b.kill();
    let mut b = replica("b");
    for kind in Kind::ALL {
        for replica in [&mut a, &mut b] {
            let line = format!("🔌 Canceling consumer for {kind}");
            until(&line, || replica.said().contains(&line));
        }
        until("nobody reads", || rabbit.queue(kind).consumers == 0);
    }
    // A restart after it: nothing is read again.
    let said = b.stops();
    assert_eq!(said.matches("🔌").count(), 4, "{said}");
    let mut b = replica("b");
    b.heeds_signals();
    let cancelled_at = "SELECT min(cancelled_at) FROM extractor_complete";
    let before = one(&database, cancelled_at);
    std::thread::sleep(Duration::from_secs(2));
    for kind in Kind::ALL {
        assert_eq!(rabbit.queue(kind).consumers, 0, "{kind}: {}", b.said());
    }
    assert_eq!(one(&database, cancelled_at), before);

    // A control message alone is handled and the queue cancelled again.
    let end = r#"{"type":"extraction_complete","version":"20260101","timestamp":"t","started_at":"s","record_counts":{}}"#;
    rabbit.publish(Kind::Labels, [Letter::of(end, "20260101", &[])]);
    until("it is read", || {
        rabbit.queue(Kind::Labels).ready == 0 && rabbit.queue(Kind::Labels).consumers > 0
    });
    until("it is cancelled again", || rabbit.queue(Kind::Labels).consumers == 0);
    assert_eq!(rabbit.queue(Kind::Artists).consumers, 0);

    // A record is written, and its type read on.
    let record = r#"{"type":"data","id":"new","sha256":"0000000000000000000000000000000000000000000000000000000000000000","name":"x"}"#;
    let new = Letter::of(record, "20260201", &[("x-run", 9), ("x-ordinal", 1)]);
    rabbit.publish(Kind::Artists, [new]);
    let written = "SELECT count(*) FROM artists WHERE data_id = 'new' AND version = '20260201'";
    until("the record is written", || one(&database, written) == Some(1));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(rabbit.queue(Kind::Artists).consumers, 2, "{}", b.said());
    assert_eq!(rabbit.queue(Kind::Masters).consumers, 0);
    a.stops();
    b.stops();
}

#[test]
fn clocks_that_are_hours_ahead_or_behind_cancel_on_time() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let database = place.path("c.db");
    let noted = || {
        let cancelled = "SELECT count(*) FROM extractor_complete WHERE cancelled_at IS NOT NULL";
        (completed(&database), one(&database, cancelled).unwrap_or(0))
    };
    let open = |noter, clock| Sqlite::open(&database, Some(noter), clock).unwrap();
    clocks::cancellations_are_on_time(&rabbit, &open, &noted);
}

#[test]
fn what_is_sent_without_numbers_is_complete_when_all_of_it_is_written_and_so_when_it_is_sent_again()
{
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let database = place.path("c.db");
    let start = |name: &str| {
        let mut command = rabbit.consume(&place, "c.db", name);
        Daemon::start(command.env("CONSUMER_CANCEL_DELAY", "2"))
    };
    let of_pass = |pass| {
        let rows = "SELECT count(*) FROM artists WHERE version IS NULL AND run";
        one(&database, &format!("{rows} = {pass}")).unwrap_or(0)
    };
    let replicas = unnumbered::passes_end_when_all_is_written(&rabbit, start, &of_pass);
    // Without proof nothing is ever removed.
    assert_eq!(one(&database, "SELECT count(sweep) FROM extractor_complete"), Some(0));
    let said = replicas.stop();
    assert!(!said.contains(" ERROR ") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_new_version_removes_what_it_no_longer_has_only_when_all_of_it_arrived() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let text = |from: usize, to: usize| {
        let record = |n| format!("<artist><id>{n}</id><name>Artist {n}</name></artist>\n");
        let records: String = (from..=to).map(record).collect();
        support::gzip(format!("<artists>\n{records}</artists>\n").as_bytes())
    };
    std::fs::create_dir_all(place.path("one")).unwrap();
    std::fs::create_dir_all(place.path("two")).unwrap();
    let first = place.path("one/discogs_20260101_artists.xml.gz");
    let second = place.path("two/discogs_20260201_artists.xml.gz");
    std::fs::write(first, text(1, 100)).unwrap();
    std::fs::write(&second, text(6, 103)).unwrap();
    let database = place.path("c.db");
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    Ran::of(rabbit.extract(&place, "one").output().unwrap()).ends(0, &[]);
    consumer.says("🎉 File processing complete for artists!");
    assert_eq!(count(&database, Kind::Artists), 100);
    consumer.stops();

    // One record of the second version is refused: it goes to the dead letters, and the type is
    // complete without it, but nothing is removed.
    let refusing = "CREATE TRIGGER no BEFORE UPDATE ON artists WHEN new.data_id = '50'
                    BEGIN SELECT raise(ABORT, 'not this one'); END";
    Connection::open(&database).unwrap().execute_batch(refusing).unwrap();
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    Ran::of(rabbit.extract(&place, "two").output().unwrap()).ends(0, &[]);
    consumer.says("not this one");
    let said = consumer.says("complete without records that were refused: nothing is removed");
    assert!(said.contains("records=1") && said.contains("20260201"), "{said}");
    consumer.says("1 records of the dump were set aside");
    until("it is a dead letter", || rabbit.dead_letters(Kind::Artists).ready == 1);
    assert!(consumer.said().contains("🎉 File processing complete for artists!"));
    rabbit.publish(Kind::Artists, [Letter::plain("no JSON")]);
    until("that is a dead letter too", || rabbit.dead_letters(Kind::Artists).ready == 2);
    let written = "SELECT count(*) FROM artists WHERE version = '20260201'";
    assert_eq!((one(&database, written), count(&database, Kind::Artists)), (Some(97), 103));
    assert_eq!(completed(&database), 2);

    // After the replay it is proven that all is there.
    Connection::open(&database).unwrap().execute_batch("DROP TRIGGER no").unwrap();
    let mut replay = rabbit.program(&place);
    replay.args(["consume", "replay-dead-letters", "tables", "--from", &rabbit.address]);
    let replayed = Ran::of(replay.output().unwrap());
    replayed.ends(0, &[]);
    assert!(replayed.out.contains("2 dead letters put back"), "{replayed:?}");
    until("the removed rows are gone", || count(&database, Kind::Artists) == 98);
    until("what is no JSON is back", || rabbit.dead_letters(Kind::Artists).ready == 1);
    // What was refused before is no reason for its exit code any more.
    consumer.stops();

    // Too much is refused, which is said, and is the exit code.
    std::fs::remove_file(second).unwrap();
    std::fs::write(place.path("two/discogs_20260301_artists.xml.gz"), text(60, 103)).unwrap();
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    Ran::of(rabbit.extract(&place, "two").output().unwrap()).ends(0, &[]);
    consumer.says("54 of 98 rows would go");
    consumer.signal(Signal::TERM);
    consumer.ends(1);
    assert_eq!(count(&database, Kind::Artists), 98);
    let mut command = rabbit.consume(&place, "c.db", "a");
    let consumer = Daemon::start(command.arg("--sweep-anyway"));
    until("the removed rows are gone", || count(&database, Kind::Artists) == 44);
    consumer.stops();
}

#[test]
fn what_a_sweep_removed_does_not_come_back_by_late_messages_or_dead_letters() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    for (folder, version, ids) in [("one", "20260101", 1..=100), ("two", "20260201", 8..=103)] {
        let record = |id| format!("<artist><id>{id}</id><name>Artist {id}</name></artist>");
        let text: String = ids.map(record).collect();
        std::fs::create_dir_all(place.path(folder)).unwrap();
        let path = place.path(&format!("{folder}/discogs_{version}_artists.xml.gz"));
        std::fs::write(path, support::gzip(format!("<artists>{text}</artists>").as_bytes()))
            .unwrap();
    }
    let database = place.path("c.db");
    Ran::of(rabbit.consume(&place, "c.db", "a").arg("--migrate-only").output().unwrap())
        .ends(0, &[]);
    let refusing = "CREATE TRIGGER no BEFORE INSERT ON artists WHEN new.data_id = '7'
                    BEGIN SELECT raise(ABORT, 'not this one'); END";
    Connection::open(&database).unwrap().execute_batch(refusing).unwrap();
    let consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    Ran::of(rabbit.extract(&place, "one").output().unwrap()).ends(0, &[]);
    until("it is a dead letter", || rabbit.dead_letters(Kind::Artists).ready == 1);
    until("the others are written", || count(&database, Kind::Artists) == 99);
    Connection::open(&database).unwrap().execute_batch("DROP TRIGGER no").unwrap();
    Ran::of(rabbit.extract(&place, "two").output().unwrap()).ends(0, &[]);
    until("the removed rows are gone", || count(&database, Kind::Artists) == 96);

    // The dead letter completes the older version, and brings nothing back.
    let mut replay = rabbit.program(&place);
    replay.args(["consume", "replay-dead-letters", "tables", "--from", &rabbit.address]);
    Ran::of(replay.output().unwrap()).ends(0, &[]);
    until("both are complete", || completed(&database) == 2);
    // Nor does a message that is late; one that says no version is written.
    let hash = "0".repeat(64);
    let record = |id: &str| format!(r#"{{"type":"data","id":"{id}","sha256":"{hash}"}}"#);
    let late = Letter::of(record("3"), "20260101", &[("x-run", 9), ("x-ordinal", 3)]);
    rabbit.publish(Kind::Artists, [late, Letter::plain(record("plain"))]);
    let there =
        |id| one(&database, &format!("SELECT count(*) FROM artists WHERE data_id = '{id}'"));
    until("that is written", || there("plain") == Some(1));
    nothing_is_left(&rabbit);
    assert_eq!((there("3"), there("7"), count(&database, Kind::Artists)), (Some(0), Some(0), 97));
    consumer.stops();
}

#[test]
fn a_bad_record_leaves_what_the_version_no_longer_has() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let record = |id| match id {
        0 => "<artist><id>2</id><name>never closed</artist>".to_owned(),
        id => format!("<artist><id>{id}</id><name>Artist {id}</name></artist>"),
    };
    for (folder, version, ids) in
        [("one", "20260101", 1..=100), ("two", "20260201", 3..=100), ("three", "20260301", 4..=100)]
    {
        // Nothing tells whether what is malformed in the second is the second artist.
        let bad = if folder == "two" { record(0) } else { String::new() };
        let text: String = ids.map(record).collect();
        std::fs::create_dir_all(place.path(folder)).unwrap();
        let path = place.path(&format!("{folder}/discogs_{version}_artists.xml.gz"));
        let text = format!("<artists>{bad}{text}</artists>");
        std::fs::write(path, support::gzip(text.as_bytes())).unwrap();
    }
    let database = place.path("c.db");
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    Ran::of(rabbit.extract(&place, "one").output().unwrap()).ends(0, &[]);
    consumer.says("🎉 File processing complete for artists!");
    assert_eq!(count(&database, Kind::Artists), 100);
    Ran::of(rabbit.extract(&place, "two").output().unwrap()).ends(0, &["record set aside"]);
    consumer.says("records of the dump were set aside");
    assert_eq!((completed(&database), count(&database, Kind::Artists)), (2, 100));
    // The next version has no bad record, and proves what it lacks.
    Ran::of(rabbit.extract(&place, "three").output().unwrap()).ends(0, &[]);
    until("the removed rows are gone", || count(&database, Kind::Artists) == 97);
    nothing_is_left(&rabbit);
    consumer.signal(Signal::TERM);
    consumer.ends(1);
}

#[test]
fn poison_goes_to_the_dead_letters_alone_and_its_neighbours_are_written() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let database = place.path("c.db");
    Ran::of(rabbit.consume(&place, "c.db", "a").arg("--migrate-only").output().unwrap())
        .ends(0, &[]);
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    until("the queue is read", || rabbit.queue(Kind::Releases).consumers == 1);
    let hash = "0".repeat(64);
    let good = |n: usize| format!(r#"{{"type":"data","id":"{n}","sha256":"{hash}","n":"{n}"}}"#);
    let bodies = (1..=50).map(|n| match n {
        7 => b"{\"type\":\"data\"".to_vec(),
        20 => br#"{"type":"data","sha256":"x"}"#.to_vec(),
        33 => b"\xff".to_vec(),
        n => good(n).into_bytes(),
    });
    rabbit.publish(Kind::Releases, bodies.map(Letter::plain));
    until("the neighbours are written", || count(&database, Kind::Releases) == 47);
    until("the poison is set aside", || rabbit.dead_letters(Kind::Releases).ready == 3);
    for words in ["it is no JSON object", "it has no id", "it is not UTF-8"] {
        until(words, || consumer.said().contains(words));
    }
    consumer.stops();
    assert_eq!(rabbit.queue(Kind::Releases).ready, 0);
}

#[test]
fn messages_in_todays_form_are_read_right() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let database = place.path("c.db");
    let mut command = rabbit.consume(&place, "c.db", "a");
    command.env("CONSUMER_CANCEL_DELAY", "2").env("QUEUE_CHECK_INTERVAL", "1");
    let mut consumer = Daemon::start(&mut command);
    let fixture = include_str!("consume/todays_messages.jsonl");
    let of = |kind: Kind| {
        let prefix = format!("{kind}\t");
        let lines = fixture.lines().filter_map(move |line| line.strip_prefix(&prefix));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    until("the queues are there", || {
        Kind::ALL.into_iter().all(|kind| rabbit.queue(kind).consumers == 1)
    });
    for kind in Kind::ALL {
        rabbit.publish(kind, of(kind).into_iter().map(Letter::plain));
    }
    for kind in Kind::ALL {
        let line = format!("🎉 File processing complete for {kind}!");
        until(&line, || consumer.said().contains(&line));
        let line = format!("🔌 Canceling consumer for {kind}");
        until(&line, || consumer.said().contains(&line));
    }
    nothing_is_left(&rabbit);
    for kind in Kind::ALL {
        let written = rows(&database, kind);
        let sent: Vec<_> =
            of(kind).into_iter().filter(|m| m.contains(r#""type":"data""#)).collect();
        assert_eq!(written.len(), sent.len(), "{kind}");
        for (id, hash, data, version) in written {
            assert_eq!(version, None);
            let message = sent.iter().find(|m| m.contains(&format!(r#""sha256":"{hash}""#)));
            let message: serde_json::Value = serde_json::from_str(message.unwrap()).unwrap();
            let mut data: serde_json::Value = serde_json::from_str(&data).unwrap();
            assert_eq!(data["id"], id.as_str());
            data["type"] = "data".into();
            data["sha256"] = hash.as_str().into();
            assert_eq!(data, message);
        }
    }
    let swept = "SELECT count(*) FROM extractor_complete WHERE sweep IS NOT NULL";
    assert_eq!(one(&database, swept), Some(0));
    consumer.stops();
}

#[test]
fn who_dies_before_anything_is_written_takes_few_messages_along() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&options(1_000, 4));
    let database = place.path("c.db");
    let consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    until("the queue is read", || rabbit.queue(Kind::Releases).consumers == 1);
    let lock = Connection::open(&database).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    Ran::of(rabbit.extract(&place, "dumps").output().unwrap()).ends(0, &[]);
    consumer.kill();
    until("nobody reads", || rabbit.queue(Kind::Releases).consumers == 0);
    // The broker has a count for each message that was handed out, and none for the others.
    let counts = rabbit.delivery_counts(Kind::Releases);
    let touched = counts.iter().filter(|count| **count > 0).count();
    assert!((1..=200).contains(&touched), "{touched} of {}", counts.len());
    drop(lock);
    let consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    until("all types are complete", || completed(&database) == 4);
    nothing_is_left(&rabbit);
    consumer.stops();
}

#[test]
fn a_database_that_is_away_costs_a_message_at_most_one_delivery() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&options(300, 4));
    place.extract("sqlite:direct.db").ends(0, &[]);
    let database = place.path("c.db");
    Ran::of(rabbit.consume(&place, "c.db", "a").arg("--migrate-only").output().unwrap())
        .ends(0, &[]);
    Ran::of(rabbit.extract(&place, "dumps").output().unwrap()).ends(0, &[]);
    let lock = Connection::open(&database).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (mut a, mut b) = (
        Daemon::start(&mut rabbit.consume(&place, "c.db", "a")),
        Daemon::start(&mut rabbit.consume(&place, "c.db", "b")),
    );
    a.says("the database is away");
    b.says("the database is away");
    std::thread::sleep(Duration::from_secs(13));
    for kind in Kind::ALL {
        assert_eq!(rabbit.queue(kind).consumers, 0, "{kind} is read");
        assert!(rabbit.queue(kind).ready > 0, "{kind} was not given back");
        let deliveries = rabbit.delivery_count(kind);
        assert!(deliveries <= 1, "{kind}: {deliveries}");
    }
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    until("all types are complete", || completed(&database) == 4);
    nothing_is_left(&rabbit);
    same_tables(&place.path("direct.db"), &database);
    for (replica, name) in [(a, "a"), (b, "b")] {
        let said = replica.stops();
        assert_eq!(said.matches("the database is away").count(), 1, "{name}: {said}");
        assert_eq!(said.matches("the database is back").count(), 1, "{name}: {said}");
        assert!(!said.contains("again and again"), "{said}");
    }
}

#[test]
fn a_signal_ends_it_and_what_was_read_is_written_or_given_back() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&options(3_000, 5));
    Ran::of(rabbit.extract(&place, "dumps").output().unwrap()).ends(0, &[]);
    let database = place.path("c.db");
    let consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    until("something is written", || count(&database, Kind::Releases) > 0);
    consumer.stops();
    let releases = count(&database, Kind::Releases);
    if releases < 3_000 {
        // What was on its way when the consumer was cancelled comes back to the queue once.
        let deliveries = rabbit.delivery_count(Kind::Releases);
        assert!(deliveries <= 1, "{deliveries}");
        until("all others are in the queue", || {
            u64::from(rabbit.queue(Kind::Releases).ready) + releases >= 3_000
        });
    }
    // A broker that is away holds nothing up.
    let mut away = rabbit.program(&place);
    away.args(["consume", "tables", "--from", "amqp://127.0.0.1:1", "--to", "sqlite:d.db"]);
    let mut away = Daemon::start(&mut away);
    away.says("the broker is away");
    away.stops();
}

#[test]
fn what_is_missing_of_an_announced_run_is_said_and_waited_for() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let mut command = rabbit.consume(&place, "c.db", "a");
    let mut consumer = Daemon::start(command.env("STALL_AFTER", "4"));
    until("the queues are read", || rabbit.queue(Kind::Artists).consumers == 1);
    let record = |ordinal: i64| {
        let hash = format!("{ordinal:064x}");
        let body = format!(r#"{{"type":"data","id":"{ordinal}","sha256":"{hash}"}}"#);
        Letter::of(body, "20260201", &[("x-run", 9), ("x-ordinal", ordinal)])
    };
    let end = r#"{"type":"file_complete","data_type":"artists","total_processed":2}"#;
    let numbers = [("x-run", 9), ("x-last-ordinal", 2), ("x-bad-records", 0)];
    rabbit.publish(Kind::Artists, [record(1), Letter::of(end, "20260201", &numbers)]);
    let said = consumer.says("records of an announced run have not come");
    assert!(said.contains("records=1") && said.contains("20260201"), "{said}");
    rabbit.publish(Kind::Artists, [record(2)]);
    consumer.says("🎉 File processing complete for artists!");
    consumer.stops();
}

#[test]
fn a_broker_that_is_killed_under_both_ends_costs_nothing() {
    let (mut broker, place) = (Private::start_with(""), Place::new());
    place.sample(&options(6_000, 6));
    place.extract("sqlite:direct.db").ends(0, &[]);
    let (address, to) = (broker.address(), format!("sqlite:{}", place.path("c.db").display()));
    let start = |arguments: &[&str], state: &str| {
        let mut command = place.program();
        command.env("STATE_DIR", place.path(state)).env("HEALTH_PORT", "0");
        Daemon::start(command.args(arguments))
    };
    let consume = ["consume", "tables", "--from", &address, "--to", &to];
    let mut consumer = start(&consume, "a");
    consumer.says("the schema is up to date");
    let declared = "discogsography-discogs-tableinator-releases";
    until("the queues are there", || {
        broker.ctl(&["--quiet", "list_consumers", "queue_name"]).contains(declared)
    });
    broker.settle();
    let extract = ["extract", "dumps", "--to", &address, "--for", "tableinator"];
    let mut extractor = start(&extract, "extractor");
    let database = place.path("c.db");
    for written in [500, 3_000] {
        until("some are written", || count(&database, Kind::Releases) >= written);
        broker.kill();
        broker.start();
    }
    until("the extractor is done", || extractor.is_gone());
    until("all types are complete", || completed(&database) == 4);
    same_tables(&place.path("direct.db"), &database);
    let dead = broker.ctl(&["--quiet", "list_queues", "name", "messages"]);
    let has_none = |line: &&str| !line.contains(".dlq") || line.ends_with("\t0");
    assert!(dead.lines().all(|line| has_none(&line)), "{dead}");
    let said = consumer.stops();
    assert!(!said.contains("ERROR") && !said.contains("panicked"), "{said}");
}
