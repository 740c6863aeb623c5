//! `SIGKILL` at random times and at every named place: the right bytes end up on disk, and each
//! is fetched about once.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use discogs_extractor::model::fault;
use rand::Rng;

use crate::faults::random;
use crate::server::{Reply, Server, index};
use crate::support::Place;
use crate::support::running::Running;
use crate::{ARTISTS, download, here, left_over, month, noise, of_artists};

const LENGTH: usize = 12_000_000;

#[test]
fn after_kills_at_random_times_every_byte_was_fetched_about_once() {
    let mut random = random();
    let bytes = noise(LENGTH, 21);
    // 4 MB a second: buffers stay empty, so that what is sent has also arrived.
    let server = Server::start(month("20260101", bytes.clone()), index, |ask, reply| {
        let of_artists = ask.file.as_deref() == Some(ARTISTS);
        let drip = if of_artists { Duration::from_millis(8) } else { Duration::ZERO };
        Reply { drip, ..reply }
    });
    let place = Place::new();
    let site = server.url();
    let words = ["download", "--into", "dumps", "--types", "artists", "--site", &site];
    let mut kills = 0;
    while kills < 4 {
        let mut running = Running::start(place.program().args(words));
        let began = Instant::now();
        let time = Duration::from_millis(random.random_range(0..1_800));
        while began.elapsed() < time && running.is_running() {
            std::thread::yield_now();
        }
        if !running.kill() {
            break;
        }
        kills += 1;
        let part = place.path("dumps").join(format!("{ARTISTS}.part"));
        let on_disk = std::fs::metadata(part).map_or(0, |part| part.len());
        let state = place.state();
        if !state["downloads"].as_array().unwrap().is_empty() {
            let known = of_artists(&place)["bytes"].as_u64().unwrap();
            assert!(known <= on_disk, "{known} bytes are known and {on_disk} are there");
        }
    }
    download(&place, &site, &["--types", "artists"]).ends(0, &["verified"]);
    assert!(here(&place, ARTISTS) == bytes, "the bytes differ");
    assert!(left_over(&place).is_empty());
    // A kill costs what came since the last sync, at most a second's worth or two, and what was
    // on the way.
    let most = LENGTH + kills * 6_000_000;
    let sent = server.sent(ARTISTS);
    println!("{sent} bytes sent of {LENGTH}, {kills} kills");
    assert!(sent <= most, "{sent} bytes were sent, of {LENGTH} with {kills} kills");
}

#[test]
fn every_named_place_is_survived_and_reached() {
    let bytes = noise(400_000, 22);
    let places = fault::PLACES.iter().filter(|place| place.starts_with("download."));
    for fault in places {
        let wrong_first = fault.contains("mismatch");
        let server = Server::start(month("20260101", bytes.clone()), index, move |ask, reply| {
            let wrong = wrong_first && ask.time == 1 && ask.file.as_deref() == Some(ARTISTS);
            if wrong { Reply { body: noise(400_000, 23).into(), ..reply } } else { reply }
        });
        let place = Place::new();
        let site = server.url();
        let words = ["download", "--into", "dumps", "--types", "artists", "--site", &site];
        let status = place.program().args(words).env("DISCOGS_FAULT_AT", fault).output();
        assert_eq!(status.unwrap().status.signal(), Some(9), "{fault} is not reached");
        download(&place, &site, &["--types", "artists"]).ends(0, &["verified"]);
        assert!(here(&place, ARTISTS) == bytes, "{fault}: the bytes differ");
        let download = of_artists(&place);
        assert_eq!(download["verification"], "verified", "{fault}");
        let left = left_over(&place);
        assert!(left.is_empty() || wrong_first, "{fault}: {left:?}");
        let at_most = if wrong_first { 3 } else { 2 };
        let asked = server.asked(ARTISTS).len();
        assert!(asked <= at_most, "{fault}: asked {asked} times");
    }
}
