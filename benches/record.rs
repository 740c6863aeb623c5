//! What splitting, parsing and hashing cost on one core, in MB of XML a second. The input is
//! `DISCOGS_BENCH_XML` (a decompressed releases dump), or one made here.

#![allow(clippy::print_stdout, reason = "a bench is there to print")]
#![allow(clippy::cast_precision_loss, reason = "rates for people")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::record::{Parser, Split, Splitter};
use sha2::Digest;

/// As much text as a reader may hand over at a time.
const CHUNK: usize = 256 << 10;
const ROUNDS: usize = 5;

fn main() {
    let xml = std::env::var_os("DISCOGS_BENCH_XML").map_or_else(made_up, |path| {
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    });
    let megabytes = xml.len() as f64 / 1e6;
    let mut records = Vec::new();
    let split = best(|| records = split(&xml));
    let mut json = Vec::new();
    let mut ranges = Vec::new();
    let whole = best(|| {
        let mut parser = Parser::new();
        ranges.clear();
        let mut sum = 0_u64;
        for record in &records {
            json.clear();
            let document = parser.parse(Kind::Releases, &xml[record.clone()], &mut json);
            sum += u64::from(document.map_or(0, |document| document.hash.0[0]));
            ranges.push(json.len());
        }
        black_box(sum);
    });
    json.resize(ranges.iter().max().copied().unwrap_or_default(), b'x');
    let hash = best(|| {
        for len in &ranges {
            black_box(sha2::Sha256::digest(&json[..*len]));
        }
    });
    let bytes: usize = ranges.iter().sum();
    println!("{megabytes:.0} MB, {} records, {} MB of JSON", records.len(), bytes / 1_000_000);
    let show = |what: &str, took: Duration| {
        let seconds = took.as_secs_f64();
        println!(
            "{what:14} {:6.0} MB/s  {:.2} s/GB",
            megabytes / seconds,
            seconds / megabytes * 1e3
        );
    };
    show("split", split);
    show("parse and JSON", whole.saturating_sub(hash));
    show("hash", hash);
    show("all", split + whole);
}

fn best(mut work: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = cpu_time();
        work();
        cpu_time().saturating_sub(start)
    });
    rounds.min().unwrap_or_default()
}

/// What this thread has used of a core: other work on the machine counts less than in wall time.
fn cpu_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = schedule.and_then(|line| line.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// The records' ranges in the whole text, found chunk by chunk as a reader would.
fn split(xml: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut splitter = Splitter::new(Kind::Releases);
    let (mut start, mut end) = (0, CHUNK.min(xml.len()));
    let mut records = Vec::new();
    loop {
        match splitter.next(&xml[start..end], end == xml.len()) {
            Ok(Split::Record(range)) => records.push(start + range.start..start + range.end),
            Ok(Split::NeedMore) => {
                let unneeded = splitter.unneeded();
                splitter.drained(unneeded);
                start += unneeded;
                end = (end + CHUNK).min(xml.len());
            }
            Ok(Split::End) => return records,
            other => panic!("{other:?}"),
        }
    }
}

/// Releases of about the size that they have in the dumps.
fn made_up() -> Vec<u8> {
    let mut xml = b"<releases>\n".to_vec();
    for id in 1..=30_000 {
        let credit = |n: u32| {
            format!(
                "<artist><id>{n}</id><name>Artist {n}</name><anv/><join>,</join><role>Written-By</role><tracks/></artist>"
            )
        };
        let track = |n: u32| {
            format!(
                "<track><position>A{n}</position><title>It&apos;s S&#246;dermalm {n}</title><duration>4:{n}</duration></track>"
            )
        };
        let credits: String = (id..id + 12).map(credit).collect();
        let tracks: String = (10..22).map(track).collect();
        let record = format!(
            "<release id=\"{id}\" status=\"Accepted\"><images><image type=\"primary\" uri=\"\" uri150=\"\" width=\"600\" height=\"600\"/></images><artists>{}</artists><title>Title {id}</title><labels><label name=\"Svek\" catno=\"SK032\" id=\"5\"/></labels><extraartists>{credits}</extraartists><formats><format name=\"Vinyl\" qty=\"2\" text=\"\"><descriptions><description>12\"</description></descriptions></format></formats><genres><genre>Electronic</genre></genres><country>Sweden</country><notes>One line\nand another.</notes><master_id is_main_release=\"true\">{id}</master_id><tracklist>{tracks}</tracklist></release>\n",
            credit(id)
        );
        xml.extend_from_slice(record.as_bytes());
    }
    xml.extend_from_slice(b"</releases>\n");
    xml
}
