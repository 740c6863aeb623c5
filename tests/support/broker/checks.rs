//! What must be true of everything that arrived, whatever happened on the way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use discogs_extractor::model::Kind;

use super::super::Place;
use super::reader::Message;

/// What a dump set comes to, by another sink of the program.
pub struct Expected {
    /// The data messages in order.
    lines: BTreeMap<Kind, Vec<String>>,
    /// Their ids in order.
    ids: BTreeMap<Kind, Vec<String>>,
}

impl Expected {
    /// Of the dumps in a folder, all of one version.
    pub fn of(dumps: &Path) -> Expected {
        let place = Place::new();
        place.run(&["extract", &dumps.display().to_string(), "--to", "jsonl:out"]).ends(0, &[]);
        let mut expected = Expected { lines: BTreeMap::new(), ids: BTreeMap::new() };
        for version in fs::read_dir(place.path("out")).unwrap() {
            let folder = version.unwrap().path();
            let Some(version) = folder.file_name().and_then(|name| name.to_str()) else { continue };
            for kind in Kind::ALL {
                let Ok(text) = fs::read_to_string(folder.join(format!("{kind}.jsonl"))) else {
                    continue;
                };
                let lines: Vec<_> = text.lines().map(str::to_owned).collect();
                let ids = lines.iter().zip(1..).map(|(line, ordinal)| {
                    let (_, hash) = line.split_once(r#","sha256":""#).unwrap();
                    format!("{version}-{kind}-{ordinal}-{}", &hash[..8])
                });
                expected.ids.insert(kind, ids.collect());
                expected.lines.insert(kind, lines);
            }
        }
        assert!(!expected.ids.is_empty(), "no dumps in {}", dumps.display());
        expected
    }

    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.ids.keys().copied()
    }

    /// The body of a data message.
    pub fn body(&self, kind: Kind, ordinal: u64) -> &str {
        &self.lines[&kind][usize::try_from(ordinal).unwrap() - 1]
    }

    pub fn records(&self, kind: Kind) -> usize {
        self.ids[&kind].len()
    }

    pub fn total(&self) -> usize {
        self.ids.values().map(Vec::len).sum()
    }

    /// Every record arrived, and nothing else.
    #[track_caller]
    pub fn all_arrived(&self, messages: &[Message]) {
        let missing = self.missing(messages);
        let few = &missing[..missing.len().min(5)];
        assert!(missing.is_empty(), "{} are missing: {few:?} …", missing.len());
    }

    /// The ids of the records that did not arrive; nothing else did.
    #[track_caller]
    pub fn missing(&self, messages: &[Message]) -> Vec<&str> {
        let mut missing = Vec::new();
        for (kind, ids) in &self.ids {
            let mut arrived: HashSet<_> = data(messages, *kind).map(Message::id).collect();
            missing.extend(ids.iter().map(String::as_str).filter(|id| !arrived.remove(id)));
            assert!(arrived.is_empty(), "{kind} that are in no dump: {arrived:?}");
        }
        missing
    }

    /// `file_complete` of every type after its last record, one message however often it is sent,
    /// with the right total; after all of them `extraction_complete` on every type's exchange.
    #[track_caller]
    pub fn all_announced(&self, messages: &[Message]) {
        let mut last_complete = 0;
        for kind in self.kinds() {
            let complete: Vec<_> = announced(messages, kind, "file_complete").collect();
            assert!(!complete.is_empty(), "{kind}: no file_complete");
            assert_eq!(ids(&complete).len(), 1, "{kind}: {complete:?}");
            let (at, message) = complete[0];
            last_complete = last_complete.max(at);
            assert_eq!(message.json()["total_processed"], self.records(kind), "{kind}");
            assert_eq!(message.header("x-last-ordinal"), self.records(kind), "{kind}");
            assert_eq!(message.header("x-bad-records"), 0, "{kind}");
            let mut seen = HashSet::new();
            let mut first = 0;
            for (index, message) in messages.iter().enumerate() {
                if message.what() == "data" && message.kind() == kind && seen.insert(message.id()) {
                    first = index;
                }
            }
            assert!(first < at, "{kind}: file_complete is number {at}, a record {first}");
        }
        for kind in self.kinds() {
            let complete: Vec<_> = announced(messages, kind, "extraction_complete").collect();
            assert!(!complete.is_empty(), "{kind}: no extraction_complete");
            assert_eq!(ids(&complete).len(), 1, "{kind}: {complete:?}");
            let (at, message) = complete[0];
            assert!(at > last_complete, "{kind}: extraction_complete before a file_complete");
            for kind in self.kinds() {
                assert_eq!(message.json()["record_counts"][kind.name()], self.records(kind));
            }
        }
    }

