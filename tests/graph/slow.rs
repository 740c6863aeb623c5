//! A slow model of the graph, straight from `docs/GRAPH.md` and from the records' JSON: what is in a
//! graph that holds these records and nothing else, when it is settled. It shares no code with the
//! program; roles it knows from the frozen list of what real ones get.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::fixture::{Document, YEAR};
use discogs_extractor::model::Kind;

type Properties = Map<String, Value>;
/// A label and the key of a node.
type Node = (&'static str, String);

/// Everything that is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slow {
    pub nodes: BTreeMap<Node, Properties>,
    /// From, type, to, and for credits the role and the artist's id, so that each is there once.
    pub relationships: BTreeMap<(Node, &'static str, Node, String), Properties>,
}

/// The roles and categories of `tests/graph/credit_categories.tsv`.
pub fn pairs() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("credit_categories.tsv").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t')).collect()
}

const CATEGORIES: [&str; 6] =
    ["production", "engineering", "mastering", "session", "design", "management"];

/// Listed roles in which no other listed one stands are the known ones; the longest in the text
/// decides, of two the one of the first category.
fn category(role: &str) -> &'static str {
    let listed: Vec<(String, &str)> =
        pairs().iter().map(|(role, category)| (role.to_lowercase(), *category)).collect();
    let listed = listed.iter().filter(|(_, category)| *category != "other");
    let is_known = |role: &str| !listed.clone().any(|(it, _)| it != role && role.contains(it));
    let known = listed.clone().filter(|(known, _)| is_known(known));
    let role = role.to_lowercase();
    let mut best = ("other", 0);
    for category in CATEGORIES {
        for (known, _) in known.clone().filter(|(_, of)| *of == category) {
            if role.contains(known) && known.len() > best.1 {
                best = (category, known.len());
            }
        }
    }
    best.0
}

fn text(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let text = value.as_str().or_else(|| value.get("#text")?.as_str())?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn items(value: Option<&Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
    }
}

fn ids(value: Option<&Value>) -> BTreeSet<String> {
    items(value).iter().filter_map(|item| text(item.get("id"))).collect()
}

fn names(value: Option<&Value>) -> BTreeSet<String> {
    items(value).iter().filter_map(|item| text(Some(item))).collect()
}

fn year(value: Option<&Value>) -> Option<Value> {
    let date = text(value)?;
    let digits: String = date.chars().take(4).filter(char::is_ascii_digit).collect();
    let year: i64 = (digits.len() == 4).then(|| digits.parse().ok())??;
    (1860..=YEAR + 1).contains(&year).then(|| year.into())
}

/// The graph of these records: of several with one id the latest counts.
pub fn slow(documents: &[Document]) -> Slow {
    let mut latest: BTreeMap<(&str, String), &Document> = BTreeMap::new();
    for document in documents {
        let id = text(document.record.get("id")).unwrap();
        let age = |it: &Document| (it.stamp.version, it.stamp.run, it.stamp.ordinal);
        let held = latest.entry((document.kind.name(), id)).or_insert(document);
        if age(held) <= age(document) {
            *held = document;
        }
    }
    let mut graph = Slow::default();
    for ((_, id), document) in &latest {
        graph.record(id, document);
    }
    let named: Vec<Node> = graph
        .relationships
        .keys()
        .flat_map(|(from, _, to, _)| [from.clone(), to.clone()])
        .collect();
    for (label, key) in named {
        let name = if ["Genre", "Style", "Person"].contains(&label) { "name" } else { "id" };
        graph.nodes.entry((label, key.clone())).or_default().insert(name.into(), key.into());
    }
    graph.same_as();
    graph.part_of();
    graph.count();
    graph
}

