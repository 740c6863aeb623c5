//! Every row of the design's table of bad input and faults that concerns files and the store:
//! what happens, with which exit code, in which words.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{Place, artists, copy_folder, gzip, rows};

const NAME: &str = "discogs_20260101_artists.xml.gz";

/// Extracts one dump of artists to nowhere.
fn extract(bytes: &[u8]) -> (Place, support::Ran) {
    let place = Place::new();
    place.dump(NAME, bytes);
    let ran = place.extract("null:");
    (place, ran)
}

#[track_caller]
fn fails(bytes: &[u8], says: &[&str]) -> Place {
    let (place, ran) = extract(bytes);
    ran.ends(1, says);
    let file = place.only_file();
    assert_eq!(file["status"], "failed");
    assert!(file["error"].as_str().is_some_and(|error| error.contains(says[0])), "{file:#}");
    place
}

#[test]
fn a_file_that_is_no_whole_gzip_fails_with_the_byte_offset() {
    let good = gzip(artists(3_000).as_bytes());
    let length = good.len();
    fails(b"", &["empty", "hint: "]);
    fails(b"<artists></artists>", &["not gzip", "hint: "]);
    let truncated = format!("byte {}", length / 2);
    fails(&good[..length / 2], &["ends", &truncated, "hint: "]);
    fails(&good[..length - 3], &["ends", "hint: "]);
    let mut damaged = good.clone();
    damaged[length / 2..length / 2 + 4].fill(0xff);
    // It may inflate to rubbish for a while before that is noticed.
    extract(&damaged).1.ends(1, &["error: "]);
    let mut wrong_crc = good.clone();
    wrong_crc[length - 8] ^= 1;
    fails(&wrong_crc, &["CRC", "byte "]);
    let mut wrong_length = good.clone();
    wrong_length[length - 4] ^= 1;
    fails(&wrong_length, &["length", "byte "]);
    let mut garbage = good.clone();
    garbage.extend_from_slice(b"garbage");
    fails(&garbage, &["after", "byte "]);
    garbage.truncate(length);
    garbage.extend_from_slice(&[0; 20]);
    fails(&garbage, &["after", "byte "]);
}

#[test]
fn records_before_the_fault_are_delivered_and_stay() {
    let place = Place::new();
    let good = gzip(artists(3_000).as_bytes());
    place.dump(NAME, &good[..good.len() / 2]);
    place.extract("sqlite:out.db").ends(1, &[]);
    let delivered = rows(&place.path("out.db"), "artists").len();
    assert!(delivered > 1_000, "{delivered}");
    assert_eq!(place.only_file()["records"], delivered);
    // The whole file is another file: it starts over, and says why.
    place.dump(NAME, &good);
    place.extract("sqlite:out.db").ends(0, &["starting over", "the file has changed"]);
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 3_000);
}

#[test]
fn a_checksum_failure_drops_the_checkpoint() {
    let mut wrong = gzip(artists(3_000).as_bytes());
    let length = wrong.len();
    wrong[length - 8] ^= 1;
    let place = fails(&wrong, &["CRC"]);
    assert_eq!(place.only_file()["records"], 0, "the next attempt is a new run");
}

#[test]
fn xml_that_ends_early_or_is_something_else_fails() {
    let text = artists(50);
    let early = &text[..text.len() - "</artists>\n".len()];
    let place = fails(&gzip(early.as_bytes()), &["ends"]);
    assert_eq!(place.only_file()["records"], 50, "what was whole is delivered");
    fails(&gzip(&early.as_bytes()[..early.len() - 20]), &["ends"]);
    fails(&gzip(b"<labels><label><id>1</id></label></labels>"), &["labels", "artists"]);
    fails(&gzip(b"no xml at all"), &["artists"]);
    fails(&gzip(b""), &["ends"]);
    fails(&gzip(format!("{text}<artists></artists>").as_bytes()), &["after"]);
}

