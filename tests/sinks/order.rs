//! Which of two writes of one id wins, and what a sweep that is remembered keeps out.

use std::collections::BTreeMap;

use discogs_extractor::database::sqlite::{
    SQLITE, migrate, next_stretch, remember_sweep, remove_stale, write,
};
use discogs_extractor::database::{Batch, Notes, Row, Which};
use discogs_extractor::model::{DumpName, Kind, Ordinal, Ranges, Run, Timestamp, Version};
use discogs_extractor::sink::{LeftOut, Sink, Sweep, Swept};
use proptest::prelude::*;
use rusqlite::Connection;

use super::model::{Model, ModelRow, Step, step};
use super::sqlite::Fixture;
use super::{artists, batch, beginning, deliver_all, dump, hash, numbered};

const ROWS: &str = "SELECT concat_ws(' ', data_id, data->>'title', version, run, ordinal)
                    FROM artists ORDER BY data_id";

fn sweep(file: DumpName, run: u64, last: u64) -> Sweep {
    let last = Ordinal(last);
    Sweep { file, run: Run(run), last, bad_records: 0, max_fraction: 0.5, anyway: false }
}

fn swept(fixture: &Fixture) -> Vec<String> {
    fixture.strings("SELECT concat_ws(' ', type, version, run) FROM extractor_swept")
}

fn one(sink: &dyn Sink, version: &str, run: u64, ordinal: u64, id: &str, title: &str) {
    let start = beginning(dump(version, "artists"), run);
    deliver_all(sink, &start, vec![batch(ordinal, &[Some((id, title))])]);
}

#[test]
fn of_two_runs_of_a_version_the_higher_wins_in_whatever_order_they_come() {
    for runs in [[1, 2], [2, 1]] {
        let fixture = Fixture::new();
        let sink = fixture.sink();
        for run in runs {
            one(&sink, "20260101", run, 1, "1", &format!("of {run}"));
        }
        assert_eq!(fixture.strings(ROWS), ["1 of 2 20260101 2 1"]);
        let later = u64::from(runs == [2, 1]);
        assert_eq!(sink.left_out(artists()), LeftOut { later, swept: 0 }, "{runs:?}");
        assert_eq!(sink.last_run(artists()), Ok(Some(Run(2))));
        assert_eq!(sink.last_run(dump("20260201", "artists")), Ok(None));
    }
}

#[test]
fn two_extractors_side_by_side_leave_every_record_there() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(9)]);
    deliver_all(&sink, &beginning(artists(), 2), vec![numbered(5)]);
    // The lower run ends and sweeps: what the higher has written stays.
    deliver_all(&sink, &beginning(artists(), 1), vec![batch(10, &[Some(("10", "t"))])]);
    assert_eq!(sink.sweep(&sweep(artists(), 1, 10), &mut |_| true), Ok(Swept::Removed(0)));
    assert_eq!(fixture.ids().len(), 10);
    let rest: Vec<_> = (6..=10).map(|id: u64| id.to_string()).collect();
    let rest: Vec<_> = rest.iter().map(|id| Some((id.as_str(), "t"))).collect();
    deliver_all(&sink, &beginning(artists(), 2), vec![batch(6, &rest)]);
    assert_eq!(sink.sweep(&sweep(artists(), 2, 10), &mut |_| true), Ok(Swept::Removed(0)));
    assert_eq!(fixture.ids().len(), 10);
    assert_eq!(swept(&fixture), ["artists 20260101 2"]);
}

#[test]
fn of_records_of_one_id_the_highest_ordinal_wins_also_over_batches() {
    // The ordinals in the order in which they come; each has a title of its own.
    for ordinals in [&[9, 5][..], &[5, 9, 5]] {
        let fixture = Fixture::new();
        let sink = fixture.sink();
        for ordinal in ordinals {
            one(&sink, "20260101", 1, *ordinal, "1", &format!("at {ordinal}"));
        }
        assert_eq!(fixture.strings(ROWS), ["1 at 9 20260101 1 9"], "{ordinals:?}");
    }
    let fixture = Fixture::new();
    let sink = fixture.sink();
    for (ordinal, title) in [(1, "a"), (2, "b"), (3, "a"), (2, "b")] {
        one(&sink, "20260101", 1, ordinal, "1", title);
    }
    assert_eq!(fixture.strings(ROWS), ["1 a 20260101 1 3"]);
}

