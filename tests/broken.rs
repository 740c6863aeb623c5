//! Dumps of 100 MB with records that are broken in every way, real processes, real signals: killed,
//! stopped and limited again and again they end as a run that nothing interrupted.
//!
//! `DISCOGS_TEST_SEED` repeats the rounds, `DISCOGS_TEST_SECONDS` makes them go on.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::Options;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use support::{Place, copy_folder, rows};

const NAME: &str = "discogs_20260101_releases.xml.gz";
/// About 100 MB of XML.
const RECORDS: u64 = 24_000;

/// Breaks some dozens of the records of a dump.
fn broken(random: &mut StdRng, text: &str) -> String {
    let mut broken = String::with_capacity(text.len() + 4_096);
    let mut records = text.split_inclusive("</release>").peekable();
    while let Some(record) = records.next() {
        if records.peek().is_none() || !random.random_bool(0.002) {
            broken.push_str(record);
            continue;
        }
        let end = "</release>";
        let open = record.trim_end_matches(end);
        let piece = match random.random_range(0..8) {
            0..=2 => open.to_owned(),
            3 => format!("{record}{end}"),
            4 => record.replacen("<release ", "<releasex ", 1),
            5 => format!("{record}text between two records"),
            6 => open.replacen("</title>", "", 1),
            _ => record.replacen("<title>", "<title><!-- never closed ", 1),
        };
        broken.push_str(&piece);
    }
    broken
}

/// As three members that are hardly packed, so that there is a point to resume from every 8 MB.
fn pack(text: &[u8]) -> Vec<u8> {
    let members = text.chunks(text.len() / 3 + 1).map(|part| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    });
    members.collect::<Vec<_>>().concat()
}

/// What a user finds after it.
#[derive(PartialEq)]
struct Outcome {
    output: String,
    set_aside: BTreeMap<String, Vec<u8>>,
    counts: (serde_json::Value, serde_json::Value, serde_json::Value),
}

fn outcome(place: &Place, to: &str) -> Outcome {
    let output = match to {
        "sqlite:out.db" => format!("{:?}", rows(&place.path("out.db"), "releases")),
        _ => fs::read_to_string(place.path("out/20260101/releases.jsonl")).unwrap(),
    };
    let mut set_aside = BTreeMap::new();
    gather(&place.path("state/bad-records"), &mut set_aside);
    let file = place.only_file();
    let counts = |name: &str| file[name].clone();
    Outcome {
        output,
        set_aside,
        counts: (counts("status"), counts("records"), counts("bad_records")),
    }
}

fn gather(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            gather(&path, into);
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            into.insert(name, fs::read(&path).unwrap());
        }
    }
}

fn extract(place: &Place, to: &str) -> Command {
    let mut command = place.program();
    command.args(["extract", "dumps", "--to", to, "--max-bad-records", "100000"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A run that nothing interrupts, and that succeeds.
fn to_the_end(place: &Place, to: &str, how: &str) {
    let ended = extract(place, to).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{how}:\n{said}");
}

/// One way to interrupt it, in words.
fn interrupt(random: &mut StdRng, place: &Place, to: &str, whole: Duration) -> String {
    if random.random_bool(0.25) {
        let limit = random.random_range(0..RECORDS / 2);
        let mut command = extract(place, to);
        command.args(["--limit", &limit.to_string()]).status().unwrap();
        return format!("limit {limit}");
    }
    let mut child = extract(place, to).spawn().unwrap();
    let time = whole.mul_f64(random.random_range(0.0..0.8));
    let signal = if random.random_bool(0.5) { Signal::KILL } else { Signal::TERM };
    let began = Instant::now();
    while began.elapsed() < time && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    if child.try_wait().unwrap().is_none() {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    child.wait().unwrap();
    format!("{signal:?} after {} ms", time.as_millis())
}

#[test]
fn a_broken_dump_of_100_mb_ends_the_same_however_it_is_interrupted() {
    let seconds = std::env::var("DISCOGS_TEST_SECONDS").ok().and_then(|n| n.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(15));
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let (mut rounds, mut interruptions) = (0, 0);
    loop {
        let reference = Place::new();
        let mut options = Options::new(RECORDS, random.random(), "20260101".parse().unwrap());
        options.kinds = vec![Kind::Releases];
        reference.sample(&options);
        let mut text = String::new();
        let dump = fs::File::open(reference.path("dumps").join(NAME)).unwrap();
        MultiGzDecoder::new(dump).read_to_string(&mut text).unwrap();
        let text = broken(random, &text);
        reference.dump(NAME, &pack(text.as_bytes()));
        for to in ["sqlite:out.db", "jsonl:out"] {
            let began = Instant::now();
            to_the_end(&reference, to, to);
            let whole = began.elapsed();
            let expected = outcome(&reference, to);
            let place = Place::new();
            copy_folder(&reference.path("dumps"), &place.path("dumps"));
            let mut how = to.to_owned();
            for _ in 0..random.random_range(2..7) {
                write!(how, ", {}", interrupt(random, &place, to, whole)).unwrap();
                interruptions += 1;
            }
            to_the_end(&place, to, &how);
            let after = outcome(&place, to);
            assert_eq!(after.counts, expected.counts, "{how}");
            assert!(after == expected, "{how}: the output or what was set aside differs");
            fs::remove_dir_all(reference.path("state")).unwrap();
        }
        rounds += 1;
        if Instant::now() >= until {
            break;
        }
    }
    println!("{rounds} rounds, {interruptions} interruptions");
}

/// As a new user met it: 7,447 rows and `complete`.
#[test]
fn one_record_without_its_end_tag_and_a_stop_lose_nothing() {
    const LABELS: u64 = 16_000;
    let place = Place::new();
    let random = &mut StdRng::seed_from_u64(1);
    let mut text = String::from("<labels>\n");
    for id in 1..=LABELS {
        let mut noise = [0_u8; 1_500];
        random.fill(&mut noise);
        let profile = noise.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let end = if id == 50 { "" } else { "</label>" };
        writeln!(text, "<label><id>{id}</id><profile>{profile}</profile>{end}").unwrap();
    }
    text.push_str("</labels>\n");
    place.dump("discogs_20260101_labels.xml.gz", &pack(text.as_bytes()));
    let run = |name: &str, more: &[&str]| {
        let mut command = place.program();
        command.env("STATE_DIR", place.path(&format!("state-{name}")));
        command.args(["extract", "dumps", "--to", &format!("sqlite:{name}.db")]).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert_eq!(run("limit", &["--limit", "1000"]).status().unwrap().code(), Some(3));
    for time in [150, 300, 450] {
        let mut child = run("stop", &[]).spawn().unwrap();
        let began = Instant::now();
        while began.elapsed().as_millis() < time && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        if child.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        }
        child.wait().unwrap();
    }
    for name in ["whole", "limit", "stop"] {
        assert_eq!(run(name, &[]).status().unwrap().code(), Some(0), "{name}");
        let held = rows(&place.path(&format!("{name}.db")), "labels").len() as u64;
        assert_eq!(held, LABELS - 1, "{name}");
    }
}
