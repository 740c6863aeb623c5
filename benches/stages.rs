//! What each stage costs, in MB/s of XML on one core, and the whole run on all of them.
//!
//! `cargo bench --profile dist --bench stages` makes a dump of 50,000 releases itself; `DISCOGS_BENCH_DUMP=FILE`
//! takes another. The bench against something outside is `benches/ratios`.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints what it measured"
)]

use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use discogs_extractor::gzip::{Inflater, MemberHasher, Step};
use discogs_extractor::model::{DumpName, Kind};
use discogs_extractor::record::{Parser, Split, Splitter};
use discogs_extractor::sample::{Options, make};
use sha2::{Digest, Sha256};

fn main() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let dump = std::env::var_os("DISCOGS_BENCH_DUMP").map_or_else(
        || {
            let version = "20260101".parse().expect("a version");
            let mut options = Options::new(50_000, 1, version);
            options.kinds = vec![Kind::Releases];
            make(&options, &scratch.path().join("dumps")).expect("a sample").dumps[0].path.clone()
        },
        PathBuf::from,
    );
    let name = dump.file_name().expect("a file").to_string_lossy();
    let kind = name.parse::<DumpName>().expect("a dump's name").kind;

    let ((), inflating) = timed(|| inflate(&dump, Vec::clear));
    let mut text = Vec::new();
    inflate(&dump, |chunk| text.append(chunk));
    let megabytes = text.len() as f64 / 1e6;
    let report = |stage: &str, seconds: f64| {
        println!("{stage:28} {seconds:7.3} s {:9.0} MB/s", megabytes / seconds);
    };
    println!("{}: {megabytes:.0} MB of XML", dump.display());
    report("inflate with checks", inflating);

    let (records, split) = timed(|| split(kind, &text));
    report("split", split);
    let mut parser = Parser::new();
    let mut json = Vec::with_capacity(1 << 20);
    let mut documents = Vec::with_capacity(text.len());
    let ((), parse) = timed(|| {
        for record in &records {
            black_box(parser.check(&text[record.clone()]).is_ok());
        }
    });
    let ((), document) = timed(|| {
        for record in &records {
            json.clear();
            black_box(parser.parse(kind, &text[record.clone()], &mut json).is_ok());
        }
    });
    for record in &records {
        json.clear();
        if parser.parse(kind, &text[record.clone()], &mut json).is_ok() {
            documents.push(json.clone());
        }
    }
    let ((), hash) = timed(|| {
        for document in &documents {
            black_box(Sha256::digest(document));
        }
    });
    report("parse", parse);
    report("canonical JSON", document - parse - hash);
    report("hash", hash);
    drop((text, records, documents));

    for to in ["null:", "jsonl:out", "sqlite:out.db"] {
        let seconds = whole_run(scratch.path(), &dump, to);
        report(&format!("whole run to {to}"), seconds);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let made = work();
    (made, began.elapsed().as_secs_f64())
}

/// Inflates a dump with its checks, and hands every chunk over.
fn inflate(dump: &Path, mut take: impl FnMut(&mut Vec<u8>)) {
    let mut inflater = Inflater::new(File::open(dump).expect("the dump")).expect("an inflater");
    let (mut chunk, mut hasher) = (Vec::new(), MemberHasher::new());
    loop {
        let step = inflater.fill(&mut chunk, 512 << 10).expect("a whole dump");
        hasher.update(&chunk);
        take(&mut chunk);
        match step {
            Step::More | Step::Point(_) => {}
            Step::MemberEnd(trailer) => hasher.finish(&trailer).expect("its checksum"),
            Step::End => return,
        }
    }
}

fn split(kind: Kind, text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut splitter = Splitter::new(kind);
    let mut records = Vec::new();
    while let Split::Record(range) = splitter.next(text, true).expect("a whole dump") {
        records.push(range);
    }
    records
}

fn whole_run(scratch: &Path, dump: &Path, to: &str) -> f64 {
    let program = env!("CARGO_BIN_EXE_discogs-extractor");
    let state = scratch.join("state");
    _ = fs::remove_dir_all(&state);
    let mut command = Command::new(program);
    command.arg("extract").arg(dump).args(["--to", to, "--progress", "none"]);
    command.env("STATE_DIR", state).env("LOG_LEVEL", "ERROR").current_dir(scratch);
    let (output, seconds) = timed(|| command.output().expect("the program"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    seconds
}
