//! Sites that break off, change their mind, lie, or say nothing.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;

use crate::server::{Ask, List, Reply, Server, bucket, index, tag};
use crate::support::Place;
use crate::support::running::Running;
use crate::{ARTISTS, checksum_line, download, here, left_over, month, noise, of_artists};

const LENGTH: usize = 3_000_000;
const ONLY: &[&str] = &["--types", "artists"];

/// From `DISCOGS_TEST_SEED`, or a new one, which is printed.
pub(crate) fn random() -> StdRng {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("DISCOGS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A site whose replies for artists go through `rule`.
fn site(rule: impl Fn(&Ask, Reply) -> Reply + Send + Sync + 'static) -> (Server, Vec<u8>) {
    let bytes = noise(LENGTH, 7);
    let of_artists = move |ask: &Ask, reply: Reply| {
        if ask.file.as_deref() == Some(ARTISTS) { rule(ask, reply) } else { reply }
    };
    (Server::start(month("20260101", bytes.clone()), index, of_artists), bytes)
}

#[test]
fn a_connection_that_is_cut_anywhere_is_gone_on_with() {
    let random = Mutex::new(random());
    let (server, bytes) = site(move |ask, reply| {
        let cut = random.lock().unwrap().random_range(0..LENGTH);
        if ask.time < 5 { Reply { cut: Some(cut), ..reply } } else { reply }
    });
    let place = Place::new();
    download(&place, &server.url(), ONLY).ends(0, &["verified"]);
    assert!(here(&place, ARTISTS) == bytes);
    let sent = server.sent(ARTISTS);
    assert!(sent <= LENGTH + 5 * (1 << 20), "{sent} bytes were sent of {LENGTH}");
    let asked = server.asked(ARTISTS);
    let again = asked.iter().filter(|ask| ask.from.is_some());
    assert!(again.clone().all(|ask| ask.headers["if-range"] == tag(&bytes)), "{asked:?}");
}

#[test]
fn a_site_without_ranges_is_skipped_through_by_its_tag_and_else_started_over() {
    for tagged in [true, false] {
        let (server, bytes) = site(move |ask, reply| {
            let mut all = Reply { status: 200, from: 0, ..reply };
            all.headers.retain(|(name, _)| name == "etag" && tagged);
            if ask.time == 1 { Reply { cut: Some(LENGTH / 2), ..all } } else { all }
        });
        let place = Place::new();
        let ran = download(&place, &server.url(), ONLY);
        ran.ends(0, &["verified", "broke off"]);
        assert!(here(&place, ARTISTS) == bytes);
        assert_eq!(ran.err.contains("starts over"), !tagged, "{}", ran.err);
        // What was passed over is not counted as new.
        let counted =
            if tagged { "3,000,000 bytes downloaded" } else { "4,500,000 bytes downloaded" };
        assert!(ran.err.contains(counted), "{}", ran.err);
    }
}

#[test]
fn a_file_that_changes_under_way_starts_over_and_says_why() {
    let other = noise(LENGTH - 1_000, 8);
    let later = other.clone();
    let (server, _) = site(move |ask, reply| {
        if ask.time == 1 {
            return Reply { cut: Some(LENGTH / 2), ..reply };
        }
        let all = Reply { status: 200, from: 0, headers: Vec::new(), ..reply };
        Reply { body: later.clone().into(), ..all }.with("etag", &tag(&later))
    });
    server.replace("discogs_20260101_CHECKSUM.txt", checksum_line(ARTISTS, &other).into_bytes());
    let place = Place::new();
    let ran = download(&place, &server.url(), ONLY);
    ran.ends(0, &["starts over", "another file under this name now", "verified"]);
    assert!(here(&place, ARTISTS) == other);
    let history = place.run(&["state", "history"]).out;
    assert!(history.contains("starts over: the site has another file"), "{history}");
}

#[test]
fn a_site_that_asks_for_patience_gets_it() {
    let (server, bytes) = site(|ask, reply| match ask.time {
        1 => Reply::status(429).with("retry-after", "1"),
        2 => Reply::status(500),
        3 => Reply::status(503).with("retry-after", "0"),
        _ => reply,
    });
    let place = Place::new();
    let began = Instant::now();
    download(&place, &server.url(), ONLY).ends(0, &["answers 429", "answers 500", "answers 503"]);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(here(&place, ARTISTS) == bytes);
    assert_eq!(server.asked(ARTISTS).len(), 4);
}

#[test]
fn a_list_that_is_not_there_at_once_is_asked_for_again() {
    let server = Server::start(month("20260101", noise(10, 1)), index, |ask, reply| {
        let list = ask.file.is_none();
        if list && ask.time == 1 { Reply::status(503).with("retry-after", "0") } else { reply }
    });
    let place = Place::new();
    download(&place, &server.url(), ONLY).ends(0, &["the list is asked for again"]);
}

#[test]
fn silence_is_broken_off_and_gone_on_with() {
    let (server, bytes) = site(|ask, reply| match ask.time {
        1 => Reply { silent: Some(LENGTH / 3), ..reply },
        _ => reply,
    });
    let place = Place::new();
    let ran = download(&place, &server.url(), &["--types", "artists", "--read-timeout", "1"]);
    ran.ends(0, &["it says nothing", "verified"]);
    assert!(here(&place, ARTISTS) == bytes);
    assert!(server.asked(ARTISTS)[1].from.is_some());
}

#[test]
fn a_wrong_checksum_is_fetched_once_more_and_then_an_error() {
    for always in [false, true] {
        let wrong = noise(LENGTH, 9);
        let (server, bytes) = site(move |ask, reply| match ask.time {
            1 => Reply { body: wrong.clone().into(), ..reply },
            _ if always => Reply { body: wrong.clone().into(), ..reply },
            _ => reply,
        });
        let place = Place::new();
        let ran = download(&place, &server.url(), ONLY);
        let aside = format!(".{ARTISTS}.mismatch");
        assert_eq!(left_over(&place), [aside]);
        assert_eq!(server.asked(ARTISTS).len(), 2);
        if always {
            ran.ends(1, &["SHA-256", "hint: fetched twice"]);
            assert_eq!(of_artists(&place)["status"], "failed");
            assert_eq!(of_artists(&place)["verification"], "mismatch");
            assert!(!place.path("dumps").join(ARTISTS).exists());
        } else {
            ran.ends(
                0,
                &["starts over: its SHA-256 is", "verified"].map(|w| w.split(": ").last().unwrap()),
            );
            assert!(here(&place, ARTISTS) == bytes);
        }
    }
}

#[test]
fn another_length_than_was_promised_is_an_error_and_less_is_a_cut() {
    // The list says one byte less than there is.
    let short: List = |ask, files| {
        let less = |(name, size): &(String, usize)| (name.clone(), size - 1);
        bucket(ask, &files.iter().map(less).collect::<Vec<_>>())
    };
    let server = Server::start(month("20260101", noise(5_000, 1)), short, |_, reply| reply);
    let place = Place::new();
    download(&place, &server.url(), ONLY).ends(1, &["5000 bytes", "4999 were promised", "hint: "]);
    assert!(left_over(&place).is_empty());
    // A reply that ends before its own length is a connection that broke.
    let (server, bytes) = site(|ask, reply| match ask.time {
        1 => {
            Reply { length: Some(LENGTH), body: reply.body[..LENGTH / 2].to_vec().into(), ..reply }
        }
        _ => reply,
    });
    let place = Place::new();
    download(&place, &server.url(), ONLY).ends(0, &["broke off"]);
    assert!(here(&place, ARTISTS) == bytes);
}

#[test]
fn a_file_that_is_gone_is_an_error_at_once_and_the_others_come() {
    for status in [404, 403, 410] {
        let (server, _) = site(move |_, _| Reply::status(status));
        let place = Place::new();
        let ran = download(&place, &server.url(), &[]);
        ran.ends(1, &["can no longer be had", &format!("answers {status}"), "hint: "]);
        assert_eq!(ran.out.lines().count(), 3, "{ran:?}");
        assert_eq!(server.asked(ARTISTS).len(), 1);
    }
}

#[test]
fn a_signal_stops_it_cleanly_and_the_next_start_goes_on() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (server, bytes) = site(|ask, reply| match ask.time {
            1 => Reply { drip: Duration::from_millis(10), ..reply },
            _ => reply,
        });
        let place = Place::new();
        let site = server.url();
        let words = ["download", "--into", "dumps", "--types", "artists", "--site", &site];
        let mut running = Running::start(place.program().args(words));
        server.wait_sent(ARTISTS, LENGTH / 3);
        // Beside it, what it does can be seen.
        let seen = of_artists(&place);
        assert_eq!((&seen["status"], &seen["length"]), (&"downloading".into(), &LENGTH.into()));
        running.signal(signal);
        running.ends(code, Duration::from_secs(10));
        let kept = of_artists(&place)["bytes"].as_u64().unwrap();
        assert!(kept > 0, "what came is kept");
        download(&place, &site, ONLY).ends(0, &["goes on after byte", "verified"]);
        assert!(here(&place, ARTISTS) == bytes);
        assert_eq!(server.asked(ARTISTS)[1].from.map(|from| from as u64), Some(kept));
    }
}

