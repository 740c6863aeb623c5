//! `run` with a site: from an empty folder to full tables, extracted while it is downloaded, through
//! kills, wrong bytes and a site that changes its mind.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::Options;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use support::daemon::Daemon;
use support::running::Running;
use support::server::{Ask, Reply, Server, checksum_line, year_pages};
use support::{Place, artists, gzip, http, rows};

const RELEASES: &str = "discogs_20260101_releases.xml.gz";
const ARTISTS: &str = "discogs_20260101_artists.xml.gz";

type Files = BTreeMap<String, Vec<u8>>;

/// A month of dumps with their checksums, and a place whose `direct.db` is what they make.
fn month(version: &str, releases: u64) -> (Place, Files) {
    let place = Place::new();
    place.sample(&Options::new(releases, 5, version.parse().unwrap()));
    place.extract("sqlite:direct.db").ends(0, &[]);
    let mut files = Files::new();
    for entry in fs::read_dir(place.path("dumps")).unwrap() {
        let entry = entry.unwrap();
        files.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    }
    add_checksums(version, &mut files);
    (place, files)
}

fn add_checksums(version: &str, files: &mut Files) {
    let line = |(name, bytes): (&String, &Vec<u8>)| checksum_line(name, bytes);
    let lines: String = files.iter().filter(|(name, _)| name.contains(version)).map(line).collect();
    files.insert(format!("discogs_{version}_CHECKSUM.txt"), lines.into_bytes());
}

/// A month of nothing but artists, so many, in four small files.
fn small_month(version: &str, count: usize) -> Files {
    let mut files = Files::new();
    for kind in Kind::ALL {
        let one = kind.name().trim_end_matches('s');
        let of = if kind == Kind::Artists { count } else { 1 };
        let text = artists(of).replace("artist", one);
        files.insert(format!("discogs_{version}_{kind}.xml.gz"), gzip(text.as_bytes()));
    }
    add_checksums(version, &mut files);
    files
}

fn daemon(place: &Place, site: &str) -> Command {
    let mut command = place.daemon("sqlite:out.db");
    command.env("DISCOGS_SITE", site).env("DISCOGS_RETRY_AFTER", "1");
    command
}

/// Slow enough that a part is on disk and extracted before the rest is there.
fn slowly(_: &Ask, reply: Reply) -> Reply {
    Reply { drip: Duration::from_millis(40), ..reply }
}

fn plainly(_: &Ask, reply: Reply) -> Reply {
    reply
}

#[track_caller]
fn same_tables(expected: &Place, found: &Place) {
    for kind in Kind::ALL {
        let expected = rows(&expected.path("direct.db"), kind.name());
        assert!(expected == rows(&found.path("out.db"), kind.name()), "{kind} differ");
    }
}

fn status(place: &Place, file: &str) -> serde_json::Value {
    let state = place.state();
    let files = state["files"].as_array().unwrap();
    let file = files.iter().find(|known| known["file"] == file);
    file.map_or(serde_json::Value::Null, |file| file["status"].clone())
}

fn artists_in(place: &Place) -> usize {
    rows(&place.path("out.db"), "artists").len()
}

/// Where in what was said words come first.
#[track_caller]
fn at(said: &str, words: &str) -> usize {
    said.find(words).unwrap_or_else(|| panic!("no {words:?} in {said}"))
}

#[test]
fn from_an_empty_folder_come_the_tables_of_the_local_files_and_extraction_does_not_wait() {
    let (expected, files) = month("20260101", 2_500);
    let server = Server::start(files.clone(), year_pages, slowly);
    let place = Place::new();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("waiting next=");
    // What it fetched itself is no news to it.
    running.is_silent(Duration::from_secs(1));
    let said = running.stops();
    same_tables(&expected, &place);
    let begun = at(&said, &format!("extracting file={RELEASES}"));
    let here = at(&said, &format!("is here, verified file=\"{RELEASES}\""));
    let complete = at(&said, &format!("complete file={RELEASES}"));
    assert!(begun < here && here < complete, "{said}");
    assert!(!said.contains(" WARN ") && !said.contains(" ERROR "), "{said}");
    let dumps = || files.iter().filter(|(name, _)| !name.contains("CHECKSUM"));
    for (name, bytes) in dumps() {
        assert_eq!(server.sent(name), bytes.len(), "{name}");
    }
    // The second time nothing is fetched, and nothing is read again.
    let asked = server.asked("download=").len();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("waiting next=");
    let said = running.stops();
    assert!(!said.contains("extracting file="), "{said}");
    assert_eq!(server.asked("download=").len(), asked);
    // Nor when the files are gone: their records are where they should be.
    for (name, _) in dumps() {
        fs::remove_file(place.path("dumps").join(name)).unwrap();
    }
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("waiting next=");
    running.stops();
    assert_eq!(server.asked("download=").len(), asked);
}

