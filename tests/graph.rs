//! The graph against a real Bolt server: whatever the order of arrival, it ends as that of one
//! clean pass.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stdout, reason = "the seed, and what is left out")]

#[path = "support/bolt.rs"]
mod bolt;
#[path = "graph/contract.rs"]
mod contract;
#[path = "graph/fixture.rs"]
mod fixture;
#[path = "graph/made.rs"]
mod made;
#[path = "graph/others.rs"]
mod others;
#[path = "graph/slow.rs"]
mod slow;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use discogs_extractor::graph::model::Label;
use discogs_extractor::graph::{Arrival, Fault, Link, delivered, job, prepare, settle, sweep};
use discogs_extractor::model::{DumpName, Kind, Ordinal, Run, Sweep, Swept};
use fixture::{Fixture, sample, write};
use made::Made;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

/// The graph that the tests use.
const GRAPH: &str = "DISCOGS_TEST_BOLT";

impl Fixture {
    async fn write(&self, kind: Kind, arrivals: &[Arrival]) {
        assert_eq!(write(&self.link, kind, arrivals).await.unwrap(), [].into());
    }

    async fn write_all(&self, made: &Made) {
        for kind in Kind::ALL {
            self.write(kind, &made.arrivals(kind)).await;
        }
    }

    /// Of each row the fields `a` and `b`.
    async fn pairs(&self, statement: &str) -> Vec<(String, String)> {
        let rows = self.texts(statement).await.into_iter();
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.map(|row| {
            let row: serde_json::Value = serde_json::from_str(&row).unwrap();
            (text(&row["a"]), text(&row["b"]))
        })
        .collect()
    }

    async fn settle(&self) {
        assert!(settle(&self.link, &mut |_| true).await.unwrap());
    }

    async fn sweep(&self, made: &Made, kind: Kind, max_fraction: f64) -> Swept {
        let sweep = made.sweep(kind, max_fraction);
        self::sweep(&self.link, &sweep, &mut |_| true).await.unwrap()
    }
}

fn project_sample() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample")
}

