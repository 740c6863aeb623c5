//! `versions` and `download` as their users run them, against sites that behave and sites that do
//! not.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod support;

#[path = "download/arrival.rs"]
mod arrival;
#[path = "download/faults.rs"]
mod faults;
#[path = "download/kill.rs"]
mod kill;
#[path = "download/writers.rs"]
mod writers;

use std::collections::BTreeMap;
use std::fs;

use discogs_extractor::model::Kind;
use discogs_extractor::sample::Options;
use serde_json::Value;

use support::server::{self, Reply, Server, bucket, checksum_line, index, year_pages};
use support::{Place, Ran};

const ARTISTS: &str = "discogs_20260101_artists.xml.gz";

/// Bytes that look like nothing, another lot for each seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let words = length.div_ceil(8);
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut word).take(words).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// A month of small files and one of artists with these bytes, with right checksums.
pub(crate) fn month(version: &str, artists: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut checksums = String::new();
    let mut artists = Some(artists);
    for (seed, kind) in (1..).zip(Kind::ALL) {
        let name = format!("discogs_{version}_{kind}.xml.gz");
        let bytes = artists.take().unwrap_or_else(|| noise(50_000, seed));
        checksums += &checksum_line(&name, &bytes);
        files.insert(name, bytes);
    }
    files.insert(format!("discogs_{version}_CHECKSUM.txt"), checksums.into_bytes());
    files
}

/// `download` of a site into this place's `dumps`.
pub(crate) fn download(place: &Place, site: &str, more: &[&str]) -> Ran {
    place.run(&[&["download", "--into", "dumps", "--site", site], more].concat())
}

/// What is in a file in this place's `dumps`.
#[track_caller]
pub(crate) fn here(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path("dumps").join(name)).unwrap()
}

/// The download of artists, as `state list --json` shows it.
pub(crate) fn of_artists(place: &Place) -> Value {
    let state = place.state();
    let downloads = state["downloads"].as_array().unwrap();
    downloads.iter().find(|download| download["type"] == "artists").unwrap().clone()
}

/// Names in the folder that are no dump's.
pub(crate) fn left_over(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("dumps")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".xml.gz")).collect()
}

fn unchanged(_: &server::Ask, reply: Reply) -> Reply {
    reply
}

#[test]
fn every_kind_of_site_gives_the_same_files_and_the_second_time_nothing_is_fetched() {
    let source = Place::new();
    source.sample(&Options::new(300, 11, "20260101".parse().unwrap()));
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(source.path("dumps")).unwrap() {
        let entry = entry.unwrap();
        files.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    }
    let folder = source.path("dumps").display().to_string();
    let elsewhere = Server::start(files.clone(), index, unchanged);
    let there = elsewhere.url();
    let redirect = move |ask: &server::Ask, reply: Reply| match &ask.file {
        Some(file) => Reply::status(302).with("location", &format!("{there}{file}")),
        None => reply,
    };
    let servers = [
        Server::start(files.clone(), year_pages, unchanged),
        Server::start(files.clone(), index, unchanged),
        Server::start(files.clone(), bucket, unchanged),
        Server::start(files.clone(), year_pages, redirect),
    ];
    let urls = servers.iter().map(Server::url).chain([folder.clone(), format!("file://{folder}")]);
    for site in urls {
        let place = Place::new();
        let ran = download(&place, &site, &[]);
        ran.ends(0, &["verified"]);
        assert_eq!(ran.out.lines().count(), 4, "{ran:?}");
        for line in ran.out.lines() {
            let name = line.rsplit('/').next().unwrap();
            assert_eq!(fs::read(line).unwrap(), files[name], "{site}: {name}");
        }
        let before: usize = servers.iter().map(|server| server.asked(".xml.gz").len()).sum();
        download(&place, &site, &[]).ends(0, &["here already", "0 bytes downloaded"]);
        let after: usize = servers.iter().map(|server| server.asked(".xml.gz").len()).sum();
        assert_eq!(before, after, "{site}: files were asked for again");
        let state = place.state();
        for download in state["downloads"].as_array().unwrap() {
            assert_eq!(download["status"], "complete");
            assert_eq!(download["verification"], "verified");
            assert_eq!(download["percent"], 100.0);
        }
        place.run(&["extract", "dumps", "--to", "null:"]).ends(0, &[]);
        assert!(left_over(&place).is_empty(), "{:?}", left_over(&place));
    }
    let agents = servers[0].asked("").into_iter().map(|ask| ask.headers["user-agent"].clone());
    assert!(agents.into_iter().all(|agent| agent.starts_with("discogs-extractor/")));
}

