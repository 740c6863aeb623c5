//! `/metrics` to the letter, and that what it counts is what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use discogs_extractor::dump;
use discogs_extractor::model::{Kind, SystemClock};
use discogs_extractor::observe::METRICS;
use discogs_extractor::pipeline::{self, Context, FileEnd, Input, Settings, Sizes, Told};
use discogs_extractor::sink::Null;
use tokio_util::sync::CancellationToken;

use super::exposition::{Family, read, value};
use super::support::{artists, gzip, http};
use super::{FileNow, Server, Stage, complete, extracting};

pub(crate) fn scrape(address: SocketAddr) -> BTreeMap<String, Family> {
    let answer = http::get(address, "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    read(&answer.body)
}

pub(crate) fn number(
    families: &BTreeMap<String, Family>,
    name: &str,
    label: Option<(&str, &str)>,
) -> Option<f64> {
    let labels = label.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    value(&families[name], name, &labels.collect())
}

/// The names of `model::metric`, from its source.
fn constants() -> BTreeSet<&'static str> {
    let source = include_str!("../../src/model/metric.rs");
    let names =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1));
    names.collect()
}

#[test]
fn the_text_is_right_and_every_metric_is_explained() {
    let server = Server::new();
    let stalled = FileNow { stalled: true, ..extracting(Kind::Masters, 9) };
    let families = scrape(server.address);
    let names: BTreeSet<_> = families.keys().map(String::as_str).collect();
    assert_eq!(names, constants(), "from the first moment on");
    for metric in METRICS {
        let family = &families[metric.name];
        assert_eq!(family.kind, metric.kind.name(), "{}", metric.name);
        assert_eq!(family.help, metric.help, "{}", metric.name);
        assert!(
            metric.name.starts_with("discogs_extractor_") || metric.name.starts_with("process_")
        );
    }
    server.show(Stage::Running, vec![stalled, complete(Kind::Artists, 5)]);
    let families = scrape(server.address);
    let of = |name: &str, kind: &str| {
        number(&families, &format!("discogs_extractor_{name}"), Some(("type", kind)))
    };
    assert_eq!(of("stalled", "masters"), Some(1.0));
    assert_eq!(of("stalled", "artists"), Some(0.0));
    assert_eq!(of("in_flight_records", "masters"), Some(3.0));
    assert_eq!(of("dump_offset_bytes", "artists"), Some(100.0));
    assert!(of("completion_timestamp_seconds", "artists").unwrap() > 1_700_000_000.0);
    assert_eq!(of("completion_timestamp_seconds", "masters"), None);
    assert_eq!(of("records_total", "releases"), Some(0.0), "counters begin at 0");
    let status = Some(("status", "running"));
    assert_eq!(number(&families, "discogs_extractor_extraction_status", status), Some(1.0));
    assert_eq!(number(&families, "discogs_extractor_owed", None), Some(0.0));
    let version = Some(("version", env!("CARGO_PKG_VERSION")));
    assert_eq!(number(&families, "discogs_extractor_build_info", version), Some(1.0));
    for (name, family) in &families {
        let metric = METRICS.iter().find(|metric| metric.name == name).unwrap();
        for (_, labels, _) in &family.samples {
            let labels = labels.keys().map(String::as_str).filter(|label| *label != "le");
            assert_eq!(labels.collect::<Vec<_>>(), Vec::from_iter(metric.label), "{name}");
        }
    }
}

#[test]
fn what_a_pass_counts_is_what_it_did() {
    let server = Server::new();
    let text = artists(5_000).replace("<name>Artist 77</name>", "<name>Artist 77</nam>");
    let bytes = gzip(text.as_bytes());
    let path = server.place.dump("discogs_20260101_artists.xml.gz", &bytes);
    let before = scrape(server.address);
    let clock = Arc::new(SystemClock::new());
    let context = Context {
        sink: Arc::new(Null::new()),
        keeper: server.keeper.clone(),
        clock,
        settings: Settings {
            workers: 1,
            threads: 1,
            window: 500,
            max_bad_records: 10,
            limit: None,
            bad_records: server.place.path("bad-records"),
            max_delete_fraction: 0.1,
            sweep_anyway: false,
            sizes: Sizes::default(),
        },
        stop: CancellationToken::new(),
        told: Told::new(),
        announced: |_| {},
        paying: Arc::default(),
    };
    let inputs = dump::find(&path).unwrap().into_iter().map(Input::from).collect();
    let (queued, _watched) = pipeline::queue(inputs, |_| 0);
    let finished = server.runtime.block_on(pipeline::run(&context, queued)).unwrap();
    assert!(matches!(finished[0].end, FileEnd::Complete), "{finished:?}");
    let after = scrape(server.address);
    for (name, by) in [
        ("discogs_extractor_records_total", 4_999),
        ("discogs_extractor_bad_records_total", 1),
        ("discogs_extractor_gzip_bytes_total", u32::try_from(bytes.len()).unwrap()),
    ] {
        let of = |families| number(families, name, Some(("type", "artists"))).unwrap();
        assert_eq!(Some(of(&after)), Some(of(&before) + f64::from(by)), "{name}");
    }
    let commits = "discogs_extractor_state_commit_seconds";
    let count = |families: &BTreeMap<String, Family>| {
        value(&families[commits], &format!("{commits}_count"), &BTreeMap::new()).unwrap()
    };
    assert!(count(&after) > count(&before), "what was committed took time");
}

#[test]
fn the_documentation_has_a_row_for_each() {
    let document = include_str!("../../docs/METRICS.md");
    let rows: BTreeSet<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: BTreeSet<_> = METRICS
        .iter()
        .map(|metric| {
            let label = metric.label.map(|label| format!("`{label}`")).unwrap_or_default();
            format!("| `{}` | {} | {label} | {} |", metric.name, metric.kind.name(), metric.help)
        })
        .collect();
    let expected: BTreeSet<_> = expected.iter().map(String::as_str).collect();
    assert_eq!(rows, expected);
}
