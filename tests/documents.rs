//! The documents: every command in them runs, every warning of the program has a line that says
//! what to do, and every link leads somewhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "postgres/database.rs"]
#[allow(dead_code, reason = "other tests take more of it")]
mod database;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use database::Database;
use discogs_extractor::model::Kind;
use rustix::process::Signal;
use support::running::Running;
use support::{Place, Ran, copy_folder};
use url::Url;

/// Whoever talks to a service says so by its name; so does `tests/run`.
const SERVER: &str = "DISCOGS_TEST_POSTGRES";
const BROKER: &str = "DISCOGS_TEST_AMQP";
const GRAPH: &str = "DISCOGS_TEST_BOLT";

/// What can only run elsewhere, by what it begins with, and where it is run.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo install cargo-deb", "tests/run"),
    ("bash packaging/build-deb", "tests/debian.rs"),
    ("apt-get", "tests/debian.rs"),
    ("editor /etc/", "tests/debian.rs: it adds a line"),
    ("systemctl", "tests/debian.rs"),
    ("journalctl", "tests/debian.rs"),
    ("discogs-extractor state --state-dir /var/lib/", "tests/debian.rs"),
    ("cargo bench", "docs/PERFORMANCE.md: it measures, and takes minutes"),
    ("bash tests/run", ".ci/run"),
    ("bash benches/", "docs/PERFORMANCE.md: it measures, and takes minutes"),
    ("bash .ci/run", "itself"),
    ("docker", "a machine with Docker; tests/compose.rs runs the services without it"),
    ("bash packaging/make-secrets", "tests/compose.rs"),
    ("discogs-extractor top", "tests/top.rs, in a terminal"),
];

/// The commands in a document's console blocks, without what they print.
fn commands(document: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in document.lines().map(str::trim_start) {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => commands.extend(line.strip_prefix("$ ").map(str::to_owned)),
            (false, _) => {}
        }
    }
    commands
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    docs.chain([root().join("README.md"), root().join("CHANGELOG.md")]).collect()
}

/// A place in which the documents' commands find what they speak of.
struct Desk {
    place: Place,
    /// What stands in a document, and what stands there in this place.
    instead: Vec<(&'static str, String)>,
    prefix: String,
    /// The broker's.
    port: u16,
}

impl Desk {
    fn new(database: &Database, broker: &str, graph: &str) -> Desk {
        let place = Place::new();
        // The same dumps under whatever name a document gives them.
        copy_folder(&root().join("data/sample"), &place.path("dumps"));
        place.age();
        copy_folder(&place.path("dumps"), &place.path("site"));
        copy_folder(&root().join("data"), &place.path("data"));
        fs::create_dir(place.path("bin")).unwrap();
        let program = place.program();
        symlink(program.get_program(), place.path("bin/discogs-extractor")).unwrap();
        fs::write(place.path("extractor.log"), "✅ Completed file types: ['artists']\n").unwrap();
        place.extract("sqlite:discogs.db").ends(0, &[]);
        let prefix = format!("t-{:016x}", rand::random::<u64>());
        let mut send = place.program();
        send.args(["extract", "dumps", "--to", broker, "--for", "tableinator,graphinator"]);
        Ran::of(send.env("DISCOGS_EXCHANGE_PREFIX", &prefix).output().unwrap()).ends(0, &[]);
        let site = place.path("site").display().to_string();
        let port = Url::parse(broker).unwrap().port().unwrap_or(5_672);
        let instead = vec![
            ("cargo run --release --", "discogs-extractor".to_owned()),
            ("postgres://discogs:secret@localhost/discogs", database.url().to_owned()),
            ("amqp://guest:guest@localhost:5672/%2F", broker.to_owned()),
            ("amqp://localhost", broker.to_owned()),
            ("bolt://neo4j:secret@localhost", graph.to_owned()),
            ("https://mirror.example/discogs/", site),
            // Not every machine has jq.
            ("| jq .name", "| grep -c name".to_owned()),
        ];
        Desk { place, instead, prefix, port }
    }