#[test]
fn kills_while_it_is_downloaded_and_extracted_cost_little_of_either() {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (expected, files) = month("20260101", 4_000);
    let server = Server::start(files.clone(), year_pages, slowly);
    let place = Place::new();
    let mut said = String::new();
    for _ in 0..8 {
        let running = Daemon::start(&mut daemon(&place, &server.url()));
        std::thread::sleep(Duration::from_millis(random.random_range(200..1_500)));
        said += &running.kill();
    }
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("waiting next=");
    said += &running.stops();
    same_tables(&expected, &place);
    let over = said.matches("starting over").count();
    assert_eq!(over, 0, "{said}");
    let (length, sent) = (files[RELEASES].len(), server.sent(RELEASES));
    // A second's worth at 0.8 MB/s, and what was on its way.
    let most = length + 8 * 1_600_000;
    println!("{sent} bytes sent of {length}");
    assert!(sent <= most, "{sent} bytes were sent of {length}");
}

#[test]
fn a_file_that_another_process_downloads_is_waited_for_and_taken_over_if_that_dies() {
    let (expected, files) = month("20260101", 2_500);
    for dies in [false, true] {
        let server = Server::start(files.clone(), year_pages, slowly);
        let (place, site) = (Place::new(), server.url());
        let words = ["download", "--into", "dumps", "--types", "releases", "--site", &site];
        let mut other =
            Running::start(place.program().args(words).env("STATE_DIR", place.path("other")));
        server.wait_sent(RELEASES, 1);
        let mut running = Daemon::start(&mut daemon(&place, &site));
        let said = running.says("another process downloads it");
        assert!(said.contains(RELEASES), "{said}");
        if dies {
            assert!(other.kill());
        } else {
            other.ends(0, Duration::from_secs(30));
        }
        running.says("waiting next=");
        let said = running.stops();
        same_tables(&expected, &place);
        assert_eq!(said.matches("another process downloads it").count(), 1, "{said}");
        assert!(!said.contains(" ERROR "), "{said}");
        assert_eq!(server.asked("releases.xml.gz").len(), if dies { 2 } else { 1 });
    }
}

#[test]
fn bytes_that_are_not_the_published_ones_are_never_complete() {
    let (expected, files) = month("20260101", 300);
    let (_, others) = month("20260201", 320);
    // The first time another whole dump comes under the name, which only the checksum can tell.
    let other = others["discogs_20260201_releases.xml.gz"].clone();
    let body = Arc::new(other);
    let server = Server::start(files, year_pages, move |ask, reply| {
        let wrong = ask.time == 1 && ask.file.as_deref() == Some(RELEASES);
        if wrong { Reply { body: Arc::clone(&body), ..reply } } else { reply }
    });
    let place = Place::new();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("waiting next=");
    let said = running.stops();
    same_tables(&expected, &place);
    let (mismatch, complete) =
        (at(&said, "SHA-256"), at(&said, &format!("complete file={RELEASES}")));
    assert!(mismatch < complete, "{said}");
    assert_eq!(said.matches(&format!("complete file={RELEASES}")).count(), 1, "{said}");
}

#[test]
fn a_file_that_is_never_right_fails_and_the_others_do_not() {
    let mut files = small_month("20260101", 500);
    files.insert(ARTISTS.to_owned(), gzip(artists(501).as_bytes()));
    let server = Server::start(files, year_pages, plainly);
    let place = Place::new();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("trying again what failed");
    assert_eq!(status(&place, ARTISTS), "failed");
    for kind in [Kind::Labels, Kind::Masters, Kind::Releases] {
        assert_eq!(status(&place, &format!("discogs_20260101_{kind}.xml.gz")), "complete");
    }
    let said = running.stops();
    assert!(
        said.contains("SHA-256") && !said.contains(&format!("complete file={ARTISTS}")),
        "{said}"
    );
}

