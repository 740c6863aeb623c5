use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use discogs_extractor::database::OpenError;
use discogs_extractor::database::sqlite::{SQLITE, Sqlite};
use discogs_extractor::model::{Delivery, Ordinal, Parsed, Run, WaitsFor};
use discogs_extractor::sink::{Filled, Outcome, Sink};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{
    BAD, StoppedClock, artists, at, batch, beginning, deliver, deliver_all, dump, durable, hash,
    json, next, numbered, start,
};

/// Where lanes live.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A database in a folder of its own.
pub(super) struct Fixture {
    folder: TempDir,
    pub(super) clock: Arc<StoppedClock>,
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        let clock = Arc::new(StoppedClock(Mutex::new(0)));
        Fixture { folder: TempDir::new().unwrap(), clock }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("discogs.db")
    }

    pub(super) fn sink(&self) -> Filled {
        self.open(&self.path()).unwrap()
    }

    fn open(&self, path: &Path) -> Result<Filled, OpenError> {
        let database = Sqlite::open(path, None, self.clock.clone())?;
        Ok(Filled::new(Arc::new(database), RUNTIME.handle().clone(), CancellationToken::new()))
    }

    /// As someone else sees it.
    pub(super) fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    pub(super) fn strings(&self, sql: &str) -> Vec<String> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map((), |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.strings("SELECT data_id FROM artists ORDER BY rowid")
    }

    fn delivered(&self) -> Vec<String> {
        self.strings(
            "SELECT type || ' ' || version || ' ' || run || ': ' || first || '-' || last
             FROM extractor_delivered",
        )
    }
}

fn refused(outcomes: &[Outcome]) -> Vec<(u64, String, String)> {
    let refused = outcomes.iter().filter_map(|outcome| match &outcome.delivery {
        Delivery::Refused { why, document } => {
            assert_eq!(outcome.ordinals.start(), outcome.ordinals.end());
            let document = String::from_utf8(document.clone()).unwrap();
            Some((outcome.ordinals.start().0, why.clone(), document))
        }
        _ => None,
    });
    refused.collect()
}

#[test]
fn rows_are_what_was_sent() {
    let fixture = Fixture::new();
    fixture.clock.set(1_767_225_600_123);
    let records = [Some(("1", "Ä \\u0000")), BAD, Some(("unknown", "x"))];
    let sink = fixture.sink();
    let outcomes = deliver_all(&sink, &beginning(artists(), 77), vec![batch(1, &records)]);
    assert_eq!(durable(&outcomes), [1, 3]);
    let rows = fixture.strings(
        "SELECT concat_ws('|', data_id, hash, data, version, run, updated_at) FROM artists",
    );
    let row = |id: &str, title: &str| {
        let data = json(id, title);
        format!("{id}|{}|{data}|20260101|77|2026-01-01T00:00:00.123Z", hash(&data))
    };
    assert_eq!(rows, [row("1", "Ä \\u0000"), row("unknown", "x")]);
    assert_eq!(fixture.delivered(), ["artists 20260101 77: 1-3"]);
}

#[test]
fn the_tables_have_the_columns_of_the_contract() {
    let fixture = Fixture::new();
    let _sink = fixture.sink();
    for table in ["artists", "labels", "masters", "releases"] {
        let columns = fixture.strings(&format!("SELECT name FROM pragma_table_info('{table}')"));
        assert_eq!(columns, ["data_id", "hash", "data", "version", "run", "updated_at", "ordinal"]);
    }
    let ours = fixture.strings("SELECT name FROM sqlite_schema WHERE type = 'table'");
    let ours = ours.iter().filter(|name| !name.starts_with("extractor_"));
    assert_eq!(ours.count(), 4);
}

/// What is there, what comes, and what is there then: title, version, run, changed.
#[test]
fn a_row_moves_with_its_data_and_never_back() {
    let rows = [
        ("changed data", ("20260101", "a"), ("20260101", "b"), ("b", "20260101", 2, true)),
        ("the same data", ("20260101", "a"), ("20260101", "a"), ("a", "20260101", 2, false)),
        ("later and changed", ("20260101", "a"), ("20260201", "b"), ("b", "20260201", 2, true)),
        ("later, the same", ("20260101", "a"), ("20260201", "a"), ("a", "20260201", 2, false)),
        ("earlier and changed", ("20260201", "a"), ("20260101", "b"), ("a", "20260201", 1, false)),
        ("earlier, the same", ("20260201", "a"), ("20260101", "a"), ("a", "20260201", 1, false)),
    ];
    for (what, before, comes, (title, version, run, changed)) in rows {
        let fixture = Fixture::new();
        let sink = fixture.sink();
        for (run, (version, title)) in [(1, before), (2, comes)] {
            fixture.clock.set(run * 1_000);
            let records = batch(1, &[Some(("1", title))]);
            deliver_all(&sink, &beginning(dump(version, "artists"), run), vec![records]);
        }
        let found = fixture.strings(
            "SELECT concat_ws('|', data->>'title', version, run, updated_at) FROM artists",
        );
        let second = if changed { 2 } else { 1 };
        let row = format!("{title}|{version}|{run}|1970-01-01T00:00:0{second}.000Z");
        assert_eq!(found, [row], "{what}");
    }
}