/// From `DISCOGS_TEST_SEED`, or a new one, which is printed.
fn seed() -> u64 {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("DISCOGS_TEST_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_s_own_dumps_become_a_graph_and_a_repeat_changes_nothing() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let mut counts = Vec::new();
    for _ in 0..2 {
        for kind in Kind::ALL {
            fixture.write(kind, &sample(&project_sample(), kind, "20260101")).await;
        }
        fixture.settle().await;
        counts.push(fixture.all().await);
    }
    assert_eq!(counts[0], counts[1]);
    for kind in Kind::ALL {
        let arrivals = sample(&project_sample(), kind, "20260101");
        let records: BTreeSet<_> = arrivals.iter().map(|it| &it.entity.id).collect();
        let name = Label::of(kind).name();
        let held = fixture
            .texts(&format!("MATCH (n:{name}) WHERE n.sha256 IS NOT NULL RETURN n.id AS id"))
            .await;
        assert_eq!(held.len(), records.len(), "{kind}");
        let file: DumpName = format!("discogs_20260101_{kind}.xml.gz").parse().unwrap();
        let ranges = delivered(&fixture.link, file, Run(1)).await.unwrap();
        assert_eq!(ranges.prefix(), Ordinal(arrivals.len() as u64), "{kind}");
    }
    let same = fixture.texts("MATCH (:Person)-[s:SAME_AS]->(:Artist) RETURN count(s) AS n").await;
    assert_ne!(same, [r#"{"n":0}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_with_repeats_over_two_versions_ends_as_one_clean_pass() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..8 {
        let old = Made::new("20251201", 7, &mut random).with_repeated_ids(&mut random);
        let new = old.next("20260101", 3, &mut random).with_repeated_ids(&mut random);
        fixture.empty().await;
        fixture.write_all(&new).await;
        fixture.settle().await;
        let clean = fixture.all().await;

        fixture.empty().await;
        let mut all: Vec<(Kind, Arrival)> = [&old, &new]
            .iter()
            .flat_map(|made| Kind::ALL.into_iter().map(|kind| (kind, made.arrivals(kind))))
            .flat_map(|(kind, arrivals)| arrivals.into_iter().map(move |it| (kind, it)))
            .collect();
        let repeats: Vec<_> = all.iter().filter(|_| random.random_bool(0.3)).cloned().collect();
        all.extend(repeats);
        all.shuffle(&mut random);
        while !all.is_empty() {
            let some = all.split_off(all.len() - random.random_range(1..=all.len().min(9)));
            for kind in Kind::ALL {
                let of = some.iter().filter(|(of, _)| *of == kind).map(|(_, it)| it.clone());
                fixture.write(kind, &of.collect::<Vec<_>>()).await;
            }
        }
        for kind in Kind::ALL {
            let swept = fixture.sweep(&new, kind, 1.0).await;
            assert!(matches!(swept, Swept::Removed(_)), "{swept:?}");
        }
        for kind in Kind::ALL {
            let late = old.arrivals(kind).into_iter().filter(|_| random.random_bool(0.5));
            fixture.write(kind, &late.collect::<Vec<_>>()).await;
        }
        fixture.settle().await;
        let mixed = fixture.all().await;
        let (clean, mixed): (BTreeSet<_>, BTreeSet<_>) =
            (clean.into_iter().collect(), mixed.into_iter().collect());
        let missing: Vec<_> = clean.difference(&mixed).collect();
        let more: Vec<_> = mixed.difference(&clean).collect();
        assert!(missing.is_empty() && more.is_empty(), "missing {missing:#?}\nmore {more:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_occurs_twice_ends_as_its_last_record_whatever_is_redelivered() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let artist = |name: &str, group: &str, ordinal| {
        let groups = json!([{"id": group, "name": "group"}]);
        let stamp = made::stamp("20260101", 1, ordinal);
        let record = json!({"id": "1", "name": name, "groups": groups});
        made::arrival(Kind::Artists, &record, stamp)
    };
    let of = |ordinal| match ordinal {
        1 | 9 => artist("A", "2", ordinal),
        other => artist("B", "3", other),
    };
    fixture.write(Kind::Artists, &[of(9)]).await;
    fixture.settle().await;
    let clean = fixture.all().await;
    let orders: [&[u64]; 6] =
        [&[9, 5], &[5, 9, 5], &[1, 5, 9, 5], &[1, 9, 5], &[9, 1, 5], &[5, 9, 1, 5, 1]];
    for order in orders {
        for batch in 1..=order.len() {
            fixture.empty().await;
            for some in order.chunks(batch) {
                let some: Vec<_> = some.iter().map(|ordinal| of(*ordinal)).collect();
                fixture.write(Kind::Artists, &some).await;
            }
            fixture.settle().await;
            assert_eq!(fixture.all().await, clean, "{order:?} in batches of {batch}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_of_everything_is_counted_when_a_version_is_settled() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    for kind in Kind::ALL {
        fixture.write(kind, &sample(&project_sample(), kind, "20260101")).await;
    }
    fixture.settle().await;
    let counts = [
        ("Genre", "release_count", "(n)<-[:IS]-(x:Release)", "x.id"),
        ("Genre", "artist_count", "(n)<-[:IS]-(:Release)-[:BY]->(x:Artist)", "x.id"),
        ("Genre", "label_count", "(n)<-[:IS]-(:Release)-[:ON]->(x:Label)", "x.id"),
        ("Genre", "style_count", "(n)<-[:IS]-(:Release)-[:IS]->(x:Style)", "x.name"),
        ("Style", "release_count", "(n)<-[:IS]-(x:Release)", "x.id"),
        ("Style", "artist_count", "(n)<-[:IS]-(:Release)-[:BY]->(x:Artist)", "x.id"),
        ("Style", "label_count", "(n)<-[:IS]-(:Release)-[:ON]->(x:Label)", "x.id"),
        ("Style", "genre_count", "(n)<-[:IS]-(:Release)-[:IS]->(x:Genre)", "x.name"),
        ("Label", "release_count", "(n)<-[:ON]-(x:Release)", "x.id"),
        ("Label", "artist_count", "(n)<-[:ON]-(:Release)-[:BY]->(x:Artist)", "x.id"),
        ("Label", "genre_count", "(n)<-[:ON]-(:Release)-[:IS]->(x:Genre)", "x.name"),
        ("Person", "credit_count", "(n)-[c:CREDITED_ON]->(x:Release)", "x.id + c.role"),
    ];
    for (label, count, path, what) in counts {
        let key = if label == "Label" { "n.id" } else { "n.name" };
        let with = if label == "Person" { "n, c, x" } else { "n, x" };
        let held = format!("MATCH (n:{label}) RETURN {key} AS a, n.{count} AS b");
        let found =
            format!("MATCH {path} WHERE n:{label} WITH {with} RETURN {key} AS a, {what} AS b");
        let (held, found) = (fixture.pairs(&held).await, fixture.pairs(&found).await);
        let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, of) in found {
            expected.entry(name).or_default().insert(of);
        }
        assert!(!expected.is_empty(), "{label} {path}");
        for (name, number) in held {
            let expected = expected.get(&name).map_or(0, BTreeSet::len);
            assert_eq!(number, expected.to_string(), "{label} {name} {count}");
        }
    }
    let first = "MATCH (n:Genre)<-[:IS]-(r:Release) WHERE r.year < n.first_year RETURN n.name AS n";
    assert_eq!(fixture.texts(first).await, [""; 0]);
    let first = "MATCH (n:Genre)<-[:IS]-(r:Release) WHERE r.year = n.first_year
         RETURN DISTINCT n.name AS n";
    assert_ne!(fixture.texts(first).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_needs_its_proof_and_keeps_within_its_part() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let mut random = StdRng::seed_from_u64(seed());
    let old = Made::new("20251201", 7, &mut random);
    let new = old.without("20260101", 3, Kind::Releases, 2);
    fixture.write_all(&old).await;
    let arrivals = new.arrivals(Kind::Releases);
    fixture.write(Kind::Releases, &arrivals[1..]).await;
    let Swept::Refused(why) = fixture.sweep(&new, Kind::Releases, 1.0).await else { panic!() };
    assert!(why.contains("not proven"), "{why}");
    fixture.write(Kind::Releases, &arrivals[..1]).await;
    let Swept::Refused(why) = fixture.sweep(&new, Kind::Releases, 0.1).await else { panic!() };
    assert!(why.contains("is the limit"), "{why}");
    let bad = Sweep { bad_records: 1, ..new.sweep(Kind::Releases, 1.0) };
    let refused = sweep(&fixture.link, &bad, &mut |_| true).await.unwrap();
    assert!(matches!(refused, Swept::Refused(_)), "{refused:?}");
    let stopped = sweep(&fixture.link, &new.sweep(Kind::Releases, 1.0), &mut |_| false).await;
    assert_eq!(stopped.unwrap(), Swept::Stopped);
    assert_eq!(fixture.sweep(&new, Kind::Releases, 1.0).await, Swept::Removed(2));
    assert_eq!(fixture.sweep(&new, Kind::Releases, 1.0).await, Swept::Removed(0));
    let left = fixture.texts("MATCH (n:Release) RETURN n.id AS id").await;
    assert_eq!(left.len(), arrivals.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_has_one_identity_until_it_is_emptied() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let first = job(&fixture.link).await.unwrap();
    prepare(&fixture.link).await.unwrap();
    assert_eq!(job(&fixture.link).await.unwrap(), first);
    fixture.empty().await;
    assert_ne!(job(&fixture.link).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_in_each_other_s_way_lose_nothing() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let releases = sample(&project_sample(), Kind::Releases, "20260101");
    fixture.write(Kind::Releases, &releases).await;
    fixture.settle().await;
    let clean = fixture.all().await;
    fixture.empty().await;
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let link = Link::new(&fixture.url.parse().unwrap()).unwrap();
            let mut mine: Vec<_> = releases.iter().skip(writer).step_by(2).cloned().collect();
            // What both have, they write in opposite orders.
            mine.extend(releases.iter().take(5).cloned());
            if writer == 1 {
                mine.reverse();
            }
            tokio::spawn(async move {
                for some in mine.chunks(3) {
                    assert_eq!(write(&link, Kind::Releases, some).await.unwrap(), [].into());
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    fixture.settle().await;
    assert_eq!(fixture.all().await, clean);
    let file = "discogs_20260101_releases.xml.gz".parse().unwrap();
    let ranges = delivered(&fixture.link, file, Run(1)).await.unwrap();
    assert_eq!(ranges.prefix(), Ordinal(releases.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_between_and_in_batches_loses_nothing() {
    let Some(mut fixture) = Fixture::mortal().await else { return };
    let releases = sample(&project_sample(), Kind::Releases, "20260101");
    let link = Link::new(&fixture.url.parse().unwrap()).unwrap();
    let (told, mut batches) = tokio::sync::mpsc::channel(1);
    let mine = releases.clone();
    let writer = tokio::spawn(async move {
        let mut outages = 0;
        for some in mine.chunks(4) {
            while let Err(error) = write(&link, Kind::Releases, some).await {
                assert_eq!(error.fault, Fault::Passing, "{error}");
                outages += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let _ = told.send(()).await;
        }
        outages
    });
    for _ in 0..2 {
        batches.recv().await.unwrap();
        let mut server = fixture.server.take().unwrap();
        fixture.server = tokio::task::spawn_blocking(move || {
            server.kill();
            server.begin();
            Some(server)
        })
        .await
        .unwrap();
    }
    while batches.recv().await.is_some() {}
    assert!(writer.await.unwrap() > 0);
    fixture.settle().await;
    let survived = fixture.all().await;
    fixture.empty().await;
    fixture.write(Kind::Releases, &releases).await;
    fixture.settle().await;
    assert_eq!(survived, fixture.all().await);
}
