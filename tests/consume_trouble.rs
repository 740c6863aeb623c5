//! Consumers in trouble: a database that answers and takes no writes, and messages that are large.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]

#[allow(dead_code, reason = "the other tests of the database take the rest")]
#[path = "postgres/database.rs"]
mod database;
#[path = "consume/rabbit.rs"]
mod rabbit;
#[allow(dead_code, reason = "the other tests of consumers take the rest")]
#[path = "consume/site.rs"]
mod site;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use discogs_extractor::database::sqlite::Sqlite;
use discogs_extractor::database::{Database as _, Noted};
use discogs_extractor::model::agreement::{Announced, Event as Told, Noter, Unproven};
use discogs_extractor::model::{Kind, Ordinal, Run, SystemClock};
use serde_json::json;
use support::broker::private::{Private, free_port};
use support::daemon::Daemon;
use support::{Place, http};

use database::Database;
use rabbit::{Letter, Rabbit, until};
use site::Site;

/// The variables by which `tests/run` says where a broker and a server are.
const BROKER: &str = "DISCOGS_TEST_AMQP";
const SERVER: &str = "DISCOGS_TEST_POSTGRES";

/// A server that is full: it answers whatever is asked, and writes no labels. How often it was
/// asked to is counted, whatever becomes of the transaction.
const FULL: &str = "CREATE SEQUENCE tries;
    CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval('tries');
        RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100';
    END $$;
    CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON labels FOR EACH STATEMENT
        EXECUTE FUNCTION no_space()";

/// Tries of one batch: more than the ten seconds for which messages are held take, with pauses
/// that grow.
const TRIES: u64 = 9;

/// How long nothing must come until a queue counts as empty.
const QUIET: Duration = Duration::from_mins(1);

