//! The graphinator: real queues, a real Bolt server, real kills. `DISCOGS_TEST_RECORDS=100000` makes
//! the long variant of the kills.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the seed, and what is left out")]

#[path = "support/bolt.rs"]
mod bolt;
#[path = "consume/clocks.rs"]
mod clocks;
#[path = "graph/fixture.rs"]
mod fixture;
#[path = "consume/rabbit.rs"]
mod rabbit;
mod support;
#[path = "consume/unnumbered.rs"]
mod unnumbered;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use discogs_extractor::graph::{Graph, settle};
use discogs_extractor::model::{FirstConnection, Kind};
use discogs_extractor::sample::{Options, make};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use support::daemon::Daemon;
use support::{Place, Ran};

use fixture::{Fixture, sample, write};
use rabbit::{Letter, Rabbit, until, wait};

/// The broker and the graph that the tests use.
const BROKER: &str = "DISCOGS_TEST_AMQP";
const GRAPH: &str = "DISCOGS_TEST_BOLT";

/// A dump set in a folder of the place.
fn dumps(place: &Place, folder: &str, releases: u64, seed: u64, version: &str) {
    let options = Options::new(releases, seed, version.parse().unwrap());
    make(&options, &place.path(folder)).unwrap();
}

fn seed() -> u64 {
    let set = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = set.unwrap_or_else(|| rand::rng().random());
    eprintln!("DISCOGS_TEST_SEED={seed}");
    seed
}

/// Everything in the graph but by which run it was written.
fn all(fixture: &Fixture) -> Vec<String> {
    let without_run = |text: String| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["p"].as_object_mut().unwrap().remove("run");
        value.to_string()
    };
    wait(fixture.all()).into_iter().map(without_run).collect()
}

/// What one clean pass over a folder of dumps makes of an empty graph.
fn clean(fixture: &Fixture, folder: &Path, version: &str) -> Vec<String> {
    wait(fixture.empty());
    for kind in Kind::ALL {
        // What a server takes in one transaction.
        for some in sample(folder, kind, version).chunks(2_000) {
            assert_eq!(wait(write(&fixture.link, kind, some)).unwrap(), [].into());
        }
    }
    assert!(wait(settle(&fixture.link, &mut |_| true)).unwrap());
    let clean = all(fixture);
    wait(fixture.empty());
    clean
}

