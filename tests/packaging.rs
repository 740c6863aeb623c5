//! What is packaged beside the program speaks of things that the program has.

use std::collections::BTreeSet;

use discogs_extractor::observe::{METRICS, Type};

const ALERTS: &str = include_str!("../packaging/prometheus/alerts.yaml");
const DASHBOARD: &str = include_str!("../packaging/grafana/dashboard.json");

/// The names of our metrics that a text speaks of.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| ["discogs_extractor_", "process_"].iter().any(|p| word.starts_with(p)))
        .collect()
}

/// The names under which Prometheus keeps our metrics.
fn kept() -> BTreeSet<String> {
    let parts = |kind| match kind {
        Type::Histogram => &["_bucket", "_sum", "_count"][..],
        Type::Counter | Type::Gauge => &[""],
    };
    METRICS
        .iter()
        .flat_map(|m| parts(m.kind).iter().map(|part| format!("{}{part}", m.name)))
        .collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let kept = kept();
    for (file, text) in [("alerts.yaml", ALERTS), ("dashboard.json", DASHBOARD)] {
        let asked = metrics_in(text);
        assert!(asked.len() > 3, "{file} asks for nothing");
        let unknown: Vec<_> = asked.iter().filter(|name| !kept.contains(**name)).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let alerts: Vec<_> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(!alerts.is_empty());
    for alert in alerts {
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "no {part}in {alert}");
        }
        let tested = include_str!("../packaging/prometheus/alerts_test.yaml");
        let name = alert.lines().next().unwrap();
        assert!(tested.contains(name), "{name} is not tested");
    }
}
