//! A strict reader of Prometheus' text format: what is not right to the letter is a panic.

use std::collections::{BTreeMap, BTreeSet};

/// A metric with all its series.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// A sample's name, its labels, its value.
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

type Labels = BTreeMap<String, String>;

/// Reads a whole answer.
#[track_caller]
pub(crate) fn read(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line does not end");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut open: Option<String> = None;
    let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(name) && !help.is_empty(), "{line}");
            let next = lines.next().unwrap_or_default();
            let kind = next.strip_prefix(&format!("# TYPE {name} "));
            let kind = kind.unwrap_or_else(|| panic!("no TYPE after {line}: {next}"));
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{next}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{next}");
            let (kind, help) = (kind.to_owned(), help.to_owned());
            let family = Family { kind, help, samples: Vec::new() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
            open = Some(name.to_owned());
            continue;
        }
        let (name, labels, value) = sample(line);
        let of = open.clone().unwrap_or_else(|| panic!("before any HELP: {line}"));
        let family = families.get_mut(&of).unwrap();
        if family.kind == "histogram" {
            let suffix = name.strip_prefix(&of).unwrap_or_else(|| panic!("not of {of}: {line}"));
            assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}");
            assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{line}");
        } else {
            assert_eq!(name, of, "{line}");
        }
        assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
        family.samples.push((name, labels, value));
    }
    for (name, family) in families.iter().filter(|(_, family)| family.kind == "histogram") {
        check_buckets(name, family);
    }
    families
}

/// Buckets of a series only grow, and the last is all.
fn check_buckets(name: &str, family: &Family) {
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        if sample.ends_with("_bucket") {
            let mut labels = labels.clone();
            let le = labels.remove("le").unwrap();
            let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
            series.entry(labels).or_default().push((le, *value));
        }
    }
    assert!(!series.is_empty(), "{name}");
    for (labels, buckets) in series {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {buckets:?}");
        let last = *buckets.last().unwrap();
        assert!(last.0.is_infinite(), "{name}");
        let count = value(family, &format!("{name}_count"), &labels);
        assert_eq!(Some(last.1), count, "{name}");
        assert!(value(family, &format!("{name}_sum"), &labels).is_some(), "{name}");
    }
}

pub(crate) fn value(family: &Family, name: &str, labels: &Labels) -> Option<f64> {
    let mut found = family.samples.iter().filter(|(n, l, _)| n == name && l == labels);
    found.next().map(|(_, _, value)| *value)
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (series, number) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let value = number.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = match series.split_once('{') {
        None => (series, Labels::new()),
        Some((name, rest)) => {
            let inside = rest.strip_suffix('}').unwrap_or_else(|| panic!("not closed: {line}"));
            (name, inside.split(',').map(|pair| label(pair, line)).collect())
        }
    };
    assert!(is_name(name), "{line}");
    (name.to_owned(), labels, value)
}

fn label(pair: &str, line: &str) -> (String, String) {
    let (name, quoted) = pair.split_once('=').unwrap_or_else(|| panic!("{line}"));
    let value = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let value = value.unwrap_or_else(|| panic!("{line}"));
    assert!(is_name(name) && !name.contains(':') && !value.contains(['"', '\\']), "{line}");
    (name.to_owned(), value.to_owned())
}

fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}