/// Waits until all types of a version with so many releases are swept.
#[track_caller]
fn until_swept(fixture: &Fixture, version: &str, releases: u64) {
    let notes = format!(
        "MATCH (c:ExtractorComplete {{version: '{version}'}}) RETURN c.key AS key,
         c.last AS last, c.completed_at AS completed_at, c.sweep AS sweep, c.sweep_words AS words"
    );
    // Who was killed while sweeping has the claim for half a minute more.
    let writing = Duration::from_millis(releases * 10);
    let deadline = Instant::now() + rabbit::PATIENCE * 2 + writing;
    loop {
        let notes = wait(fixture.texts(&notes));
        if notes.iter().filter(|note| note.contains(r#""sweep":"done""#)).count() == 4 {
            return;
        }
        assert!(Instant::now() < deadline, "{notes:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn nothing_is_left(rabbit: &Rabbit) {
    for kind in Kind::ALL {
        until("the queue is empty", || rabbit.queue(kind).ready == 0);
        assert_eq!(rabbit.dead_letters(kind).ready, 0, "{kind}");
    }
}

#[track_caller]
fn same(clean: &[String], found: &[String]) {
    let (clean, found): (BTreeSet<_>, BTreeSet<_>) =
        (clean.iter().collect(), found.iter().collect());
    let missing: Vec<_> = clean.difference(&found).take(5).collect();
    let more: Vec<_> = found.difference(&clean).take(5).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:#?}\nmore {more:#?}");
}

#[test]
fn kills_of_two_replicas_and_two_versions_end_as_the_graph_of_one_clean_pass() {
    let Some(fixture) = wait(Fixture::new(GRAPH)) else { return };
    let mut random = StdRng::seed_from_u64(seed());
    let (rabbit, place) = (Rabbit::of("graphinator", BROKER), Place::new());
    let releases = std::env::var("DISCOGS_TEST_RECORDS").ok().map(|it| it.parse().unwrap());
    let releases = releases.unwrap_or(500);
    dumps(&place, "old", releases, 2, "20260101");
    dumps(&place, "new", releases * 4 / 5, 5, "20260201");
    let newer = clean(&fixture, &place.path("new"), "20260201");
    let older = clean(&fixture, &place.path("old"), "20260101");

    let replica = |name: &str| {
        let mut command = rabbit.consume_graph(&place, &fixture.url, name);
        command.env("PURGE_MAX_DELETE_FRACTION", "1").env("CONSUMER_CANCEL_DELAY", "0");
        Daemon::start(&mut command)
    };
    let names = ["a", "b"];
    let mut replicas = names.map(replica);
    let mut extractor = Daemon::start(&mut rabbit.extract(&place, "old"));
    let (mut said, mut kills) = (String::new(), 0);
    // About as long as all of it takes to be written.
    let until_killed = Instant::now() + Duration::from_millis(6_000 + releases);
    while Instant::now() < until_killed {
        std::thread::sleep(Duration::from_millis(random.random_range(100..900 + releases / 50)));
        kills += 1;
        match random.random_range(0..3) {
            2 if !extractor.is_gone() => {
                extractor.signal(Signal::KILL);
                extractor = Daemon::start(&mut rabbit.extract(&place, "old"));
            }
            which => {
                let which = which % 2;
                let old = std::mem::replace(&mut replicas[which], replica(names[which]));
                said += &old.kill();
            }
        }
    }
    eprintln!("{kills} kills");
    until("the extractor is done", || extractor.is_gone());
    until_swept(&fixture, "20260101", releases);
    nothing_is_left(&rabbit);
    same(&older, &all(&fixture));
    let latches = "MATCH (l:ExtractionCompletion) RETURN l.version AS version,
         size(l.signals) AS signals, l.created_at <= l.updated_at AS ordered";
    let latch = [r#"{"ordered":true,"signals":4,"version":"20260101"}"#];
    assert_eq!(wait(fixture.texts(latches)), latch);

    // The next version, with records changed, added and gone.
    Ran::of(rabbit.extract(&place, "new").output().unwrap()).ends(0, &[]);
    until_swept(&fixture, "20260201", releases);
    same(&newer, &all(&fixture));
    nothing_is_left(&rabbit);
    for replica in replicas {
        said += &replica.stops();
    }
    for kind in Kind::ALL {
        let line = format!("🎉 File processing complete for {kind}!");
        let count = said.matches(&line).count();
        // Of the first version a kill may have cost the line.
        assert!((1..=2).contains(&count), "{line} {count}\n{said}");
    }
    assert!(!said.contains("panicked") && !said.contains(" ERROR "), "{said}");
}

/// Without a broker in between: `extract --to bolt://…`.
#[test]
fn an_extraction_that_is_killed_again_and_again_ends_as_the_graph_of_one_clean_pass() {
    let Some(fixture) = wait(Fixture::new(GRAPH)) else { return };
    let (mut random, place) = (StdRng::seed_from_u64(seed()), Place::new());
    dumps(&place, "old", 400, 2, "20260101");
    dumps(&place, "new", 300, 5, "20260201");
    let newer = clean(&fixture, &place.path("new"), "20260201");
    let older = clean(&fixture, &place.path("old"), "20260101");
    for (folder, expected) in [("old", &older), ("new", &newer)] {
        let extract = || {
            let mut command = place.program();
            command.args(["extract", folder, "--to", &fixture.url]);
            command.args(["--purge-max-delete-fraction", "1"]);
            command
        };
        for _ in 0..6 {
            let killed = Daemon::start(&mut extract());
            std::thread::sleep(Duration::from_millis(random.random_range(50..900)));
            killed.signal(Signal::KILL);
            drop(killed);
        }
        let ended = extract().output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
        same(expected, &all(&fixture));
        // It is asked, not remembered, whether there is anything to do.
        assert!(extract().status().unwrap().success());
        same(expected, &all(&fixture));
    }
}

#[test]
fn a_server_that_is_away_is_waited_for_and_said_once() {
    let Some(mut fixture) = wait(Fixture::mortal()) else { return };
    let (rabbit, place) = (Rabbit::of("graphinator", BROKER), Place::new());
    dumps(&place, "dumps", 300, 3, "20260101");
    let clean = clean(&fixture, &place.path("dumps"), "20260101");
    let url = fixture.url.clone();
    let mut consumer = Daemon::start(&mut rabbit.consume_graph(&place, &url, "a"));
    until("the queues are read", || {
        Kind::ALL.into_iter().all(|kind| rabbit.queue(kind).consumers == 1)
    });
    fixture.server.as_mut().unwrap().kill();
    Ran::of(rabbit.extract(&place, "dumps").output().unwrap()).ends(0, &[]);
    consumer.says("the graph is away");
    // Longer than messages are held.
    for kind in Kind::ALL {
        until("nobody reads", || rabbit.queue(kind).consumers == 0);
        until("they are given back", || rabbit.queue(kind).ready > 0);
        assert!(rabbit.delivery_count(kind) <= 1, "{kind}");
    }
    fixture.server.as_mut().unwrap().begin();
    until_swept(&fixture, "20260101", 300);
    same(&clean, &all(&fixture));
    nothing_is_left(&rabbit);
    let said = consumer.stops();
    assert_eq!(said.matches("the graph is away").count(), 1, "{said}");
    assert_eq!(said.matches("the graph is back").count(), 1, "{said}");
}

#[test]
fn clocks_that_are_hours_ahead_or_behind_cancel_on_time() {
    let Some(fixture) = wait(Fixture::new(GRAPH)) else { return };
    let rabbit = Rabbit::of("graphinator", BROKER);
    let noted = || {
        let notes = "MATCH (c:ExtractorComplete) WHERE c.completed_at IS NOT NULL
             RETURN c.key AS key, c.cancelled_at IS NOT NULL AS cancelled";
        let notes = wait(fixture.texts(notes));
        let cancelled = notes.iter().filter(|note| note.contains(r#""cancelled":true"#)).count();
        (notes.len() as u64, cancelled as u64)
    };
    let address = fixture.url.parse().unwrap();
    let open = |noter, clock| {
        wait(Graph::open(&address, Some(noter), clock, FirstConnection::Whenever)).unwrap()
    };
    clocks::cancellations_are_on_time(&rabbit, &open, &noted);
}

#[test]
fn what_is_sent_without_numbers_is_complete_when_all_of_it_is_written_and_settled_each_time() {
    let Some(fixture) = wait(Fixture::new(GRAPH)) else { return };
    let (rabbit, place) = (Rabbit::of("graphinator", BROKER), Place::new());
    let start = |name: &str| {
        let mut command = rabbit.consume_graph(&place, &fixture.url, name);
        Daemon::start(command.env("CONSUMER_CANCEL_DELAY", "2"))
    };
    let of_pass = |pass: u32| {
        let nodes = format!("MATCH (n:Artist {{version: '', run: {pass}}}) RETURN n.id AS id");
        wait(fixture.texts(&nodes)).len() as u64
    };
    let mut replicas = unnumbered::passes_end_when_all_is_written(&rabbit, start, &of_pass);
    let settled = "MATCH (c:ExtractorComplete) RETURN c.sweep AS sweep";
    until("it is settled", || wait(fixture.texts(settled)) == [r#"{"sweep":"done"}"#]);
    let times = replicas.said().matches("settling what many records say together").count();
    assert_eq!(times, 3, "{}", replicas.said());
    let said = replicas.stop();
    assert!(!said.contains(" ERROR ") && !said.contains("panicked"), "{said}");
}

#[test]
fn what_the_graph_refuses_for_good_counts_as_bad_until_it_is_taken() {
    let Some(fixture) = wait(Fixture::new(GRAPH)) else { return };
    let (rabbit, place) = (Rabbit::of("graphinator", BROKER), Place::new());
    let mut replicas =
        ["a", "b"].map(|name| Daemon::start(&mut rabbit.consume_graph(&place, &fixture.url, name)));
    until("the queues are read", || rabbit.queue(Kind::Labels).consumers == 2);
    let of = |ordinal: i64, version: &str, run: i64, name: &str| {
        let hash = format!("{ordinal:064x}");
        let body =
            format!(r#"{{"type":"data","id":"{ordinal}","sha256":"{hash}","name":"{name}"}}"#);
        Letter::of(body, version, &[("x-run", run), ("x-ordinal", ordinal)])
    };
    let end = |version: &str, run: i64, last: i64| {
        let body = r#"{"type":"file_complete","data_type":"labels","total_processed":3}"#;
        let numbers = [("x-run", run), ("x-last-ordinal", last), ("x-bad-records", 0)];
        Letter::of(body, version, &numbers)
    };
    let long = "x".repeat(9_000);
    let unreadable = Letter::of("no JSON", "20260201", &[("x-run", 5), ("x-ordinal", 3)]);
    rabbit.publish(Kind::Labels, (1..=20).map(|n| of(n, "20260101", 4, "old")));
    rabbit.publish(Kind::Labels, [end("20260101", 4, 20)]);
    rabbit.publish(Kind::Labels, (4..=20).map(|n| of(n, "20260201", 5, "new")));
    let two = [of(1, "20260201", 5, "new"), of(2, "20260201", 5, &long), unreadable];
    rabbit.publish(Kind::Labels, two.into_iter().chain([end("20260201", 5, 20)]));
    let noted = |version: &str| {
        let note = "RETURN c.sweep AS sweep, c.sweep_words AS words";
        let of = format!("MATCH (c:ExtractorComplete {{version: '{version}'}}) {note}");
        wait(fixture.texts(&of))
    };
    let words = "2 records of the dump were set aside";
    until("its sweep is refused", || {
        noted("20260201") == [format!(r#"{{"sweep":"refused","words":"{words}"}}"#)]
    });
    until("they are dead letters", || rabbit.dead_letters(Kind::Labels).ready == 2);
    let said = |replicas: &mut [Daemon; 2]| replicas.each_mut().map(Daemon::said).concat();
    assert!(said(&mut replicas).contains("complete without records that were refused"));
    // Both are sent again in a form that can be taken.
    rabbit.publish(Kind::Labels, [2, 3].map(|n| of(n, "20260201", 5, "new")));
    until("it is swept", || noted("20260201") == [r#"{"sweep":"done","words":"0 nodes removed"}"#]);
    // One of them swept, and the other hears of it half a second later: its exit code is no matter.
    for replica in replicas {
        replica.kill();
    }
}

#[test]
fn the_platform_s_messages_fill_the_graph_and_what_has_no_place_is_a_dead_letter() {
    let Some(fixture) = wait(Fixture::new(GRAPH)) else { return };
    let (rabbit, place) = (Rabbit::of("graphinator", BROKER), Place::new());
    let mut command = rabbit.consume_graph(&place, &fixture.url, "a");
    command.env("CONSUMER_CANCEL_DELAY", "1");
    let mut consumer = Daemon::start(&mut command);
    until("the queues are read", || {
        Kind::ALL.into_iter().all(|kind| rabbit.queue(kind).consumers == 1)
    });
    let sent = include_str!("consume/todays_messages.jsonl");
    for kind in Kind::ALL {
        let prefix = format!("{kind}\t");
        let of_kind = sent.lines().filter_map(|line| line.strip_prefix(&prefix));
        // Neither has a place: the one is no JSON, the other names nobody.
        let unfit = ["no json", r#"{"type":"data","sha256":"ab"}"#];
        let letters = unfit.into_iter().filter(|_| kind == Kind::Artists).chain(of_kind);
        rabbit.publish(kind, letters.map(Letter::plain));
    }
    for kind in Kind::ALL {
        let line = format!("🎉 File processing complete for {kind}!");
        until(&line, || consumer.said().contains(&line));
    }
    until("two are dead letters", || rabbit.dead_letters(Kind::Artists).ready == 2);
    until("nobody reads", || rabbit.queue(Kind::Artists).consumers == 0);
    let members = "MATCH (m)-[:MEMBER_OF]->(:Artist {id: '2'}) RETURN m.id AS id";
    assert_eq!(wait(fixture.texts(members)), [r#"{"id":"26"}"#, r#"{"id":"27"}"#]);
    let genres = "MATCH (n:Genre) RETURN n.name AS name, n.release_count AS releases,
         n.artist_count AS artists, n.label_count AS labels, n.first_year AS year";
    let genre = r#"{"artists":1,"labels":1,"name":"Electronic","releases":1,"year":1999}"#;
    until("it is counted", || wait(fixture.texts(genres)) == [genre]);
    let releases = "MATCH (n:Release) WHERE n.sha256 IS NOT NULL RETURN n.id AS id";
    assert_eq!(wait(fixture.texts(releases)).len(), 1);
    consumer.stops();
}

#[test]
fn what_is_no_graph_is_refused_with_words() {
    let place = Place::new();
    let to = |to: &str| {
        let mut command = place.program();
        command.args(["consume", "graph", "--migrate-only", "--to", to]);
        Ran::of(command.output().unwrap())
    };
    to("sqlite:a.db").ends(2, &["there is no graph to fill", "hint: "]);
    to("bolt://").ends(2, &["it has no host", "hint: "]);
    let mut command = place.program();
    command.args(["consume", "graph", "--migrate-only"]).env("NEO4J_HOST", "graph");
    let ran = Ran::of(command.output().unwrap());
    ran.ends(2, &["NEO4J_USERNAME is not set", "hint: "]);
}
