//! Which of two writes of one id wins, and what a sweep that is remembered keeps out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use discogs_extractor::database::postgres::{
    Connected, POSTGRES, Server, Writing, is_only_run, last_run, migrate, next_stretch, note_first,
    remember_sweep, remove_stale, write,
};
use discogs_extractor::database::{Batch, Notes, Row, Which};
use discogs_extractor::model::{
    Checkpoint, Delivery, Document, Documents, DumpName, FirstConnection, Kind, Limits, Ordinal,
    Run, Sha256, SystemClock, Timestamp, Version,
};
use discogs_extractor::sink::{Lane, LaneStart, LeftOut, Opening, Sink, Sweep, Swept, Target};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::model::{Model, ModelRow, Step, step};

const ROWS: &str = "SELECT string_agg(concat_ws(' ', data_id, data->>'t', version, run, ordinal),
                                      ', ' ORDER BY data_id) FROM artists";

/// A connection to the tables.
struct Tables {
    runtime: Runtime,
    client: Client,
}

impl Tables {
    /// With the schema as this many migrations leave it.
    fn with(database: &Database, migrations: usize) -> Tables {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let server: Server = database.url().parse().unwrap();
        let Ok(Connected { client, talking }) = runtime.block_on(server.connect()) else {
            panic!("no server at {server}")
        };
        runtime.spawn(talking);
        // A test that fails while another thread waits for a lock is to end all the same.
        runtime.block_on(client.batch_execute("SET lock_timeout = '40s'")).unwrap();
        let mut tables = Tables { runtime, client };
        tables.migrate(migrations);
        tables
    }

    fn new(database: &Database) -> Tables {
        Tables::with(database, POSTGRES.len())
    }

    fn migrate(&mut self, migrations: usize) {
        let known = &POSTGRES[..migrations];
        self.runtime.block_on(migrate(&mut self.client, known, Timestamp(0))).unwrap();
    }

    /// Writes artists in one batch: id, ordinal and title.
    fn write(&mut self, source: Option<(&str, u64)>, records: &[(&str, u64, &str)]) -> LeftOut {
        let source = source.map(|(version, run)| (version.parse().unwrap(), Run(run)));
        let only_run = source.is_some_and(|(version, run)| {
            let file = DumpName { version, kind: Kind::Artists };
            self.runtime.block_on(is_only_run(&self.client, file, run)).unwrap()
        });
        self.write_as(source, only_run, records)
    }

