//! Consumers with two kinds of trouble at a time, over every database: whatever meets whatever, in
//! the end it is what one clean pass makes, and nothing but garbage is a dead letter.
//!
//! `DISCOGS_TEST_SEED` repeats an episode, `DISCOGS_TEST_SECONDS` makes them go on for so long.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the seed, and what is left out")]

#[path = "support/bolt.rs"]
mod bolt;
#[allow(dead_code, reason = "the other tests of the database take the rest")]
#[path = "postgres/database.rs"]
mod database;
#[allow(dead_code, reason = "the other tests of the graph take the rest")]
#[path = "graph/fixture.rs"]
mod fixture;
#[path = "consume/rabbit.rs"]
mod rabbit;
mod support;
#[path = "consume/target.rs"]
mod target;
#[path = "consume/trouble.rs"]
mod trouble;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, make};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use support::daemon::Daemon;
use support::{Place, Ran};

use rabbit::{Letter, Rabbit};
use target::Target;
use trouble::Trouble;

/// The variables by which `tests/run` says where a broker, a server, a graph and a library are.
const BROKER: &str = "DISCOGS_TEST_AMQP";
const SERVER: &str = "DISCOGS_TEST_POSTGRES";
const GRAPH: &str = "DISCOGS_TEST_BOLT";
const FAKETIME: &str = "DISCOGS_TEST_FAKETIME";

/// Releases of each version.
const RELEASES: [u64; 2] = [300, 260];
const VERSIONS: [&str; 2] = ["20260101", "20260201"];
const FOLDERS: [&str; 2] = ["old", "new"];

/// Pairs of troubles of each version.
const PAIRS: usize = 5;

/// How long it may take, once all trouble is over, until all is done: whoever was killed while
/// sweeping has the claim for half a minute, and pauses have grown.
const PEACE: Duration = Duration::from_mins(3);

/// Two replicas, an extractor, and what is done to them.
struct Episode<'a> {
    random: StdRng,
    rabbit: Rabbit,
    place: Place,
    target: &'a mut dyn Target,
    replicas: [Daemon; 2],
    extractor: Daemon,
    folder: &'static str,
    garbage: [u32; 4],
    /// What happened, for whoever looks into a failure.
    how: String,
    said: String,
}

fn consume(rabbit: &Rabbit, place: &Place, target: &dyn Target, replica: usize) -> Command {
    let state = ["a", "b"][replica];
    let mut command = match target.consumer() {
        "graphinator" => rabbit.consume_graph(place, &target.url(), state),
        _ => rabbit.consume_into(place, &target.url(), state),
    };
    command.env("PURGE_MAX_DELETE_FRACTION", "1").env("CONSUMER_CANCEL_DELAY", "1");
    command.env("QUEUE_CHECK_INTERVAL", "1");
    command
}

