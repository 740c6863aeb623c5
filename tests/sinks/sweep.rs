use discogs_extractor::model::{Ordinal, Run};
use discogs_extractor::sink::{Sink, Sweep, Swept};

use super::sqlite::Fixture;
use super::{artists, batch, beginning, deliver_all, numbered};

/// Rows of other versions and runs, and behind them ten rows of run 1.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    fixture
        .connection()
        .execute_batch(
            "INSERT INTO artists (data_id, hash, data, version, run, updated_at) VALUES
                 ('none', '', '', NULL, NULL, ''),
                 ('old', '', '', '20251201', 1, ''),
                 ('other run', '', '', '20260101', 0, ''),
                 ('later', '', '', '20260201', 1, '')",
        )
        .unwrap();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(10)]);
    fixture
}

#[test]
fn a_table_that_only_one_run_wrote_to_is_not_looked_through() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(10)]);
    let mut looked = false;
    let mut go_on = |_| {
        looked = true;
        true
    };
    let unproven = Sweep { bad_records: 1, ..sweep() };
    assert_eq!(sink.sweep(&unproven, &mut go_on), Ok(Swept::Removed(0)));
    assert!(!looked);
}

fn sweep() -> Sweep {
    Sweep {
        file: artists(),
        run: Run(1),
        last: Ordinal(10),
        bad_records: 0,
        max_fraction: 0.5,
        anyway: false,
    }
}

const KEPT: usize = 11;

#[test]
fn a_sweep_takes_what_the_version_no_longer_has_and_nothing_later() {
    let fixture = fixture();
    let sink = fixture.sink();
    assert!(sink.sweeps());
    let mut looked_at = 0;
    let mut go_on = |rows| {
        looked_at += rows;
        true
    };
    assert_eq!(sink.sweep(&sweep(), &mut go_on), Ok(Swept::Removed(3)));
    assert_eq!(looked_at, 14 + 3);
    let ids = fixture.ids();
    assert_eq!((ids.len(), ids.first().map(String::as_str)), (KEPT, Some("later")));
    assert_eq!(sink.sweep(&sweep(), &mut |_| true), Ok(Swept::Removed(0)));
}

#[test]
fn a_sweep_without_proof_or_that_takes_too_much_is_refused_unless_anyway() {
    let rows = [
        (Sweep { last: Ordinal(11), ..sweep() }, "not proven that all 11 records arrived"),
        (Sweep { bad_records: 2, ..sweep() }, "2 records of the dump were set aside"),
        (Sweep { run: Run(2), ..sweep() }, "not proven that all 10 records arrived"),
        (Sweep { last: Ordinal(0), ..sweep() }, "the dump has no records"),
        (Sweep { max_fraction: 0.2, ..sweep() }, "3 of 14 rows would go, 21.4 %, and 20.0 %"),
    ];
    for (refused, part) in rows {
        let fixture = fixture();
        let sink = fixture.sink();
        let Swept::Refused(why) = sink.sweep(&refused, &mut |_| true).unwrap() else {
            panic!("{refused:?} was not refused")
        };
        assert!(why.contains(part), "{why}");
        assert_eq!(fixture.ids().len(), 14);
        let anyway = Sweep { anyway: true, ..refused };
        assert!(matches!(sink.sweep(&anyway, &mut |_| true), Ok(Swept::Removed(_))));
        assert!(fixture.ids().contains(&"later".to_owned()));
    }
}

#[test]
fn a_sweep_can_be_stopped_and_repeated() {
    let fixture = fixture();
    let sink = fixture.sink();
    for stops_after in 0..2 {
        let mut steps = 0;
        let mut go_on = |_| {
            steps += 1;
            steps <= stops_after
        };
        assert_eq!(sink.sweep(&sweep(), &mut go_on), Ok(Swept::Stopped));
    }
    sink.sweep(&sweep(), &mut |_| true).unwrap();
    assert_eq!(fixture.ids().len(), KEPT);
}

#[test]
fn a_sweep_waits_for_a_locked_database_and_can_be_stopped_meanwhile() {
    let fixture = fixture();
    let sink = fixture.sink();
    let other = fixture.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut go_on = |rows| rows > 0;
    assert_eq!(sink.sweep(&sweep(), &mut go_on), Ok(Swept::Stopped));
    let mut go_on = |rows| {
        if rows == 0 {
            other.execute_batch("COMMIT").unwrap();
        }
        true
    };
    assert_eq!(sink.sweep(&sweep(), &mut go_on), Ok(Swept::Removed(3)));
}

#[test]
fn a_table_of_many_stretches_is_swept_to_its_end() {
    let fixture = fixture();
    let sink = fixture.sink();
    fixture
        .connection()
        .execute_batch(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 25000)
             INSERT INTO artists SELECT 'x' || n, '', '', '20251201', 1, '', NULL FROM n;
             UPDATE artists SET rowid = 9223372036854775807 WHERE data_id = 'x25000'",
        )
        .unwrap();
    let anyway = Sweep { anyway: true, ..sweep() };
    assert_eq!(sink.sweep(&anyway, &mut |_| true), Ok(Swept::Removed(25_003)));
    assert_eq!(fixture.ids().len(), KEPT);
}

#[test]
fn rows_of_a_later_run_are_of_no_earlier_one() {
    let fixture = Fixture::new();
    let sink = fixture.sink();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(2)]);
    deliver_all(&sink, &beginning(artists(), 2), vec![batch(1, &[Some(("2", "t"))])]);
    let second = Sweep { run: Run(2), last: Ordinal(1), ..sweep() };
    assert_eq!(sink.sweep(&second, &mut |_| true), Ok(Swept::Removed(1)));
    assert_eq!(fixture.ids(), ["2"]);
}
