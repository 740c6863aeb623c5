//! The status page as people have it: in a browser, against a program that runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "page/browser.rs"]
mod browser;
#[path = "page/consumer.rs"]
mod consumer;
#[path = "page/looks.rs"]
mod looks;
#[path = "consume/rabbit.rs"]
mod rabbit;
#[path = "http/server.rs"]
#[allow(dead_code, reason = "the tests of the daemon's HTTP face take the rest")]
mod server;
mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use browser::Browser;
use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, count};
use rusqlite::{Connection, TransactionBehavior};
use serde_json::Value;
use support::Place;
use support::daemon::Daemon;
use support::server::{Ask, Reply, Server as Site, year_pages};

/// The driver of the browser that the tests use.
const DRIVER: &str = "DISCOGS_TEST_CHROMEDRIVER";

/// The broker that the tests use.
const BROKER: &str = "DISCOGS_TEST_AMQP";

/// What the rows of the first table say: name, state, percent, records, completion.
const FILES: &str = "[...document.querySelector('table').tBodies[0].rows].map(row => \
    [0, 1, 2, 3, 7].map(at => row.cells[at].innerText.trim()))";

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// `run` of a place's `dumps` into a database, which shows itself at that address.
fn shown_at(place: &Place, address: SocketAddr) -> Command {
    let mut command = place.daemon("sqlite:out.db");
    command.env("HEALTH_PORT", address.port().to_string());
    command
}

/// A place whose dumps are elsewhere until they arrive.
fn expectant(releases: u64, seed: u64) -> Place {
    let place = Place::new();
    place.sample(&Options::new(releases, seed, "20260101".parse().unwrap()));
    place.age();
    fs::rename(place.path("dumps"), place.path("elsewhere")).unwrap();
    fs::create_dir(place.path("dumps")).unwrap();
    place
}

/// Lets them.
fn arrive(place: &Place) {
    for dump in fs::read_dir(place.path("elsewhere")).unwrap() {
        let dump = dump.unwrap();
        fs::rename(dump.path(), place.path("dumps").join(dump.file_name())).unwrap();
    }
}

/// What a page loaded, and what the browser found wrong with it.
#[track_caller]
fn nothing_is_wrong(browser: &Browser, address: SocketAddr) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)");
    let own = format!("http://{address}/");
    for name in loaded.as_array().unwrap() {
        assert!(name.as_str().unwrap().starts_with(&own), "{name} was loaded");
    }
}

#[test]
fn numbers_move_stages_change_and_a_finished_file_shows_its_time() {
    const RELEASES: u64 = 4_000;
    let place = expectant(RELEASES, 1);
    let files = fs::read_dir(place.path("elsewhere")).unwrap().map(|dump| {
        let dump = dump.unwrap();
        (dump.file_name().into_string().unwrap(), fs::read(dump.path()).unwrap())
    });
    // It takes several pictures' time, however fast the machine is.
    let slowly = |_: &Ask, reply: Reply| Reply { drip: Duration::from_millis(60), ..reply };
    let site = Site::start(files.collect(), year_pages, slowly);
    let browser = Browser::at(DRIVER);
    let address = free_port();
    let mut daemon = Daemon::start(shown_at(&place, address).env("DISCOGS_SITE", site.url()));
    daemon.says("health and metrics are served");
    browser.open(address);
    // Everything that it shows from now on, and the document it shows it in.
    browser.run(&format!(
        "window.seen = []; new MutationObserver(() => {{ if (document.querySelector('table')) \
         seen.push([document.querySelector('.stage').innerText, {FILES}]); }}).observe(\
         document.getElementById('main'), {{ subtree: true, childList: true, characterData: true }})"
    ));
    browser.shows("extracting, downloading");
    browser.shows("waiting until");
    let last = browser.run(&format!("return {FILES}"));
    for kind in Kind::ALL {
        let name = format!("discogs_20260101_{kind}.xml.gz");
        let row = last.as_array().unwrap().iter().find(|row| row[0] == name.as_str()).unwrap();
        assert_eq!((&row[1], number(&row[3])), (&"complete".into(), count(kind, RELEASES)));
        assert!(row[2].as_str().unwrap().starts_with("100"), "{row}");
        let completed = row[4].as_str().unwrap();
        assert!(completed.starts_with("20") && completed.ends_with(" UTC"), "{completed}");
    }
    let seen = browser.run("return seen");
    let seen = seen.as_array().unwrap();
    let stages = distinct(seen.iter().map(|shown| shown[0].as_str().unwrap().to_owned()));
    assert!(matches!(&stages[..], [.., running, _] if running == "running"), "{stages:?}");
    let releases = seen.iter().flat_map(|shown| shown[1].as_array().unwrap());
    let releases = releases.filter(|row| row[0] == "discogs_20260101_releases.xml.gz");
    let counts = distinct(releases.map(|row| number(&row[3])));
    assert!(counts.len() >= 4 && counts.is_sorted(), "{counts:?}");
    nothing_is_wrong(&browser, address);
    daemon.stops();
}

