//! Log lines as data: the fields that `docs/LOGS.md` names and no others, and never a secret.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod logs {
    pub mod fields;
}
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use discogs_extractor::sample::Options;
use logs::fields;
use serde_json::Value;
use support::broker::private::free_port;
use support::daemon::Daemon;
use support::running::Running;
use support::{Place, Ran, http, server};

/// Whoever talks to a service says so by this name; so does `tests/run`.
const DATABASE: &str = "DISCOGS_TEST_POSTGRES";

const DOCUMENT: &str = include_str!("../docs/LOGS.md");

/// The documented fields and their types.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        (name, rest.split(" | ").next().unwrap())
    })
    .collect()
}

#[test]
fn every_field_is_documented_and_every_documented_one_is_there() {
    let mut used = fields::in_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    used.extend(["timestamp", "level", "message"].map(str::to_owned));
    let documented: Vec<_> = documented().into_keys().map(str::to_owned).collect();
    let used: Vec<_> = used.into_iter().collect();
    assert_eq!(used, documented, "left: in src/, right: in docs/LOGS.md");
}

/// Every line is an object with documented fields of the documented types.
#[track_caller]
fn all_is_documented(said: &str) -> Vec<Value> {
    let documented = documented();
    let lines = said.lines().map(|line| {
        let object: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for (name, value) in object.as_object().unwrap() {
            let kind = documented.get(name.as_str()).unwrap_or_else(|| panic!("{name}: {line}"));
            let fits = match *kind {
                "number" => value.is_number(),
                _ => value.is_string(),
            };
            assert!(fits, "{name} is no {kind}: {line}");
        }
        for name in ["timestamp", "level", "message"] {
            assert!(object[name].is_string(), "no {name}: {line}");
        }
        object
    });
    lines.collect()
}

#[test]
fn with_json_all_lines_are_objects_also_the_last_error() {
    let place = Place::new();
    let text = support::artists(30).replace("<name>Artist 7</name>", "<name>Artist 7</nome>");
    let whole = support::gzip(text.as_bytes());
    place.dump("discogs_20260101_artists.xml.gz", &whole);
    let labels = place.dump("discogs_20260101_labels.xml.gz", &whole[..whole.len() / 2]);
    let extract = |to: &str| {
        place.run(&["extract", "dumps", "--to", to, "--log-format", "json", "--progress", "log"])
    };
    let ran = extract("sqlite:a.db");
    assert_eq!(ran.code, Some(1));
    let lines = all_is_documented(&ran.err);
    let said = |words: &str| lines.iter().find(|line| line["message"] == words);
    let aside = said("record set aside").unwrap();
    assert_eq!((&aside["ordinal"], &aside["level"]), (&7.into(), &"WARN".into()));
    let complete = said("complete").unwrap();
    assert_eq!(complete["records"], 29);
    assert_eq!(said("failed").unwrap()["file"], "discogs_20260101_labels.xml.gz");
    let last = lines.iter().rfind(|line| line["level"] == "ERROR").unwrap();
    assert!(last["message"].as_str().unwrap().contains("byte"), "{last}");

    fs::remove_file(labels).unwrap();
    fs::write(place.path("b.db"), "no database, but long enough to be taken for one that is none")
        .unwrap();
    let ran = extract("sqlite:b.db");
    let last = all_is_documented(&ran.err).pop().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["hint"].as_str().unwrap().contains("another path"), "{last}");
}

#[test]
fn a_daemons_lines_are_documented_too_with_its_faults_and_their_end() {
    let place = Place::new();
    place.sample(&Options::new(20, 1, "20260101".parse().unwrap()));
    place.age();
    place.run(&["extract", "dumps", "--to", "sqlite:a.db", "--limit", "3"]).ends(3, &[]);
    let locked = rusqlite::Connection::open(place.path("a.db")).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut command = place.daemon("sqlite:a.db");
    command.env("DISCOGS_LOG_FORMAT", "json").env("STALL_AFTER", "1");
    let mut daemon = Daemon::start(&mut command);
    daemon.says("holds records back");
    daemon.says("Stalled extractors detected");
    locked.execute_batch("ROLLBACK").unwrap();
    daemon.says("takes records again");
    daemon.says("Completed file types: ['artists', 'labels', 'masters', 'releases']");
    let said = daemon.stops();
    let lines = all_is_documented(&said);
    let count = |words: &str| {
        let has = |line: &&Value| line["message"].as_str().unwrap().contains(words);
        lines.iter().filter(has).count()
    };
    assert_eq!(count("holds records back"), 1, "once for its beginning");
    assert_eq!(count("takes records again"), 1, "once for its end");
}

/// What no one but the servers may see.
const USER: &str = "us3r-0dd";
const PASSWORD: &str = "pa55-0dd";
const TOKEN: &str = "t0ken-0dd";