fn record(version: &str, ordinal: i64, padding: usize) -> Letter {
    let (hash, padding) = (format!("{ordinal:064x}"), "x".repeat(padding));
    let body =
        format!(r#"{{"type":"data","id":"{ordinal}","sha256":"{hash}","name":"{padding}"}}"#);
    Letter::of(body, version, &[("x-run", 9), ("x-ordinal", ordinal)])
}

fn end(kind: Kind, version: &str, last: i64) -> Letter {
    let body =
        format!(r#"{{"type":"file_complete","data_type":"{kind}","total_processed":{last}}}"#);
    let proof = [("x-run", 9), ("x-last-ordinal", last), ("x-bad-records", 0)];
    Letter::of(body, version, &proof)
}

#[test]
fn a_database_that_answers_and_takes_no_writes_costs_a_message_one_delivery() {
    let Some(site) = Site::new() else { return };
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = site.consume("a");
    command.env("HEALTH_PORT", address.port().to_string()).env("STALL_AFTER", "3");
    let mut consumer = Daemon::start(&mut command);
    site.all_are_read_by(1);
    site.database.run(FULL);
    site.rabbit.publish(Kind::Labels, (1..=300).map(|ordinal| record("20260201", ordinal, 10)));
    site.rabbit.publish(Kind::Labels, [end(Kind::Labels, "20260201", 300)]);
    let said = consumer.says("the database is away");
    assert!(said.contains("could not extend file"), "{said}");
    site.nobody_reads(&[Kind::Labels]);
    until("all are given back", || site.rabbit.queue(Kind::Labels).ready == 301);
    until("it is tried again and again", || site.number("SELECT last_value FROM tries") > TRIES);
    // What can be written is, and that is not the end of the outage.
    site.rabbit.publish(Kind::Artists, (1..=50).map(|ordinal| record("20260201", ordinal, 10)));
    until("artists are written", || site.count(Kind::Artists) == 50);
    let health = || http::get(address, "/health");
    until("it stalls", || health().status == 503);
    let said = health().json();
    assert_eq!(said["stalled"], json!(["labels"]), "{said}");
    assert!(said["held_up"]["labels"].as_str().unwrap().contains("could not extend file"));
    assert_eq!(said["held_up"]["artists"], json!(null));
    assert_eq!(site.rabbit.queue(Kind::Labels).consumers, 0);
    assert_eq!(site.rabbit.delivery_count(Kind::Labels), 1);
    site.database.run("DROP TRIGGER no_space ON labels");
    consumer.says("the database is back");
    until("all are written", || site.count(Kind::Labels) == 300);
    consumer.says("🎉 File processing complete for labels!");
    until("it is well", || health().status == 200);
    site.nothing_is_left();
    let said = consumer.stops();
    for words in ["the database is away", "the database is back"] {
        assert_eq!(said.matches(words).count(), 1, "{words}: {said}");
    }
}

#[test]
fn a_batch_that_could_not_be_written_is_tried_again_before_the_broker_is_asked_for_more() {
    let Some(database) = Database::new() else { return };
    let broker = Private::start_with("");
    let mut site = Site::of(Rabbit::on("tableinator", broker.address()), database);
    let mut consumer = Daemon::start(&mut site.consume("a"));
    site.all_are_read_by(1);
    site.database.run(FULL);
    site.rabbit.publish(Kind::Labels, (1..=20).map(|ordinal| record("20260201", ordinal, 10)));
    until("it is tried", || site.number("SELECT last_value FROM tries") > 1);
    // Two troubles at once: the connection to the broker goes while the database is full.
    for _ in 0..3 {
        broker.close_all_connections();
        let tries = site.number("SELECT last_value FROM tries");
        until("it is tried again", || site.number("SELECT last_value FROM tries") > tries + 1);
    }
    site.rabbit.connect_anew();
    let deliveries = site.rabbit.delivery_count(Kind::Labels);
    assert!(deliveries <= 1, "{deliveries}");
    site.database.run("DROP TRIGGER no_space ON labels");
    site.rabbit.publish(Kind::Labels, [end(Kind::Labels, "20260201", 20)]);
    consumer.says("🎉 File processing complete for labels!");
    site.nothing_is_left();
    consumer.stops();
}

#[test]
fn large_messages_of_four_types_at_once_take_little_memory() {
    const SMALL: i64 = 1_500;
    const LARGE: i64 = 100;
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    until("the queues are read", || {
        Kind::ALL.into_iter().all(|kind| rabbit.queue(kind).consumers == 1)
    });
    // Nobody reads while they are sent, so that all of them come at once.
    consumer.stops();
    for kind in Kind::ALL {
        let size = |ordinal| if ordinal > SMALL { 1 << 20 } else { 10 };
        let all = (1..=SMALL + LARGE).map(|ordinal| record("20260201", ordinal, size(ordinal)));
        rabbit.publish(kind, all);
        rabbit.publish(kind, [end(kind, "20260201", SMALL + LARGE)]);
    }
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    for kind in Kind::ALL {
        let line = format!("🎉 File processing complete for {kind}!");
        until(&line, || consumer.said().contains(&line));
    }
    let peak = consumer.peak_memory();
    assert!(peak < 256, "{peak} MiB");
    for kind in Kind::ALL {
        until("the queue is empty", || rabbit.queue(kind).ready == 0);
        assert_eq!(rabbit.dead_letters(kind).ready, 0, "{kind}");
    }
    consumer.stops();
}

#[test]
fn a_queue_that_was_emptied_with_its_end_in_it_is_told() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    let mut consumer = Daemon::start(&mut rabbit.consume(&place, "c.db", "a"));
    until("the queues are read", || {
        Kind::ALL.into_iter().all(|kind| rabbit.queue(kind).consumers == 1)
    });
    rabbit.publish(Kind::Artists, [record("20260201", 1, 10), end(Kind::Artists, "20260201", 1)]);
    let version_ends = r#"{"type":"extraction_complete","version":"20260201",
        "record_counts":{"artists":1,"labels":3,"masters":0,"releases":0}}"#;
    rabbit.publish(Kind::Artists, [Letter::of(version_ends, "20260201", &[])]);
    consumer.says("🎉 File processing complete for artists!");
    // It is quiet for a minute first: another replica may have the end in hand.
    let deadline = Instant::now() + QUIET * 2;
    while !consumer.said().contains("the end of this type's file never came") {
        assert!(Instant::now() < deadline, "{}", consumer.said());
        std::thread::sleep(Duration::from_millis(200));
    }
    let said = consumer.stops();
    let lost: Vec<_> = said.lines().filter(|line| line.contains("never came")).collect();
    assert_eq!(lost.len(), 1, "{said}");
    for words in ["type=labels", "records=3", "20260201", "--force-reprocess"] {
        assert!(lost[0].contains(words), "{words}: {lost:?}");
    }
}

#[test]
fn looking_at_what_is_agreed_costs_one_statement_however_many_months_there_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    let noter = Noter::new("tableinator", None);
    let clock = Arc::new(SystemClock::new());
    let database = Sqlite::open(&path, Some(noter), clock).unwrap();
    let asked = |which| rabbit::wait(database.notes(Kind::Labels, which));
    for month in 1..=12 {
        let announced = Announced {
            kind: Kind::Labels,
            version: Some(format!("2026{month:02}01").parse().unwrap()),
            proof: Some((Run(month), Ordinal(3), 0)),
            unproven: Unproven::default(),
        };
        for event in [Told::Announced(announced), Told::Complete(announced)] {
            rabbit::wait(database.agree(Kind::Labels, event)).unwrap();
        }
    }
    assert_eq!(asked(Noted::All).unwrap().notes.len(), 12);
    // Where there is nothing else, nothing else is asked for.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("DROP TABLE extractor_delivered; DROP TABLE extractor_refused").unwrap();
    let newest = asked(Noted::Newest).unwrap().notes;
    let versions: Vec<_> = newest.iter().map(|note| note.announced.version.unwrap()).collect();
    let expected = ["20261201", "20261101", "20261001", "20260901"];
    assert_eq!(versions, expected.map(|version| version.parse().unwrap()));
    assert!(asked(Noted::All).is_err());
}