#[test]
fn another_file_after_a_stop_starts_over() {
    let (server, _) = site(|ask, reply| match ask.time {
        1 => Reply { drip: Duration::from_millis(10), ..reply },
        _ => reply,
    });
    let place = Place::new();
    let site = server.url();
    let words = ["download", "--into", "dumps", "--types", "artists", "--site", &site];
    let mut running = Running::start(place.program().args(words));
    server.wait_sent(ARTISTS, LENGTH / 3);
    running.signal(Signal::TERM);
    running.ends(143, Duration::from_secs(10));
    let other = noise(LENGTH, 12);
    server.replace("discogs_20260101_CHECKSUM.txt", checksum_line(ARTISTS, &other).into_bytes());
    server.replace(ARTISTS, other.clone());
    download(&place, &site, ONLY).ends(0, &["another checksum is published now", "verified"]);
    assert!(here(&place, ARTISTS) == other);
}

#[test]
fn the_rate_is_kept_by_all_connections_together() {
    let mut files = month("20260101", noise(600_000, 1));
    let labels = noise(600_000, 2);
    let lines = checksum_line(ARTISTS, &files[ARTISTS])
        + &checksum_line("discogs_20260101_labels.xml.gz", &labels);
    files.insert("discogs_20260101_labels.xml.gz".to_owned(), labels);
    files.insert("discogs_20260101_CHECKSUM.txt".to_owned(), lines.into_bytes());
    let server = Server::start(files, index, |_, reply| reply);
    let place = Place::new();
    let began = Instant::now();
    let more = ["--types", "artists,labels", "--limit-rate", "500k"];
    download(&place, &server.url(), &more).ends(0, &["verified"]);
    // 1,200,000 bytes at 512,000 a second, less what may come at once.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_800), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_disk_that_is_too_small_is_said_before_anything_is_asked_for() {
    let huge: List = |ask, files| {
        let more = |(name, size): &(String, usize)| (name.clone(), size + (1 << 55));
        bucket(ask, &files.iter().map(more).collect::<Vec<_>>())
    };
    let server = Server::start(month("20260101", noise(5_000, 1)), huge, |_, reply| reply);
    let place = Place::new();
    let ran = download(&place, &server.url(), &[]);
    let folder = place.path("dumps").display().to_string();
    ran.ends(1, &[&folder, "bytes free", "are to come", "hint: free some space"]);
    assert_eq!(server.asked(".xml.gz").len(), 0);
    assert!(left_over(&place).is_empty());
}