#[test]
fn all_members_of_a_gzip_file_are_read() {
    let text = artists(500);
    let mut bytes = Vec::new();
    for (part, level) in text.as_bytes().chunks(text.len() / 7).zip((0..10).cycle()) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(part).unwrap();
        bytes.extend(encoder.finish().unwrap());
    }
    bytes.extend(gzip(b""));
    let (place, ran) = extract(&bytes);
    ran.ends(0, &[]);
    assert_eq!(place.only_file()["records"], 500);
}

#[test]
fn a_malformed_record_is_set_aside_and_the_others_are_delivered() {
    let place = Place::new();
    let text = "<labels>\n\
        <label><id>1</id><name>One</name></label>\n\
        <label><id>2</id><name>Two<sublabels><label id=\"7\">Seven</label></sublabels></label>\n\
        <label><id>3</id><name>Three</name></label>\n\
        <label><id>4</id><name>Four</name>\n\
        <label><id>5</id><name>Five</name></label>\n\
        </labels>\n";
    place.dump("discogs_20260101_labels.xml.gz", &gzip(text.as_bytes()));
    let ran = place.extract("sqlite:out.db");
    ran.ends(0, &["record set aside"]);
    assert!(ran.out.contains("2 set aside"), "{}", ran.out);
    let ids: Vec<_> = rows(&place.path("out.db"), "labels").into_iter().map(|row| row.0).collect();
    assert_eq!(ids, ["1", "3", "5"], "a nested element is never taken for a record");
    let file = place.only_file();
    assert_eq!((&file["records"], &file["bad_records"]), (&3.into(), &2.into()));
    let kept = find_bad_records(&place);
    assert_eq!(kept.len(), 2, "{kept:?}");
    let note: serde_json::Value = serde_json::from_slice(&fs::read(&kept[0]).unwrap()).unwrap();
    assert_eq!(note["ordinal"], 2);
    assert_eq!(note["xml_offset"], text.find("<label><id>2").unwrap());
    let raw = fs::read_to_string(kept[0].with_extension("xml")).unwrap();
    assert!(raw.starts_with("<label><id>2</id><name>Two"), "{raw}");
    // A repeat does not double them.
    place.run(&["extract", "dumps", "--to", "sqlite:out.db", "--force-reprocess"]).ends(0, &[]);
    assert_eq!(find_bad_records(&place).len(), 2);
}

fn find_bad_records(place: &Place) -> Vec<std::path::PathBuf> {
    fn walk(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&place.path("state/bad-records"), &mut found);
    found.sort();
    found
}

#[test]
fn more_bad_records_than_allowed_fail_the_file() {
    let bad = "<artist><id>1</id><name>never closed</artist>\n".repeat(6);
    let text = format!("<artists>\n{bad}</artists>\n");
    let place = Place::new();
    place.dump(NAME, &gzip(text.as_bytes()));
    place
        .run(&["extract", "dumps", "--to", "null:", "--max-bad-records", "5"])
        .ends(1, &["6 bad records", "record 6", "hint: ", "--max-bad-records"]);
    let allowed = ["extract", "dumps", "--to", "null:", "--max-bad-records", "6"];
    place.run(&allowed).ends(0, &[]);
    assert_eq!(place.only_file()["bad_records"], 6);
}

#[test]
fn a_record_that_nests_too_deep_is_set_aside() {
    let nested = |depth: usize| {
        let (open, close) = ("<a>".repeat(depth), "</a>".repeat(depth));
        format!("<artist><id>{depth}</id>{open}x{close}</artist>\n")
    };
    let text = format!("<artists>\n{}{}{}</artists>", nested(60), nested(70), nested(200_000));
    let (place, ran) = extract(&gzip(text.as_bytes()));
    ran.ends(0, &["nest"]);
    let file = place.only_file();
    assert_eq!((&file["records"], &file["bad_records"]), (&1.into(), &2.into()));
}

