//! Small random sets of records that name each other a lot.

use std::collections::BTreeMap;

use discogs_extractor::graph::{Arrival, Stamp};
use discogs_extractor::model::{DumpName, Kind, Ordinal, Run, Sweep, Version};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::fixture::Document;

/// All records of a version, by type and id.
#[derive(Clone)]
pub struct Made {
    version: Version,
    run: Run,
    records: BTreeMap<(Kind, u32), Value>,
    /// What stands before them in the dump, under ids of theirs.
    earlier: Vec<(Kind, Value)>,
}

/// How many ids each type has.
const IDS: u32 = 6;

impl Made {
    pub fn new(version: &str, run: u64, random: &mut StdRng) -> Made {
        let mut records = BTreeMap::new();
        for kind in Kind::ALL {
            for id in 1..=IDS {
                if random.random_bool(0.7) || id == 1 {
                    records.insert((kind, id), record(kind, id, random));
                }
            }
        }
        Made { version: version.parse().unwrap(), run: Run(run), records, earlier: Vec::new() }
    }

    /// Some ids occur twice, of those some a third time, first as they are last.
    pub fn with_repeated_ids(mut self, random: &mut StdRng) -> Made {
        for ((kind, id), last) in &self.records {
            if random.random_bool(0.4) {
                if random.random_bool(0.5) {
                    self.earlier.push((*kind, last.clone()));
                }
                self.earlier.push((*kind, record(*kind, *id, random)));
            }
        }
        self
    }

    /// The next version: some records are as they were, the others are made anew or gone.
    pub fn next(&self, version: &str, run: u64, random: &mut StdRng) -> Made {
        let mut next = Made::new(version, run, random);
        for (key, record) in &self.records {
            if random.random_bool(0.4) {
                next.records.insert(*key, record.clone());
            }
        }
        next
    }

    /// The next version, which lacks the last `gone` records of a type; of that there are enough.
    pub fn without(&self, version: &str, run: u64, kind: Kind, gone: usize) -> Made {
        let mut next = self.clone();
        next.version = version.parse().unwrap();
        next.run = Run(run);
        for _ in 0..gone {
            let last = next.records.keys().rfind(|key| key.0 == kind).copied().unwrap();
            next.records.remove(&last);
        }
        next
    }

    pub fn arrivals(&self, kind: Kind) -> Vec<Arrival> {
        self.documents(kind).iter().map(Document::arrival).collect()
    }

    /// In the order of the dump.
    pub fn documents(&self, kind: Kind) -> Vec<Document> {
        let earlier = self.earlier.iter().map(|(of, record)| (*of, record));
        let all = earlier.chain(self.records.iter().map(|((of, _), record)| (*of, record)));
        let records = (1..).zip(all.filter(|(of, _)| *of == kind));
        let document = |(ordinal, (_, record)): (u64, (Kind, &Value))| {
            let stamp = Stamp { version: self.version, run: self.run, ordinal: Ordinal(ordinal) };
            document(kind, record, stamp)
        };
        records.map(document).collect()
    }

    pub fn sweep(&self, kind: Kind, max_fraction: f64) -> Sweep {
        let last = self.arrivals(kind).len();
        Sweep {
            file: DumpName { version: self.version, kind },
            run: self.run,
            last: Ordinal(last as u64),
            bad_records: 0,
            max_fraction,
            anyway: false,
        }
    }
}

/// Where a record comes from.
pub fn stamp(version: &str, run: u64, ordinal: u64) -> Stamp {
    Stamp { version: version.parse().unwrap(), run: Run(run), ordinal: Ordinal(ordinal) }
}

/// A record as it arrives.
pub fn arrival(kind: Kind, record: &Value, stamp: Stamp) -> Arrival {
    document(kind, record, stamp).arrival()
}

fn document(kind: Kind, record: &Value, stamp: Stamp) -> Document {
    Document { kind, record: record.clone(), sha256: format!("hash of {record}"), stamp }
}

/// Roles of each category, of two, and of none.
const ROLES: &[&str] = &[
    "Producer",
    "Mixed By",
    "Mastered By, Producer",
    "Backing Vocals",
    "Cover",
    "A&R",
    "Written-By",
];

fn record(kind: Kind, id: u32, random: &mut StdRng) -> Value {
    let others = |random: &mut StdRng| -> Vec<Value> {
        let count = random.random_range(0..3);
        (0..count)
            .map(|_| {
                let id = random.random_range(1..=IDS + 1).to_string();
                json!({"id": id, "name": format!("name of {id}")})
            })
            .collect()
    };
    let words = |words: &[&str], random: &mut StdRng| -> Vec<String> {
        let chosen = words.iter().filter(|_| random.random_bool(0.4));
        chosen.map(|word| (*word).to_owned()).collect()
    };
    let one_of =
        |texts: &[&str], random: &mut StdRng| texts[random.random_range(0..texts.len())].to_owned();
    let name = format!("name {}", random.random_range(0..3));
    let id = id.to_string();
    let (genres, styles) =
        (words(&["Rock", "Jazz"], random), words(&["Beat", "Bop", "Dub"], random));
    match kind {
        Kind::Artists => json!({
            "id": id, "name": name, "groups": others(random), "members": others(random),
            "aliases": others(random),
        }),
        Kind::Labels => json!({
            "id": id, "name": name, "parentLabel": others(random).first(),
            "sublabels": others(random),
        }),
        Kind::Masters => json!({
            "id": id, "title": name, "year": one_of(&["1971", "1972", "0"], random),
            "artists": others(random),
            "genres": genres, "styles": styles,
        }),
        Kind::Releases => {
            let credits: Vec<Value> = others(random)
                .into_iter()
                .map(
                    |other| json!({"id": other["id"], "name": name, "role": one_of(ROLES, random)}),
                )
                .collect();
            let mut labels = others(random);
            for label in &mut labels {
                label["catno"] = one_of(&["", "SK 1", "SK 2"], random).into();
            }
            json!({
                "id": id, "title": name, "released": one_of(&["1971-01-00", "1970", ""], random),
                "artists": others(random), "labels": labels,
                "master_id": random.random_range(1..=IDS).to_string(),
                "formats": [{"name": "Vinyl"}], "extraartists": credits,
                "genres": genres, "styles": styles,
            })
        }
    }
}