/// What `state check` prints, and its exit code.
fn check(place: &Place) -> (String, Option<i32>) {
    let ran = place.run(&["state", "check"]);
    (ran.out.trim().to_owned(), ran.code)
}

#[test]
fn what_has_not_come_yet_is_not_complete() {
    let files = small_month("20260101", 500);
    // Nothing comes of the releases, then they are gone.
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let server = Server::start(files.clone(), year_pages, move |ask, reply| {
        let releases = ask.file.as_deref() == Some(RELEASES);
        if releases && is_gone.load(Ordering::Acquire) {
            return Reply::status(404);
        }
        Reply { silent: releases.then_some(0), ..reply }
    });
    let place = Place::new();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    for _ in 0..3 {
        running.says("complete file=");
    }
    assert_eq!(check(&place), ("incomplete".to_owned(), Some(3)));
    assert_eq!(status(&place, RELEASES), "pending");
    running.stops();
    assert_eq!(check(&place), ("incomplete".to_owned(), Some(3)));
    gone.store(true, Ordering::Release);
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("can no longer be had");
    running.says("trying again what failed");
    assert_eq!(check(&place), ("failed".to_owned(), Some(1)));
    running.stops();

    // Nobody says what they should be, and the others are here.
    let server = Server::start(files.clone(), year_pages, |ask, reply| {
        let checksums = ask.file.as_deref().is_some_and(|file| file.ends_with("CHECKSUM.txt"));
        if checksums { Reply::status(503) } else { reply }
    });
    let place = Place::new();
    for kind in [Kind::Artists, Kind::Labels, Kind::Masters] {
        let name = format!("discogs_20260101_{kind}.xml.gz");
        place.dump(&name, &files[&name]);
    }
    place.age();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("trying again what failed");
    assert_eq!(check(&place), ("incomplete".to_owned(), Some(3)));
    running.stops();
}

#[test]
fn a_file_that_changes_under_way_starts_over_and_ends_as_the_new_one() {
    let files = small_month("20260101", 60_000);
    let server = Server::start(files.clone(), year_pages, |ask, reply| {
        let first = ask.time == 1 && ask.file.as_deref() == Some(ARTISTS);
        // It breaks off in the middle; what is asked for next is another file.
        let cut = first.then_some(200_000);
        Reply { cut, drip: Duration::from_millis(200), ..reply }
    });
    assert!(files[ARTISTS].len() > 250_000, "{}", files[ARTISTS].len());
    let place = Place::new();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says(&format!("extracting file={ARTISTS}"));
    let newer = gzip(artists(60_001).as_bytes());
    server.replace(ARTISTS, newer);
    running.says("the download starts over");
    // The checksum that was read is that of the old one.
    running.says("SHA-256");
    let mut again = small_month("20260101", 60_001);
    again.retain(|name, _| name.ends_with("CHECKSUM.txt"));
    for (name, bytes) in again {
        server.replace(&name, bytes);
    }
    running.says(&format!("complete file={ARTISTS}"));
    assert_eq!(artists_in(&place), 60_001);
    running.stops();
}

/// A port that is free this moment.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_half_published_month_is_waited_for_and_old_files_are_not_kept() {
    let mut files = small_month("20260101", 10);
    let newer = small_month("20260201", 20);
    let checksums = "discogs_20260201_CHECKSUM.txt";
    files.extend(
        newer.iter().filter(|(name, _)| *name != checksums).map(|(n, b)| (n.clone(), b.clone())),
    );
    let server = Server::start(files, year_pages, plainly);
    let (place, address) = (Place::new(), free_port());
    let mut command = daemon(&place, &server.url());
    command.args(["--keep", "1"]).env("HEALTH_PORT", address.port().to_string());
    let mut running = Daemon::start(&mut command);
    running.says("is not completely published yet");
    running.says("waiting next=");
    assert_eq!(artists_in(&place), 10);
    assert!(place.path("dumps").join(ARTISTS).exists());
    server.replace(checksums, newer[checksums].clone());
    assert_eq!(http::trigger(address, &[], "").status, 202);
    running.says("removed, newer versions are complete");
    running.says("waiting next=");
    assert_eq!(artists_in(&place), 20);
    let left = fs::read_dir(place.path("dumps")).unwrap();
    let left: Vec<_> =
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.len() == 4 && left.iter().all(|name| name.contains("20260201")), "{left:?}");
    let downloads = place.state()["downloads"].clone();
    let versions = downloads.as_array().unwrap().iter().map(|it| it["version"].clone());
    assert!(versions.into_iter().all(|version| version == "20260201"), "{downloads:#}");
    running.stops();
}

