//! `doctor`: what is in order, what is not and what to do about it; and that looking changes
//! nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "postgres/database.rs"]
#[allow(dead_code, reason = "other tests take more of it")]
mod database;
mod support;

use std::fs;
use std::time::{Duration, Instant};

use database::Database;
use discogs_extractor::sample::Options;
use serde_json::Value;
use support::broker::Client;
use support::broker::private::{Private, free_port};
use support::{Place, Ran};

/// Whoever talks to the database says so by this name; so does `tests/run`.
const SERVER: &str = "DISCOGS_TEST_POSTGRES";
/// The broker is the test's own; but only where there is one.
const BROKER: &str = "DISCOGS_TEST_AMQP";
const GRAPH: &str = "DISCOGS_TEST_BOLT";

/// What the doctor said with `--json`, and how it ended.
struct Said {
    code: Option<i32>,
    checks: Vec<Value>,
}

impl Said {
    fn of(ran: &Ran) -> Said {
        let said: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
        support::conforms(include_str!("../docs/doctor.schema.json"), &said);
        let worst = said["checks"].as_array().unwrap().iter().map(|check| rank(&check["status"]));
        assert_eq!(rank(&said["status"]), worst.max().unwrap(), "{said}");
        Said { code: ran.code, checks: said["checks"].as_array().unwrap().clone() }
    }

    /// The worst that was said of something, in all its words.
    #[track_caller]
    fn of_check(&self, check: &str) -> (String, String) {
        let of_it = self.checks.iter().filter(|found| found["check"] == check);
        let worst = of_it.max_by_key(|found| rank(&found["status"]));
        let worst = worst.unwrap_or_else(|| panic!("nothing of {check}: {:#?}", self.checks));
        let text = |key: &str| worst[key].as_str().unwrap_or_default();
        if worst["status"] != "ok" {
            assert!(!text("hint").is_empty(), "what is to be done? {worst}");
        }
        (text("status").to_owned(), format!("{}; {}", text("message"), text("hint")))
    }

    #[track_caller]
    fn says(&self, check: &str, status: &str, words: &str) {
        let (is, said) = self.of_check(check);
        assert!(is == status && said.contains(words), "{check}: {is}: {said}");
    }
}

fn rank(status: &Value) -> usize {
    let rank = ["ok", "warning", "failure"].iter().position(|known| status == known);
    rank.unwrap_or_else(|| panic!("{status}"))
}

fn doctor(place: &Place, arguments: &[&str]) -> Said {
    let ran = place.program().arg("doctor").args(arguments).arg("--json").output().unwrap();
    Said::of(&Ran::of(ran))
}

fn small() -> Options {
    Options::new(20, 1, "20260101".parse().unwrap())
}

#[test]
fn what_is_in_order_is_said_and_nothing_is_made() {
    let place = Place::new();
    place.sample(&small());
    let names = || {
        let all = fs::read_dir(place.path("")).unwrap();
        let mut names: Vec<_> = all.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let ran = place.run(&["doctor", "--root", "dumps", "--to", "sqlite:a.db"]);
    ran.ends(0, &[]);
    for line in ["ok       dumps", "4 dumps of 20260101", "ok       sink", "all is in order\n"] {
        assert!(ran.out.contains(line), "{line}:\n{}", ran.out);
    }
    assert_eq!(names(), before);
    place.run(&["extract", "dumps", "--to", "sqlite:a.db"]).ends(0, &[]);
    let said = doctor(&place, &["--root", "dumps", "--to", "sqlite:a.db"]);
    assert_eq!(said.code, Some(0));
    said.says("store", "ok", "4 files known");
    said.says("sink", "ok", "can be written, SQLite 3.");
}

#[test]
fn three_things_broken_are_three_findings_and_each_says_what_to_do() {
    let place = Place::new();
    place.sample(&small());
    place.run(&["extract", "dumps", "--to", "sqlite:a.db", "--limit", "5"]).ends(3, &[]);
    // The store is damaged, the sink is something else, and few files may be open.
    fs::remove_dir_all(place.path("state/store")).unwrap();
    fs::write(place.path("a.db"), "not a database, but long enough to be taken for none").unwrap();
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 128 && exec \"$0\" \"$@\""]);
    let program = place.program();
    limited.arg(program.get_program()).args(["doctor", "--to", "sqlite:a.db", "--json"]);
    limited.env_clear().current_dir(place.path(""));
    limited.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.env("DISCOGS_ROOT", "nowhere");
    let said = Said::of(&Ran::of(limited.output().unwrap()));
    assert_eq!(said.code, Some(1));
    said.says("store", "failure", "state repair");
    said.says("sink", "failure", "choose another path");
    said.says("dumps", "failure", "--root (DISCOGS_ROOT)");
    said.says("open files", "warning", "ulimit -n");
}

