//! The amqp sink against a real broker: what arrives, what is declared, and what is said when it
//! cannot go on.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use discogs_extractor::model::{Kind, Version};
use discogs_extractor::sample::Options;
use lapin::ExchangeKind;
use lapin::types::AMQPValue;
use rand::Rng;
use rustix::process::Signal;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};

use support::broker::checks::{Expected, announced, data, runs, said};
use support::broker::private::{Certificates, Private, free_port};
use support::broker::reader::{Bodies, Message, Reader};
use support::broker::{
    CONSUMERS, Client, Exchanges, PRECONDITION_FAILED, arguments, of_a_consumer, shared, text,
};
use support::running::Running;
use support::{Place, Ran, artists, conforms, copy_folder, gzip};

/// Longer than anything here takes, on a busy machine too.
const LONG: Duration = Duration::from_mins(1);

/// Inside Docker's patience.
const STOP: Duration = Duration::from_secs(10);

const VERSION: &str = "20260101";

fn broker() -> String {
    shared("DISCOGS_TEST_AMQP")
}

fn sample_folder() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/data/sample").to_owned()
}

/// A place whose dumps are those of `data/sample`.
fn sample() -> Place {
    let place = Place::new();
    copy_folder(Path::new(&sample_folder()), &place.path("dumps"));
    place
}

/// A place with one small dump of artists.
fn few_artists(count: usize) -> Place {
    let place = Place::new();
    place.dump("discogs_20260101_artists.xml.gz", &gzip(artists(count).as_bytes()));
    place
}

/// Runs `extract dumps` to its end.
fn extract(place: &Place, exchanges: &Exchanges, to: &str, more: &[&str]) -> Ran {
    let mut command = exchanges.program(place);
    command.args(["extract", "dumps", "--to", to]).args(more);
    Ran::of(command.output().unwrap())
}

/// Starts `extract dumps`.
fn start(place: &Place, exchanges: &Exchanges, to: &str, more: &[&str]) -> Running {
    let mut command = exchanges.program(place);
    Running::start(command.args(["extract", "dumps", "--to", to]).args(more))
}

/// Stops it while the broker takes nothing: in time, and with the signal's own code only if it had
/// nothing under way yet.
#[track_caller]
fn stop(running: &mut Running) {
    running.signal(Signal::TERM);
    let status = running.status(STOP);
    assert!(matches!(status.code(), Some(3 | 143)), "{status}:\n{}", running.log());
}

/// The names of an object's members as they stand.
fn keys(json: &[u8]) -> Vec<String> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some(key) = map.next_key()? {
                keys.push(key);
                map.next_value::<IgnoredAny>()?;
            }
            Ok(keys)
        }
    }
    serde_json::Deserializer::from_slice(json).deserialize_map(Keys).unwrap()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What all messages have in common.
fn check_properties(message: &Message) {
    let properties = &message.properties;
    let word = |word: &Option<lapin::types::ShortString>| word.as_ref().unwrap().to_string();
    assert_eq!(word(properties.content_type()), "application/json");
    assert_eq!(word(properties.content_encoding()), "UTF-8");
    assert_eq!(properties.delivery_mode(), &Some(2), "persistent");
    assert_eq!(word(properties.app_id()), "discogs-extractor");
    assert_eq!(message.routing_key, "");
    assert_eq!(message.header("x-version"), VERSION);
    let age = unix_now() - properties.timestamp().unwrap();
    assert!(age < 120, "the timestamp is {age} s old");
}