#[test]
fn a_site_that_is_away_is_told_once_and_keeps_nobody_from_work() {
    let place = Place::new();
    place.sample(&Options::new(200, 5, "20260101".parse().unwrap()));
    place.age();
    let nobody = format!("http://{}/", free_port());
    let mut running = Daemon::start(&mut daemon(&place, &nobody));
    running.says("waiting next=");
    running.says("going on with the dumps that are here");
    let said = running.stops();
    assert_eq!(said.matches("going on with the dumps").count(), 1, "{said}");
    assert_eq!(status(&place, RELEASES), "complete");
}

#[test]
fn a_site_that_says_nothing_or_wants_to_be_left_alone_holds_up_nobody() {
    let place = Place::new();
    place.sample(&Options::new(200, 5, "20260101".parse().unwrap()));
    place.age();
    let published = small_month("20260201", 10);
    let silently = |_: &Ask, reply| Reply { silent: Some(0), ..reply };
    let silent = Server::start(published, year_pages, silently);
    let mut command = daemon(&place, &silent.url());
    let mut running = Daemon::start(command.env("DISCOGS_READ_TIMEOUT", "2"));
    running.says("waiting next=");
    assert_eq!(status(&place, RELEASES), "complete");
    running.says("going on with the dumps that are here");
    running.stops();
    let busy = Server::start(Files::new(), year_pages, |_, _| {
        Reply::status(429).with("retry-after", "3600")
    });
    let mut running = Daemon::start(&mut daemon(&place, &busy.url()));
    running.says("going on with the dumps that are here");
    running.says("waiting next=");
    // It is tried again after a second, unless it says when.
    running.is_silent(Duration::from_secs(3));
    running.stops();
    assert_eq!(busy.asked("/").len(), 1);
}

#[test]
fn what_was_begun_is_finished_before_a_newer_version_begins_unless_it_cannot_be() {
    let begin = |place: &Place, server: &Server| {
        let mut running = Daemon::start(&mut daemon(place, &server.url()));
        running.says(&format!("extracting file={ARTISTS}"));
        running.kill();
    };
    let publish = |server: &Server| {
        for (name, bytes) in small_month("20260201", 20) {
            server.replace(&name, bytes);
        }
    };
    let older = small_month("20260101", 60_000);
    let newer_begins = "extracting file=discogs_20260201_artists.xml.gz";
    let slow = |ask: &Ask, reply: Reply| {
        let slow = ask.file.as_deref() == Some(ARTISTS);
        Reply { drip: Duration::from_millis(if slow { 200 } else { 0 }), ..reply }
    };
    // It is finished first, and then the newer one follows by itself.
    let (server, place) = (Server::start(older.clone(), year_pages, slow), Place::new());
    begin(&place, &server);
    publish(&server);
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says(newer_begins);
    let said = running.stops();
    assert!(at(&said, &format!("complete file={ARTISTS}")) < at(&said, newer_begins), "{said}");

    // Unless the newest is wanted first.
    let (server, place) = (Server::start(older.clone(), year_pages, slow), Place::new());
    begin(&place, &server);
    publish(&server);
    let mut running = Daemon::start(daemon(&place, &server.url()).arg("--newest-first"));
    running.says(newer_begins);
    assert!(!running.said().contains(&format!("complete file={ARTISTS}")));
    running.kill();

    // Or one of its files failed three times.
    let mut wrong = older.clone();
    wrong.insert(ARTISTS.to_owned(), gzip(artists(59_999).as_bytes()));
    let (server, place) = (Server::start(wrong, year_pages, slow), Place::new());
    begin(&place, &server);
    publish(&server);
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says(newer_begins);
    let said = running.stops();
    assert_eq!(said.matches("trying again what failed").count(), 3, "{said}");

    // Or it can no longer be had.
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let server = Server::start(older, year_pages, move |ask, reply| {
        let of_it = ask.file.as_deref() == Some(ARTISTS);
        if of_it && is_gone.load(Ordering::Acquire) { Reply::status(404) } else { slow(ask, reply) }
    });
    let place = Place::new();
    begin(&place, &server);
    publish(&server);
    gone.store(true, Ordering::Release);
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("can no longer be had");
    running.says(newer_begins);
    running.stops();
}