#[test]
fn a_record_larger_than_64_mib_is_set_aside_within_bounded_memory() {
    let place = Place::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(b"<artists>\n<artist><id>1</id></artist>\n<artist><id>2</id><profile>")
        .unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    (0..300).for_each(|_| encoder.write_all(&megabyte).unwrap());
    encoder.write_all(b"</profile></artist>\n<artist><id>3</id></artist>\n</artists>").unwrap();
    place.dump(NAME, &encoder.finish().unwrap());
    // 300 MB of one record, with an address space that does not hold it.
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "ulimit -v 1500000; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_discogs-extractor"));
    command.args(["extract", "dumps", "--to", "null:"]).current_dir(place.path(""));
    command.env_clear().env("STATE_DIR", place.path("state")).env("PATH", "/usr/bin:/bin");
    support::Ran::of(command.output().unwrap()).ends(0, &["64 MiB"]);
    let file = place.only_file();
    assert_eq!((&file["records"], &file["bad_records"]), (&2.into(), &1.into()));
    let kept = find_bad_records(&place);
    assert_eq!(fs::metadata(kept[0].with_extension("xml")).unwrap().len(), 1 << 20);
}

#[test]
fn the_largest_records_go_through_within_256_mib() {
    let place = Place::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"<artists>\n").unwrap();
    let megabyte = "some words, again ".repeat((1 << 20) / 18);
    for id in 1..=3 {
        write!(encoder, "<artist><id>{id}</id><profile>").unwrap();
        (0..62).for_each(|_| encoder.write_all(megabyte.as_bytes()).unwrap());
        encoder.write_all(b"</profile></artist>\n").unwrap();
    }
    // As many elements as fit: what they take is bounded as well.
    encoder.write_all(b"<artist><id>4</id>").unwrap();
    encoder.write_all("<a/>".repeat(15_000_000).as_bytes()).unwrap();
    encoder.write_all(b"</artist>\n</artists>\n").unwrap();
    place.dump(NAME, &encoder.finish().unwrap());
    let mut child = place
        .program()
        .args(["extract", "dumps", "--to", "sqlite:out.db"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = kibibytes.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kibibytes.unwrap_or(0_u64));
    }
    assert!(child.wait().unwrap().success());
    assert!(peak < 256 << 10, "{peak} KiB");
    let file = place.only_file();
    assert_eq!((&file["records"], &file["bad_records"]), (&3.into(), &1.into()));
}

#[test]
fn a_record_that_the_sink_refuses_is_set_aside_with_the_sinks_words() {
    let place = Place::new();
    place.dump(NAME, &gzip(artists(20).as_bytes()));
    let limited = ["extract", "dumps", "--to", "sqlite:out.db", "--limit", "1"];
    place.run(&limited).ends(3, &[]);
    let database = rusqlite::Connection::open(place.path("out.db")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER choosy BEFORE INSERT ON artists WHEN NEW.data_id = '13'
             BEGIN SELECT RAISE(ABORT, 'thirteen is not welcome'); END",
        )
        .unwrap();
    drop(database);
    place.extract("sqlite:out.db").ends(0, &["thirteen is not welcome"]);
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 19);
    let file = place.only_file();
    assert_eq!((&file["records"], &file["bad_records"]), (&19.into(), &1.into()));
    let note = fs::read_to_string(&find_bad_records(&place)[0]).unwrap();
    assert!(note.contains("thirteen is not welcome"), "{note}");
}