#[test]
fn versions_shows_what_there_is_and_what_is_here() {
    let mut files = month("20260101", noise(1_000, 1));
    files.extend(month("20250301", noise(1_000, 2)));
    files.extend(month("20240301", noise(1_000, 3)));
    files.extend(month("20260201", noise(1_000, 4)));
    files.remove("discogs_20260201_masters.xml.gz");
    let server = Server::start(files, year_pages, unchanged);
    let place = Place::new();
    let site = server.url();
    let took = download(&place, &site, &["--types", "artists,labels"]);
    took.ends(0, &["not completely published yet", "discogs_20260201_masters.xml.gz"]);
    assert!(took.out.contains("discogs_20260101_labels.xml.gz"), "{took:?}");
    fs::write(place.path("dumps/discogs_20260101_masters.xml.gz"), "mine").unwrap();
    let words = ["versions", "--site", &site, "--into", "dumps"];
    let table = place.run(&words).out;
    assert!(table.contains("2026-01-01") && table.contains("3 of 4, 2 verified"), "{table}");
    assert!(table.contains("no, lacks discogs_20260201_masters.xml.gz"), "{table}");
    assert!(!table.contains("20240301"), "only the newest years are read:\n{table}");
    let json = place.run(&[&words[..], &["--json", "--all"]].concat()).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    let column = |name: &str| -> Vec<Value> {
        json.as_array().unwrap().iter().map(|line| line[name].clone()).collect()
    };
    assert_eq!(column("version"), ["20260201", "20260101", "20250301", "20240301"]);
    assert_eq!(column("complete"), [false, true, true, true]);
    assert_eq!(column("here"), [0, 3, 0, 0]);
    // A version that is asked for makes its own year be read.
    let old = download(&place, &site, &["20240301", "--types", "labels"]);
    old.ends(0, &["verified"]);
    download(&place, &site, &["20260201"]).ends(1, &["is not complete", "masters", "hint: "]);
    download(&place, &site, &["20230101"]).ends(1, &["no version 20230101", "hint: "]);
}

#[test]
fn without_a_checksum_a_file_is_unverified_and_may_be_refused() {
    let mut files = month("20260101", noise(90_000, 1));
    files.insert("discogs_20260101_CHECKSUM.txt".to_owned(), Vec::new());
    let server = Server::start(files.clone(), index, unchanged);
    let place = Place::new();
    let site = server.url();
    let refused = download(&place, &site, &["--types", "artists", "--require-checksum"]);
    refused.ends(1, &["no checksum is published", "hint: "]);
    assert_eq!(server.asked(ARTISTS).len(), 0);
    download(&place, &site, &["--types", "artists"]).ends(0, &["unverified"]);
    assert_eq!(of_artists(&place)["verification"], "unverified");
    // Once a checksum is published, the file is read and compared, not fetched.
    let line = checksum_line(ARTISTS, &files[ARTISTS]);
    server.replace("discogs_20260101_CHECKSUM.txt", line.into_bytes());
    download(&place, &site, &["--types", "artists", "--require-checksum"]).ends(0, &[]);
    assert_eq!(of_artists(&place)["verification"], "verified");
    assert_eq!(server.asked(ARTISTS).len(), 1);
}

#[test]
fn a_file_that_is_here_is_taken_if_it_is_the_right_one_and_moved_aside_if_not() {
    let files = month("20260101", noise(90_000, 1));
    let server = Server::start(files.clone(), index, unchanged);
    let place = Place::new();
    place.dump(ARTISTS, &files[ARTISTS]);
    let labels = "discogs_20260101_labels.xml.gz";
    place.dump(labels, b"something else");
    let ran = download(&place, &server.url(), &["--types", "artists,labels"]);
    ran.ends(0, &["moved aside", "here already"]);
    assert_eq!(server.asked(ARTISTS).len(), 0, "it is here");
    assert_eq!(here(&place, labels), files[labels]);
    assert_eq!(
        fs::read(place.path(&format!("dumps/.{labels}.mismatch"))).unwrap(),
        b"something else"
    );
    // A file that somebody changed is noticed without being asked for.
    place.dump(ARTISTS, b"changed");
    download(&place, &server.url(), &["--types", "artists,labels"]).ends(0, &["moved aside"]);
    assert_eq!(here(&place, ARTISTS), files[ARTISTS]);
    assert_eq!((server.asked(ARTISTS).len(), server.asked(labels).len()), (1, 1));
}

#[test]
fn what_is_known_can_be_seen_and_holds_no_secret() {
    let files = month("20260101", noise(90_000, 1));
    let server = Server::start(files, index, |ask, reply| {
        // "me:secret", as a server wants to hear it.
        let known = ask.headers.get("authorization").is_some_and(|a| a == "Basic bWU6c2VjcmV0");
        if known { reply } else { Reply::status(401) }
    });
    let place = Place::new();
    let site = format!("http://me:secret@{}/?token=secret", server.address);
    let ran = download(&place, &site, &["--types", "artists"]);
    ran.ends(0, &["verified"]);
    let list = place.run(&["state"]);
    assert!(list.out.contains("DOWNLOAD") && list.out.contains("90,000"), "{}", list.out);
    let show = place.run(&["state", "show", "artists"]);
    let shown = format!("http://{}", server.address);
    assert!(show.out.contains(&shown) && show.out.contains("verified"), "{}", show.out);
    let history = place.run(&["state", "history"]);
    assert!(history.out.contains("the download is complete, verified"), "{}", history.out);
    let json = place.state().to_string();
    let exported = place.run(&["state", "export"]).out;
    for text in [ran.err, list.out, show.out, history.out, json, exported] {
        assert!(!text.contains("secret"), "{text}");
    }
    let stranger = download(&place, &server.url(), &[]);
    stranger.ends(1, &["answers 401", "hint: "]);
}

#[test]
fn what_cannot_be_used_is_said() {
    let place = Place::new();
    place.run(&["download"]).ends(2, &["--into", "hint: "]);
    download(&place, "ftp://h/", &[]).ends(2, &["ftp", "hint: "]);
    download(&place, "nowhere", &[]).ends(1, &["nowhere", "hint: "]);
    download(&place, ".", &["--limit-rate", "fast"]).ends(2, &["--limit-rate"]);
    fs::create_dir(place.path("dumps")).unwrap();
    download(&place, "dumps", &[]).ends(1, &["no dumps", "hint: "]);
    place.sample(&Options::new(5, 1, "20260101".parse().unwrap()));
    download(&place, "dumps", &[]).ends(2, &["the folder that the dumps go to"]);
}