/// A data message against the text of the contract, from its own body.
fn check_data(message: &Message, ordinal: u64) {
    check_properties(message);
    let body = std::str::from_utf8(&message.body).unwrap();
    let keys = keys(&message.body);
    assert_eq!(&keys[..3], ["type", "id", "sha256"], "{body}");
    assert!(keys[3..].is_sorted(), "{body}");
    let mut record: BTreeMap<String, serde_json::Value> = serde_json::from_str(body).unwrap();
    assert_eq!(record.len(), keys.len(), "no key twice: {body}");
    assert_eq!(record.remove("type").unwrap(), "data");
    let sha256 = record.remove("sha256").unwrap();
    let id = record["id"].clone();
    if record.get("@id") == Some(&id) || id == "unknown" {
        record.remove("id"); // it is not a member of the record itself
    }
    let hash = Sha256::digest(serde_json::to_string(&record).unwrap().as_bytes());
    let hash = hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(sha256, hash, "{body}");
    record.remove("id");
    let rest = serde_json::to_string(&record).unwrap();
    let rest = if record.is_empty() { "}".to_owned() } else { format!(",{}", &rest[1..]) };
    assert_eq!(body, format!(r#"{{"type":"data","id":{id},"sha256":"{hash}"{rest}"#));
    assert_eq!(message.what(), "data");
    assert_eq!(message.id(), format!("{VERSION}-{}-{ordinal}-{}", message.kind(), &hash[..8]));
    assert_eq!(message.header("x-ordinal"), ordinal);
    assert!(message.header("x-run").as_u64().unwrap() > 1_700_000_000_000, "milliseconds");
    assert_eq!(message.headers(), ["x-ordinal", "x-run", "x-version"]);
}

#[test]
fn the_messages_of_the_sample_are_the_contracts_field_by_field() {
    let place = sample();
    let exchanges = Exchanges::new(&broker());
    let queue = exchanges.queue("all");
    let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
    let ran = extract(&place, &exchanges, &broker(), &[]);
    let sent = Kind::ALL.map(|kind| format!("✅ Sent file completion message for {kind}"));
    ran.ends(0, &sent.each_ref().map(String::as_str));
    reader.wait_for_the_end(LONG);
    reader.wait_for_silence();
    let messages = reader.messages();
    let expected = Expected::of(&place.path("dumps"));
    assert_eq!(messages.len(), expected.total() + 8, "nothing more than once");
    expected.all_arrived(&messages);
    expected.all_announced(&messages);
    for message in messages.iter() {
        conforms(include_str!("../docs/message.schema.json"), &message.json());
    }
    let mut timestamps = Vec::new();
    for kind in Kind::ALL {
        for (message, ordinal) in data(&messages, kind).zip(1..) {
            check_data(message, ordinal);
            assert_eq!(message.body, expected.body(kind, ordinal).as_bytes(), "as in jsonl:");
        }
        let run = runs(&messages)[&kind].clone();
        assert_eq!(run.len(), 1, "one run a file");
        let records = expected.records(kind);

        let (_, complete) = announced(&messages, kind, "file_complete").next().unwrap();
        check_properties(complete);
        let json = complete.json();
        let at = json["timestamp"].as_str().unwrap();
        timestamps.push(at.to_owned());
        let body = format!(
            r#"{{"type":"file_complete","data_type":"{kind}","timestamp":"{at}","total_processed":{records},"file":"discogs_{VERSION}_{kind}.xml.gz"}}"#
        );
        assert_eq!(String::from_utf8_lossy(&complete.body), body);
        assert_eq!(complete.header("x-run"), run[0]);
        let headers = ["x-bad-records", "x-last-ordinal", "x-run", "x-version"];
        assert_eq!(complete.headers(), headers);
    }
    for kind in Kind::ALL {
        let (_, complete) = announced(&messages, kind, "extraction_complete").next().unwrap();
        check_properties(complete);
        let json = complete.json();
        let time = |name: &str| json[name].as_str().unwrap().to_owned();
        let (at, started_at) = (time("timestamp"), time("started_at"));
        let [artists, labels, masters, releases] = Kind::ALL.map(|kind| expected.records(kind));
        let body = format!(
            r#"{{"type":"extraction_complete","version":"{VERSION}","timestamp":"{at}","started_at":"{started_at}","record_counts":{{"artists":{artists},"labels":{labels},"masters":{masters},"releases":{releases}}}}}"#
        );
        assert_eq!(String::from_utf8_lossy(&complete.body), body);
        for time in [&at, &started_at] {
            let moment: jiff::Timestamp = time.parse().unwrap();
            assert!(time.ends_with('Z') && moment.as_second().unsigned_abs() <= unix_now());
        }
        assert!(started_at <= at && timestamps.iter().all(|complete| *complete <= at));
    }
}

#[test]
fn exchanges_are_durable_fanouts_and_so_they_stay() {
    let place = few_artists(3);
    let exchanges = Exchanges::new(&broker());
    extract(&place, &exchanges, &broker(), &["--for", "tableinator"]).ends(0, &[]);
    let (client, name) = (exchanges.client(), exchanges.name(Kind::Artists));
    assert_eq!(client.declare_exchange(&name, ExchangeKind::Fanout, true), Ok(()));
    for (kind, durable) in [(ExchangeKind::Direct, true), (ExchangeKind::Fanout, false)] {
        assert_eq!(client.declare_exchange(&name, kind, durable), Err(PRECONDITION_FAILED));
    }

    // One that is something else is told, and not tried for ever.
    let other = Exchanges::new(&broker());
    let name = other.name(Kind::Artists);
    other.client().declare_exchange(&name, ExchangeKind::Direct, true).unwrap();
    place.run(&["state", "reset", "--yes"]);
    extract(&place, &other, &broker(), &[]).ends(1, &[&name, "hint: "]);
}

#[test]
fn consumers_queues_are_declared_exactly_whoever_starts_first() {
    let exchanges = Exchanges::new(&broker());
    let client = exchanges.client();
    let expected = Expected::of(Path::new(&sample_folder()));
    let both = ["--for", "tableinator,graphinator"];
    extract(&sample(), &exchanges, &broker(), &both).ends(0, &[]);
    for kind in Kind::ALL {
        for consumer in CONSUMERS {
            let queue = exchanges.consumer_queue(consumer, kind);
            let messages = u32::try_from(expected.records(kind) + 2).unwrap();
            let exactly = client.declare_queue(&queue, true, of_a_consumer(&queue));
            assert_eq!(exactly, Ok(messages), "{queue}");
            let mut other = of_a_consumer(&queue);
            other.insert("x-delivery-limit".into(), AMQPValue::LongInt(21));
            assert_eq!(client.declare_queue(&queue, true, other), Err(PRECONDITION_FAILED));
            let (dlx, dlq) = (format!("{queue}.dlx"), format!("{queue}.dlq"));
            assert_eq!(client.declare_exchange(&dlx, ExchangeKind::Fanout, true), Ok(()));
            // A plain durable queue is a classic one, whether or not that is said.
            assert_eq!(client.declare_queue(&dlq, true, arguments([])), Ok(0), "{dlq}");
            let classic = arguments([("x-queue-type", text("classic"))]);
            assert_eq!(client.declare_queue(&dlq, true, classic), Ok(0), "{dlq}");
            client.publish(&dlx, b"dead");
            let deadline = Instant::now() + LONG;
            let dead = loop {
                if let Some(dead) = client.take(&dlq) {
                    break dead;
                }
                assert!(Instant::now() < deadline, "{dlq} is not bound to {dlx}");
            };
            assert_eq!(dead, b"dead");
        }
    }

    // The other way round: the consumers were there before.
    let other = Exchanges::new(&broker());
    let client = other.client();
    other.declare();
    for kind in Kind::ALL {
        let queue = other.consumer_queue("tableinator", kind);
        let (dlx, dlq) = (format!("{queue}.dlx"), format!("{queue}.dlq"));
        client.declare_exchange(&dlx, ExchangeKind::Fanout, true).unwrap();
        client.declare_queue(&dlq, true, arguments([])).unwrap();
        client.bind(&dlq, &dlx);
        client.declare_queue(&queue, true, of_a_consumer(&queue)).unwrap();
        client.bind(&queue, &other.name(kind));
    }
    extract(&sample(), &other, &broker(), &both).ends(0, &[]);
    let queue = other.consumer_queue("tableinator", Kind::Labels);
    let messages = u32::try_from(expected.records(Kind::Labels) + 2).unwrap();
    assert_eq!(client.declare_queue(&queue, true, of_a_consumer(&queue)), Ok(messages));
}

#[test]
fn without_a_queue_it_waits_says_so_once_and_loses_nothing() {
    let place = few_artists(500);
    let exchanges = Exchanges::new(&broker());
    let mut running = start(&place, &exchanges, &broker(), &["--window", "50"]);
    let name = exchanges.name(Kind::Artists);
    let line = running.says(&["unroutable", &name], LONG);
    assert!(line.contains("--for"), "{line}");
    // Long enough for several tries, which must not be told of again.
    std::thread::sleep(Duration::from_secs(2));
    assert!(running.is_running());
    let file = place.only_file();
    assert_eq!((&file["status"], &file["records"]), (&"extracting".into(), &0.into()));
    assert_eq!(said(&running.log(), "unroutable"), 1, "{}", running.log());

    let queue = exchanges.queue("all");
    let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
    running.ends(0, LONG);
    running.says(&["takes records again"], LONG);
    assert_eq!(said(&running.log(), "unroutable"), 1, "{}", running.log());
    reader.wait_until(LONG, |messages| {
        announced(messages, Kind::Artists, "file_complete").count() > 0
    });
    let messages = reader.messages();
    let expected = Expected::of(&place.path("dumps"));
    expected.all_arrived(&messages);
    let file = place.only_file();
    assert_eq!((&file["status"], &file["records"]), (&"complete".into(), &500.into()));
}

#[test]
fn a_second_run_sends_nothing_and_a_forced_one_all_under_a_new_run() {
    let place = sample();
    let exchanges = Exchanges::new(&broker());
    let queue = exchanges.queue("all");
    let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
    extract(&place, &exchanges, &broker(), &[]).ends(0, &[]);
    reader.wait_for_the_end(LONG);
    let first = reader.messages().len();
    let again = extract(&place, &exchanges, &broker(), &[]);
    again.ends(0, &[]);
    assert!(!again.err.contains("✅ Sent"), "{}", again.err);
    reader.wait_for_silence();
    assert_eq!(reader.messages().len(), first);

    extract(&place, &exchanges, &broker(), &["--force-reprocess"]).ends(0, &[]);
    reader.wait_for(2 * first, LONG);
    reader.wait_for_silence();
    let messages = reader.messages();
    assert_eq!(messages.len(), 2 * first);
    let expected = Expected::of(&place.path("dumps"));
    expected.all_arrived(&messages[first..]);
    expected.all_announced(&messages[first..]);
    for (kind, runs) in runs(&messages) {
        assert_eq!(runs.len(), 2, "{kind}");
        let ids: Vec<_> =
            announced(&messages, kind, "file_complete").map(|(_, m)| m.id()).collect();
        assert_eq!(ids.len(), 2, "{kind}");
        assert_ne!(ids[0], ids[1], "{kind}: another run, another message");
    }
}

#[test]
fn a_broker_that_was_emptied_is_told_and_never_nothing_to_do() {
    for limit in [None, Some("--limit=100")] {
        let place = few_artists(300);
        let exchanges = Exchanges::new(&broker());
        let queue = exchanges.queue("first");
        let more: Vec<_> = limit.into_iter().collect();
        let code = if limit.is_some() { 3 } else { 0 };
        extract(&place, &exchanges, &broker(), &more).ends(code, &[]);
        for kind in Kind::ALL {
            exchanges.client().delete_exchange(&exchanges.name(kind));
        }
        exchanges.client().delete_queue(&queue);
        let name = exchanges.name(Kind::Artists);
        for _ in 0..2 {
            extract(&place, &exchanges, &broker(), &[]).ends(1, &[&name, "hint: ", "state forget"]);
            assert!(!exchanges.client().has_exchange(&name), "it was not asked to make it");
        }

        let job = place.only_file()["job"].as_str().unwrap().to_owned();
        place.run(&["state", "forget", &job, "--yes"]).ends(0, &[]);
        let queue = exchanges.queue("all");
        let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
        extract(&place, &exchanges, &broker(), &[]).ends(0, &[]);
        reader.wait_for(301, LONG);
        Expected::of(&place.path("dumps")).all_arrived(&reader.messages());
    }
}

/// The broker's address with other parts.
fn changed(change: impl FnOnce(&mut url::Url)) -> String {
    let mut url: url::Url = broker().parse().unwrap();
    change(&mut url);
    url.to_string()
}

#[test]
fn a_broker_that_lets_nobody_in_is_tried_said_once_and_can_be_stopped() {
    const SECRET: &str = "hunter2-secret";
    const IN: &str = "the broker does not let us in";
    let port = free_port();
    let cases = [
        (changed(|url| url.set_password(Some(SECRET)).unwrap()), IN, "ACCESS_REFUSED"),
        (changed(|url| url.set_path("no-such-vhost")), IN, "no-such-vhost"),
        (changed(|url| url.set_port(Some(port)).unwrap()), "the broker is away", "refused"),
    ];
    for (address, what, why) in cases {
        let place = few_artists(300);
        let exchanges = Exchanges::new(&broker());
        let queue = exchanges.queue("all");
        let mut running = start(&place, &exchanges, &address, &["--wait"]);
        let url: url::Url = address.parse().unwrap();
        let host = format!("127.0.0.1:{}", url.port().unwrap());
        let line = running.says(&[what, &host, why], LONG);
        // Several tries, which must not be told of again.
        std::thread::sleep(Duration::from_secs(2));
        assert!(running.is_running());
        assert_eq!(said(&running.log(), "trying until it"), 1, "{}", running.log());
        stop(&mut running);
        for text in [running.log(), running.out()] {
            assert!(!text.contains(SECRET) && !text.contains("guest:"), "{text}");
        }
        assert_eq!(place.only_file()["status"], "pending", "{line}");

        // The same state, once it is let in.
        if address.contains(SECRET) {
            let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
            extract(&place, &exchanges, &broker(), &[]).ends(0, &[]);
            reader.wait_for(301, LONG);
            Expected::of(&place.path("dumps")).all_arrived(&reader.messages());
        }
    }
}

#[test]
fn who_typed_a_wrong_password_or_vhost_is_told_at_once() {
    let place = few_artists(30);
    let exchanges = Exchanges::new(&broker());
    let wrong = [
        (changed(|url| url.set_password(Some("s3cret")).unwrap()), "ACCESS_REFUSED"),
        (changed(|url| url.set_path("no-such-vhost")), "no-such-vhost"),
    ];
    for (address, why) in wrong {
        let began = Instant::now();
        let ran = extract(&place, &exchanges, &address, &[]);
        ran.ends(1, &["cannot connect to amqp://", why, "hint: look at user, password and vhost"]);
        assert!(!ran.err.contains("s3cret"), "{ran:?}");
        let mut replay = place.program();
        replay.args(["consume", "replay-dead-letters", "tables", "--from", &address]);
        let ran = Ran::of(replay.output().unwrap());
        ran.ends(1, &["cannot connect to amqp://", why, "hint: look at user, password and vhost"]);
        // Of two that would otherwise each take half a minute.
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_broker_that_does_not_answer_is_tried_for_a_while_and_that_is_said() {
    let place = few_artists(30);
    let exchanges = Exchanges::new(&broker());
    let port = free_port();
    let address = changed(|url| url.set_port(Some(port)).unwrap());
    let mut running = start(&place, &exchanges, &address, &[]);
    running.says(&["there is no connection yet", "seconds=30"], LONG);
    running.ends(1, Duration::from_mins(1));
    assert!(running.log().contains("--wait"), "{}", running.log());
}

#[test]
fn messages_too_large_for_the_broker_are_set_aside_with_its_words() {
    const RECORDS: usize = 2_000;
    let private = Private::start_with("max_message_size = 65536");
    let place = Place::new();
    let large = "x".repeat(70_000);
    let mut text = artists(RECORDS);
    for id in [700, 1_400] {
        let small = format!("<name>Artist {id}</name>");
        assert!(text.contains(&small));
        text = text.replacen(&small, &format!("<name>{large}</name>"), 1);
    }
    place.dump("discogs_20260101_artists.xml.gz", &gzip(text.as_bytes()));
    let exchanges = Exchanges::new(&private.address());
    let queue = exchanges.queue("all");
    let reader = Reader::new(&private.address(), &[&queue], Bodies::Kept);
    let ran = extract(&place, &exchanges, &private.address(), &["--window", "500"]);
    ran.ends(0, &["✅ Sent file completion message for artists", "65536"]);
    reader.wait_until(LONG, |messages| {
        announced(messages, Kind::Artists, "file_complete").count() > 0
    });
    let messages = reader.messages();
    let mut ordinals: Vec<_> = data(&messages, Kind::Artists).map(Message::ordinal).collect();
    ordinals.sort_unstable();
    ordinals.dedup();
    let wanted: Vec<u64> =
        (1..=u64::try_from(RECORDS).unwrap()).filter(|o| ![700, 1_400].contains(o)).collect();
    assert!(ordinals == wanted, "{} different records", ordinals.len());
    let (_, complete) = announced(&messages, Kind::Artists, "file_complete").next().unwrap();
    assert_eq!(complete.json()["total_processed"], RECORDS - 2);
    assert_eq!(complete.header("x-bad-records"), 2);
    assert_eq!(complete.header("x-last-ordinal"), RECORDS);
    let file = place.only_file();
    assert_eq!((&file["records"], &file["bad_records"]), (&1_998.into(), &2.into()));
    let mut kept = Vec::new();
    files_below(&place.path("state/bad-records"), &mut kept);
    let notes: Vec<_> = kept.iter().filter(|text| text.contains("65536")).collect();
    assert_eq!(notes.len(), 2, "the broker's words are kept beside each record");
}

/// The text of every file in a folder and its folders.
fn files_below(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, texts);
        } else {
            texts.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
}

#[test]
fn a_refused_message_is_sent_again_until_the_queue_takes_it() {
    let place = few_artists(3_000);
    let exchanges = Exchanges::new(&broker());
    let full = arguments([
        ("x-max-length", AMQPValue::LongInt(100)),
        ("x-overflow", text("reject-publish")),
    ]);
    let queue = exchanges.queue_with("small", &[Kind::Artists], full);
    let mut running = start(&place, &exchanges, &broker(), &["--window", "200"]);
    let deadline = Instant::now() + LONG;
    let count = || {
        exchanges.client().declare_queue(
            &queue,
            true,
            arguments([
                ("x-max-length", AMQPValue::LongInt(100)),
                ("x-overflow", text("reject-publish")),
            ]),
        )
    };
    while count() != Ok(100) {
        assert!(Instant::now() < deadline, "the queue never filled");
    }
    assert!(running.is_running());
    let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
    running.ends(0, LONG);
    reader.wait_until(LONG, |messages| {
        announced(messages, Kind::Artists, "file_complete").count() > 0
    });
    let messages = reader.messages();
    Expected::of(&place.path("dumps")).all_arrived(&messages);
    assert_eq!(data(&messages, Kind::Artists).count(), 3_000, "what was refused did not arrive");
}

#[test]
fn what_is_owed_is_sent_after_a_kill_at_any_step_and_at_most_once_more() {
    let places = [
        "state.complete.after",
        "announce.before",
        "announce.confirmed",
        "state.strike.before",
        "state.strike.after",
    ];
    // The first two times it comes by: file_complete of one type and what comes after that.
    for (fault, time) in places.iter().flat_map(|place| [(place, 1), (place, 4), (place, 5)]) {
        let place = sample();
        let exchanges = Exchanges::new(&broker());
        let queue = exchanges.queue("all");
        let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
        let mut command = exchanges.program(&place);
        command.args(["extract", "dumps", "--to", &broker(), "--workers", "1"]);
        let killed = command.env("DISCOGS_FAULT_AT", format!("{fault}:{time}")).output().unwrap();
        let signal = killed.status.signal();
        let is_last = *fault == "state.complete.after" && time == 5;
        assert!(signal == Some(9) || is_last, "{fault}:{time} is not reached: {killed:?}");
        let before = Ran::of(killed);
        let after = extract(&place, &exchanges, &broker(), &[]);
        after.ends(0, &[]);
        reader.wait_for_the_end(LONG);
        reader.wait_for_silence();
        let messages = reader.messages();
        let expected = Expected::of(&place.path("dumps"));
        expected.all_arrived(&messages);
        expected.all_announced(&messages);
        let mut again = 0;
        for kind in Kind::ALL {
            let line = format!("✅ Sent file completion message for {kind}");
            let times = said(&before.err, &line) + said(&after.err, &line);
            // Between the strike and the line there is nothing to be said any more.
            let struck = *fault == "state.strike.after";
            assert!(times == 1 || struck && times == 0, "{fault}:{time}: {line} {times} times");
            for what in ["file_complete", "extraction_complete"] {
                let sent = announced(&messages, kind, what).count();
                assert!(sent <= 2, "{fault}:{time}: {what} for {kind} {sent} times");
                again += usize::from(sent == 2 && what == "file_complete");
            }
        }
        assert!(again <= 1, "{fault}:{time}: {again} types' completion came again");
        assert_eq!(place.run(&["state", "outbox"]).out, "nothing is owed\n", "{fault}:{time}");
    }
}

#[test]
fn no_more_than_the_window_is_unconfirmed() {
    const WINDOW: usize = 10;
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(seed);
    let place = few_artists(6_000);
    let exchanges = Exchanges::new(&broker());
    let queue = exchanges.queue_with("all", &[Kind::Artists], support::broker::quorum());
    let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
    let expected = Expected::of(&place.path("dumps"));
    let window = ["--window", "10"];
    let kills = 6;
    for _ in 0..kills {
        let came = reader.messages().len();
        let mut running = start(&place, &exchanges, &broker(), &window);
        let more = random.random_range(20..900);
        reader.wait_for(came + more, LONG);
        assert!(running.kill(), "it ended before it was killed");
        reader.wait_for_silence();
    }
    extract(&place, &exchanges, &broker(), &[]).ends(0, &[]);
    let complete =
        |messages: &[Message]| announced(messages, Kind::Artists, "file_complete").count() > 0;
    reader.wait_until(LONG, complete);
    let messages = reader.messages();
    expected.all_arrived(&messages);
    let repeats = expected.repeats_within(&messages, WINDOW, kills, kills);
    println!("{kills} kills, {repeats:?} repeats");
}

#[test]
fn a_stop_with_nobody_to_take_the_messages_is_clean_and_in_time() {
    let place = few_artists(500);
    let exchanges = Exchanges::new(&broker());
    let mut running = start(&place, &exchanges, &broker(), &[]);
    running.says(&["unroutable"], LONG);
    stop(&mut running);
    let queue = exchanges.queue("all");
    let reader = Reader::new(&broker(), &[&queue], Bodies::Kept);
    extract(&place, &exchanges, &broker(), &[]).ends(0, &[]);
    reader.wait_for(501, LONG);
    Expected::of(&place.path("dumps")).all_arrived(&reader.messages());
}

#[test]
fn tls_with_an_authority_of_ones_own_and_a_client_certificate() {
    let certificates = Certificates::new();
    let port = free_port();
    let private = Private::start_with(&certificates.configuration(port));
    let exchanges = Exchanges::new(&private.address());
    let queue = exchanges.queue("all");
    let reader = Reader::new(&private.address(), &[&queue], Bodies::Kept);
    let base = format!("amqps://guest:guest@localhost:{port}/%2f");
    let authority = format!("{base}?cacertfile={}", certificates.path("ca.pem"));
    let whole = format!(
        "{authority}&certfile={}&keyfile={}",
        certificates.path("client.pem"),
        certificates.path("client.key")
    );
    let place = few_artists(300);
    // Without the authority we do not trust it, without a certificate it does not trust us.
    for address in [&base, &authority] {
        let mut running = start(&place, &exchanges, address, &["--wait"]);
        let line = running.says(&["broker is away"], LONG);
        // What it says of ours may be overtaken by its closing the connection.
        let reset = *address == authority && line.contains("reset");
        assert!(line.contains("certificate") || line.contains("Certificate") || reset, "{line}");
        stop(&mut running);
    }
    extract(&place, &exchanges, &whole, &[]).ends(0, &[]);
    reader.wait_for(301, LONG);
    Expected::of(&place.path("dumps")).all_arrived(&reader.messages());

    let missing = format!("{base}?cacertfile=/nowhere/ca.pem");
    extract(&place, &exchanges, &missing, &[]).ends(1, &["/nowhere/ca.pem", "hint: "]);
}

#[test]
fn four_types_go_over_one_connection_and_each_in_order() {
    let place = Place::new();
    place.sample(&Options::new(3_000, 11, VERSION.parse::<Version>().unwrap()));
    let exchanges = Exchanges::new(&broker());
    let queue = exchanges.queue("all");
    let reader = Reader::new(&broker(), &[&queue], Bodies::Dropped);
    let ran = extract(&place, &exchanges, &broker(), &["--workers", "4"]);
    ran.ends(0, &["✅ Sent extraction completion message"]);
    reader.wait_for_the_end(LONG);
    let messages = reader.messages();
    let expected = Expected::of(&place.path("dumps"));
    expected.all_arrived(&messages);
    expected.all_announced(&messages);
    expected.in_order_within(&messages, 0);
    assert_eq!(expected.repeats(&messages).into_values().sum::<usize>(), 0);
    std::io::stdout().flush().unwrap();
}

#[test]
fn the_address_of_a_client_is_checked_before_anything_is_read() {
    assert!(Client::try_connect(&changed(|url| url.set_port(Some(free_port())).unwrap())).is_err());
    let place = few_artists(3);
    for wrong in ["amqp:", "amqp://", "amqp://host:notaport/"] {
        let ran = place.run(&["extract", "dumps", "--to", wrong]);
        ran.ends(2, &["hint: "]);
    }
    let wrong = "amqp://guest:hunter2@host/%2f?certfile=only";
    let ran = place.run(&["extract", "dumps", "--to", wrong]);
    assert!(ran.code == Some(2) && !ran.err.contains("hunter2"), "{ran:?}");
}