/// Nothing of it is in the text.
#[track_caller]
fn hides(what: &str, text: &str) {
    for secret in [USER, PASSWORD, TOKEN] {
        assert!(!text.contains(secret), "{what} shows {secret}:\n{text}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A program that is asked for everything it says.
fn loud(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.program();
    command.args(arguments).env("LOG_LEVEL", "DEBUG").env("HEALTH_PORT", "0");
    command
}

#[test]
fn no_command_shows_a_user_or_password_whatever_becomes_of_the_connection() {
    let place = Place::new();
    place.sample(&Options::new(5, 1, "20260101".parse().unwrap()));
    place.age();
    let in_url = format!("{USER}:{PASSWORD}@127.0.0.1:1");
    let (amqp, postgres, bolt) = (
        format!("amqp://{in_url}/%2f"),
        format!("postgres://{in_url}/d"),
        format!("bolt://{in_url}/d"),
    );
    // Somebody is away.
    for (arguments, says) in [
        (vec!["run", "--root", "dumps", "--to", &amqp], "the broker is away"),
        (vec!["run", "--root", "dumps", "--to", &postgres], "the database is away"),
        (vec!["consume", "tables", "--from", &amqp, "--to", "sqlite:c.db"], "the broker is away"),
        (vec!["consume", "tables", "--from", &amqp, "--to", &postgres], "the database is away"),
        (vec!["consume", "graph", "--from", &amqp, "--to", &bolt], "the graph is away"),
    ] {
        for format in ["text", "json"] {
            let mut command = loud(&place, &arguments);
            let mut running = Running::start(command.env("DISCOGS_LOG_FORMAT", format));
            running.says(&[says], Duration::from_secs(40));
            running.signal(rustix::process::Signal::TERM);
            running.ends(0, Duration::from_secs(20));
            hides(&arguments.join(" "), &running.log());
        }
    }
    // It is written wrong, typed or in the environment.
    for wrong in [
        format!("amqp://{USER}:{PASSWORD}@host:port/"),
        format!("postgres://{USER}:{PASSWORD}@host:port/d"),
        format!("postgres://{USER}:{PASSWORD}@host/d?sslmode={TOKEN}"),
        format!("{USER}:{PASSWORD}@host"),
    ] {
        let ran = Ran::of(loud(&place, &["extract", "dumps", "--to", &wrong]).output().unwrap());
        assert_eq!(ran.code, Some(2), "{ran:?}");
        hides("extract", &ran.err);
        let set = Ran::of(loud(&place, &["run"]).env("DISCOGS_TO", &wrong).output().unwrap());
        assert_eq!(set.code, Some(2), "{set:?}");
        hides("run", &set.err);
    }
    // Help shows what is set, but not this.
    for command in ["extract", "run", "download", "versions", "doctor", "consume"] {
        let mut help = loud(&place, &[command]);
        if command == "consume" {
            help.arg("tables");
        }
        let site = format!("https://{USER}:{PASSWORD}@site.example/?key={TOKEN}");
        help.arg("--help").env("DISCOGS_TO", &amqp).env("DISCOGS_FROM", &amqp);
        let ran = Ran::of(help.env("DISCOGS_SITE", site).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        hides(command, &ran.out);
    }
    // The doctor names whatever is broken.
    for arguments in [
        vec!["doctor", "--root", "dumps", "--to", &amqp],
        vec!["doctor", "--root", "dumps", "--to", &postgres, "--json"],
        vec!["doctor", "tables", "--from", &amqp, "--to", &postgres],
        vec!["doctor", "graph", "--from", &amqp, "--to", &bolt],
    ] {
        let ran = Ran::of(loud(&place, &arguments).output().unwrap());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        hides(&arguments.join(" "), &(ran.out + &ran.err));
    }
    for path in files(&place.path("state")) {
        hides(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
    }
}

#[test]
fn nothing_that_can_be_asked_shows_a_secret_that_was_used() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let place = Place::new();
    place.sample(&Options::new(20, 1, "20260201".parse().unwrap()));
    let mut published = BTreeMap::new();
    for path in files(&place.path("dumps")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        published.insert(name, fs::read(&path).unwrap());
    }
    let site = server::Server::start(published, server::index, |_, reply| reply);
    let site =
        site.url().replace("://", &format!("://{USER}:{PASSWORD}@")) + &format!("?key={TOKEN}");
    // This server lets everybody in, whatever the password.
    let mut to = url::Url::parse(&database).unwrap();
    to.set_password(Some(PASSWORD)).unwrap();
    let schema = format!("t_{:016x}", rand::random::<u64>());
    psql(&database, &format!("CREATE SCHEMA {schema}"));
    to.set_query(Some(&format!("options=-csearch_path%3D{schema}")));
    fs::write(place.path("token"), TOKEN).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let mut command = loud(&place, &["run", "--root", "fetched", "--to", to.as_str()]);
    command.env("DISCOGS_SITE", &site).env("TRIGGER_TOKEN_FILE", place.path("token"));
    command.env("HEALTH_PORT", address.port().to_string());
    let mut daemon = Daemon::start(&mut command);
    daemon.says("Completed file types: ['artists', 'labels', 'masters', 'releases']");
    for path in ["/", "/health", "/ready", "/metrics", "/api/state"] {
        hides(path, &http::get(address, path).body);
    }
    let wrong = format!("Bearer {PASSWORD}");
    let refused = http::trigger(address, &[("Authorization", &wrong)], "{}");
    assert_eq!(refused.status, 401, "{refused:?}");
    hides("/trigger", &refused.body);
    for arguments in [
        vec!["state"],
        vec!["state", "show", "artists"],
        vec!["state", "list", "--json"],
        vec!["state", "history"],
        vec!["state", "export"],
        vec!["doctor", "--root", "fetched", "--to", to.as_str()],
    ] {
        let ran = Ran::of(loud(&place, &arguments).env("DISCOGS_SITE", &site).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        hides(&arguments.join(" "), &(ran.out + &ran.err));
    }
    hides("the log", &daemon.stops());
    for path in files(&place.path("state")) {
        hides(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
    }
    psql(&database, &format!("DROP SCHEMA {schema} CASCADE"));
}

/// Runs a statement.
fn psql(url: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let talking = tokio::spawn(connection);
        client.batch_execute(statement).await.unwrap();
        talking.abort();
    });
}
