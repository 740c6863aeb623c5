//! The bound on memory, with the worst that a dump can hold, as a process of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use support::Place;

const MIB: usize = 1 << 20;

/// How many of the records below are set aside.
const BAD: usize = 4;

/// Records that come near every bound, in an order in which memory that is kept from one is
/// missing for the next.
fn records() -> Vec<Vec<u8>> {
    let text = |size: usize| b"some words, again ".repeat(size / 18);
    let inside = |parts: &[&[u8]]| [b"<artist>", &parts.concat()[..], b"</artist>"].concat();
    let profile = |text: &[u8]| inside(&[b"<profile>", text, b"</profile>"]);
    let elements = b"<a/>".repeat(1_000_000);
    vec![
        // What raises glibc's thresholds, if it may.
        profile(&text(6 * MIB)),
        profile(&text(20 * MIB)),
        profile(&text(30 * MIB)),
        inside(&[&b"<a>x</a>".repeat(400_000)]),
        // Six times and three times as much JSON, just below the bound.
        profile(&b"\x01".repeat(10 * MIB + 600_000)),
        profile(&b"\xff".repeat(21 * MIB)),
        // One byte or reference that needs looking at, in the largest text.
        profile(&[&text(60 * MIB)[..], b"\xff&amp;\r"].concat()),
        // As much of everything as fits.
        inside(&[&elements, b"<b>x<!---->y</b><profile>", &text(50 * MIB), b"\xff\x01</profile>"]),
        // Too large, each in another way.
        profile(&b"\x01".repeat(60 * MIB)),
        profile(&b"\"".repeat(60 * MIB)),
        inside(&[
            b"<b>",
            &b"\x01".repeat(10 * MIB),
            b"</b><c",
            &b"c".repeat(45 * MIB),
            b"/>",
            &elements,
        ]),
        [b"<artist id='", &text(60 * MIB)[..], b"'><a/></artist>"].concat(),
        profile(&b"\xff".repeat(21 * MIB)),
    ]
}

#[test]
fn whatever_is_in_a_dump_memory_stays_below_256_mib() {
    let place = Place::new();
    let records = records();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"<artists>\n").unwrap();
    for record in &records {
        encoder.write_all(record).unwrap();
    }
    encoder.write_all(b"<artist id='last'/></artists>").unwrap();
    place.dump("discogs_20260101_artists.xml.gz", &encoder.finish().unwrap());
    for to in ["null:", "jsonl:out", "sqlite:out.db"] {
        let mut command = place.program();
        command.args(["extract", "dumps", "--to", to, "--progress", "none"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            peak = peak.max(peak_of(child.id()));
            sleep(Duration::from_millis(2));
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "{to}");
        assert!(peak < 256 << 10, "{to}: {peak} KiB");
    }
    let state = place.state();
    for file in state["files"].as_array().unwrap() {
        let counts = (&file["records"], &file["bad_records"]);
        assert_eq!(counts, (&(records.len() + 1 - BAD).into(), &BAD.into()), "{file:#}");
    }
}

/// The most memory that a process had so far, in KiB.
fn peak_of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