#[test]
fn files_that_failed_and_a_newer_store_are_told() {
    let place = Place::new();
    place.dump("discogs_20260101_artists.xml.gz", b"no gzip");
    place.run(&["extract", "dumps", "--to", "null:"]).ends(1, &[]);
    let said = doctor(&place, &["--root", "dumps", "--to", "null:", "--types", "artists"]);
    assert_eq!(said.code, Some(0), "a warning is no failure");
    said.says("files", "warning", "discogs_20260101_artists.xml.gz failed");
}

#[test]
fn a_store_in_use_is_asked_of_its_owner() {
    let place = Place::new();
    place.sample(&small());
    place.age();
    let mut daemon = support::daemon::Daemon::start(&mut place.daemon("sqlite:a.db"));
    daemon.says("Completed file types: ['artists', 'labels', 'masters', 'releases']");
    let said = doctor(&place, &["--root", "dumps", "--to", "sqlite:a.db"]);
    assert_eq!(said.code, Some(0));
    said.says("store", "ok", "4 files known, in use by process");
    let locked = rusqlite::Connection::open(place.path("a.db")).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = doctor(&place, &["--root", "dumps", "--to", "sqlite:a.db"]);
    said.says("sink", "warning", "another program holds the database locked");
}

#[test]
fn a_version_that_does_not_fit_on_the_disk_is_told_before_it_is_fetched() {
    let place = Place::new();
    let site = place.path("site");
    fs::create_dir_all(&site).unwrap();
    for kind in ["artists", "labels", "masters", "releases"] {
        let dump = fs::File::create(site.join(format!("discogs_20260201_{kind}.xml.gz"))).unwrap();
        // Nothing of it is on disk.
        dump.set_len(3 << 40).unwrap();
    }
    fs::write(site.join("discogs_20260201_CHECKSUM.txt"), "").unwrap();
    let site = format!("--site={}", site.display());
    let said = doctor(&place, &["--root", "dumps", "--to", "sqlite:a.db", &site]);
    assert_eq!(said.code, Some(1));
    said.says("site", "ok", "20260201, 13194.1 GB");
    said.says("disk", "failure", "13194.1 GB for downloads and 79164.8 GB for the sink needed");
    let said = doctor(&place, &["--root", "dumps", "--to", "null:", "--site=http://127.0.0.1:1/"]);
    said.says("site", "warning", "check the address");
}

#[test]
fn a_database_server_is_looked_at_without_writing_to_it() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    place.sample(&small());
    let url = database.url().to_owned();
    let look = |to: &str| doctor(&place, &["--root", "dumps", "--to", to]);
    let said = look(&url);
    assert_eq!(said.code, Some(0), "{:#?}", said.checks);
    said.says("sink", "ok", "answers, PostgreSQL");
    said.says("rights", "ok", "made or brought up to date at the start");
    assert_eq!(database.value("SELECT to_regclass('artists') IS NULL"), "t", "nothing was made");
    place.run(&["extract", "dumps", "--to", &url]).ends(0, &[]);
    look(&url).says("rights", "ok", "may be read and written");

    let name = format!("doctor_{:016x}", rand::random::<u64>());
    database.run(&format!("CREATE ROLE {name} LOGIN PASSWORD 'x'"));
    let mut other = url::Url::parse(&url).unwrap();
    other.set_username(&name).unwrap();
    other.set_password(Some("x")).unwrap();
    look(other.as_str()).says("sink", "failure", "let the URL's user create tables");
    database.run(&format!("GRANT SELECT ON extractor_migrations TO {name}"));
    let said = look(other.as_str());
    database.run(&format!("DROP OWNED BY {name}; DROP ROLE {name}"));
    assert_eq!(said.code, Some(1));
    said.says("rights", "failure", "GRANT SELECT, INSERT, UPDATE, DELETE");
    let mut missing = url::Url::parse(&url).unwrap();
    missing.set_path("there_is_no_such_database");
    look(missing.as_str()).says("sink", "failure", "create the database");
    let away = look("postgres://me:s3cret@127.0.0.1:1/discogs");
    away.says("sink", "failure", "start the server");
    assert!(!format!("{:?}", away.checks).contains("s3cret"));
}

