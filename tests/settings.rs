//! What people set and how they set it: in the environment, in files, in URLs.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]

mod support;

use support::{Place, Ran, artists, gzip};

fn place() -> Place {
    let place = Place::new();
    place.dump("discogs_20260101_artists.xml.gz", &gzip(artists(30).as_bytes()));
    place
}

/// `extract` into a database with one variable set.
fn extract_with(place: &Place, variable: &str, value: &str) -> Ran {
    let mut command = place.program();
    command.args(["extract", "dumps", "--to", "sqlite:out.db"]);
    // As if it were there: an environment in which the others are not.
    Ran::of(command.env(variable, value).output().unwrap())
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let place = place();
    for variable in [
        "DISCOGS_TYPES",
        "LOG_LEVEL",
        "DISCOGS_LOG_FORMAT",
        "FORCE_REPROCESS",
        "DISCOGS_CONSUMERS",
        "MAX_WORKERS",
        "DISCOGS_THREADS",
        "DISCOGS_WINDOW",
        "STALL_AFTER",
        "DISCOGS_MAX_BAD_RECORDS",
        "DISCOGS_PROGRESS",
        "PURGE_MAX_DELETE_FRACTION",
        "DISCOGS_SWEEP_ANYWAY",
        "DISCOGS_LIMIT",
        "DISCOGS_CONFIG",
        "DISCOGS_DUMP_VERSION",
    ] {
        extract_with(&place, variable, "").ends(0, &[]);
    }
    let doctor = |variable: &str| {
        let mut command = place.program();
        command.args(["doctor", "--root", "dumps", "--types", "artists", "--to", "sqlite:out.db"]);
        Ran::of(command.env(variable, "").output().unwrap())
    };
    for variable in ["DISCOGS_ROOT", "HEALTH_PORT", "LISTEN", "DISCOGS_LIMIT_RATE"] {
        let ran = doctor(variable);
        assert_ne!(ran.code, Some(2), "{variable}: {ran:?}");
    }
}

#[test]
fn a_number_out_of_all_reason_is_a_usage_error_with_the_range() {
    let place = place();
    for (variable, range) in [
        ("MAX_WORKERS", "from 1 to 1000"),
        ("DISCOGS_THREADS", "from 1 to 1000"),
        ("DISCOGS_WINDOW", "from 1 to 1000000"),
        ("STALL_AFTER", "from 1 to 31536000"),
    ] {
        for value in ["2305843009213693952", "18446744073709551615", "0", "-1"] {
            extract_with(&place, variable, value).ends(2, &[range, variable]);
        }
    }
    std::fs::write(place.path("c.toml"), "threads = 2305843009213693952\n").unwrap();
    let ran = extract_with(&place, "DISCOGS_CONFIG", "c.toml");
    ran.ends(2, &["c.toml", "line 1, column 11, threads", "hint: "]);
}

#[test]
fn force_reprocess_takes_the_words_that_people_write() {
    let place = place();
    let forced = |word: &str| {
        let ran = extract_with(&place, "FORCE_REPROCESS", word);
        ran.ends(0, &[]);
        ran.err.contains("forced: starting over")
    };
    assert!(!forced("false"));
    for word in ["off", "OFF", "n", "f", "\"false\"", "'false'", "none", "disabled"] {
        assert!(!forced(word), "{word}");
    }
    for word in ["on", "y", "t", "\"true\""] {
        assert!(forced(word) && forced(word), "{word}");
    }
}

#[test]
fn no_part_of_a_password_is_shown_whatever_stands_in_it() {
    let place = place();
    for url in [
        "postgres://me:p@s3cret@127.0.0.1:1/d",
        "amqp://me:1/s3cret@127.0.0.1:1/%2f",
        "bolt://me:1/s3cret@127.0.0.1:1",
    ] {
        let ran = place.extract(url);
        ran.ends(2, &["@", "hint: "]);
        assert!(!ran.err.contains("s3cret"), "{ran:?}");
        let doctor = place.run(&["doctor", "--root", "dumps", "--types", "artists", "--to", url]);
        assert!(!format!("{doctor:?}").contains("s3cret"), "{doctor:?}");
    }
    for text in ["to = \"postgres://me:s3cret@h/d", "to = postgres://me:s3cret@h/d\n"] {
        std::fs::write(place.path("c.toml"), text).unwrap();
        let ran = place.run(&["--config", "c.toml", "extract", "dumps", "--to", "null:"]);
        ran.ends(2, &["c.toml", "line 1", "hint: "]);
        assert!(!ran.err.contains("s3cret"), "{ran:?}");
    }
}

#[test]
fn a_relative_state_folder_of_the_desktop_is_ignored() {
    let place = place();
    let mut command = place.program();
    command.env_remove("STATE_DIR").env("XDG_STATE_HOME", "here");
    command.args(["extract", "dumps", "--to", "null:"]);
    Ran::of(command.output().unwrap()).ends(0, &[]);
    assert!(!place.path("here").exists());
    assert!(place.path(".local/state/discogs-extractor/extractor/store").exists());
}