#[test]
fn a_site_that_falls_silent_is_why_a_file_is_stalled() {
    let files = small_month("20260101", 60_000);
    let server = Server::start(files, year_pages, |ask, reply| {
        let first = ask.time == 1 && ask.file.as_deref() == Some(ARTISTS);
        Reply { silent: first.then_some(150_000), drip: Duration::from_millis(100), ..reply }
    });
    let place = Place::new();
    let mut command = daemon(&place, &server.url());
    command.env("STALL_AFTER", "2").env("DISCOGS_READ_TIMEOUT", "6");
    let mut running = Daemon::start(&mut command);
    running.says("⚠️ Stalled extractors detected: ['artists']");
    assert!(running.says("artists").contains("download"));
    running.says(&format!("complete file={ARTISTS}"));
    assert_eq!(artists_in(&place), 60_000);
    running.stops();
}

#[test]
fn a_signal_ends_it_while_it_downloads() {
    let files = small_month("20260101", 60_000);
    let server = Server::start(files, year_pages, |ask, reply| {
        let silent = (ask.file.as_deref() == Some(ARTISTS)).then_some(100_000);
        Reply { silent, ..reply }
    });
    let place = Place::new();
    let running = Daemon::start(&mut daemon(&place, &server.url()));
    server.wait_sent(ARTISTS, 98_304);
    let began = Instant::now();
    running.stops();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn without_a_checksum_nothing_is_taken_where_one_is_required() {
    let mut files = small_month("20260101", 10);
    let checksums = "discogs_20260101_CHECKSUM.txt";
    let all = String::from_utf8(files[checksums].clone()).unwrap();
    let others: Vec<_> = all.lines().filter(|line| !line.contains("artists")).collect();
    files.insert(checksums.to_owned(), others.join("\n").into_bytes());
    let server = Server::start(files, year_pages, plainly);
    let place = Place::new();
    let mut running = Daemon::start(daemon(&place, &server.url()).arg("--require-checksum"));
    running.says("no checksum is published for");
    running.says("trying again what failed");
    assert_eq!(status(&place, "discogs_20260101_labels.xml.gz"), "complete");
    running.stops();
    let mut running = Daemon::start(&mut daemon(&place, &server.url()));
    running.says("unverified");
    running.says("waiting next=");
    assert_eq!(artists_in(&place), 10);
    running.stops();
}

#[test]
fn local_files_are_compared_where_a_checksum_is_required() {
    let files = small_month("20260101", 10);
    let server = Server::start(files.clone(), year_pages, plainly);
    let place = Place::new();
    for (name, bytes) in files.iter().filter(|(name, _)| !name.contains("CHECKSUM")) {
        place.dump(name, bytes);
    }
    place.dump(ARTISTS, &gzip(artists(9).as_bytes()));
    place.age();
    let mut alone = Daemon::start(daemon(&place, "none").arg("--require-checksum"));
    for _ in Kind::ALL {
        alone.says("left out: a checksum is required");
    }
    alone.says("waiting for dumps");
    alone.stops();
    let mut running = Daemon::start(daemon(&place, &server.url()).arg("--require-checksum"));
    running.says("waiting next=");
    running.stops();
    assert_eq!(artists_in(&place), 10);
    // Only the wrong one was fetched, and the others were read once.
    assert_eq!(server.asked("download=").len(), 2, "{:?}", server.asked("download="));
    let mut again = Daemon::start(daemon(&place, &server.url()).arg("--require-checksum"));
    again.says("waiting next=");
    let said = again.stops();
    assert!(!said.contains("compared with its checksum"), "{said}");
}