    /// How often records of each type came again, other than from the broker itself.
    pub fn repeats(&self, messages: &[Message]) -> BTreeMap<Kind, usize> {
        let repeats = |kind| {
            let mut seen = HashSet::new();
            let again = data(messages, kind).filter(|message| {
                let new = seen.insert(message.id());
                !new && !message.redelivered
            });
            (kind, again.count())
        };
        self.kinds().map(repeats).collect()
    }

    /// No type was repeated more than `windows` windows and `intervals` checkpoint intervals
    /// allow. What an interval holds is taken from the messages: the most that came in one.
    #[track_caller]
    pub fn repeats_within(
        &self,
        messages: &[Message],
        window: usize,
        windows: usize,
        intervals: usize,
    ) -> BTreeMap<Kind, usize> {
        let repeats = self.repeats(messages);
        for (kind, repeated) in &repeats {
            let busiest = if intervals == 0 { 0 } else { busiest_interval(messages, *kind) };
            let most = windows * window + intervals * busiest;
            assert!(
                *repeated <= most,
                "{repeated} {kind} came again, more than {windows} windows of {window} and \
                 {intervals} intervals of {busiest}"
            );
        }
        repeats
    }

    /// First arrivals are in order, but for what was on its way at a fault.
    #[track_caller]
    pub fn in_order_within(&self, messages: &[Message], window: u64) {
        for kind in self.kinds() {
            let mut seen = HashSet::new();
            let mut highest = 0;
            for message in data(messages, kind).filter(|message| !message.redelivered) {
                let ordinal = message.ordinal();
                if seen.insert(ordinal) {
                    let behind = u64::saturating_sub(highest, ordinal);
                    assert!(behind <= window, "{kind} {ordinal} came first after {highest}");
                    highest = highest.max(ordinal);
                }
            }
        }
    }
}

/// Data messages of one type.
pub fn data(messages: &[Message], kind: Kind) -> impl Iterator<Item = &Message> {
    messages.iter().filter(move |message| message.what() == "data" && message.kind() == kind)
}

/// Announcements on one type's exchange, each with its number.
pub fn announced<'a>(
    messages: &'a [Message],
    kind: Kind,
    what: &'a str,
) -> impl Iterator<Item = (usize, &'a Message)> {
    let all = messages.iter().enumerate();
    all.filter(move |(_, message)| message.what() == what && message.kind() == kind)
}

fn ids(messages: &[(usize, &Message)]) -> HashSet<String> {
    messages.iter().map(|(_, message)| message.id().to_owned()).collect()
}

/// An interval is 250 ms; on a machine that runs other things too it may take twice as long.
const INTERVAL: Duration = Duration::from_millis(500);

fn busiest_interval(messages: &[Message], kind: Kind) -> usize {
    let times: Vec<_> = data(messages, kind).map(|message| message.at).collect();
    let mut first = 0;
    let mut most = 0;
    for (index, at) in times.iter().enumerate() {
        while at.duration_since(times[first]) > INTERVAL {
            first += 1;
        }
        most = most.max(index + 1 - first);
    }
    most
}

/// How often each line of a log was said, times and numbers aside.
pub fn said(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

/// The runs that the messages of each type belong to, in order of their first arrival.
pub fn runs(messages: &[Message]) -> HashMap<Kind, Vec<i64>> {
    let mut runs: HashMap<Kind, Vec<i64>> = HashMap::new();
    for message in messages.iter().filter(|message| message.what() == "data") {
        let run = message.header("x-run").as_i64().unwrap();
        let known = runs.entry(message.kind()).or_default();
        if !known.contains(&run) {
            known.push(run);
        }
    }
    runs
}
