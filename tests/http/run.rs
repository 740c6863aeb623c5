//! The face of the real daemon.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, count};
use serde_json::{Value, json};

use super::metrics::{number, scrape};
use super::support::daemon::Daemon;
use super::support::{Place, http};

const RELEASES: u64 = 300;
const LIMIT: u64 = 10;

/// An address that nobody else has: every 127.x.y.z is this machine.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    ([127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed)], 18_000).into()
}

/// A place whose dumps wait in `later`, with the first records of each delivered, so that the
/// tables are there.
fn place() -> Place {
    let place = Place::new();
    place.sample(&Options::new(RELEASES, 5, "20260101".parse().unwrap()));
    place.age();
    let limit = LIMIT.to_string();
    place.run(&["extract", "dumps", "--to", "sqlite:out.db", "--limit", &limit]).ends(3, &[]);
    fs::rename(place.path("dumps"), place.path("later")).unwrap();
    fs::create_dir(place.path("dumps")).unwrap();
    place
}

fn daemon(place: &Place, address: SocketAddr) -> Command {
    let mut command = place.daemon("sqlite:out.db");
    command.env("LISTEN", address.ip().to_string());
    command.env("HEALTH_PORT", address.port().to_string());
    command
}

/// Starts it, and waits until it answers.
fn start(command: &mut Command, address: SocketAddr) -> Daemon {
    let daemon = Daemon::start(command);
    poll("an answer", || TcpStream::connect(address).ok());
    daemon
}

#[track_caller]
fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "waited for {what}");
        sleep(Duration::from_millis(5));
    }
}

/// Waits until `/health` says so, and returns all it says, with the status code.
#[track_caller]
fn health(address: SocketAddr, is: impl Fn(&Value) -> bool) -> (u16, Value) {
    poll("another health", || {
        let answer = http::get(address, "/health");
        Some((answer.status, answer.json())).filter(|(_, said)| is(said))
    })
}

#[track_caller]
fn becomes(address: SocketAddr, status: &str) -> (u16, Value) {
    health(address, |said| said["extraction_status"] == status)
}

#[test]
fn health_goes_from_idle_over_running_to_completed_and_says_a_stall_in_between() {
    let (place, address) = (place(), own_address());
    let mut daemon = start(daemon(&place, address).args(["--stall-after", "1"]), address);
    let (code, idle) = becomes(address, "idle");
    assert_eq!((code, http::get(address, "/ready").status), (200, 503));
    assert_eq!(idle["version"], env!("CARGO_PKG_VERSION"));
    // A sink that takes nothing for now.
    let database = rusqlite::Connection::open(place.path("out.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    for entry in fs::read_dir(place.path("later")).unwrap() {
        let entry = entry.unwrap();
        fs::rename(entry.path(), place.path("dumps").join(entry.file_name())).unwrap();
    }
    becomes(address, "running");
    assert_eq!(http::get(address, "/ready").status, 200);
    let busy = http::trigger(address, &[], "");
    assert_eq!((busy.status, busy.json()), (409, json!({"status": "already_running"})));
    let (code, stalled) = health(address, |said| said["stalled"] != json!([]));
    assert_eq!((code, &stalled["status"]), (503, &json!("unhealthy")));
    assert_eq!(stalled["active_types"], stalled["stalled"]);
    let state = http::get(address, "/api/state").json();
    assert_eq!(state["active_types"], stalled["active_types"]);
    assert!(state["files"].as_array().unwrap().iter().any(|file| file["stalled"] == true));
    database.execute_batch("ROLLBACK").unwrap();
    let (code, done) = becomes(address, "completed");
    assert_eq!((code, &done["status"], &done["stalled"]), (200, &json!("healthy"), &json!([])));
    assert_eq!(done["completed_types"], json!(["artists", "labels", "masters", "releases"]));
    assert_eq!(done["dump_version"], "20260101");
    for kind in Kind::ALL {
        let name = kind.name();
        assert_eq!(done["extraction_progress"][name], count(kind, RELEASES), "{name}");
        assert!(
            done["completed_at"][name].is_string() && done["last_extraction_time"][name].is_f64()
        );
    }
    daemon.says("waiting next=");
    daemon.stops();
    assert!(TcpStream::connect(address).is_err(), "gone with the daemon");
}

#[test]
fn a_trigger_starts_a_pass_and_a_forced_one_delivers_everything_again() {
    let (place, address) = (place(), own_address());
    fs::remove_dir(place.path("dumps")).unwrap();
    fs::rename(place.path("later"), place.path("dumps")).unwrap();
    fs::write(place.path("token"), "s3cret of mine\n").unwrap();
    let mut command = daemon(&place, address);
    let mut daemon = start(command.env("TRIGGER_TOKEN_FILE", place.path("token")), address);
    daemon.says("waiting next=");
    let delivered = || {
        let records = "discogs_extractor_records_total";
        number(&scrape(address), records, Some(("type", "releases"))).unwrap()
    };
    let left = f64::from(u32::try_from(RELEASES - LIMIT).unwrap());
    let all = f64::from(u32::try_from(RELEASES).unwrap());
    assert_eq!(Some(delivered()), Some(left), "what an earlier process delivered is not counted");
    let trigger =
        |body: &str| http::trigger(address, &[("Authorization", "Bearer s3cret of mine")], body);
    assert_eq!(http::trigger(address, &[], "").status, 401);
    assert_eq!(trigger("").status, 202);
    daemon.says("waiting next=");
    assert_eq!(Some(delivered()), Some(left), "there was nothing to do");
    let started = trigger(r#"{"force_reprocess":true}"#);
    assert_eq!(started.json(), json!({"status": "started", "force_reprocess": true}));
    daemon.says("forced: starting over");
    daemon.says("waiting next=");
    assert_eq!(Some(delivered()), Some(left + all));
    let (_, done) = becomes(address, "completed");
    assert_eq!(done["extraction_progress"]["releases"], RELEASES);
    let said = daemon.stops();
    assert!(said.contains("a trigger was refused") && !said.contains("s3cret"), "{said}");
}

#[test]
fn a_busy_port_is_an_error_with_a_hint() {
    let (place, address) = (place(), own_address());
    let _taken = std::net::TcpListener::bind(address).unwrap();
    let said = Daemon::start(&mut daemon(&place, address)).ends(1);
    assert!(said.contains("hint: ") && said.contains("HEALTH_PORT"), "{said}");
}