impl Episode<'_> {
    /// Ends a replica and starts it again.
    fn restart(&mut self, which: usize, signal: Signal, clock: Option<&str>) {
        let mut command = consume(&self.rabbit, &self.place, &*self.target, which);
        if let (Some(clock), Some(library)) = (clock, std::env::var_os(FAKETIME)) {
            command.env("LD_PRELOAD", library).env("FAKETIME", clock);
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        }
        // What was stopped takes no other signal but this.
        self.replicas[which].signal(Signal::CONT);
        self.replicas[which].signal(signal);
        self.said += &self.replicas[which].waits();
        self.replicas[which] = Daemon::start(&mut command);
    }

    fn begins(&mut self, trouble: Trouble) {
        let which = self.random.random_range(0..2);
        writeln!(self.how, "{trouble:?} {which}").unwrap();
        match trouble {
            Trouble::Killed => self.restart(which, Signal::KILL, None),
            Trouble::Stopped => self.restart(which, Signal::TERM, None),
            Trouble::ClockAhead => self.restart(which, Signal::KILL, Some("+3h")),
            Trouble::ClockBehind => self.restart(which, Signal::KILL, Some("-3h")),
            Trouble::Frozen => self.replicas[which].signal(Signal::STOP),
            Trouble::Extractor => {
                self.extractor.signal(Signal::KILL);
                self.extractor.waits();
                self.extractor = self.send();
            }
            Trouble::Garbage => {
                let kind = Kind::ALL[self.random.random_range(0..4)];
                let unfit = ["no JSON", r#"{"type":"data","sha256":"ab"}"#];
                self.rabbit.publish(kind, unfit.map(Letter::plain));
                self.garbage[kind as usize] += 2;
            }
            Trouble::Replay => self.replay(),
            Trouble::Cut | Trouble::Stalled | Trouble::Full | Trouble::Locked => {
                self.target.begins(trouble);
            }
        }
    }

    fn ends(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Frozen => self.replicas.iter().for_each(|one| one.signal(Signal::CONT)),
            Trouble::Cut | Trouble::Stalled | Trouble::Full | Trouble::Locked => {
                self.target.ends(trouble);
            }
            Trouble::Killed
            | Trouble::Stopped
            | Trouble::ClockAhead
            | Trouble::ClockBehind
            | Trouble::Extractor
            | Trouble::Garbage
            | Trouble::Replay => {}
        }
    }

    fn replay(&self) {
        let what = if self.target.consumer() == "graphinator" { "graph" } else { "tables" };
        let mut command = self.rabbit.program(&self.place);
        command.args(["consume", "replay-dead-letters", what, "--from", &self.rabbit.address]);
        Ran::of(command.output().unwrap()).ends(0, &[]);
    }

    fn send(&self) -> Daemon {
        Daemon::start(&mut self.rabbit.extract(&self.place, self.folder))
    }

    /// Waits until something is so, with all that is known if it never is.
    #[track_caller]
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PEACE;
        while !is_so(self) {
            if Instant::now() > deadline {
                let [a, b] = &mut self.replicas;
                let (a, b, notes) = (a.said(), b.said(), self.target.notes());
                panic!("{what}: not within {PEACE:?}\n{}\n{notes}\na: {a}\nb: {b}", self.how);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One version: sent and read under pairs of troubles, then in peace.
    fn version(&mut self, which: usize) {
        self.folder = FOLDERS[which];
        self.extractor = self.send();
        let known: Vec<_> = Trouble::ALL.into_iter().filter(|it| self.target.knows(*it)).collect();
        for _ in 0..PAIRS {
            let one = known[self.random.random_range(0..known.len())];
            let other = known[self.random.random_range(0..known.len())];
            for trouble in [one, other] {
                self.begins(trouble);
                // Not for something to happen: the next is to come at any time.
                std::thread::sleep(Duration::from_millis(self.random.random_range(0..700)));
            }
            for trouble in [one, other] {
                self.ends(trouble);
            }
            if self.random.random_bool(0.5) {
                std::thread::sleep(Duration::from_millis(self.random.random_range(0..500)));
            }
        }
        writeln!(self.how, "peace").unwrap();
        self.until("all is sent", |it| it.extractor.is_gone());
        let version = VERSIONS[which];
        self.until("all is swept", |it| it.target.swept(version) == 4);
    }

    /// What is left at the end.
    fn check(&mut self, expected: &[String]) {
        for kind in Kind::ALL {
            self.until("the queue is empty", |it| it.rabbit.queue(kind).ready == 0);
            let garbage = self.garbage[kind as usize];
            self.until("garbage is a dead letter", |it| {
                it.rabbit.dead_letters(kind).ready >= garbage
            });
            let dead = self.rabbit.dead_letters(kind).ready;
            assert_eq!(dead, garbage, "{kind}: dead letters\n{}\n{}", self.how, self.said);
        }
        // What many records say together is settled last.
        let expected: BTreeSet<_> = expected.iter().cloned().collect();
        let mut found = BTreeSet::new();
        let deadline = Instant::now() + PEACE;
        while found != expected && Instant::now() < deadline {
            found = self.target.everything().into_iter().collect();
        }
        let missing: Vec<_> = expected.difference(&found).take(3).collect();
        let more: Vec<_> = found.difference(&expected).take(3).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "missing {missing:#?}\nmore {more:#?}\n{}",
            self.how
        );
    }
}

fn episode(target: &mut dyn Target, seed: u64) {
    let (rabbit, place) = (Rabbit::of(target.consumer(), BROKER), Place::new());
    for (which, folder) in FOLDERS.into_iter().enumerate() {
        let options =
            Options::new(RELEASES[which], which as u64 + 2, VERSIONS[which].parse().unwrap());
        make(&options, &place.path(folder)).unwrap();
    }
    let expected = target.clean(&place, FOLDERS[1], VERSIONS[1]);
    let mut migrate = consume(&rabbit, &place, target, 0);
    Ran::of(migrate.arg("--migrate-only").output().unwrap()).ends(0, &[]);
    let replicas = [0, 1].map(|which| Daemon::start(&mut consume(&rabbit, &place, target, which)));
    let extractor = Daemon::start(Command::new("true").env_clear());
    let mut episode = Episode {
        random: StdRng::seed_from_u64(seed),
        rabbit,
        place,
        target,
        replicas,
        extractor,
        folder: FOLDERS[0],
        garbage: [0; 4],
        how: format!("DISCOGS_TEST_SEED={seed}\n"),
        said: String::new(),
    };
    episode.until("the queues are read", |it| {
        Kind::ALL.into_iter().all(|kind| it.rabbit.queue(kind).consumers == 2)
    });
    for version in [0, 1] {
        episode.version(version);
    }
    episode.check(&expected);
    for which in [0, 1] {
        // It must still be able to stop.
        episode.restart(which, Signal::TERM, None);
    }
    let said = std::mem::take(&mut episode.said);
    assert!(!said.contains("panicked"), "{}\n{said}", episode.how);
}

/// Episodes, for as long as is asked for: one if nothing is.
fn episodes(name: &str, target: impl Fn() -> Option<Box<dyn Target>>) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("DISCOGS_TEST_SECONDS").unwrap_or(0));
    let began = Instant::now();
    for round in 1.. {
        let seed = number("DISCOGS_TEST_SEED").unwrap_or_else(|| rand::rng().random());
        eprintln!("{name}, round {round}: DISCOGS_TEST_SEED={seed}");
        let Some(mut target) = target() else { return };
        episode(&mut *target, seed);
        if began.elapsed() >= time {
            return;
        }
    }
}

#[test]
fn tables_in_sqlite_survive_two_troubles_at_a_time() {
    episodes("sqlite", || Some(Box::new(target::File::new())));
}

#[test]
fn tables_in_postgres_survive_two_troubles_at_a_time() {
    episodes("postgres", || Some(Box::new(target::Server::new()?)));
}

#[test]
fn a_graph_survives_two_troubles_at_a_time() {
    episodes("graph", || Some(Box::new(target::Bolt::new()?)));
}
