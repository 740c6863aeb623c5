//! What is packaged beside the program speaks of things that the program has.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use discogs_extractor::observe::{METRICS, Type};
use support::Place;

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

/// An environment file, the command it is for, and what the variables without an option begin with.
const ENVIRONMENTS: [(&str, &[&str], &[&str]); 3] = [
    (include_str!("../packaging/systemd/extractor.env"), &["run"], &["RABBITMQ_", "TRIGGER_TOKEN"]),
    (
        include_str!("../packaging/systemd/tableinator.env"),
        &["consume", "tables"],
        &["RABBITMQ_", "POSTGRES_"],
    ),
    (
        include_str!("../packaging/systemd/graphinator.env"),
        &["consume", "graph"],
        &["RABBITMQ_", "NEO4J_"],
    ),
];

/// The variables that an environment file shows, whether they are set or not, each with its value
/// and the comment above it.
fn shown(file: &str) -> BTreeMap<&str, (&str, String)> {
    let mut shown = BTreeMap::new();
    let mut comment = String::new();
    for line in file.lines() {
        match line.strip_prefix('#').unwrap_or(line).split_once('=') {
            Some((name, value)) if is_variable(name) => {
                assert!(!comment.is_empty(), "{name} is not explained");
                let twice = shown.insert(name, (value, comment.clone()));
                assert!(twice.is_none(), "{name} is there twice");
            }
            _ if line.is_empty() => comment.clear(),
            _ => comment += line,
        }
    }
    shown
}

fn is_variable(word: &str) -> bool {
    let usual = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.len() > 3 && word.chars().all(usual)
}

/// The variables of a command's options, each with what its help says.
fn options(command: &[&str]) -> BTreeMap<String, String> {
    let help = Place::new().run(&[command, &["--help"]].concat()).out;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<_> = help.split("[env: ").collect();
    let pairs = parts.windows(2);
    pairs
        .map(|two| (two[1].split(['=', ']']).next().unwrap().to_owned(), two[0].to_owned()))
        .collect()
}

/// The variables without an option, as the sources name them.
fn others(beginnings: &[&str]) -> BTreeSet<String> {
    let sources = [include_str!("../src/cli/environment.rs"), include_str!("../src/cli/run.rs")];
    let mut names = BTreeSet::new();
    for source in sources {
        let source = source.split("#[cfg(test)]").next().unwrap();
        for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for name in line.split('"').skip(1).step_by(2).filter(|word| is_variable(word)) {
                if line.contains(&format!("secret(\"{name}\")")) || line.contains("::secret(") {
                    names.insert(format!("{name}_FILE"));
                }
                names.insert(name.to_owned());
            }
        }
    }
    names.retain(|name| beginnings.iter().any(|beginning| name.starts_with(beginning)));
    names
}

#[test]
fn the_environment_files_explain_every_variable_and_no_other() {
    for (file, command, beginnings) in ENVIRONMENTS {
        let (options, others) = (options(command), others(beginnings));
        assert!(options.len() > 10 && others.len() > 1, "{command:?}: {options:?} {others:?}");
        let known: BTreeSet<_> = options.keys().chain(&others).map(String::as_str).collect();
        let shown: BTreeSet<_> = shown(file).into_keys().collect();
        assert_eq!(shown, known, "{command:?}");
    }
}

#[test]
fn the_defaults_that_the_environment_files_show_are_the_programs() {
    for (file, command, _) in ENVIRONMENTS {
        let options = options(command);
        for (name, (value, comment)) in shown(file) {
            let is_set = file.lines().any(|line| line.starts_with(name));
            let Some(help) = options.get(name).filter(|_| !is_set) else { continue };
            if comment.contains("Default: ") {
                continue;
            }
            match help.rsplit_once("[default: ").map(|(_, rest)| rest.split(']').next().unwrap()) {
                Some(default) => {
                    let words: Vec<_> = default.split([' ', ',']).collect();
                    let is_it = default == "all" || words.contains(&value);
                    assert!(is_it, "{command:?}: {name}={value}, and it is {default}");
                }
                None => assert!(["false", "INFO", "text"].contains(&value), "{name}={value}"),
            }
        }
    }
}

#[test]
fn what_the_environment_files_show_can_be_used() {
    let nowhere =
        [("DISCOGS_SITE", "none"), ("DISCOGS_FROM", "amqp://127.0.0.1:1"), ("HEALTH_PORT", "0")];
    for (file, command, _) in ENVIRONMENTS {
        let to = match command {
            ["run"] => "null:",
            ["consume", "tables"] => "sqlite:out.db",
            _ => "bolt://me:secret@127.0.0.1:1",
        };
        let place = Place::new();
        let mut doctor = place.program();
        doctor.arg("doctor").args(command.get(1));
        // Files that are not here.
        let shown = shown(file);
        let values = shown.iter().map(|(name, (value, _))| (*name, *value));
        doctor.envs(values.filter(|(_, value)| !value.starts_with("/etc/")));
        doctor.envs(nowhere).env("DISCOGS_TO", to);
        doctor.env("STATE_DIR", place.path("state")).env("DISCOGS_ROOT", place.path("dumps"));
        let ran = support::Ran::of(doctor.output().unwrap());
        assert!(ran.code == Some(0) || ran.code == Some(1), "{command:?}: {ran:#?}");
        assert!(!ran.err.contains("hint: unset"), "{ran:#?}");
    }
}
