//! Everything that can happen to the broker, to the way there, and to us: nothing is lost, little
//! is repeated, the announcements come last, and the log says each fault once and its end once.
//!
//! `DISCOGS_TEST_RECORDS=200000` makes the long variant.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

#[path = "amqp_faults/returned.rs"]
mod returned;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, make};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;

use support::Place;
use support::broker::checks::{Expected, announced, data, said};
use support::broker::private::{Private, address_at};
use support::broker::reader::{Bodies, Message, Reader};
use support::broker::relay::Relay;
use support::broker::{Exchanges, shared};
use support::daemon::age;
use support::running::Running;

/// Longer than a pass takes, on a busy machine too.
const LONG: Duration = Duration::from_mins(2);

/// What the short variant goes through on its way, so that a fault falls in the middle of it.
const DELAY: Duration = Duration::from_millis(20);

/// With a window of 100 it lets so little through that half a pass takes longer than anything else,
/// and is still far from a stall.
const SLOW: Duration = Duration::from_millis(400);

/// Longer than two heartbeats, by which a silent connection is noticed.
const HEARTBEATS: Duration = Duration::from_mins(1);

const STOP: Duration = Duration::from_secs(10);

/// What no file may take of memory, in MiB.
const MEMORY: u64 = 256;

/// How many records the long variant has, if it is asked for.
fn many() -> Option<u64> {
    std::env::var("DISCOGS_TEST_RECORDS").ok().map(|records| records.parse().unwrap())
}

/// Something longer in the long variant.
fn or_long<T>(short: T, long: T) -> T {
    if many().is_some() { long } else { short }
}

/// The dumps of all trials, and what they come to.
struct Set {
    dumps: PathBuf,
    expected: Expected,
}

fn set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
        // With as many releases there are 1.79 times as many records.
        let releases = many().unwrap_or(14_000) * 100 / 179;
        let name = format!("faults-{releases}");
        let dumps = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        make(&Options::new(releases, 13, "20260101".parse().unwrap()), &dumps).unwrap();
        for entry in dumps.read_dir().unwrap() {
            age(&entry.unwrap().path());
        }
        let expected = Expected::of(&dumps);
        Set { dumps, expected }
    })
}

