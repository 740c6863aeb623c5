//! The PostgreSQL sink against a real server, whose URL is in the environment: every test makes a
//! database of its own there.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

#[path = "postgres/database.rs"]
mod database;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "sinks/model.rs"]
mod model;
#[path = "postgres/order.rs"]
mod order;
#[path = "postgres/own.rs"]
mod own;
mod support;

use database::{Database, sqlite_rows};
use discogs_extractor::database::postgres::POSTGRES;
use discogs_extractor::sample::Options;
use support::{Place, Ran, artists, gzip};

/// The variable by which `tests/run` says where a server is; without it nothing is tested.
const SERVER: &str = "DISCOGS_TEST_POSTGRES";

const VERSION: &str = "20260101";

fn name(version: &str) -> String {
    format!("discogs_{version}_artists.xml.gz")
}

/// A dump of artists: an id and a name each.
fn dump(records: &[(&str, &str)]) -> Vec<u8> {
    let record =
        |(id, name): &(&str, &str)| format!("<artist><id>{id}</id><name>{name}</name></artist>");
    let records: String = records.iter().map(record).collect();
    gzip(format!("<artists>{records}</artists>").as_bytes())
}

/// Delivers these artists as a version of the dump.
fn deliver(place: &Place, to: &str, version: &str, records: &[(&str, &str)]) -> Ran {
    place.dump(&name(version), &dump(records));
    place.run(&["extract", &format!("dumps/{}", name(version)), "--to", to])
}

#[test]
fn the_rows_are_those_of_sqlite_with_the_year_added() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    place.sample(&Options::new(2_000, 5, VERSION.parse().unwrap()));
    place.extract("sqlite:out.db").ends(0, &[]);
    let ran = place.extract(database.url());
    ran.ends(0, &["making an index"]);
    assert!(ran.out.contains("delivered to postgres://127.0.0.1"), "{}", ran.out);
    for table in ["artists", "labels", "masters", "releases"] {
        let expected = sqlite_rows(&place.path("out.db"), table);
        assert!(!expected.is_empty());
        assert_eq!(database.rows(table), expected, "{table}");
        let stamped =
            format!("SELECT count(*) FROM {table} WHERE version = '{VERSION}' AND run > 0");
        assert_eq!(database.value(&stamped), expected.len().to_string());
    }
    let years =
        "SELECT count(*) FROM releases WHERE data ->> 'year' = left(data ->> 'released', 4)";
    assert_ne!(database.value(years), "0");
    // There is nothing to do, and nothing is written.
    place.extract(database.url()).ends(0, &[]);
    let job = database.value("SELECT id FROM extractor_job");
    let state = place.state();
    let jobs: Vec<_> =
        state["files"].as_array().unwrap().iter().map(|f| f["job"].as_str().unwrap()).collect();
    assert!(jobs.contains(&format!("postgres:{job}").as_str()), "{jobs:?}");
}

#[test]
fn another_version_changes_exactly_the_rows_that_it_should() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    let january: Vec<(String, &str)> = (1..=40).map(|id| (id.to_string(), "same")).collect();
    let january: Vec<(&str, &str)> =
        january.iter().map(|(id, name)| (id.as_str(), *name)).collect();
    deliver(&place, database.url(), "20260101", &january).ends(0, &[]);
    database.run("UPDATE artists SET updated_at = 'epoch'");

    let mut february = january.clone();
    february.retain(|(id, _)| *id != "7");
    february.extend([("3", "changed"), ("41", "first"), ("41", "added")]);
    deliver(&place, database.url(), "20260201", &february).ends(0, &["removed what the version"]);
    let moved = "SELECT string_agg(data_id || ' ' || (data ->> 'name'), ', ' ORDER BY data_id::int)
                 FROM artists WHERE updated_at > 'epoch'";
    assert_eq!(database.value(moved), "3 changed, 41 added");
    assert_eq!(database.value("SELECT count(*) FROM artists WHERE data_id = '7'"), "0");
    assert_eq!(database.value("SELECT count(*) FROM artists WHERE version = '20260201'"), "40");

    // What comes late from an earlier version loses, and what was removed does not come back.
    let before = database.rows("artists");
    let again = format!("dumps/{}", name("20260101"));
    place.run(&["extract", &again, "--to", database.url(), "--force-reprocess"]).ends(0, &[]);
    assert_eq!(database.rows("artists"), before);
    assert_eq!(database.value("SELECT count(*) FROM artists WHERE version = '20260201'"), "40");
}

#[test]
fn a_sweep_that_would_take_too_much_is_refused_in_words() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    deliver(&place, database.url(), "20260101", &[("1", "a"), ("2", "b")]).ends(0, &[]);
    let ran = deliver(&place, database.url(), "20260201", &[("1", "a")]);
    ran.ends(1, &["1 of 2 rows would go, 50.0 %, and 10.0 % is the limit"]);
    assert_eq!(database.value("SELECT count(*) FROM artists"), "2");
    let file = format!("dumps/{}", name("20260201"));
    place.run(&["extract", &file, "--to", database.url(), "--sweep-anyway"]).ends(0, &[]);
    assert_eq!(database.value("SELECT count(*) FROM artists"), "1");
}