#[test]
fn what_a_sweep_removed_does_not_come_back_with_an_older_version() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    let (old, new) = (artists(), dump("20260201", "artists"));
    deliver_all(&sink, &beginning(old, 1), vec![numbered(10)]);
    deliver_all(&sink, &beginning(new, 2), vec![numbered(9)]);
    assert_eq!(sink.sweep(&sweep(new, 2, 9), &mut |_| true), Ok(Swept::Removed(1)));
    assert_eq!(swept(&fixture), ["artists 20260201 2"]);

    // A higher run of the older version: the version counts first.
    fixture
        .connection()
        .execute("UPDATE artists SET version = '20251201' WHERE data_id = '3'", ())
        .unwrap();
    deliver_all(&sink, &beginning(old, 3), vec![numbered(10)]);
    assert_eq!(fixture.ids().len(), 9);
    assert_eq!(sink.left_out(old), LeftOut { later: 8, swept: 1 });
    assert_eq!(
        fixture.strings(&ROWS.replace("ORDER", "WHERE run = 3 ORDER")),
        ["3 t 20260101 3 3"]
    );
    // It is proven that all of it was dealt with, and the memory does not go back.
    assert_eq!(sink.sweep(&sweep(old, 3, 10), &mut |_| true), Ok(Swept::Removed(0)));
    assert_eq!(swept(&fixture), ["artists 20260201 2"]);
    // Another pass over it counts from the beginning.
    deliver_all(&sink, &beginning(old, 4), vec![batch(10, &[Some(("10", "t"))])]);
    assert_eq!(sink.left_out(old), LeftOut { later: 0, swept: 1 });
    // Of the same version a lower run is older, and a higher is not.
    one(&sink, "20260201", 1, 10, "10", "t");
    assert_eq!(fixture.ids().len(), 9);
    one(&sink, "20260201", 3, 10, "10", "t");
    assert_eq!(fixture.ids().len(), 10);
}

#[test]
fn only_a_sweep_that_is_proven_and_not_refused_is_remembered() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(10)]);
    // Of a table that only one run wrote to, too.
    let unproven = Sweep { bad_records: 1, ..sweep(artists(), 1, 10) };
    assert_eq!(sink.sweep(&unproven, &mut |_| true), Ok(Swept::Removed(0)));
    assert!(swept(&fixture).is_empty());
    assert_eq!(sink.sweep(&sweep(artists(), 1, 10), &mut |_| true), Ok(Swept::Removed(0)));
    assert_eq!(swept(&fixture), ["artists 20260101 1"]);

    let new = dump("20260201", "artists");
    deliver_all(&sink, &beginning(new, 2), vec![numbered(2)]);
    for refused in [sweep(new, 2, 2), sweep(new, 2, 3)] {
        assert!(matches!(sink.sweep(&refused, &mut |_| true), Ok(Swept::Refused(_))));
        assert_eq!(swept(&fixture), ["artists 20260101 1"]);
    }
    let anyway = Sweep { anyway: true, ..sweep(new, 2, 3) };
    assert_eq!(sink.sweep(&anyway, &mut |_| true), Ok(Swept::Removed(8)));
    assert_eq!(swept(&fixture), ["artists 20260201 2"]);
}

#[test]
fn a_sweep_is_remembered_before_the_first_row_goes() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(10)]);
    let new = dump("20260201", "artists");
    deliver_all(&sink, &beginning(new, 2), vec![numbered(9)]);
    let dies = "CREATE TRIGGER dies BEFORE DELETE ON artists BEGIN SELECT RAISE(ABORT, 'x'); END";
    fixture.connection().execute_batch(dies).unwrap();
    assert!(sink.sweep(&sweep(new, 2, 9), &mut |_| true).is_err());
    assert_eq!((fixture.ids().len(), swept(&fixture)), (10, vec!["artists 20260201 2".into()]));
}

#[test]
fn a_table_that_a_new_run_finds_empty_was_never_swept() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    let new = dump("20260201", "artists");
    deliver_all(&sink, &beginning(new, 2), vec![numbered(2)]);
    sink.sweep(&sweep(new, 2, 2), &mut |_| true).unwrap();
    fixture.connection().execute_batch("DELETE FROM artists WHERE data_id = '1'").unwrap();
    deliver_all(&sink, &beginning(artists(), 3), vec![numbered(2)]);
    assert_eq!(fixture.ids(), ["2"]);
    fixture.connection().execute_batch("DELETE FROM artists").unwrap();
    deliver_all(&sink, &beginning(artists(), 4), vec![numbered(2)]);
    assert_eq!(fixture.ids(), ["1", "2"]);
    assert!(swept(&fixture).is_empty());
}