impl Slow {
    fn record(&mut self, id: &str, document: &Document) {
        let Document { kind, record, sha256, stamp } = document;
        let mut own: BTreeMap<&str, Value> = BTreeMap::new();
        let mut set = |name, value: Option<Value>| {
            value.map(|value| own.insert(name, value));
        };
        match kind {
            Kind::Artists | Kind::Labels => set("name", text(record.get("name")).map(Value::from)),
            Kind::Masters => {
                set("title", text(record.get("title")).map(Value::from));
                set("year", year(record.get("year")));
            }
            Kind::Releases => {
                set("title", text(record.get("title")).map(Value::from));
                set("year", year(record.get("released")));
                let formats = items(record.get("formats"));
                let formats: Vec<String> =
                    formats.iter().filter_map(|format| text(format.get("name"))).collect();
                set("formats", Some(formats.into()));
                let labels = items(record.get("labels"));
                let first = labels.first().and_then(|label| text(label.get("catno")));
                set("catalog_number", first.map(Value::from));
            }
        }
        let sum = |value: &Value| format!("{:08x}", crc32fast::hash(value.to_string().as_bytes()));
        let imprint: Vec<_> =
            own.iter().map(|(name, value)| format!("{name}={}", sum(value))).collect();
        let mut properties: Properties =
            own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        properties.insert("extractor_set".into(), imprint.join(" ").into());
        properties.insert("id".into(), id.into());
        properties.insert("sha256".into(), sha256.as_str().into());
        properties.insert("version".into(), stamp.version.to_string().into());
        properties.insert("run".into(), stamp.run.0.into());
        properties.insert("ordinal".into(), stamp.ordinal.0.into());
        if *kind == Kind::Artists {
            let url = format!("https://api.discogs.com/artists/{id}");
            properties.insert("releases_url".into(), format!("{url}/releases").into());
            properties.insert("resource_url".into(), url.into());
        }
        let label = match kind {
            Kind::Artists => "Artist",
            Kind::Labels => "Label",
            Kind::Masters => "Master",
            Kind::Releases => "Release",
        };
        self.nodes.insert((label, id.to_owned()), properties);
        self.assert(&(label, id.to_owned()), record);
    }

    /// The relationships that a record asserts.
    fn assert(&mut self, node: &Node, record: &Value) {
        match node.0 {
            "Artist" => {
                self.share(node, "MEMBER_OF", true, ids(record.get("groups")));
                self.share(node, "MEMBER_OF", false, ids(record.get("members")));
                self.share(node, "ALIAS_OF", false, ids(record.get("aliases")));
            }
            "Label" => {
                self.share(node, "SUBLABEL_OF", true, ids(record.get("parentLabel")));
                self.share(node, "SUBLABEL_OF", false, ids(record.get("sublabels")));
            }
            _ => {
                self.lead(node, "BY", "Artist", ids(record.get("artists")));
                self.lead(node, "IS", "Genre", names(record.get("genres")));
                self.lead(node, "IS", "Style", names(record.get("styles")));
            }
        }
        if node.0 != "Release" {
            return;
        }
        self.lead(node, "ON", "Label", ids(record.get("labels")));
        let master = text(record.get("master_id"));
        self.lead(node, "DERIVED_FROM", "Master", master.into_iter().collect());
        for credit in items(record.get("extraartists")) {
            let (name, role) = (text(credit.get("name")), text(credit.get("role")));
            let (Some(name), Some(role)) = (name, role) else { continue };
            let mut properties = Properties::new();
            properties.insert("role".into(), role.as_str().into());
            properties.insert("category".into(), category(&role).into());
            let artist = text(credit.get("id"));
            if let Some(artist) = &artist {
                properties.insert("artist_id".into(), artist.as_str().into());
            }
            let which = format!("{role} {}", artist.unwrap_or_default());
            let key = (("Person", name), "CREDITED_ON", node.clone(), which);
            self.relationships.insert(key, properties);
        }
    }

    fn lead(&mut self, from: &Node, name: &'static str, to: &'static str, keys: BTreeSet<String>) {
        for key in keys {
            let key = (from.clone(), name, (to, key), String::new());
            self.relationships.insert(key, Properties::new());
        }
    }

    fn share(&mut self, node: &Node, name: &'static str, starts: bool, others: BTreeSet<String>) {
        for other in others {
            let other = (node.0, other);
            let (from, to) = if starts { (node.clone(), other) } else { (other, node.clone()) };
            let flags = self.relationships.entry((from, name, to, String::new())).or_default();
            flags.insert(if starts { "by_start" } else { "by_end" }.into(), true.into());
            flags.entry(if starts { "by_end" } else { "by_start" }).or_insert(false.into());
        }
    }