#[test]
fn the_platforms_tables_are_taken_over() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    // The hashes are those of the records, as the platform computes them.
    place.dump(&name(VERSION), &dump(&[("1", "kept"), ("2", "new name"), ("3", "added")]));
    place.extract("sqlite:out.db").ends(0, &[]);
    let hash = &sqlite_rows(&place.path("out.db"), "artists")[0].1;
    database.run(&format!(
        "CREATE TABLE artists (data_id VARCHAR PRIMARY KEY, hash VARCHAR NOT NULL,
             data JSONB NOT NULL, updated_at TIMESTAMPTZ NOT NULL DEFAULT now());
         CREATE INDEX idx_artists_hash ON artists (hash);
         CREATE INDEX idx_artists_name ON artists ((data->>'name'));
         CREATE INDEX idx_artists_text ON artists
             USING gin (to_tsvector('english', COALESCE(data->>'name', '')));
         INSERT INTO artists VALUES
             ('1', '{hash}', '{{\"type\":\"data\",\"id\":\"1\",\"sha256\":\"x\",\"name\":\"kept\"}}', 'epoch'),
             ('2', 'old', '{{\"type\":\"data\",\"id\":\"2\",\"name\":\"old name\"}}', 'epoch')"
    ));
    place.extract(database.url()).ends(0, &[]);
    assert_eq!(database.rows("artists"), sqlite_rows(&place.path("out.db"), "artists"));
    let moved = "SELECT string_agg(data_id, ' ' ORDER BY data_id) FROM artists
                 WHERE updated_at > 'epoch'";
    assert_eq!(database.value(moved), "2 3");
    let indexes = "SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes
                   WHERE tablename = 'artists'";
    assert_eq!(
        database.value(indexes),
        "artists_pkey extractor_artists_updated_at idx_artists_hash idx_artists_name idx_artists_text"
    );

    // A stamp writes no index.
    let counts = "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables
                  WHERE relname = 'artists'";
    let before = database.settled(counts, |counts| counts == "2 0");
    assert_eq!(before, "2 0");
    place.run(&["extract", "dumps", "--to", database.url(), "--force-reprocess"]).ends(0, &[]);
    database.settled(counts, |counts| counts == "5 3");
}

#[test]
fn stamps_write_no_index_whatever_the_size_of_the_rows() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    place.sample(&Options::new(3_000, 9, VERSION.parse().unwrap()));
    place.extract(database.url()).ends(0, &[]);
    place.run(&["extract", "dumps", "--to", database.url(), "--force-reprocess"]).ends(0, &[]);
    let stamped = "SELECT bool_and(n_tup_upd > 0 AND n_tup_upd = n_tup_hot_upd)
                   FROM pg_stat_user_tables WHERE relname IN ('artists', 'labels', 'masters', 'releases')";
    database.settled(stamped, |all| all == "t");
}

#[test]
fn two_processes_may_come_at_once() {
    let Some(database) = Database::new() else { return };
    let places = [Place::new(), Place::new()];
    std::thread::scope(|scope| {
        for (place, kind) in places.iter().zip(["artists", "labels"]) {
            place.sample(&Options::new(200, 5, VERSION.parse().unwrap()));
            let url = database.url();
            scope.spawn(move || {
                place.run(&["extract", "dumps", "--types", kind, "--to", url]).ends(0, &[]);
            });
        }
    });
    let all = POSTGRES.len().to_string();
    assert_eq!(database.value("SELECT count(*) FROM extractor_migrations"), all);
    assert_ne!(database.value("SELECT count(*) FROM labels"), "0");
}

#[test]
fn a_record_that_the_server_refuses_is_set_aside_and_its_neighbours_are_written() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    let records: Vec<String> = (1..=300).map(|id| id.to_string()).collect();
    let mut records: Vec<(&str, &str)> = records.iter().map(|id| (id.as_str(), "fine")).collect();
    records[41].1 = "raw \0 here";
    records[299].1 = "and \0 here";
    // Of one id the last counts that can be written.
    records.push(("300", "fine after all"));
    records.push(("300", "not \0 this"));
    let ran = deliver(&place, database.url(), VERSION, &records);
    ran.ends(0, &["refused by the sink: unsupported Unicode escape sequence"]);
    // The first of that id was never tried: it would not have lasted.
    assert_eq!(place.only_file()["bad_records"], 2);
    assert_eq!(database.value("SELECT count(*) FROM artists"), "299");
    let last = "SELECT data ->> 'name' FROM artists WHERE data_id = '300'";
    assert_eq!(database.value(last), "fine after all");
}

#[test]
fn tables_that_are_gone_and_another_schema_are_told_in_words() {
    let Some(database) = Database::new() else { return };
    let place = Place::new();
    place.dump(&name(VERSION), &gzip(artists(10).as_bytes()));
    place.extract(database.url()).ends(0, &[]);
    let again = ["extract", "dumps", "--to", database.url(), "--force-reprocess"];
    database.run("DROP TABLE artists");
    place.run(&again).ends(1, &["relation \"artists\" does not exist", "hint: its tables are not"]);
    let (known, newer) = (POSTGRES.len(), POSTGRES.len() + 1);
    database.run(&format!("INSERT INTO extractor_migrations VALUES ({newer}, 'x', 'x', now())"));
    let words = format!("newer release (its schema is {newer}, this release knows {known})");
    place.run(&again).ends(1, &[&words]);
    database.run(&format!("DELETE FROM extractor_migrations WHERE version = {newer}"));
    database.run("UPDATE extractor_migrations SET sha256 = 'x'");
    place.run(&again).ends(1, &["its schema was made by another 0001_tables.sql"]);
}