#[test]
fn a_graph_is_looked_at() {
    let Ok(server) = std::env::var(GRAPH) else { return };
    let place = Place::new();
    let broker = "--from=amqp://127.0.0.1:1";
    let said = doctor(&place, &["graph", broker, &format!("--to={server}")]);
    said.says("graph", "ok", "answers, and can be written");
    let mut wrong = url::Url::parse(&server).unwrap();
    wrong.set_password(Some("s3cret")).unwrap();
    let said = doctor(&place, &["graph", broker, &format!("--to={wrong}")]);
    assert_eq!(said.code, Some(1));
    said.says("graph", "failure", "look at user, password");
    assert!(!format!("{:?}", said.checks).contains("s3cret"));
    let said = doctor(&place, &["graph", broker, "--to=bolt://127.0.0.1:1"]);
    said.says("graph", "failure", "start it, or correct host and port");
    said.says("broker", "failure", "start it, or correct host and port");
}

#[test]
fn a_broker_is_looked_at_without_leaving_anything_behind() {
    if std::env::var(BROKER).is_err() {
        return;
    }
    let management = free_port();
    let broker = Private::managed(management);
    let place = Place::new();
    place.sample(&small());
    let (to, from) = (format!("--to={}", broker.address()), format!("--from={}", broker.address()));
    let plugin = format!("--management=http://127.0.0.1:{management}");
    let look = |more: &[&str]| {
        let mut arguments = vec!["--root", "dumps", &to, &plugin];
        arguments.extend(more);
        doctor(&place, &arguments)
    };
    let things = || {
        let list = |what: &str| broker.ctl(&["-q", what, "name"]);
        format!("{}{}", list("list_exchanges"), list("list_queues"))
    };
    let before = things();
    // The plugin begins a little later than the broker.
    let began = Instant::now();
    while !look(&[]).of_check("broker").1.contains("RabbitMQ 3.") {
        assert!(began.elapsed() < Duration::from_mins(1), "no plugin");
    }
    let said = look(&[]);
    said.says("rights", "ok", "may be declared, bound, written and read");
    said.says("queues", "warning", "--for tableinator,graphinator");
    look(&["--for", "tableinator"]).says("queues", "ok", "made at the start");
    assert_eq!(things(), before, "looking left something behind");

    place.program().args(["extract", "dumps", &to, "--for", "tableinator"]).output().unwrap();
    let said = look(&[]);
    said.says("queues", "warning", "messages wait for tableinator, and nobody reads them");
    let queue = "discogsography-discogs-tableinator-artists";
    let client = Client::connect(&broker.address());
    client.unbind(queue, "discogsography-discogs-artists");
    let said = look(&[]);
    let unbound = said.checks.iter().any(|found| {
        found["status"] == "warning" && found["message"].to_string().contains("is not bound")
    });
    assert!(unbound, "{:#?}", said.checks);
    let said = doctor(&place, &["tables", &from, "--to=sqlite:b.db", &plugin]);
    said.says("queues", "warning", "nobody reads");

    broker.ctl(&["add_user", "guest2", "s3cret"]);
    let other = broker.address().replace("guest:guest", "guest2:s3cret");
    let said = doctor(&place, &["--root", "dumps", "--to", &other]);
    assert_eq!(said.code, Some(1));
    said.says("broker", "failure", "does not let us in");
    said.says("broker", "failure", "look at user, password and vhost");
    broker.ctl(&["set_permissions", "guest2", "^other-.*", ".*", ".*"]);
    let said = doctor(&place, &["--root", "dumps", "--to", &other]);
    said.says("rights", "failure", "rabbitmqctl set_permissions");
    assert!(!format!("{:?}", said.checks).contains("s3cret"));

    broker.block();
    let said = look(&[]);
    assert_eq!(said.code, Some(1));
    said.says("alarm", "failure", "takes nothing");
    broker.unblock();
    // What was sent and then lost with the broker's data.
    for kind in ["artists", "labels", "masters", "releases"] {
        client.delete_exchange(&format!("discogsography-discogs-{kind}"));
    }
    look(&[]).says("queues", "failure", "the broker was emptied");
}
