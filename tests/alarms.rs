//! The alerts as Prometheus reads them: its own `promtool` checks and tries them. With
//! `DISCOGS_TEST_PROMTOOL`, which `tests/run` sets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "what is left out is said")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

/// Runs `promtool`, which has to be content; without one nothing is tried.
#[track_caller]
fn promtool(arguments: &[&str], file: &Path) {
    let Some(program) = std::env::var_os("DISCOGS_TEST_PROMTOOL") else {
        eprintln!("left out: DISCOGS_TEST_PROMTOOL is not set");
        return;
    };
    let ran = Command::new(program).args(arguments).arg(file).output().unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_alerts_are_well_formed() {
    promtool(&["check", "rules"], &packaging().join("prometheus/alerts.yaml"));
}

#[test]
fn the_configuration_is_well_formed() {
    let syntax = ["check", "config", "--syntax-only"];
    promtool(&syntax, &packaging().join("prometheus/prometheus.yaml"));
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    promtool(&["test", "rules"], &packaging().join("prometheus/alerts_test.yaml"));
}

/// What the dashboard asks, as rules: JSON is YAML too.
#[test]
fn every_expression_of_the_dashboard_can_be_evaluated() {
    let dashboard = include_str!("../packaging/grafana/dashboard.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let mut rules = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let asked = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            rules.push(json!({"record": format!("asked:{}", rules.len()), "expr": asked}));
        }
    }
    assert!(!rules.is_empty());
    let file = tempfile::NamedTempFile::new().unwrap();
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(file.path(), groups.to_string()).unwrap();
    promtool(&["check", "rules"], file.path());
}
