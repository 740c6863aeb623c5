//! `top` on a real terminal: beside a daemon, after it, and of a store alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "consume/rabbit.rs"]
mod rabbit;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::fs;

use discogs_extractor::model::Kind;
use discogs_extractor::sample::Options;
use rabbit::Rabbit;
use rustix::process::Signal;
use support::daemon::Daemon;
use support::{Place, Ran};
use terminal::Terminal;
use vt100::Screen;

fn set(records: u64) -> Options {
    Options::new(records, 5, "20260101".parse().unwrap())
}

fn top(place: &Place, columns: u16, rows: u16) -> Terminal {
    Terminal::start(place.program().arg("top"), columns, rows)
}

/// A place with a store in which all is complete.
fn complete() -> Place {
    let place = Place::new();
    place.sample(&set(100));
    place.extract("null:").ends(0, &[]);
    place
}

/// A place with a daemon that is at work for some time.
fn at_work() -> (Place, Daemon) {
    let place = Place::new();
    place.sample(&Options { kinds: vec![Kind::Releases], ..set(60_000) });
    place.age();
    let mut command = place.daemon("sqlite:out.db");
    let daemon = Daemon::start(command.args(["--types", "releases", "--window", "1"]));
    (place, daemon)
}

/// The row of releases among the files.
fn releases(text: &str) -> Option<&str> {
    text.lines().find(|line| line.contains("releases 20260101 ") && line.contains('%'))
}

/// Whether an extraction is shown, and how fast it goes.
fn is_running(screen: &Screen) -> bool {
    let text = screen.contents();
    text.contains("  running ") && releases(&text).is_some_and(|row| row.contains("/s"))
}

#[test]
fn beside_a_daemon_it_moves_and_after_it_the_store_is_shown() {
    let (place, daemon) = at_work();
    let mut top = top(&place, 120, 40);
    let first = top.until("an extraction", is_running);
    assert!(first.contains("Files of 20260101 to sqlite:out.db"), "{first}");
    assert!(first.contains(" has it"), "{first}");
    let before = releases(&first).unwrap().to_owned();
    top.until("other numbers", |screen| {
        releases(&screen.contents()).is_some_and(|row| row != before)
    });
    daemon.kill();
    top.shows(&["not running, incomplete, can go on", "interrupted", "nobody has it"]);
    let daemon = Daemon::start(place.daemon("sqlite:out.db").args(["--types", "releases"]));
    top.until("the next daemon", |screen| !screen.contents().contains("not running"));
    daemon.stops();
    top.press("q");
    top.ends(0);
}

#[test]
fn a_consumer_s_types_are_shown_while_it_runs_and_what_it_noted_after_it() {
    let (rabbit, place) = (Rabbit::at("DISCOGS_TEST_AMQP"), Place::new());
    place.sample(&set(200));
    let mut command = rabbit.consume(&place, "c.db", "state");
    let consumer = Daemon::start(command.args(["--consumer-cancel-delay", "1"]));
    let mut top = top(&place, 120, 40);
    top.shows(&["tableinator ", "reading", "active"]);
    Ran::of(rabbit.extract(&place, "dumps").env("STATE_DIR", place.path("x")).output().unwrap())
        .ends(0, &[]);
    let text = top.until("all types are cancelled", |screen| {
        screen.contents().matches("cancelled, complete").count() == 4
    });
    assert!(text.contains("Types"), "{text}");
    top.shows(&["complete, waiting for more", "Files of 20260101 to sqlite:"]);
    consumer.stops();
    let text = top.shows(&["not running, all complete", "nobody has it"]);
    assert!(!text.contains("Types"), "{text}");
    top.press("q");
    top.ends(0);
}