    fn write_as(
        &mut self,
        source: Option<(Version, Run)>,
        only_run: bool,
        records: &[(&str, u64, &str)],
    ) -> LeftOut {
        let row = |(id, ordinal, title): &(&str, u64, &str)| {
            let json = format!(r#"{{"t":"{title}"}}"#).into();
            let ordinal = source.map(|_| Ordinal(*ordinal));
            Row { id: (*id).into(), ordinal, hash: hash(title), json }
        };
        let batch = Batch {
            kind: Kind::Artists,
            source,
            rows: records.iter().map(row).collect(),
            ordinals: records.iter().map(|(_, n, _)| Ordinal(*n)..=Ordinal(*n)).collect(),
            unreadable: Vec::new(),
        };
        let (batch, now, notes) = (&batch, Timestamp(0), Notes::Dealt);
        let writing = Writing { batch, now, only_run, notes };
        let written = self.runtime.block_on(write(&mut self.client, &writing)).unwrap();
        assert!(written.refused.is_empty());
        written.left_out
    }

    fn remember(&self, version: &str, run: u64) {
        self.runtime.block_on(remember_sweep(&self.client, &which(version, run))).unwrap();
    }

    /// Removes what is stale; says how many rows.
    fn sweep(&self, which: &Which) -> u64 {
        let (client, mut removed, mut previous) = (&self.client, 0, None);
        while let Some(next) =
            self.runtime.block_on(next_stretch(client, which, previous.as_ref())).unwrap()
        {
            removed += self.runtime.block_on(remove_stale(client, which, &next)).unwrap();
            previous = Some(next);
        }
        removed
    }
}

/// Another one for each title.
fn hash(title: &str) -> Sha256 {
    let mut hash = [0; 32];
    hash[..title.len()].copy_from_slice(title.as_bytes());
    Sha256(hash)
}

fn which(version: &str, run: u64) -> Which {
    let file = DumpName { version: version.parse().unwrap(), kind: Kind::Artists };
    Which { file, run: Run(run) }
}

#[test]
fn of_two_runs_of_a_version_the_higher_wins_in_whatever_order_they_come() {
    let Some(database) = Database::new() else { return };
    let mut tables = Tables::new(&database);
    for (runs, later) in [([1, 2], 0), ([2, 1], 1)] {
        for title in ["same", "other"] {
            database.run("DELETE FROM artists");
            let titles = [title, "same"];
            let left_out = [0, 1].map(|at| {
                tables.write(Some(("20260101", runs[at])), &[("1", 1, titles[at])]).later
            });
            assert_eq!(left_out, [0, later]);
            let wins = titles[usize::from(runs == [1, 2])];
            assert_eq!(database.value(ROWS), format!("1 {wins} 20260101 2 1"));
        }
    }
    let file = which("20260101", 1).file;
    assert_eq!(tables.runtime.block_on(last_run(&tables.client, file)).unwrap(), Some(Run(2)));
    // A sweep of the lower run takes nothing that the higher one wrote.
    assert_eq!(tables.sweep(&which("20260101", 1)), 0);
    assert_eq!(tables.sweep(&which("20260101", 3)), 1);
}

/// Batches of records: id, ordinal and title.
type Batches<'a> = &'a [&'a [(&'a str, u64, &'a str)]];

#[test]
fn of_records_of_one_id_the_highest_ordinal_wins_in_a_batch_and_over_batches() {
    let Some(database) = Database::new() else { return };
    let mut tables = Tables::new(&database);
    let own = Some(("20260101".parse().unwrap(), Run(1)));
    let rows: [(Batches<'_>, &str); 4] = [
        (&[&[("1", 9, "nine")], &[("1", 5, "five")]], "1 nine 20260101 1 9"),
        (&[&[("1", 5, "five")], &[("1", 9, "nine")], &[("1", 5, "five")]], "1 nine 20260101 1 9"),
        (&[&[("1", 9, "nine"), ("1", 5, "five")]], "1 nine 20260101 1 9"),
        (
            &[&[("1", 1, "a")], &[("1", 2, "b")], &[("1", 3, "a")], &[("1", 2, "b")]],
            "1 a 20260101 1 3",
        ),
    ];
    for only_run in [false, true] {
        for (batches, expected) in rows {
            database.run("DELETE FROM artists");
            for batch in batches {
                tables.write_as(own, only_run, batch);
            }
            assert_eq!(database.value(ROWS), expected, "{batches:?}, {only_run}");
        }
    }
    // Neighbours of one title: the place of the last is kept, so that what comes late loses.
    for only_run in [false, true] {
        database.run("DELETE FROM artists");
        for (ordinal, title) in [(1, "a"), (3, "a"), (2, "b")] {
            tables.write_as(own, only_run, &[("1", ordinal, title)]);
        }
        assert_eq!(database.value(ROWS), "1 a 20260101 1 3", "{only_run}");
    }
    // The same again is neither written nor left out.
    database.run("DELETE FROM artists");
    for _ in 0..2 {
        let left_out = tables.write_as(own, true, &[("1", 1, "a"), ("2", 2, "b")]);
        assert_eq!(left_out, LeftOut::default());
    }
}

#[test]
fn what_a_sweep_removed_does_not_come_back_with_an_older_version() {
    let Some(database) = Database::new() else { return };
    let mut tables = Tables::new(&database);
    let memory = "SELECT string_agg(concat_ws(' ', type, version, run), ',') FROM extractor_swept";
    tables.write(Some(("20251201", 1)), &[("1", 1, "a"), ("2", 2, "a")]);
    tables.write(Some(("20260201", 2)), &[("2", 1, "b")]);
    tables.remember("20260201", 2);
    tables.remember("20260101", 3);
    assert_eq!(database.value(memory), "artists 20260201 2");
    // One that is later there, one that is older there, one that is not.
    let records = [("1", 1, "c"), ("2", 2, "c"), ("3", 3, "c")];
    let left_out = tables.write(Some(("20260101", 9)), &records);
    assert_eq!(left_out, LeftOut { later: 1, swept: 1 });
    assert_eq!(database.value(ROWS), "1 c 20260101 9 1, 2 b 20260201 2 1");
    let noted = "SELECT concat(first, '-', last) FROM extractor_delivered WHERE run = 9";
    assert_eq!(database.value(noted), "1-3");
    // A lower run of the same version is older, a higher is not; without version nobody knows.
    assert_eq!(tables.write(Some(("20260201", 1)), &[("4", 4, "d")]).swept, 1);
    assert_eq!(tables.write(Some(("20260201", 2)), &[("5", 5, "d")]), LeftOut::default());
    tables.write(None, &[("6", 6, "e")]);
    assert_eq!(
        database.value("SELECT string_agg(data_id, '' ORDER BY data_id) FROM artists"),
        "1256"
    );

    // Found empty by a new run, the table was never swept.
    let first = async |client: &Client| {
        note_first(client, which("20260101", 10).file, Run(10)).await.unwrap();
    };
    tables.runtime.block_on(first(&tables.client));
    assert_eq!(database.value(memory), "artists 20260201 2");
    database.run("DELETE FROM artists");
    tables.runtime.block_on(first(&tables.client));
    assert_eq!(database.value(memory), "");
    assert_eq!(tables.write(Some(("20260101", 10)), &[("1", 1, "f")]), LeftOut::default());
    assert_eq!(database.value(ROWS), "1 f 20260101 10 1");
}

#[test]
fn a_sweep_waits_for_who_writes_and_who_writes_for_the_sweep() {
    let Some(database) = Database::new() else { return };
    let (tables, mut writer) = (Tables::new(&database), Tables::new(&database));
    // Not from pg_stat_activity, which stands still in a transaction.
    let waits = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN
                 (SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
                  WHERE datname = current_database())";
    // Both where nothing is remembered and where something is.
    for (older, version, id) in [("20260101", "20260201", "1"), ("20260301", "20260401", "2")] {
        // A writer has read what is remembered, and is held up at its row.
        database.run(&format!("BEGIN; INSERT INTO artists VALUES ('{id}', '', '{{}}')"));
        std::thread::scope(|scope| {
            let writer = &mut writer;
            let written = scope
                .spawn(move || writer.write(Some((older, 1)), &[(id, 1, "a"), ("late", 2, "a")]));
            database.settled(waits, |waiting| waiting == "1");
            let remembered = scope.spawn(|| tables.remember(version, 2));
            database.settled(waits, |waiting| waiting == "2");
            database.run("COMMIT");
            written.join().unwrap();
            remembered.join().unwrap();
        });
        database.run("DELETE FROM artists WHERE data_id = 'late'");
    }
    // A sweep remembers, and a writer waits for what.
    database.run(
        "BEGIN; LOCK TABLE extractor_swept IN EXCLUSIVE MODE;
         UPDATE extractor_swept SET version = '20260501'",
    );
    std::thread::scope(|scope| {
        let writer = &mut writer;
        let written = scope.spawn(move || writer.write(Some(("20260401", 9)), &[("3", 3, "a")]));
        database.settled(waits, |waiting| waiting == "1");
        database.run("COMMIT");
        assert_eq!(written.join().unwrap(), LeftOut { later: 0, swept: 1 });
    });
}

#[test]
fn tables_of_an_earlier_release_get_their_order_without_a_rewrite() {
    let Some(database) = Database::new() else { return };
    let mut tables = Tables::with(&database, 2);
    database.run(
        "INSERT INTO artists (data_id, hash, data, version, run)
         SELECT 'x' || n, '', '{}', '20260101', 1 FROM generate_series(1, 1000000) AS n;
         INSERT INTO artists (data_id, hash, data, version, run) VALUES
             ('1', 'new', '{}', '20260101', NULL), ('2', 'new', '{}', '20260101', -5),
             ('3', 'new', '{}', '20260101', 1), ('4', '', '{}', '20260101', 2),
             ('5', 'new', '{}', NULL, NULL)",
    );
    let node = "SELECT relfilenode FROM pg_class WHERE relname = 'artists'";
    let before = database.value(node);
    tables.migrate(POSTGRES.len());
    assert_eq!(database.value(node), before);

    database.run("DELETE FROM artists WHERE data_id LIKE 'x%'");
    let records: Vec<_> = ["1", "2", "3", "4", "5"].into_iter().zip(1..).collect();
    let records: Vec<_> = records.into_iter().map(|(id, at)| (id, at, "new")).collect();
    assert_eq!(tables.write(Some(("20260101", 1)), &records), LeftOut { later: 1, swept: 0 });
    let runs = "SELECT string_agg(concat_ws(':', data_id, run, ordinal), ' ' ORDER BY data_id) FROM artists";
    assert_eq!(database.value(runs), "1:1:1 2:1:2 3:1:3 4:2 5:1:5");
    database.run(
        "UPDATE artists SET run = NULL WHERE data_id = '1';
         UPDATE artists SET run = -5 WHERE data_id = '2'",
    );
    assert_eq!(tables.sweep(&which("20260101", 2)), 4);
}

/// Delivers artists of these ids, which are also their titles, from record 1 on.
fn deliver(sink: &dyn Sink, version: &str, run: u64, ids: &[&str]) {
    let mut documents = Documents::default();
    for (ordinal, id) in (1..).map(Ordinal).zip(ids) {
        let begin = documents.json.len();
        documents.json.extend_from_slice(format!(r#"{{"t":"{id}"}}"#).as_bytes());
        let json = begin..documents.json.len();
        let document = Document { json, id: (*id).into(), hash: Sha256([0; 32]), id_member: None };
        documents.all.push((ordinal, document));
        documents.ordinals.insert(ordinal..=ordinal);
    }
    let start = LaneStart {
        file: which(version, run).file,
        run: Run(run),
        from: Checkpoint::BEGINNING,
        depth: 8,
        window: Limits { records: 100, bytes: 1 << 20 },
    };
    let Lane { batches, mut outcomes, .. } = sink.open(&start).unwrap();
    batches.blocking_send(documents).unwrap();
    drop(batches);
    while let Some(outcome) = outcomes.blocking_recv() {
        assert_eq!(outcome.unwrap().delivery, Delivery::Durable);
    }
}

#[test]
fn a_sink_says_what_it_left_out_and_which_run_is_the_last() {
    let Some(database) = Database::new() else { return };
    let runtime = Runtime::new().unwrap();
    let opening = Opening {
        clock: Arc::new(SystemClock::new()),
        runtime: runtime.handle().clone(),
        first: FirstConnection::TYPED,
        stop: CancellationToken::new(),
        prefix: String::new(),
        consumers: Vec::new(),
    };
    let target: Target = database.url().parse().unwrap();
    let sink = target.open(&opening).unwrap();
    let sweep = |version, run, last, bad_records| {
        let (file, last) = (which(version, run).file, Ordinal(last));
        let sweep =
            Sweep { file, run: Run(run), last, bad_records, max_fraction: 0.5, anyway: false };
        sink.sweep(&sweep, &mut |_| true).unwrap()
    };
    let memory = "SELECT string_agg(concat_ws(' ', type, version, run), ',') FROM extractor_swept";
    let old = which("20260101", 0).file;
    deliver(&*sink, "20260101", 5, &["1", "2", "3"]);
    // Nothing else was ever written, so nothing is looked through; only proof is remembered.
    assert_eq!(sweep("20260101", 5, 3, 1), Swept::Removed(0));
    assert_eq!(database.value(memory), "");
    assert_eq!(sweep("20260101", 5, 3, 0), Swept::Removed(0));
    assert_eq!(database.value(memory), "artists 20260101 5");
    assert_eq!(sink.last_run(old), Ok(Some(Run(5))));

    deliver(&*sink, "20260201", 4, &["1", "2"]);
    assert!(matches!(sweep("20260201", 4, 3, 0), Swept::Refused(_)));
    assert_eq!(database.value(memory), "artists 20260101 5");
    assert_eq!(sweep("20260201", 4, 2, 0), Swept::Removed(1));
    assert_eq!(database.value(memory), "artists 20260201 4");
    deliver(&*sink, "20260101", 6, &["1", "2", "3"]);
    assert_eq!(sink.left_out(old), LeftOut { later: 2, swept: 1 });
    assert_eq!(sink.last_run(old), Ok(Some(Run(6))));
    assert_eq!(database.value("SELECT count(*) FROM artists WHERE run = 4"), "2");
    // A pass over it from its beginning counts anew.
    deliver(&*sink, "20260101", 7, &["1"]);
    assert_eq!(sink.left_out(old), LeftOut { later: 1, swept: 0 });
}

fn found(database: &Database) -> BTreeMap<u8, ModelRow> {
    let sql =
        "SELECT coalesce(string_agg(concat_ws(',', data_id, data->>'t', coalesce(version, '-'),
                   coalesce(run::text, '-'), coalesce(ordinal::text, '-')), ' '), '') FROM artists";
    let rows = database.value(sql);
    let rows = rows.split_whitespace().map(|row| {
        let row: Vec<&str> = row.split(',').collect();
        let number = |text: &str| text.parse::<i64>().ok();
        let row_of = ModelRow {
            version: row[2].parse().ok(),
            run: number(row[3]),
            ordinal: number(row[4]).map(i64::cast_unsigned),
            title: row[1].parse().unwrap(),
        };
        (row[0].parse().unwrap(), row_of)
    });
    rows.collect()
}

#[test]
fn a_table_is_what_the_rules_say() {
    let Some(database) = Database::new() else { return };
    let tables = RefCell::new(Tables::new(&database));
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let steps = (any::<bool>(), prop::collection::vec(step(), 1..12));
    let checked = TestRunner::new(config).run(&steps, |(only_run, steps)| {
        let mut tables = tables.borrow_mut();
        database.run("DELETE FROM artists; DELETE FROM extractor_swept");
        let mut model = Model::default();
        for step in steps {
            match &step {
                Step::Write(source, records) => {
                    // Of one id in a batch that of the highest ordinal is written, else the last.
                    let mut winners: BTreeMap<u8, (u8, u64, u8)> = BTreeMap::new();
                    for record in records {
                        let winner = winners.entry(record.0).or_insert(*record);
                        if source.is_none() || winner.1 <= record.1 {
                            *winner = *record;
                        }
                    }
                    let winners: Vec<_> = winners.into_values().collect();
                    let mut expected = model.write(*source, &winners);
                    if source.is_none() {
                        expected = LeftOut::default();
                    }
                    let texts: Vec<_> = records
                        .iter()
                        .map(|(id, at, title)| (id.to_string(), *at, title.to_string()))
                        .collect();
                    let records: Vec<_> =
                        texts.iter().map(|(id, at, t)| (id.as_str(), *at, t.as_str())).collect();
                    let left_out = tables.write_as(*source, only_run, &records);
                    prop_assert_eq!(left_out, expected, "{:?}", step);
                }
                Step::Old(id, version, run) => {
                    let sql = |value: Option<String>| value.unwrap_or_else(|| "NULL".into());
                    database.run(&format!(
                        "DELETE FROM artists WHERE data_id = '{id}';
                         INSERT INTO artists (data_id, hash, data, version, run)
                         VALUES ('{id}', '', '{{\"t\":\"9\"}}', {}, {})",
                        sql(version.map(|version| format!("'{version}'"))),
                        sql(run.map(|run| run.to_string()))
                    ));
                    model.old(*id, *version, *run);
                }
                Step::Sweep(version, run) => {
                    let which = which(&version.to_string(), run.0);
                    tables.remember(&version.to_string(), run.0);
                    tables.sweep(&which);
                    model.sweep(*version, *run);
                }
            }
            prop_assert_eq!(found(&database), model.rows.clone(), "after {:?}", step);
        }
        Ok(())
    });
    checked.unwrap();
}