    /// What leads from or to a node over relationships of a type, once each.
    fn over(&self, from: Option<&Node>, name: &str, to: Option<&Node>) -> BTreeSet<(Node, Node)> {
        let all = self.relationships.keys().filter(|(_, it, ..)| *it == name);
        let fits = |node: &Node, wanted: Option<&Node>| wanted.is_none_or(|it| it == node);
        let found = all.filter(|(a, _, b, _)| fits(a, from) && fits(b, to));
        found.map(|(a, _, b, _)| (a.clone(), b.clone())).collect()
    }

    fn same_as(&mut self) {
        let credits = self.relationships.iter().filter(|((_, it, ..), _)| *it == "CREDITED_ON");
        let mut same = Vec::new();
        for ((person, ..), properties) in credits {
            let Some(artist) = properties.get("artist_id").and_then(Value::as_str) else {
                continue;
            };
            let artist = ("Artist", artist.to_owned());
            if self.nodes.get(&artist).is_some_and(|node| node.contains_key("sha256")) {
                same.push((person.clone(), "SAME_AS", artist, String::new()));
            }
        }
        self.relationships.extend(same.into_iter().map(|it| (it, Properties::new())));
    }

    fn part_of(&mut self) {
        let mut parts = Vec::new();
        for node in self.nodes.keys() {
            let of = self.over(Some(node), "IS", None);
            let genres: Vec<&Node> =
                of.iter().map(|(_, to)| to).filter(|to| to.0 == "Genre").collect();
            if let [genre] = genres[..] {
                let styles = of.iter().map(|(_, to)| to).filter(|to| to.0 == "Style");
                parts
                    .extend(styles.map(|it| (it.clone(), "PART_OF", genre.clone(), String::new())));
            }
        }
        self.relationships.extend(parts.into_iter().map(|it| (it, Properties::new())));
    }

    fn count(&mut self) {
        for node in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let over = if node.0 == "Label" { "ON" } else { "IS" };
            let releases: BTreeSet<Node> =
                self.over(None, over, Some(&node)).into_iter().map(|it| it.0).collect();
            let releases: Vec<Node> = releases.into_iter().filter(|it| it.0 == "Release").collect();
            let reached = |name: &str, label: &str| -> usize {
                let of = releases.iter().flat_map(|release| self.over(Some(release), name, None));
                let ends = of.map(|(_, to)| to).filter(|to| to.0 == label);
                ends.collect::<BTreeSet<_>>().len()
            };
            let counts = match node.0 {
                "Genre" => vec![
                    ("release_count", releases.len()),
                    ("artist_count", reached("BY", "Artist")),
                    ("label_count", reached("ON", "Label")),
                    ("style_count", reached("IS", "Style")),
                ],
                "Style" => vec![
                    ("release_count", releases.len()),
                    ("artist_count", reached("BY", "Artist")),
                    ("label_count", reached("ON", "Label")),
                    ("genre_count", reached("IS", "Genre")),
                ],
                "Label" => vec![
                    ("release_count", releases.len()),
                    ("artist_count", reached("BY", "Artist")),
                    ("genre_count", reached("IS", "Genre")),
                ],
                "Person" => {
                    let credits = self.relationships.keys();
                    let of = credits.filter(|(from, it, ..)| *it == "CREDITED_ON" && *from == node);
                    vec![("credit_count", of.count())]
                }
                _ => continue,
            };
            let years = releases.iter().filter_map(|it| self.nodes[it].get("year")?.as_i64());
            let first = years.min().filter(|_| node.0 != "Label");
            let properties = self.nodes.entry(node).or_default();
            properties.extend(counts.into_iter().map(|(name, n)| (name.to_owned(), n.into())));
            if let Some(first) = first {
                properties.insert("first_year".into(), first.into());
            }
        }
    }

    /// As the graph answers when it is asked for everything.
    pub fn all(&self) -> Vec<String> {
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|((label, _), p)| json!({"label": label, "p": p}).to_string());
        let relationships = self.relationships.iter().map(|((from, name, to, _), p)| {
            json!({"la": [from.0], "a": from.1, "t": name, "p": p, "lb": [to.0], "b": to.1})
                .to_string()
        });
        let mut all: Vec<String> = nodes.chain(relationships).collect();
        all.sort();
        all
    }
}