/// `12 345`, however it is grouped.
fn number(shown: &Value) -> u64 {
    let digits: String = shown.as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.dedup();
    values
}

#[test]
fn a_stall_appears_with_its_reason_and_goes() {
    let place = Place::new();
    place.sample(&Options::new(10_000, 2, "20260101".parse().unwrap()));
    place.age();
    let address = free_port();
    let mut daemon = Daemon::start(shown_at(&place, address).env("STALL_AFTER", "2"));
    daemon.says("extracting");
    let mut other = Connection::open(place.path("out.db")).unwrap();
    other.busy_timeout(Duration::from_secs(20)).unwrap();
    let held = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let browser = Browser::at(DRIVER);
    browser.open(address);
    browser.shows("running, stalled");
    browser.until(
        "return [...document.querySelectorAll('.alerts li')].some(alert => \
         alert.innerText.includes('.xml.gz is stalled: sink blocked: '))",
    );
    browser.run("window.here = true");
    held.rollback().unwrap();
    browser.shows_no("is stalled");
    browser.shows("waiting until");
    assert_eq!(browser.run("return document.querySelectorAll('.alerts li').length"), 0);
    assert_eq!(browser.run("return window.here"), true, "it was not loaded again");
    nothing_is_wrong(&browser, address);
    daemon.stops();
}

#[test]
fn a_lost_connection_is_shown_and_the_page_recovers_by_itself() {
    let place = Place::new();
    place.sample(&Options::new(50, 3, "20260101".parse().unwrap()));
    place.age();
    let address = free_port();
    let mut daemon = Daemon::start(&mut shown_at(&place, address));
    daemon.says("waiting next=");
    let browser = Browser::at(DRIVER);
    browser.open(address);
    browser.shows("waiting until");
    browser.run("window.here = true");
    nothing_is_wrong(&browser, address);
    daemon.kill();
    browser.shows("The connection is lost.");
    browser.shows("discogs_20260101_releases.xml.gz");
    let faint = "getComputedStyle(document.querySelector('main .at')).color";
    let inks = format!("return getComputedStyle(document.querySelector('td')).color === {faint}");
    assert_eq!(browser.run(&inks), true, "what is old is faint");
    assert_eq!(looks::too_faint(&browser), Vec::<String>::new(), "and can be read");
    let mut daemon = Daemon::start(&mut shown_at(&place, address));
    browser.shows_no("The connection is lost.");
    assert_eq!(browser.run(&inks), false);
    assert_eq!(browser.run("return window.here"), true, "it was not loaded again");
    daemon.says("waiting next=");
    daemon.stops();
}

#[test]
fn without_a_script_it_is_a_table_that_reloads() {
    let place = expectant(50, 4);
    let address = free_port();
    let mut daemon = Daemon::start(&mut shown_at(&place, address));
    daemon.says("waiting for dumps");
    let browser = Browser::without_scripts(DRIVER);
    browser.open(address);
    browser.shows("There are no files yet.");
    arrive(&place);
    browser.shows("waiting until");
    let files = browser.run(&format!("return {FILES}"));
    let files = files.as_array().unwrap();
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|row| row[1] == "complete"), "{files:?}");
    assert_eq!(browser.run("return document.getElementById('lost').checkVisibility()"), false);
    nothing_is_wrong(&browser, address);
    daemon.stops();
}