#[test]
fn a_row_without_version_is_older_than_any() {
    for (title, updated_at) in [("other", "1970-01-01T00:00:00.000Z"), ("t", "then")] {
        let fixture = Fixture::new();
        let sink = fixture.sink();
        let data = json("1", title);
        fixture
            .connection()
            .execute(
                "INSERT INTO artists (data_id, hash, data, updated_at) VALUES ('1', ?, ?, 'then')",
                [hash(&data).to_string(), data],
            )
            .unwrap();
        deliver_all(&sink, &beginning(artists(), 5), vec![numbered(1)]);
        let found = fixture
            .strings("SELECT concat_ws('|', data->>'title', version, updated_at) FROM artists");
        assert_eq!(found, [format!("t|20260101|{updated_at}")]);
    }
}

#[test]
fn of_several_records_of_one_id_the_last_wins() {
    let fixture = Fixture::new();
    let records = [Some(("1", "a")), Some(("2", "x")), Some(("1", "b"))];
    deliver_all(&fixture.sink(), &beginning(artists(), 1), vec![batch(1, &records)]);
    let titles = fixture.strings("SELECT data->>'title' FROM artists ORDER BY data_id");
    assert_eq!(titles, ["b", "x"]);
}

#[test]
fn a_refused_record_is_named_and_the_others_are_written() {
    // What a trigger says, how it takes back what was done, and what it did before it failed.
    let triggers = [
        ("BEFORE", "SELECT RAISE(ABORT, 'no sevens')"),
        ("BEFORE", "SELECT RAISE(ROLLBACK, 'no sevens')"),
        ("AFTER", "INSERT INTO seen VALUES (new.data_id); SELECT RAISE(FAIL, 'no sevens')"),
    ];
    for (when, action) in triggers {
        let fixture = Fixture::new();
        let sink = fixture.sink();
        let sql = format!(
            "CREATE TABLE seen (id);
             CREATE TRIGGER picky {when} INSERT ON artists WHEN new.data_id IN ('7', '9')
             BEGIN {action}; END"
        );
        fixture.connection().execute_batch(&sql).unwrap();
        let lane = sink.open(&beginning(artists(), 1)).unwrap();
        let outcomes = deliver(lane, vec![numbered(12)]).unwrap();
        let found = refused(&outcomes);
        let row = |n: u64| (n, "no sevens".to_owned(), json(&n.to_string(), "t"));
        assert_eq!(found, [row(7), row(9)], "{action}");
        assert_eq!(durable(&outcomes), [1, 2, 3, 4, 5, 6, 8, 10, 11, 12], "{action}");
        assert_eq!(fixture.ids().len(), 10, "{action}");
        assert!(fixture.strings("SELECT id FROM seen").is_empty(), "{action}");
        assert_eq!(fixture.delivered(), ["artists 20260101 1: 1-12"], "{action}");
    }
}

#[test]
fn a_locked_database_is_waited_for_and_said_once() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    let other = fixture.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut lane = sink.open(&beginning(artists(), 1)).unwrap();
    lane.batches
        .blocking_send(batch(1, &[BAD, Some(("2", "a")), Some(("3", "b"))]).documents())
        .unwrap();
    let waiting = next(&mut lane).unwrap().unwrap();
    assert_eq!(
        waiting.delivery,
        Delivery::Retry(WaitsFor::SinkBlocked("database is locked".into()))
    );
    assert_eq!(waiting.ordinals, Ordinal(2)..=Ordinal(2));
    other.execute_batch("COMMIT").unwrap();
    let written = next(&mut lane).unwrap().unwrap();
    assert_eq!((written.delivery, written.ordinals), (Delivery::Durable, Ordinal(2)..=Ordinal(3)));
}

#[test]
fn a_lane_that_waits_can_be_abandoned_and_opened_again() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    let other = fixture.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut lane = sink.open(&beginning(artists(), 1)).unwrap();
    lane.batches.blocking_send(batch(1, &[Some(("1", "old"))]).documents()).unwrap();
    assert!(matches!(next(&mut lane).unwrap().unwrap().delivery, Delivery::Retry(_)));
    drop(lane);
    let lane = sink.open(&beginning(artists(), 2)).unwrap();
    other.execute_batch("COMMIT").unwrap();
    deliver(lane, vec![numbered(1)]).unwrap();
    assert_eq!(fixture.strings("SELECT CAST(run AS TEXT) FROM artists"), ["2"]);
}

#[test]
fn a_reader_does_not_disturb() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(2)]);
    let reader = fixture.connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM artists").unwrap();
    let lane = sink.open(&start(artists(), 1, at(2, None))).unwrap();
    let outcomes = deliver(lane, vec![batch(3, &[Some(("3", "c"))])]).unwrap();
    assert_eq!(durable(&outcomes), [3]);
    sink.finish(artists(), Run(1)).unwrap();
}

