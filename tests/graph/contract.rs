//! The graph against its contract (`docs/GRAPH.md`): all of it equals what a slow model says, over real
//! records and made ones, and over two versions.

use std::path::{Path, PathBuf};

use discogs_extractor::graph::model::Entity;
use discogs_extractor::graph::{Arrival, Stamp, sweep};
use discogs_extractor::model::{DumpName, Kind, Ordinal, Run, Sweep, Swept, Version};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::fixture::{Document, Fixture, YEAR, documents, write};
use super::made::Made;
use super::slow::{pairs, slow};
use super::{GRAPH, project_sample, seed};

impl Fixture {
    pub async fn deliver(&self, documents: &[Document]) {
        for kind in Kind::ALL {
            let of = documents.iter().filter(|document| document.kind == kind);
            let arrivals: Vec<Arrival> = of.map(Document::arrival).collect();
            assert_eq!(write(&self.link, kind, &arrivals).await.unwrap(), [].into());
        }
    }

    /// Removes what a version does not have; all of it must have been written.
    pub async fn remove_what_lacks(&self, documents: &[Document]) {
        for kind in Kind::ALL {
            let of = documents.iter().filter(|document| document.kind == kind);
            let Some(last) = of.max_by_key(|document| document.stamp.ordinal) else { continue };
            let Stamp { version, run, ordinal } = last.stamp;
            let file = DumpName { version, kind };
            let proof = Sweep {
                file,
                run,
                last: ordinal,
                bad_records: 0,
                max_fraction: 1.0,
                anyway: false,
            };
            let swept = sweep(&self.link, &proof, &mut |_| true).await.unwrap();
            assert!(matches!(swept, Swept::Removed(_)), "{swept:?}");
        }
    }

    #[track_caller]
    fn same(found: &[String], expected: &[String]) {
        let missing: Vec<_> = expected.iter().filter(|it| !found.contains(it)).take(9).collect();
        let more: Vec<_> = found.iter().filter(|it| !expected.contains(it)).take(9).collect();
        assert!(missing.is_empty() && more.is_empty(), "missing {missing:#?}\nmore {more:#?}");
        assert_eq!(found.len(), expected.len(), "something is there twice");
    }

    /// The whole graph, in one order.
    pub async fn everything(&self) -> Vec<String> {
        let mut all = self.all().await;
        all.sort();
        all
    }
}

/// The folders of dumps that are there, and their versions: the real samples beside the repository,
/// and the project's own.
fn dump_sets() -> Vec<(PathBuf, String)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let folders = [beside, project_sample()];
    let version = |folder: &PathBuf| {
        let names = folder.read_dir().ok()?.filter_map(Result::ok).map(|file| file.file_name());
        let mut dumps = names.filter_map(|name| name.to_str()?.parse::<DumpName>().ok());
        dumps.next().map(|dump| dump.version.to_string())
    };
    let found: Vec<_> =
        folders.into_iter().filter_map(|it| version(&it).map(|version| (it, version))).collect();
    println!("{found:?}");
    found
}

pub fn all_of(made: &Made) -> Vec<Document> {
    Kind::ALL.into_iter().flat_map(|kind| made.documents(kind)).collect()
}

/// The next version of records: each fifth is gone, each seventh says what another said.
fn next(documents: &[Document], version: &str) -> Vec<Document> {
    let version: Version = version.parse().unwrap();
    let kept = documents.iter().enumerate().filter(|(index, _)| index % 5 != 2);
    let mut next: Vec<Document> = Vec::new();
    for (index, document) in kept {
        let mut document = document.clone();
        if index % 7 == 3 {
            let mut of_type = documents.iter().filter(|it| it.kind == document.kind);
            let other = of_type.nth(index % 11).unwrap_or(&document).clone();
            let id = document.record["id"].clone();
            document.record = other.record;
            document.record["id"] = id;
            document.sha256 = format!("changed: {}", document.record);
        }
        let before = next.iter().filter(|it| it.kind == document.kind).count() as u64;
        document.stamp = Stamp { version, run: Run(9), ordinal: Ordinal(before + 1) };
        next.push(document);
    }
    next
}

#[test]
fn real_roles_have_the_categories_that_readers_ask_for() {
    let of = |role: &str| {
        let credits = json!([{"name": "N", "role": role}]);
        let record = json!({"id": "1", "extraartists": credits}).to_string();
        let entity = Entity::read(Kind::Releases, record.as_bytes(), "hash", YEAR).unwrap();
        entity.credits.first().unwrap().category
    };
    let wrong: Vec<_> =
        pairs().into_iter().filter(|(role, category)| of(role) != *category).collect();
    assert_eq!((pairs().len(), wrong), (254, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn real_records_become_the_graph_that_the_slow_model_says_over_two_versions() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    for (folder, version) in dump_sets() {
        fixture.empty().await;
        let of = |kind| documents(&folder, kind, &version);
        let old: Vec<Document> = Kind::ALL.into_iter().flat_map(of).collect();
        fixture.deliver(&old).await;
        fixture.settle().await;
        Fixture::same(&fixture.everything().await, &slow(&old).all());

        let new = next(&old, "20990101");
        fixture.deliver(&new).await;
        fixture.remove_what_lacks(&new).await;
        fixture.settle().await;
        Fixture::same(&fixture.everything().await, &slow(&new).all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_records_become_the_graph_that_the_slow_model_says_over_two_versions() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..4 {
        let old = Made::new("20251201", 7, &mut random).with_repeated_ids(&mut random);
        let new = old.next("20260101", 3, &mut random).with_repeated_ids(&mut random);
        fixture.empty().await;
        let (old, new) = (all_of(&old), all_of(&new));
        fixture.deliver(&old).await;
        fixture.settle().await;
        Fixture::same(&fixture.everything().await, &slow(&old).all());
        fixture.deliver(&new).await;
        fixture.remove_what_lacks(&new).await;
        fixture.settle().await;
        Fixture::same(&fixture.everything().await, &slow(&new).all());
    }
}