#[test]
fn entity_declarations_are_never_expanded() {
    let text = "<?xml version=\"1.0\"?>\n<!DOCTYPE artists [\n\
        <!ENTITY a \"aaaaaaaaaa\">\n<!ENTITY b \"&a;&a;&a;\">\n\
        <!ENTITY file SYSTEM \"file:///etc/passwd\">]>\n\
        <artists><artist><id>1</id><name>&b;&file;</name></artist></artists>";
    let place = Place::new();
    place.dump(NAME, &gzip(text.as_bytes()));
    place.extract("sqlite:out.db").ends(0, &[]);
    let rows = rows(&place.path("out.db"), "artists");
    assert_eq!(rows[0].2, r#"{"id":"1","name":"&b;&file;"}"#);
}

#[test]
fn a_file_that_changed_under_its_checkpoint_starts_over_and_says_so() {
    let place = Place::new();
    place.dump(NAME, &gzip(artists(900).as_bytes()));
    let limited = ["extract", "dumps", "--to", "sqlite:out.db", "--limit", "600"];
    place.run(&limited).ends(3, &[]);
    place.dump(NAME, &gzip(artists(1_000).as_bytes()));
    place.extract("sqlite:out.db").ends(0, &["starting over", "the file has changed"]);
    assert_eq!(rows(&place.path("out.db"), "artists").len(), 1_000);
}

#[test]
fn a_file_that_changed_only_in_its_middle_is_told_by_the_checkpoint() {
    let place = Place::new();
    // Stored blocks: the same size, and the same first and last 64 KiB, whatever the middle is.
    let stored = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let text = artists(10_000);
    let middle = text.find("Artist 5000<").unwrap();
    let mut changed = text.clone();
    changed.replace_range(middle..middle + 11, "Artist 5oo0");
    let (before, mut after) = (stored(&text), stored(&changed));
    // Its trailer is the old one, so that only the middle differs.
    let length = after.len();
    after[length - 8..].copy_from_slice(&before[length - 8..]);
    place.dump(NAME, &before);
    let limited = ["extract", "dumps", "--to", "null:", "--limit", "8000"];
    place.run(&limited).ends(3, &[]);
    place.dump(NAME, &after);
    place.extract("null:").ends(1, &["has changed under its checkpoint", "CRC"]);
}

#[test]
fn a_name_that_says_nothing_and_a_path_that_is_not_there_are_told() {
    let place = Place::new();
    place.dump("artists.xml.gz", b"");
    let ran = place.run(&["extract", "dumps/artists.xml.gz", "--to", "null:"]);
    ran.ends(1, &["does not say which dump it is", "hint: "]);
    place.run(&["extract", "nowhere", "--to", "null:"]).ends(1, &["nowhere", "No such file"]);
    place.run(&["extract", "dumps", "--to", "null:"]).ends(1, &["no dump", "hint: "]);
}

#[test]
fn a_dump_that_cannot_be_read_fails_and_not_all_is_complete() {
    let place = Place::new();
    place.dump(NAME, &gzip(artists(3).as_bytes()));
    let labels = place.path("dumps/discogs_20260101_labels.xml.gz");
    std::os::unix::fs::symlink("nowhere", labels).unwrap();
    place.extract("null:").ends(1, &["cannot read", "labels.xml.gz"]);
    let check = place.run(&["state", "check"]);
    assert_eq!((check.out.trim(), check.code), ("failed", Some(1)), "{:#}", place.state());
}

#[test]
fn no_sink_and_an_unknown_sink_are_usage_errors_with_examples() {
    let place = Place::new();
    place.dump(NAME, &gzip(artists(1).as_bytes()));
    place.run(&["extract", "dumps"]).ends(2, &["--to sqlite:discogs.db"]);
    place.run(&["extract", "dumps", "--to", "mysql:x"]).ends(2, &["mysql", "sqlite:PATH"]);
    place.run(&["extract", "dumps", "--to", "null:", "--threads", "x"]).ends(2, &["--threads"]);
    let mut command = place.program();
    command.args(["extract", "dumps", "--to", "null:"]).env("MAX_WORKERS", "many");
    support::Ran::of(command.output().unwrap()).ends(2, &["many", "MAX_WORKERS"]);
}

#[test]
fn two_owners_of_one_store_the_second_is_told_who_holds_it() {
    let place = Place::new();
    place.dump(NAME, &gzip(artists(2_000).as_bytes()));
    // The first one waits for its reader: nobody reads its standard output.
    let first = place
        .program()
        .args(["extract", "dumps", "--to", "sqlite:out.db"])
        .env("DISCOGS_FAULT_AT", "state.complete.before")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut first = first.unwrap();
    first.wait().unwrap();
    // A lock is the kernel's: one whose process is gone is free.
    place.extract("sqlite:out.db").ends(0, &[]);
    let lock = fs::File::open(place.path("state/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs::write(place.path("state/lock"), "4711 elsewhere\n").unwrap();
    place.extract("sqlite:out.db").ends(1, &["process 4711 on elsewhere", "hint: "]);
}

#[test]
fn a_damaged_store_is_told_with_what_to_do_and_repaired_from_the_snapshot() {
    let place = Place::new();
    place.dump(NAME, &gzip(artists(2_000).as_bytes()));
    place.extract("null:").ends(0, &[]);
    let good = Place::new();
    copy_folder(&place.path("state"), &good.path("state"));
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..8 {
        fs::remove_dir_all(place.path("state")).unwrap();
        copy_folder(&good.path("state"), &place.path("state"));
        let database = place.path("state/store/db");
        let mut bytes = fs::read(&database).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        match round {
            0 => bytes.clear(),
            1 => bytes.iter_mut().for_each(|byte| *byte = 0x5a),
            _ => {
                let from = random.random_range(0..used);
                let to = (from + 64).min(used);
                bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0xff);
            }
        }
        fs::write(&database, bytes).unwrap();
        let ran = place.extract("null:");
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        if ran.code == Some(0) {
            // What was hit is no longer needed, or sled noticed and took what came before: then
            // the file was extracted again. Never more than was confirmed.
            assert_eq!(place.only_file()["records"], 2_000);
            continue;
        }
        ran.ends(1, &["damaged", "hint: ", "state repair"]);
        let repaired = place.run(&["state", "repair"]);
        assert_eq!(repaired.code, Some(0), "{repaired:?}");
        place.extract("null:").ends(0, &[]);
        assert_eq!(place.only_file()["status"], "complete");
    }
    fs::remove_dir_all(place.path("state/store")).unwrap();
    place.extract("null:").ends(1, &["state repair"]);
}

#[test]
fn a_truncated_dump_is_never_complete_and_never_a_panic() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut words = String::from("<artists>\n");
    words.extend((0..4_000).map(|n| {
        let noise: u64 = random.random();
        format!("<artist><id>{n}</id><name>{noise:x}</name></artist>\n")
    }));
    words += "</artists>\n";
    let whole = gzip(words.as_bytes());
    let place = Place::new();
    let mut cuts: Vec<usize> = (0..1_000).map(|_| random.random_range(0..whole.len())).collect();
    cuts.extend(last_block(&whole)..whole.len());
    cuts.sort_unstable();
    cuts.dedup();
    for (number, cut) in cuts.iter().enumerate() {
        place.dump(&format!("discogs_{:08}_artists.xml.gz", number + 1), &whole[..*cut]);
    }
    // One process for all of them: each is a version of its own.
    let dumps = fs::read_dir(place.path("dumps")).unwrap().map(|entry| entry.unwrap().path());
    let mut command = place.program();
    command.arg("extract").args(dumps).args(["--to", "null:", "--progress", "none"]);
    let ran = support::Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert!(!ran.err.contains("panicked") && !ran.err.contains("died"), "{}", ran.err);
    let failed = ran.out.lines().filter(|line| line.contains(" failed")).count();
    assert_eq!(failed, cuts.len(), "every cut is a failure");
}

/// Where the last block of the only member begins, found by the resume points' own means: the
/// last block boundary that inflating passes.
fn last_block(whole: &[u8]) -> usize {
    use discogs_extractor::gzip::{Inflater, Step};
    let mut inflater = Inflater::new(whole).unwrap().points_every(1);
    let (mut text, mut last) = (Vec::new(), 0);
    loop {
        match inflater.fill(&mut text, 1 << 16).unwrap() {
            Step::Point(point) => last = usize::try_from(point.gzip.0).unwrap(),
            Step::End => return last,
            Step::More | Step::MemberEnd(_) => {}
        }
    }
}
