//! Several programs and one folder: a part has one writer, and what gets a dump's name is what was
//! hashed.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::faults::random;
use crate::server::{Reply, Server, index};
use crate::support::Place;
use crate::support::running::Running;
use crate::{ARTISTS, download, here, left_over, month, noise};

const LENGTH: usize = 3_000_000;
const TIME: Duration = Duration::from_secs(30);

/// A site that takes half a second to send these bytes as artists.
fn slow(bytes: &[u8]) -> Server {
    Server::start(month("20260101", bytes.to_vec()), index, |ask, reply| {
        let of_artists = ask.file.as_deref() == Some(ARTISTS);
        let drip = if of_artists { Duration::from_millis(5) } else { Duration::ZERO };
        Reply { drip, ..reply }
    })
}

/// A download of artists into this place's `dumps` by a process that keeps its own state.
fn start(place: &Place, site: &str, state: &str) -> Running {
    let words = ["download", "--into", "dumps", "--types", "artists", "--site", site];
    Running::start(place.program().args(words).env("STATE_DIR", place.path(state)))
}

fn part(place: &Place) -> PathBuf {
    place.path("dumps").join(format!("{ARTISTS}.part"))
}

/// It says that the file is here, and then it is; or that another process downloads it.
#[track_caller]
fn ends_in_truth(running: &mut Running, place: &Place, bytes: &[u8]) -> bool {
    let code = running.status(TIME).code();
    let log = running.log();
    match code {
        Some(0) => assert!(here(place, ARTISTS) == bytes, "it is not what was published:\n{log}"),
        Some(3) => assert!(
            log.contains(&format!("{ARTISTS}.part is being downloaded by another process"))
                && log.contains("hint: wait until that has ended"),
            "{log}"
        ),
        other => panic!("{other:?}:\n{log}"),
    }
    code == Some(0)
}

#[test]
fn of_two_at_once_each_ends_in_truth_whenever_the_second_begins() {
    let mut random = random();
    let bytes = noise(LENGTH, 41);
    let mut offsets = vec![0, 1, LENGTH / 3, LENGTH - 1, LENGTH];
    offsets.extend((0..5).map(|_| random.random_range(0..LENGTH)));
    for offset in offsets {
        let (server, place) = (slow(&bytes), Place::new());
        let mut first = start(&place, &server.url(), "one");
        server.wait_sent(ARTISTS, offset);
        let mut second = start(&place, &server.url(), "two");
        let one = ends_in_truth(&mut first, &place, &bytes);
        let other = ends_in_truth(&mut second, &place, &bytes);
        assert!(one || other, "{offset}: nobody has it");
        assert!(here(&place, ARTISTS) == bytes, "{offset}");
        assert!(left_over(&place).is_empty(), "{offset}: {:?}", left_over(&place));
        let asked = server.asked(ARTISTS).len();
        assert!(asked == 1, "{offset}: it was fetched {asked} times");
    }
}

#[test]
fn a_kill_of_either_spoils_nothing_and_leaves_no_lock() {
    let mut random = random();
    let bytes = noise(LENGTH, 42);
    for round in 0..8 {
        let (server, place) = (slow(&bytes), Place::new());
        let mut first = start(&place, &server.url(), "one");
        server.wait_sent(ARTISTS, random.random_range(0..LENGTH));
        let mut second = start(&place, &server.url(), "two");
        let (began, time) = (Instant::now(), Duration::from_millis(random.random_range(0..400)));
        let (killed, left) =
            if round % 2 == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
        while began.elapsed() < time && killed.is_running() {
            std::thread::yield_now();
        }
        if killed.is_running() {
            killed.signal(rustix::process::Signal::KILL);
        }
        killed.status(TIME);
        ends_in_truth(left, &place, &bytes);
        // Whatever was known to each, each can go on.
        for state in ["one", "two"] {
            let mut again = start(&place, &server.url(), state);
            again.ends(0, TIME);
            assert!(here(&place, ARTISTS) == bytes, "{round}, {state}:\n{}", again.log());
        }
        assert!(left_over(&place).is_empty(), "{:?}", left_over(&place));
    }
}

#[test]
fn bytes_that_another_wrote_since_are_not_taken_for_those_that_were_hashed() {
    let bytes = noise(LENGTH, 43);
    let (right, wrong, place) = (slow(&bytes), slow(&noise(LENGTH, 44)), Place::new());
    let synced = |site: &Server, state: &str, sent| {
        let mut running = start(&place, &site.url(), state);
        site.wait_sent(ARTISTS, sent);
        running.signal(rustix::process::Signal::TERM);
        running.ends(143, TIME);
    };
    synced(&right, "one", LENGTH / 3);
    synced(&wrong, "two", LENGTH * 2 / 3);
    let mut again = start(&place, &right.url(), "one");
    again.ends(0, TIME);
    let log = again.log();
    assert!(here(&place, ARTISTS) == bytes, "it is not what was published:\n{log}");
    assert!(log.contains("the part on disk does not hold what is known of it"), "{log}");
}

#[test]
fn a_part_that_is_swapped_under_its_writer_gets_no_name() {
    type Swap = fn(&Place);
    let swaps: [(&str, Swap); 3] = [
        ("another file in its place", |place| {
            fs::write(place.path("other"), noise(LENGTH, 46)).unwrap();
            fs::rename(place.path("other"), part(place)).unwrap();
        }),
        ("removed", |place| fs::remove_file(part(place)).unwrap()),
        ("made longer", |place| {
            let part = OpenOptions::new().write(true).open(part(place)).unwrap();
            part.set_len(LENGTH as u64 + 1).unwrap();
        }),
    ];
    let bytes = noise(LENGTH, 45);
    for (what, swap) in swaps {
        let (server, place) = (slow(&bytes), Place::new());
        let site = server.url();
        let mut running = start(&place, &site, "state");
        server.wait_sent(ARTISTS, LENGTH / 3);
        swap(&place);
        running.ends(1, TIME);
        let log = running.log();
        let words = format!("{ARTISTS}.part was replaced or changed by another program");
        assert!(log.contains(&words) && log.contains("hint: "), "{what}: {log}");
        assert!(!place.path("dumps").join(ARTISTS).exists(), "{what}: it got its name");
        download(&place, &site, &["--types", "artists"]).ends(0, &["verified"]);
        assert!(here(&place, ARTISTS) == bytes, "{what}");
    }
}