fn random() -> StdRng {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// One extraction with a reader at the other end of a broker of its own: most of a trial's time it
/// waits, and so another one can go on beside it.
struct Trial {
    broker: Private,
    exchanges: Exchanges,
    queue: String,
    reader: Reader,
    place: Place,
    relay: Relay,
    /// The relay's.
    address: String,
    /// Messages under way, per file.
    window: usize,
    /// What processes said that have ended.
    logs: Vec<String>,
}

impl Trial {
    fn new() -> Trial {
        // Who has a broker to test with has the programs to start another.
        shared("DISCOGS_TEST_AMQP");
        let broker = Private::start_with("");
        let exchanges = Exchanges::new(&broker.address());
        let queue = exchanges.queue("all");
        broker.settle();
        let reader = Reader::new(&broker.address(), &[&queue], Bodies::Dropped);
        let relay = Relay::to(broker.port());
        relay.delay(or_long(DELAY, Duration::ZERO));
        let address = address_at(relay.port());
        let (place, window, logs) = (Place::new(), or_long(100, 5_000), Vec::new());
        Trial { broker, exchanges, queue, reader, place, relay, address, window, logs }
    }

    fn start(&self, more: &[&str]) -> Running {
        let mut command = self.exchanges.program(&self.place);
        command.arg("extract").arg(&set().dumps).args(["--to", &self.address]);
        command.args(["--window", &self.window.to_string()]).args(more);
        Running::start(&mut command)
    }

    /// Waits until a part of all records has come.
    #[track_caller]
    fn at(&self, percent: usize) {
        self.reader.wait_for(set().expected.total() * percent / 100, LONG);
    }

    /// Has `rabbitmqctl` do something, which takes a busy machine seconds: the line is slow
    /// meanwhile, so that the pass is not over before.
    fn slowly(&mut self, act: impl FnOnce(&mut Private)) {
        self.relay.delay(SLOW);
        act(&mut self.broker);
        self.relay.delay(or_long(DELAY, Duration::ZERO));
    }

    #[track_caller]
    fn kill(&mut self, running: &mut Running) -> bool {
        let killed = running.kill();
        self.logs.push(running.log());
        killed
    }

    /// Waits for a good end, and checks all that must be true of what came: each type repeated
    /// within so many windows and checkpoint intervals.
    #[track_caller]
    fn ends(&mut self, mut running: Running, windows: usize, intervals: usize) {
        running.ends(0, LONG);
        self.logs.push(running.log());
        self.check(windows, intervals);
    }

    #[track_caller]
    fn check(&self, windows: usize, intervals: usize) {
        let expected = &set().expected;
        self.reader.wait_for_the_end(LONG);
        self.reader.wait_for_silence();
        let messages = self.reader.messages();
        expected.all_arrived(&messages);
        expected.all_announced(&messages);
        expected.in_order_within(&messages, u64::try_from(self.window).unwrap());
        let repeats = expected.repeats_within(&messages, self.window, windows, intervals);
        println!("{} messages, repeats {repeats:?}", messages.len());
        let log = self.logs.join("\n");
        assert!(!log.contains("panicked") && !log.contains("guest:"), "{log}");
        assert!(!log.contains("Stalled extractors"), "{log}");
    }

    /// How often something was said in all.
    #[track_caller]
    fn said(&self, words: &str, times: usize) {
        let log = self.logs.join("\n");
        assert_eq!(said(&log, words), times, "{words:?} in:\n{log}");
    }
}

/// What is said when the broker is gone, and when it is back.
const AWAY: &str = "the broker is away";
const BACK: &str = "the broker is back";

#[test]
fn nothing_is_lost_when_the_extractor_is_killed() {
    let mut trial = Trial::new();
    let mut random = random();
    let mut kills = 0;
    for _ in 0..or_long(6, 20) {
        let mut running = trial.start(&[]);
        sleep(Duration::from_millis(random.random_range(50..or_long(1_500, 4_000))));
        if !trial.kill(&mut running) {
            break;
        }
        kills += 1;
    }
    let running = trial.start(&[]);
    trial.ends(running, kills, kills);
    trial.said(AWAY, 0);
}

#[test]
fn nothing_is_lost_when_the_broker_is_killed() {
    let mut trial = Trial::new();
    let running = trial.start(&[]);
    trial.at(30);
    trial.broker.kill();
    running.says(&[AWAY], LONG);
    trial.broker.start();
    trial.ends(running, 1, 0);
    trial.said(AWAY, 1);
    trial.said(BACK, 1);
}

#[test]
fn nothing_is_lost_when_both_are_killed() {
    let mut trial = Trial::new();
    let mut running = trial.start(&[]);
    trial.at(40);
    trial.broker.kill();
    trial.kill(&mut running);
    let running = trial.start(&["--wait"]);
    running.says(&[AWAY], LONG);
    trial.broker.start();
    trial.ends(running, 2, 1);
    trial.said(BACK, 1);
}

#[test]
fn nothing_is_lost_while_the_broker_is_stopped() {
    let mut trial = Trial::new();
    let running = trial.start(&[]);
    trial.at(30);
    trial.slowly(Private::stop);
    sleep(Duration::from_secs(or_long(3, 30)));
    trial.broker.start();
    trial.ends(running, 1, 0);
    trial.said(AWAY, 1);
    trial.said(BACK, 1);
}

#[test]
fn nothing_is_lost_when_all_connections_are_closed() {
    let mut trial = Trial::new();
    let running = trial.start(&[]);
    for (times, percent) in [(1, 20), (2, 40), (3, 60)] {
        trial.at(percent);
        trial.slowly(|broker| broker.close_all_connections());
        running.says_so_often(BACK, times, LONG);
    }
    trial.ends(running, 3, 0);
    trial.said(AWAY, 3);
    trial.said(BACK, 3);
}

#[test]
fn a_memory_alarm_holds_it_up_and_costs_no_memory() {
    let mut trial = Trial::new();
    let running = trial.start(&[]);
    trial.at(30);
    trial.slowly(|broker| broker.block());
    running.says(&["the broker takes nothing"], LONG);
    sleep(Duration::from_secs(or_long(2, 20)));
    let came = trial.reader.messages().len();
    sleep(Duration::from_secs(1));
    assert_eq!(trial.reader.messages().len(), came, "it was not blocked");
    let peak = running.peak_memory();
    println!("{peak} MiB");
    assert!(peak < MEMORY, "{peak} MiB");
    trial.broker.unblock();
    running.says(&["the broker takes messages again"], LONG);
    trial.ends(running, 0, 0);
    trial.said("the broker takes nothing", 1);
    trial.said("the broker takes messages again", 1);
    trial.said(AWAY, 0);
}

#[test]
fn a_signal_ends_it_in_time_while_the_broker_takes_nothing() {
    let mut trial = Trial::new();
    let mut running = trial.start(&[]);
    trial.at(20);
    trial.slowly(|broker| broker.block());
    running.says(&["the broker takes nothing"], LONG);
    running.signal(Signal::TERM);
    let status = running.status(STOP);
    assert!(matches!(status.code(), Some(3 | 143)), "{status}:\n{}", running.log());
    trial.logs.push(running.log());
    trial.broker.unblock();
    let running = trial.start(&[]);
    trial.ends(running, 1, 0);
}

#[test]
fn a_blocked_sink_is_called_a_stall_once_and_its_end_told() {
    let mut trial = Trial::new();
    let mut command = trial.exchanges.program(&trial.place);
    command.arg("extract").arg(&set().dumps).args(["--to", &trial.address]);
    command.args(["--types", "releases", "--stall-after", "2", "--window", "100"]);
    let mut running = Running::start(&mut command);
    trial.at(10);
    trial.slowly(|broker| broker.block());
    running.says(&["⚠️ Stalled extractors detected: ['releases']"], LONG);
    running.says(&["releases: nothing moved for", "sink blocked"], LONG);
    // Longer than the threshold: it is told once.
    sleep(Duration::from_secs(3));
    trial.broker.unblock();
    running.says(&["releases: no longer stalled"], LONG);
    running.ends(0, LONG);
    let log = running.log();
    for words in ["Stalled extractors", "nothing moved for", "no longer stalled"] {
        assert_eq!(said(&log, words), 1, "{words:?} in:\n{log}");
    }
}

#[test]
fn messages_that_no_queue_takes_are_held_until_one_does() {
    let mut trial = Trial::new();
    let running = trial.start(&[]);
    trial.at(20);
    let releases = trial.exchanges.name(Kind::Releases);
    trial.exchanges.client().unbind(&trial.queue, &releases);
    running.says(&["unroutable", &releases], LONG);
    sleep(Duration::from_secs(1));
    trial.exchanges.client().bind(&trial.queue, &releases);
    trial.ends(running, 0, 0);
    trial.said("unroutable", 1);
    trial.said("takes records again", 1);
}

#[test]
fn of_a_queue_that_is_deleted_only_what_was_in_it_is_lost() {
    const PREFETCH: usize = 2_000;
    let mut trial = Trial::new();
    let mut running = trial.start(&[]);
    trial.at(20);
    let client = trial.exchanges.client();
    let lost = usize::try_from(client.delete_queue(&trial.queue)).unwrap();
    running.says(&["unroutable"], LONG);
    client.declare_queue(&trial.queue, true, support::broker::quorum()).unwrap();
    for kind in Kind::ALL {
        client.bind(&trial.queue, &trial.exchanges.name(kind));
    }
    running.ends(0, LONG);
    trial.reader.wait_for_the_end(LONG);
    trial.reader.wait_for_silence();
    let messages = trial.reader.messages();
    let missing = set().expected.missing(&messages).len();
    println!("{missing} lost, {lost} in the queue");
    assert!(missing <= lost + PREFETCH, "{missing} lost, {lost} were in the queue");
    let repeats = set().expected.repeats(&messages);
    assert!(repeats.values().all(|repeats| *repeats == 0), "{repeats:?}");
    trial.logs.push(running.log());
    drop(messages);
    trial.said("takes records again", said(&running.log(), "unroutable"));
}

#[test]
fn a_queue_of_a_consumer_is_put_back() {
    let mut trial = Trial::new();
    trial.exchanges.client().delete_queue(&trial.queue);
    let mut running = trial.start(&["--for", "tableinator"]);
    running.says(&["extracting"], LONG);
    let queues = Kind::ALL.map(|kind| trial.exchanges.consumer_queue("tableinator", kind));
    trial.reader = Reader::new(
        &trial.broker.address(),
        &queues.each_ref().map(String::as_str),
        Bodies::Dropped,
    );
    trial.at(20);
    let queue = trial.exchanges.consumer_queue("tableinator", Kind::Releases);
    let lost = usize::try_from(trial.exchanges.client().delete_queue(&queue)).unwrap();
    running.ends(0, LONG);
    trial.reader.wait_for_the_end(LONG);
    trial.reader.wait_for_silence();
    let messages = trial.reader.messages();
    let missing = set().expected.missing(&messages);
    println!("{} lost, {lost} in the queue", missing.len());
    assert!(missing.len() <= lost + 2_000 && missing.iter().all(|id| id.contains("-releases-")));
    for kind in Kind::ALL {
        let (_, complete) = announced(&messages, kind, "file_complete").next().unwrap();
        assert_eq!(complete.json()["total_processed"], set().expected.records(kind));
    }
}

#[test]
fn nothing_is_lost_when_the_network_is_cut() {
    let mut trial = Trial::new();
    let running = trial.start(&[]);
    for (times, percent) in [(1, 20), (2, 50)] {
        trial.at(percent);
        trial.relay.cut();
        running.says_so_often(AWAY, times, LONG);
        sleep(Duration::from_millis(500));
        trial.relay.delay(or_long(DELAY, Duration::ZERO));
    }
    trial.ends(running, 2, 0);
    trial.said(AWAY, 2);
    trial.said(BACK, 2);
}

#[test]
fn nothing_is_lost_when_the_network_goes_silent() {
    let mut trial = Trial::new();
    let running = trial.start(&[]);
    trial.at(30);
    trial.relay.stall();
    running.says(&[AWAY], HEARTBEATS);
    trial.relay.resume();
    trial.ends(running, 1, 0);
    trial.said(AWAY, 1);
    trial.said(BACK, 1);
}

#[test]
fn a_daemon_that_is_killed_fifty_times_in_a_pass_never_stalls_nor_announces_again() {
    const KILLS: usize = 50;
    let mut trial = Trial::new();
    let mut announcements = Announcements::default();
    let mut random = random();
    // Slow enough that there is something left to do after all the kills.
    trial.relay.delay(DELAY);
    trial.window = 20;
    let start = |trial: &Trial, window: &str| {
        let mut command = trial.exchanges.program(&trial.place);
        command.arg("run").arg("--root").arg(&set().dumps).args(["--to", &trial.address]);
        command.args(["--window", window, "--stall-after", "2"]).env("HEALTH_PORT", "0");
        Running::start(&mut command)
    };
    let ended = |messages: &[Message]| messages.iter().any(|m| m.what() == "extraction_complete");
    for kill in 0..KILLS {
        let came = trial.reader.messages().len();
        let mut running = start(&trial, "20");
        let more = trial.reader.try_wait(Duration::from_secs(30), |now| now.len() > came);
        assert!(more, "nothing came after {kill} kills:\n{}", running.log());
        sleep(Duration::from_millis(random.random_range(250..500)));
        assert!(!ended(&trial.reader.messages()), "the pass was over after {kill} kills");
        assert!(trial.kill(&mut running), "it ended:\n{}", running.log());
        announcements.follow(&trial, &running.log());
    }
    trial.relay.resume();
    let mut running = start(&trial, "500");
    trial.reader.wait_until(LONG, ended);
    trial.reader.wait_for_the_end(LONG);
    running.signal(Signal::TERM);
    running.ends(0, STOP);
    trial.logs.push(running.log());
    trial.check(KILLS, KILLS);
    announcements.follow(&trial, &running.log());
    println!("announced {:?}", announcements.sent);
    let log = trial.logs.join("\n");
    for kind in Kind::ALL {
        let line = Announcements::line(kind);
        assert!(said(&log, &line) <= 1, "{line}: more than once");
        assert!(data(&trial.reader.messages(), kind).count() > 0);
    }
}

/// What was announced by processes one after the other. One that is killed after it sent an
/// announcement and before it noted that the broker has it leaves it to the next one, however
/// often that happens; what was noted is not sent again.
#[derive(Default)]
struct Announcements {
    /// How often each file was announced.
    sent: [usize; 4],
    /// Whether that was noted: the line comes after it.
    noted: [bool; 4],
}

impl Announcements {
    fn line(kind: Kind) -> String {
        format!("✅ Sent file completion message for {kind}")
    }

    /// Looks at what came of a process that has ended, and at what it said.
    #[track_caller]
    fn follow(&mut self, trial: &Trial, log: &str) {
        trial.reader.wait_for_silence();
        let messages = trial.reader.messages();
        for kind in Kind::ALL {
            let (sent, noted) = (&mut self.sent[kind as usize], &mut self.noted[kind as usize]);
            let again = announced(&messages, kind, "file_complete").count() - *sent;
            assert!(
                again <= usize::from(!*noted),
                "{kind}: announced {again} times, {sent} before"
            );
            *sent += again;
            *noted |= said(log, &Announcements::line(kind)) > 0;
        }
    }
}