#[test]
fn tables_of_an_earlier_release_get_their_order_without_a_rewrite() {
    let fixture = Fixture::new();
    let before = fixture.connection();
    migrate(&before, &SQLITE[..2], Timestamp(0)).unwrap();
    before
        .execute_batch(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000000)
             INSERT INTO labels SELECT n, '', '', '20260101', 1, '' FROM n;
             INSERT INTO artists VALUES ('1', '', '{}', '20260101', NULL, ''),
                 ('2', '', '{}', '20260101', -5, ''), ('3', '', '{}', '20260101', 1, ''),
                 ('4', '', '{}', '20260101', 2, ''), ('5', '', '{}', NULL, NULL, '')",
        )
        .unwrap();
    let changes = before.total_changes();
    let pages = |c: &Connection| c.query_row("PRAGMA page_count", (), |row| row.get::<_, i64>(0));
    let pages_before = pages(&before).unwrap();
    migrate(&before, SQLITE, Timestamp(0)).unwrap();
    let migrations = SQLITE.len() as u64 - 2;
    assert_eq!(before.total_changes(), changes + migrations, "a row each of their own");
    // Small tables of their own, and nothing else.
    assert!(pages(&before).unwrap() <= pages_before + 12);
    drop(before);

    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(5)]);
    let run = |id, run| format!("{id} t 20260101 {run} {id}");
    let mut expected = [1, 2, 3, 4, 5].map(|id| run(id, 1));
    expected[3] = "4 20260101 2".into();
    assert_eq!(fixture.strings(ROWS), expected);
    assert_eq!(sink.left_out(artists()), LeftOut { later: 1, swept: 0 });
    // A sweep of run 2 takes what has no run, a negative or a lower one.
    fixture
        .connection()
        .execute_batch(
            "UPDATE artists SET run = NULL WHERE data_id = '1';
             UPDATE artists SET run = -5 WHERE data_id = '2'",
        )
        .unwrap();
    let anyway = Sweep { anyway: true, ..sweep(artists(), 2, 5) };
    assert_eq!(sink.sweep(&anyway, &mut |_| true), Ok(Swept::Removed(4)));
    assert_eq!(fixture.ids(), ["4"]);
}

fn written(
    connection: &Connection,
    source: Option<(Version, Run)>,
    records: &[(u8, u64, u8)],
) -> LeftOut {
    let row = |(id, ordinal, title): &(u8, u64, u8)| Row {
        id: id.to_string().into(),
        ordinal: source.map(|_| Ordinal(*ordinal)),
        hash: hash(&title.to_string()),
        json: title.to_string().into(),
    };
    let rows = records.iter().map(row).collect();
    let batch = Batch {
        kind: Kind::Artists,
        source,
        rows,
        ordinals: Ranges::default(),
        unreadable: Vec::new(),
    };
    let written = write(connection, &[&batch], Notes::Dealt, Timestamp(0)).unwrap();
    written[0].left_out
}

fn found(connection: &Connection) -> BTreeMap<u8, ModelRow> {
    let sql = "SELECT CAST(data_id AS INTEGER), version, run, ordinal, CAST(data AS INTEGER)
               FROM artists";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| {
        let version: Option<String> = row.get(1)?;
        let version = version.map(|version| version.parse().unwrap());
        let (run, ordinal, title) = (row.get(2)?, row.get::<_, Option<i64>>(3)?, row.get(4)?);
        let ordinal = ordinal.map(i64::cast_unsigned);
        Ok((row.get(0)?, ModelRow { version, run, ordinal, title }))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

proptest! {
    #[test]
    fn a_table_is_what_the_rules_say(steps in prop::collection::vec(step(), 1..16)) {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, SQLITE, Timestamp(0)).unwrap();
        let mut model = Model::default();
        for step in steps {
            match &step {
                Step::Write(source, records) => {
                    let left_out = written(&connection, *source, records);
                    prop_assert_eq!(left_out, model.write(*source, records), "{:?}", step);
                }
                Step::Old(id, version, run) => {
                    connection
                        .execute(
                            "INSERT OR REPLACE INTO artists
                                 (data_id, hash, data, version, run, updated_at)
                             VALUES (?1, '', '9', ?2, ?3, '')",
                            (id.to_string(), version.map(|v| v.to_string()), run),
                        )
                        .unwrap();
                    model.old(*id, *version, *run);
                }
                Step::Sweep(version, run) => {
                    let file = DumpName { version: *version, kind: Kind::Artists };
                    let which = Which { file, run: *run };
                    remember_sweep(&connection, &which).unwrap();
                    let mut previous = None;
                    while let Some(next) = next_stretch(&connection, &which, previous.as_ref()).unwrap() {
                        remove_stale(&connection, &which, &next).unwrap();
                        previous = Some(next);
                    }
                    model.sweep(*version, *run);
                }
            }
            prop_assert_eq!(found(&connection), model.rows.clone(), "after {:?}", step);
        }
    }
}