#[test]
fn an_owner_that_does_not_answer_is_told_of_and_keys_are_heeded_all_the_same() {
    let (place, daemon) = at_work();
    let mut top = top(&place, 100, 30);
    top.until("an extraction", is_running);
    daemon.signal(Signal::STOP);
    top.shows(&["no answer, last seen "]);
    top.press("\r");
    top.shows(&["esc back"]);
    daemon.signal(Signal::CONT);
    top.until("an answer", |screen| !screen.contents().contains("no answer"));
    top.press("\u{3}");
    top.ends(0);
    daemon.stops();
}

#[test]
fn a_store_alone_is_shown_in_any_size_and_its_rows_can_be_opened() {
    let place = complete();
    let mut top = top(&place, 100, 40);
    let text = top.shows(&["not running, all complete", "Nothing is owed.", "Last runs", "q quit"]);
    for kind in Kind::ALL {
        let row = text.lines().find(|line| line.contains(kind.name()) && line.contains("100 %"));
        assert!(row.is_some_and(|row| row.contains("complete")), "{kind}:\n{text}");
    }
    top.resize(40, 10);
    top.shows(&["all complete", "artists", "100 %"]);
    top.resize(1, 1);
    top.until("one letter", |screen| screen.contents().trim().chars().count() == 1);
    top.resize(80, 24);
    top.shows(&["not running, all complete", "releases", "tab next table"]);
    top.press("jjj\r");
    top.shows(&["discogs_20260101_releases.xml.gz", " UTC", "esc back"]);
    top.press("\u{1b}");
    top.shows(&["enter details"]);
    top.press("\u{1b}");
    top.ends(0);
}

#[test]
fn what_is_not_there_or_cannot_be_read_is_told_in_words_and_asked_for_again() {
    let place = Place::new();
    let mut nothing = top(&place, 80, 24);
    nothing.shows(&["not running, nothing is known yet", "There are no files yet."]);
    nothing.press("q");
    nothing.ends(0);
    let place = complete();
    let mut top = top(&place, 100, 30);
    top.shows(&["all complete"]);
    let (database, aside) = (place.path("state/store/db"), place.path("aside"));
    fs::rename(&database, &aside).unwrap();
    top.shows(&["no answer, last seen ", "is missing", "hint: "]);
    fs::rename(&aside, &database).unwrap();
    top.until("the store", |screen| !screen.contents().contains("no answer"));
    top.press("q");
    top.ends(0);
}

/// Whether anything was written in colour.
fn coloured(raw: &[u8]) -> bool {
    let text = String::from_utf8_lossy(raw);
    let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        rest[end..].starts_with('m').then(|| &rest[..end])
    });
    let mut numbers = sequences.flat_map(|numbers| numbers.split(';'));
    numbers.any(|number| {
        let number = number.parse().unwrap_or(0);
        matches!(number, 30..=38 | 40..=48 | 90..=97 | 100..=107)
    })
}

#[test]
fn there_is_colour_unless_it_is_not_wanted() {
    let place = complete();
    for (flag, variable, expected) in [("", "", true), ("--no-color", "", false), ("", "1", false)]
    {
        let mut command = place.program();
        command.arg("top").env("NO_COLOR", variable);
        command.args(Some(flag).filter(|flag| !flag.is_empty()));
        let mut top = Terminal::start(&command, 80, 24);
        top.shows(&["all complete"]);
        top.press("q");
        top.ends(0);
        assert_eq!(coloured(&top.raw()), expected, "{flag} NO_COLOR={variable}");
    }
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let place = complete();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut top = top(&place, 80, 24);
        top.shows(&["all complete"]);
        top.signal(signal);
        top.ends(code);
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_panic_gives_the_terminal_back_and_can_be_read() {
    let place = complete();
    let mut command = place.program();
    command.arg("top").env("DISCOGS_PANIC_AT", "top.drawn");
    let mut top = Terminal::start(&command, 80, 24);
    let text = top.ends(101);
    assert!(text.contains("a panic was asked for at top.drawn"), "{text}");
    assert!(!text.contains("q quit"), "{text}");
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    complete().run(&["top"]).ends(2, &["no terminal", "hint: ", "state list --watch"]);
}