    /// A shell that runs a document's command here.
    fn shell(&self, command: &str) -> Command {
        let mut command = command.split(" #").next().unwrap().trim().to_owned();
        for (there, here) in &self.instead {
            command = command.replace(there, here);
        }
        let mut shell = Command::new("bash");
        // The last of the command takes the shell's place, so that it gets our signals.
        let last = if command.contains('|') { command } else { format!("exec env {command}") };
        shell.args(["-o", "pipefail", "-c", &last]);
        shell.env_clear().envs(self.place.program().get_envs().filter_map(|(k, v)| Some((k, v?))));
        let path = format!("{}:/usr/bin:/bin", self.place.path("bin").display());
        shell
            .env("PATH", path)
            .env("HEALTH_PORT", "0")
            .env("DISCOGS_EXCHANGE_PREFIX", &self.prefix);
        shell.env("DISCOGS_SITE", self.place.path("site"));
        shell.env("RABBITMQ_USERNAME", "guest").env("RABBITMQ_PASSWORD", "guest");
        shell.env("RABBITMQ_PORT", self.port.to_string());
        shell.current_dir(self.place.path("")).stdin(Stdio::null());
        shell
    }

    fn run(&self, command: &str) {
        let words: Vec<_> = command.split(' ').filter(|word| !word.contains('=')).collect();
        let ends = match words[..] {
            ["discogs-extractor", "run", ..] => {
                Some("Completed file types: ['artists', 'labels', 'masters', 'releases']")
            }
            ["discogs-extractor", "consume", "tables" | "graph", ..] => {
                (!command.contains("--migrate-only")).then_some("the schema is up to date")
            }
            _ => None,
        };
        let Some(says) = ends else {
            let ran = Ran::of(self.shell(command).output().unwrap());
            assert_eq!(ran.code, Some(0), "$ {command}\n{}{}", ran.out, ran.err);
            return;
        };
        // It runs until it is stopped.
        let mut running = Running::start(&mut self.shell(command));
        running.says(&[says], Duration::from_mins(1));
        running.signal(Signal::TERM);
        running.ends(0, Duration::from_secs(20));
    }
}

#[test]
fn every_command_in_the_documents_runs() {
    let Some(database) = Database::new() else { return };
    let (Ok(broker), Ok(graph)) = (std::env::var(BROKER), std::env::var(GRAPH)) else { return };
    for document in documents() {
        let desk = Desk::new(&database, &broker, &graph);
        let commands = commands(&fs::read_to_string(&document).unwrap());
        for command in commands {
            if !ELSEWHERE.iter().any(|(begins, _)| command.starts_with(begins)) {
                desk.run(&command);
            }
        }
        let rabbit = support::broker::Client::connect(&broker);
        for kind in Kind::ALL {
            for consumer in ["tableinator", "graphinator"] {
                let queue = format!("{}-{consumer}-{kind}", desk.prefix);
                rabbit.delete_queue(&queue);
                rabbit.delete_queue(&format!("{queue}.dlq"));
                rabbit.delete_exchange(&format!("{queue}.dlx"));
            }
            rabbit.delete_exchange(&format!("{}-{kind}", desk.prefix));
        }
    }
}

/// Messages of warnings and errors, as they stand in the sources.
fn alarming(folder: &Path) -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            said.extend(alarming(&path));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for level in ["tracing::warn!(", "tracing::error!("] {
            for (at, _) in text.match_indices(level) {
                let end = text[at..].find(");").unwrap();
                let call = &text[at..at + end];
                let message = call.trim_end_matches(['\n', ' ', ',']).strip_suffix('"');
                let message = message.and_then(|call| call.rsplit_once('"'));
                said.extend(message.map(|(_, words)| words.to_owned()));
            }
        }
    }
    said.retain(|words| !words.contains('{'));
    said
}

#[test]
fn whoever_reads_a_warning_finds_what_to_do() {
    let operations = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let said = alarming(&root().join("src"));
    assert!(said.len() > 30, "the sources are read wrong: {said:?}");
    let explained: BTreeSet<_> = operations
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| row.split(" | ").next().unwrap().split('`').map(str::to_owned))
        .collect();
    let missing: Vec<_> = said.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md does not say what to do about {missing:#?}");
}

#[test]
fn every_link_leads_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = rest.split(')').next().unwrap();
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let path = document.parent().unwrap().join(target.split('#').next().unwrap());
            assert!(path.exists(), "{}: {target}", document.display());
        }
    }
}
