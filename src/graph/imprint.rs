//! What a record set on its node, so that nothing else is taken from it: others keep properties there
//! too, under names of ours as well (a `catalog_number` from a user's collection).
//!
//! A node keeps the names that its record set with a checksum of each value, in [`PROPERTY`]:
//! `title=1a2b3c4d year=…`. Names alone would not tell a value that somebody put there since, and the
//! values themselves would be kept twice. A value is the record's as long as its checksum is.

use std::collections::BTreeMap;

use neo4rs::{BoltType, Query};
use serde_json::Value;

use super::fault::GraphError;
use super::link::Tx;
use super::model::{ARTISTS_API, Entity, Label, Property, properties};
use crate::model::Kind;

/// The property that keeps it.
pub(super) const PROPERTY: &str = "extractor_set";

/// What others are known to write under a name of ours. On a node without an imprint (the platform
/// wrote it, or we did before there were imprints) it may be theirs; all else there is the record's.
const OTHERS_WRITE: &[&str] = &["catalog_number"];

/// What follows from an artist's id is not in the imprint.
const FROM_ID: &[&str] = &["resource_url", "releases_url"];

/// The imprint of a record.
pub(super) fn imprint(entity: &Entity) -> String {
    let parts = entity.properties.iter().filter(|(name, _)| !FROM_ID.contains(name));
    let parts: Vec<_> = parts.filter_map(|(name, value)| Some(part(name, &json(value)?))).collect();
    parts.join(" ")
}

fn part(name: &str, value: &Value) -> String {
    format!("{name}={:08x}", crc32fast::hash(value.to_string().as_bytes()))
}

fn json(property: &Property) -> Option<Value> {
    match property {
        Property::Nothing => None,
        Property::Text(text) => Some(text.as_str().into()),
        Property::Number(number) => Some((*number).into()),
        Property::Texts(texts) => Some(texts.as_slice().into()),
    }
}

/// What a node has under the names that records set, and by which of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    /// What the last record of ours set; none of a node that none of ours was written to.
    imprint: Option<String>,
    values: BTreeMap<&'static str, Value>,
}

impl Held {
    /// The names whose values are the record's, and go when it no longer has them.
    pub(super) fn of_record(&self, id: &str) -> Vec<&'static str> {
        let values = self.values.iter();
        let of_record = values.filter(|(name, value)| self.is_of_record(id, name, value));
        of_record.map(|(name, _)| *name).collect()
    }

    fn is_of_record(&self, id: &str, name: &'static str, value: &Value) -> bool {
        if FROM_ID.contains(&name) {
            let page = if name == "releases_url" { "/releases" } else { "" };
            return *value == format!("{ARTISTS_API}{id}{page}");
        }
        match &self.imprint {
            Some(imprint) => {
                let part = part(name, value);
                imprint.split(' ').any(|found| found == part)
            }
            None => !OTHERS_WRITE.contains(&name),
        }
    }

    /// What a node of this type may have beside its key, when nothing leads to it, and be left by our
    /// records alone: such a node may go.
    pub(super) fn leavings(&self, kind: Kind) -> Vec<&'static str> {
        let mut names = leavings(Label::of(kind)).to_vec();
        if self.imprint.is_none() {
            names.extend(OTHERS_WRITE);
        }
        names
    }
}

/// All that a node without a record may have if nobody but us wrote to it: its key and its counts.
/// One that has more is somebody else's, and stays.
pub(super) const fn leavings(label: Label) -> &'static [&'static str] {
    match label {
        Label::Artist | Label::Master | Label::Release => &["id"],
        Label::Label => &["id", "release_count", "artist_count", "genre_count"],
        Label::Genre => {
            &["name", "release_count", "artist_count", "label_count", "style_count", "first_year"]
        }
        Label::Style => {
            &["name", "release_count", "artist_count", "label_count", "genre_count", "first_year"]
        }
        Label::Person => &["name", "credit_count"],
    }
}

/// Of a node `n` that has no record: nothing leads to it, and nobody but us wrote to it.
pub(super) fn is_left_over(label: Label) -> String {
    let names = leavings(label).join("', '");
    format!("NOT (n)--() AND all(name IN keys(n) WHERE name IN ['{names}'])")
}

/// Reads what nodes have, by id. What is of a type that no record has is not read: it is not ours.
pub(super) async fn held(
    tx: &mut Tx,
    kind: Kind,
    ids: Vec<BoltType>,
) -> Result<BTreeMap<String, Held>, GraphError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names = properties(kind).iter().map(|name| format!(", n.{name} AS {name}"));
    let statement = format!(
        "UNWIND $rows AS id MATCH (n:{} {{id: id}})
         RETURN n.id AS id, n.{PROPERTY} AS imprint{}",
        Label::of(kind).name(),
        names.collect::<String>()
    );
    let rows = tx.rows(Query::new(statement).param("rows", ids)).await?;
    let read = |row: &neo4rs::Row| {
        let value = |name: &&'static str| {
            let value = row.get::<Value>(name).ok().filter(|value| !value.is_null());
            value.map(|value| (*name, value))
        };
        let values = properties(kind).iter().filter_map(value).collect();
        Ok((row.get("id")?, Held { imprint: row.get("imprint")?, values }))
    };
    rows.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release(record: &Value) -> Entity {
        Entity::read(Kind::Releases, record.to_string().as_bytes(), "hash", 2026).unwrap()
    }

    fn held(imprint: Option<String>, values: &Value) -> Held {
        let names = properties(Kind::Releases).iter().chain(properties(Kind::Artists));
        let values = names.filter_map(|name| Some((*name, values.get(name)?.clone()))).collect();
        Held { imprint, values }
    }

    #[test]
    fn only_what_the_record_set_and_still_stands_there_is_the_record_s() {
        let labels = json!([{"id": "1", "catno": "SK 1"}]);
        let entity = release(&json!({"id": "7", "title": "T", "released": "1999",
            "formats": [{"name": "CD"}], "labels": labels}));
        let with = imprint(&entity);
        let all = json!({"title": "T", "year": 1999, "formats": ["CD"], "catalog_number": "SK 1"});
        let names = ["catalog_number", "formats", "title", "year"];
        assert_eq!(held(Some(with.clone()), &all).of_record("7"), names);

        let changed = json!({"title": "T", "year": "1999", "formats": ["CD", "LP"],
            "catalog_number": "theirs"});
        assert_eq!(held(Some(with), &changed).of_record("7"), ["title"]);

        let without = imprint(&release(&json!({"id": "7", "title": "T"})));
        assert_eq!(held(Some(without), &all).of_record("7"), ["title"]);
        assert_eq!(held(Some(String::new()), &all).of_record("7"), [""; 0]);
    }

    #[test]
    fn without_an_imprint_all_is_the_record_s_but_what_others_are_known_to_write() {
        let all = json!({"title": "T", "year": 1999, "catalog_number": "SK 1"});
        let held = held(None, &all);
        assert_eq!(held.of_record("7"), ["title", "year"]);
        assert!(held.leavings(Kind::Releases).contains(&"catalog_number"));
    }

    #[test]
    fn an_artist_s_addresses_are_ours_as_they_follow_from_the_id() {
        let of = |id| format!("https://api.discogs.com/artists/{id}");
        let ours = json!({"resource_url": of("7"), "releases_url": of("7/releases")});
        let names = ["releases_url", "resource_url"];
        assert_eq!(held(Some(String::new()), &ours).of_record("7"), names);
        assert_eq!(held(None, &ours).of_record("8"), [""; 0]);
    }
}
