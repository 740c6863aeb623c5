//! A message that came back was not delivered, whatever else is confirmed with it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::broker::fake::Fake;
use crate::support::running::Running;
use crate::support::{Place, gzip};

/// Messages under way at most.
const WINDOW: u64 = 64;
/// The one that comes back: the last of the first window.
const RETURNED: u64 = WINDOW;
/// Small ones at the beginning of the second window, which are confirmed with it.
const SMALL: u64 = RETURNED + 16;
/// What follows goes to the library with them. It is more than the socket takes while the broker does
/// not read; no record is large enough to be read alone; and all of it is in the extractor's hands by
/// then (one and a half windows).
const LAST: u64 = WINDOW + WINDOW / 2;
const MIDDLE_BYTES: usize = 66_000;
const LAST_BYTES: usize = 1_990_000;

const TIME: Duration = Duration::from_secs(30);

fn dump() -> Vec<u8> {
    let record = |n: u64| {
        let profile = "x".repeat(match n {
            LAST => LAST_BYTES,
            n if n > SMALL => MIDDLE_BYTES,
            _ => 0,
        });
        format!(
            "<artist><id>{n}</id><name>Artist {n}</name><profile>{profile}</profile></artist>\n"
        )
    };
    let records: String = (1..=LAST).map(record).collect();
    gzip(format!("<artists>\n{records}</artists>\n").as_bytes())
}

/// Confirms the first window but for its last message, reads the small ones of the second, and
/// then in one frame confirms them with that last one, which it has sent back before. Gives the
/// records that it took, and whether the announcement came after them.
fn broker(fake: &Fake, is_at: &Sender<u64>, go_on: &Receiver<()>) -> (BTreeSet<u64>, bool) {
    let mut wire = fake.accept();
    let mut taken = BTreeSet::new();
    let (mut back, mut announced) = (None, false);
    let wait = |tag| {
        is_at.send(tag).unwrap();
        go_on.recv().unwrap();
    };
    while let Some(head) = wire.next() {
        let body = wire.body(&head);
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
        if message["type"] != "data" {
            announced = true;
            wire.ack(head.channel, head.tag, false);
            continue;
        }
        if head.tag == RETURNED {
            wait(RETURNED);
            wire.ack(head.channel, RETURNED - 1, true);
            back = Some((head, body));
            continue;
        }
        let id = message["id"].as_str().unwrap().parse().unwrap();
        assert!(!announced && taken.insert(id), "{id} comes again, or after the end");
        if head.tag == SMALL {
            let (back, body) = back.take().unwrap();
            wire.send_back(&back, &body);
            wire.ack(head.channel, SMALL, true);
            wait(SMALL);
        } else if head.tag > SMALL {
            wire.ack(head.channel, head.tag, false);
        }
    }
    (taken, announced)
}

/// Waits until a process has read its dump to the end.
fn has_read_all(id: u32) {
    let deadline = Instant::now() + TIME;
    let reads = || {
        let threads = fs::read_dir(format!("/proc/{id}/task")).unwrap();
        let mut names =
            threads.filter_map(|thread| fs::read(thread.ok()?.path().join("comm")).ok());
        names.any(|name| name.starts_with(b"read-"))
    };
    while reads() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

#[test]
fn what_came_back_is_sent_again_although_the_same_frame_confirms_it_with_ones_half_written() {
    let fake = Fake::listen();
    let address = format!("amqp://guest:guest@127.0.0.1:{}/%2f", fake.port());
    let ((is_at, at), (go_on, told)) = (channel(), channel());
    let broker = thread::spawn(move || broker(&fake, &is_at, &told));
    let place = Place::new();
    place.dump("discogs_20260101_artists.xml.gz", &dump());
    let window = WINDOW.to_string();
    // That broker is dialled once.
    let words = ["extract", "dumps", "--to", &address, "--window", &window, "--wait"];
    let mut running = Running::start(place.program().args(words));
    assert_eq!(at.recv_timeout(TIME), Ok(RETURNED));
    has_read_all(running.id());
    // By the time that this is answered the last of it is parsed, too.
    place.state();
    go_on.send(()).unwrap();
    assert_eq!(at.recv_timeout(TIME), Ok(SMALL));
    running.says(&["the broker holds records back", "no queue is bound"], TIME);
    go_on.send(()).unwrap();
    running.ends(0, TIME);
    let (taken, announced) = broker.join().unwrap();
    let missing: Vec<_> = (1..=LAST).filter(|id| !taken.contains(id)).collect();
    assert!(missing.is_empty(), "the broker never took {missing:?}:\n{}", running.log());
    assert!(announced, "it was not announced");
}
