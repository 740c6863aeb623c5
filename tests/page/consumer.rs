//! A consumer's page.

use std::net::TcpStream;

use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, count};

use crate::browser::Browser;
use crate::rabbit::{Rabbit, until};
use crate::support::daemon::Daemon;
use crate::support::{Place, Ran};
use crate::{BROKER, DRIVER, free_port, nothing_is_wrong, number};

/// What the rows say: type, consumers, written, completion.
const TYPES: &str = "return [...document.querySelector('table').tBodies[0].rows].map(row => \
    [0, 1, 2, 8].map(at => row.cells[at].innerText.trim()))";

#[test]
fn a_consumer_shows_each_type_active_then_complete_and_cancelled() {
    let (rabbit, place) = (Rabbit::at(BROKER), Place::new());
    place.sample(&Options::new(300, 5, "20260101".parse().unwrap()));
    let address = free_port();
    let mut command = rabbit.consume(&place, "c.db", "a");
    command.env("HEALTH_PORT", address.port().to_string()).env("CONSUMER_CANCEL_DELAY", "1");
    let consumer = Daemon::start(&mut command);
    until("it listens", || TcpStream::connect(address).is_ok());
    let browser = Browser::at(DRIVER);
    browser.open(address);
    let all = |word: &str| {
        format!(
            "const rows = [...document.querySelector('table').tBodies[0].rows]; \
             return rows.length === 4 && rows.every(row => row.cells[1].innerText === '{word}')"
        )
    };
    browser.until(&all("active"));
    browser.run("window.here = true");
    Ran::of(rabbit.extract(&place, "dumps").output().unwrap()).ends(0, &[]);
    browser.until(&all("cancelled, complete"));
    let rows = browser.run(TYPES);
    for (row, kind) in rows.as_array().unwrap().iter().zip(Kind::ALL) {
        assert_eq!((&row[0], number(&row[2])), (&kind.name().into(), count(kind, 300)));
        assert!(row[3].as_str().unwrap().ends_with(" UTC"), "{row}");
    }
    browser.shows("complete, waiting for more");
    assert_eq!(browser.run("return window.here"), true, "it was not loaded again");
    nothing_is_wrong(&browser, address);
    consumer.stops();
}