#[test]
fn lanes_of_several_files_are_written_side_by_side() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    let labels = dump("20260101", "labels");
    let mut first = sink.open(&beginning(artists(), 1)).unwrap();
    let mut second = sink.open(&beginning(labels, 1)).unwrap();
    for ordinal in 1..=20_u64 {
        let id = ordinal.to_string();
        for lane in [&mut first, &mut second] {
            lane.batches.blocking_send(batch(ordinal, &[Some((&id, "t"))]).documents()).unwrap();
            assert_eq!(*next(lane).unwrap().unwrap().ordinals.end(), Ordinal(ordinal));
        }
    }
    assert_eq!(fixture.ids().len(), 20);
    assert_eq!(fixture.delivered(), ["artists 20260101 1: 1-20", "labels 20260101 1: 1-20"]);
}

#[test]
fn a_database_that_lost_its_last_commits_holds_less_than_the_checkpoint() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![batch(1, &[Some(("1", "a")), BAD])]);
    let job = sink.job().clone();
    drop(sink);
    let backup = fixture.folder.path().join("backup");
    fs::copy(fixture.path(), &backup).unwrap();

    let sink = fixture.sink();
    let more = |first: u64| -> Parsed { batch(first, &[Some(("3", "c")), Some(("4", "d"))]) };
    let lane = sink.open(&start(artists(), 1, at(2, None))).unwrap();
    assert_eq!(lane.holds, Ordinal(2), "the bad record counts as dealt with");
    deliver(lane, vec![more(3)]).unwrap();
    assert_eq!(sink.open(&start(artists(), 1, at(4, None))).unwrap().holds, Ordinal(4));
    assert_eq!(sink.open(&start(artists(), 1, at(3, None))).unwrap().holds, Ordinal(3));
    assert_eq!(sink.open(&start(artists(), 2, at(4, None))).unwrap().holds, Ordinal(0));
    drop(sink);

    fs::copy(&backup, fixture.path()).unwrap();
    let sink = fixture.sink();
    assert_eq!(sink.job(), &job);
    assert_eq!(sink.open(&start(artists(), 1, at(4, None))).unwrap().holds, Ordinal(2));
}

#[test]
fn ranges_are_joined_when_the_gap_between_them_is_filled() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    let one = |ordinal| vec![batch(ordinal, &[Some(("1", "t")), Some(("2", "t"))])];
    deliver_all(&sink, &beginning(artists(), 1), one(1));
    deliver_all(&sink, &beginning(artists(), 1), one(5));
    assert_eq!(fixture.delivered(), ["artists 20260101 1: 1-2", "artists 20260101 1: 5-6"]);
    assert_eq!(sink.open(&start(artists(), 1, at(6, None))).unwrap().holds, Ordinal(2));
    deliver_all(&sink, &beginning(artists(), 1), one(3));
    assert_eq!(fixture.delivered(), ["artists 20260101 1: 1-6"]);
}

#[test]
fn another_database_is_another_job_and_a_finished_one_is_whole_in_its_file() {
    let (one, other) = (Fixture::new(), Fixture::new());
    let sink = one.sink();
    assert!(sink.job().as_str().starts_with("sqlite:"));
    assert_ne!(sink.job(), other.sink().job());
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(3)]);
    sink.finish(artists(), Run(1)).unwrap();
    let copy = one.folder.path().join("copy.db");
    fs::copy(one.path(), &copy).unwrap();
    let count = "SELECT count(*) FROM artists";
    let rows: i64 = Connection::open(copy).unwrap().query_row(count, (), |row| row.get(0)).unwrap();
    assert_eq!(rows, 3);
}

#[test]
fn a_schema_of_another_release_is_refused_in_words() {
    let newer = SQLITE.len() + 1;
    let newer = format!("INSERT INTO extractor_migrations VALUES ({newer}, 'x.sql', 'x', 'then')");
    let rows = [
        (newer.as_str(), "newer release"),
        ("UPDATE extractor_migrations SET sha256 = 'x'", "another 0001_tables.sql"),
        ("DELETE FROM extractor_migrations", "already exists"),
    ];
    for (damage, part) in rows {
        let fixture = Fixture::new();
        drop(fixture.sink());
        fixture.connection().execute_batch(damage).unwrap();
        let error = fixture.open(&fixture.path()).err().unwrap();
        assert!(error.what.contains(part) && error.hint.is_some(), "{error}");
    }
}

#[test]
fn a_path_that_cannot_be_a_database_is_an_error_in_words() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    fs::write(folder.join("notes.txt"), "not a database, ".repeat(100)).unwrap();
    fs::create_dir(folder.join("inner")).unwrap();
    for name in ["notes.txt", "inner", "missing/discogs.db"] {
        let path: &Path = &folder.join(name);
        let error = fixture.open(path).err().unwrap();
        assert!(error.what.contains(name) && error.hint.is_some(), "{error}");
    }
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap().len(), 1_600);
}

#[test]
fn a_table_that_someone_dropped_ends_the_lane_and_blames_no_record() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    fixture.connection().execute_batch("DROP TABLE artists").unwrap();
    let lane = sink.open(&beginning(artists(), 1)).unwrap();
    let error = deliver(lane, vec![numbered(1)]).unwrap_err();
    assert!(error.what.contains("no such table"), "{error}");
}
