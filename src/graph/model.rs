//! What one record says of the graph: a node with its properties, and relationships from and to
//! it. Pure: from the canonical JSON to values.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::credit::category;
use crate::model::Kind;

/// The longest text, in bytes, that may be a key or a name: Neo4j's range indexes take some 8,000.
/// Titles have only full-text indexes, which take any.
const LONGEST: usize = 7_500;

/// Years outside of these are typing errors; the upper end is the year after this one.
const FIRST_YEAR: i64 = 1860;

/// What the platform's readers follow from an artist.
pub(super) const ARTISTS_API: &str = "https://api.discogs.com/artists/";

/// The kinds of nodes, in the order in which a transaction touches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Label {
    /// An artist's record, or an artist that another record names.
    Artist,
    /// A label's.
    Label,
    /// A master's.
    Master,
    /// A release's.
    Release,
    /// A genre, by its name.
    Genre,
    /// A style, by its name.
    Style,
    /// Somebody who is credited on a release, by the name that stands there.
    Person,
}

impl Label {
    /// All of them, in order.
    pub const ALL: [Label; 7] = [
        Label::Artist,
        Label::Label,
        Label::Master,
        Label::Release,
        Label::Genre,
        Label::Style,
        Label::Person,
    ];

    /// The node of a record.
    pub const fn of(kind: Kind) -> Label {
        match kind {
            Kind::Artists => Label::Artist,
            Kind::Labels => Label::Label,
            Kind::Masters => Label::Master,
            Kind::Releases => Label::Release,
        }
    }

    /// The kind of node with this name in the graph.
    pub fn named(name: &str) -> Option<Label> {
        Label::ALL.into_iter().find(|label| label.name() == name)
    }

    /// As the graph calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Label::Artist => "Artist",
            Label::Label => "Label",
            Label::Master => "Master",
            Label::Release => "Release",
            Label::Genre => "Genre",
            Label::Style => "Style",
            Label::Person => "Person",
        }
    }

    /// The property that identifies a node.
    pub const fn key(self) -> &'static str {
        match self {
            Label::Artist | Label::Label | Label::Master | Label::Release => "id",
            Label::Genre | Label::Style | Label::Person => "name",
        }
    }
}

/// A relationship from a record's node that the record alone asserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Own {
    /// `BY` an artist.
    By,
    /// `ON` a label.
    On,
    /// `DERIVED_FROM` a master.
    DerivedFrom,
    /// `IS` of a genre.
    IsGenre,
    /// `IS` of a style.
    IsStyle,
}

impl Own {
    /// Its type in the graph, and what it leads to.
    pub const fn to(self) -> (&'static str, Label) {
        match self {
            Own::By => ("BY", Label::Artist),
            Own::On => ("ON", Label::Label),
            Own::DerivedFrom => ("DERIVED_FROM", Label::Master),
            Own::IsGenre => ("IS", Label::Genre),
            Own::IsStyle => ("IS", Label::Style),
        }
    }
}

/// A relationship between two nodes of one kind, which the record at either end can assert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// `MEMBER_OF`, from a member (its `groups`) to a group (its `members`).
    MemberOf,
    /// `ALIAS_OF`, from an alias to the artist whose `aliases` name it. Only that end asserts it:
    /// where both name each other, there is one in each direction.
    AliasOf,
    /// `SUBLABEL_OF`, from a label (its `parentLabel`) to its parent (its `sublabels`).
    SublabelOf,
}

impl Shared {
    /// Its type in the graph.
    pub const fn name(self) -> &'static str {
        match self {
            Shared::MemberOf => "MEMBER_OF",
            Shared::AliasOf => "ALIAS_OF",
            Shared::SublabelOf => "SUBLABEL_OF",
        }
    }

    /// Which of them the records of a type assert, and at which end of it they stand.
    pub const fn of(kind: Kind) -> &'static [(Shared, Side)] {
        match kind {
            Kind::Artists => &[
                (Shared::MemberOf, Side::Start),
                (Shared::MemberOf, Side::End),
                (Shared::AliasOf, Side::End),
            ],
            Kind::Labels => &[(Shared::SublabelOf, Side::Start), (Shared::SublabelOf, Side::End)],
            Kind::Masters | Kind::Releases => &[],
        }
    }
}

/// An end of a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Where it begins.
    Start,
    /// What it leads to.
    End,
}

/// A person's part in a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credit {
    /// The name that stands there.
    pub name: String,
    /// The role as it stands there.
    pub role: String,
    /// The kind of work.
    pub category: &'static str,
    /// The artist behind the name, if the record says which.
    pub artist_id: Option<String>,
}

/// The value of a node's property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// There is none.
    Nothing,
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Several texts in order.
    Texts(Vec<String>),
}

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Its type.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// SHA-256 of its canonical JSON, lower-case hex.
    pub sha256: String,
    /// The node's properties beside id and hash: those of [`properties`], all of them.
    pub properties: BTreeMap<&'static str, Property>,
    /// What the node leads to: ids or names.
    pub own: BTreeMap<Own, BTreeSet<String>>,
    /// The ids at the other end, by where this record's node stands.
    pub shared: BTreeMap<(Shared, Side), BTreeSet<String>>,
    /// Who did what on the release.
    pub credits: BTreeSet<Credit>,
}

/// A record that has no place in the graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is no JSON object.
    #[error("the record is no JSON object: {0}")]
    NoObject(String),
    /// It has no id.
    #[error("the record has no id")]
    NoId,
    /// A key or a name that no index takes.
    #[error("its {0} is longer than {LONGEST} bytes, which the graph's indexes do not take")]
    TooLong(&'static str),
}

/// The properties that a record's node has beside its id, its hash and its stamp.
pub const fn properties(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Artists => &["name", "resource_url", "releases_url"],
        Kind::Labels => &["name"],
        Kind::Masters => &["title", "year"],
        Kind::Releases => &["title", "year", "formats", "catalog_number"],
    }
}

impl Entity {
    /// Reads a record's canonical JSON, or a data message, which has the same keys and some more.
    /// `this_year` bounds the years that are believed.
    ///
    /// # Errors
    /// If it has no place in the graph.
    pub fn read(kind: Kind, json: &[u8], sha256: &str, this_year: i64) -> Result<Entity, Unfit> {
        let record: Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| Unfit::NoObject(error.to_string()))?;
        let id = record.get("id").or_else(|| record.get("@id")).and_then(text);
        let id = fits(id.ok_or(Unfit::NoId)?, "id")?;
        let mut entity = Entity {
            kind,
            sha256: sha256.to_owned(),
            properties: properties(kind).iter().map(|name| (*name, Property::Nothing)).collect(),
            own: BTreeMap::new(),
            shared: BTreeMap::new(),
            credits: BTreeSet::new(),
            id,
        };
        match kind {
            Kind::Artists => entity.artist(&record)?,
            Kind::Labels => entity.label(&record)?,
            Kind::Masters => entity.master(&record, this_year)?,
            Kind::Releases => entity.release(&record, this_year)?,
        }
        Ok(entity)
    }

    fn artist(&mut self, record: &Map<String, Value>) -> Result<(), Unfit> {
        self.name(record)?;
        let url = format!("{ARTISTS_API}{}", self.id);
        self.set("releases_url", Property::Text(format!("{url}/releases")));
        self.set("resource_url", Property::Text(url));
        self.share(Shared::MemberOf, Side::Start, ids(record.get("groups"))?);
        self.share(Shared::MemberOf, Side::End, ids(record.get("members"))?);
        self.share(Shared::AliasOf, Side::End, ids(record.get("aliases"))?);
        Ok(())
    }

    fn label(&mut self, record: &Map<String, Value>) -> Result<(), Unfit> {
        self.name(record)?;
        self.share(Shared::SublabelOf, Side::Start, ids(record.get("parentLabel"))?);
        self.share(Shared::SublabelOf, Side::End, ids(record.get("sublabels"))?);
        Ok(())
    }

    fn master(&mut self, record: &Map<String, Value>, this_year: i64) -> Result<(), Unfit> {
        self.title(record);
        self.set("year", year(record.get("year"), this_year));
        self.lead(Own::By, ids(record.get("artists"))?);
        self.classify(record)
    }

    fn release(&mut self, record: &Map<String, Value>, this_year: i64) -> Result<(), Unfit> {
        self.title(record);
        self.set("year", year(record.get("released"), this_year));
        let formats = items(record.get("formats"));
        let formats = formats.iter().filter_map(|format| text(format.get("name")?)).collect();
        self.set("formats", Property::Texts(formats));
        let labels = items(record.get("labels"));
        let number = labels.first().and_then(|label| text(label.get("catno")?));
        self.set("catalog_number", number.map_or(Property::Nothing, Property::Text));

        self.lead(Own::By, ids(record.get("artists"))?);
        self.lead(Own::On, ids(record.get("labels"))?);
        let master = record.get("master_id").and_then(text);
        let master = master.map(|id| fits(id, "master_id")).transpose()?;
        self.lead(Own::DerivedFrom, master.into_iter().collect());
        self.classify(record)?;
        for credit in items(record.get("extraartists")) {
            let part = |key| credit.get(key).and_then(text);
            let (Some(name), Some(role)) = (part("name"), part("role")) else { continue };
            let name = fits(name, "credited name")?;
            let artist_id = part("id").map(|id| fits(id, "credited id")).transpose()?;
            let category = category(&role);
            self.credits.insert(Credit { name, role, category, artist_id });
        }
        Ok(())
    }

    /// The only genre, if the record has exactly one: its styles are part of that.
    pub fn only_genre(&self) -> Option<&str> {
        let genres = self.own.get(&Own::IsGenre)?;
        genres.first().filter(|_| genres.len() == 1).map(String::as_str)
    }

    fn classify(&mut self, record: &Map<String, Value>) -> Result<(), Unfit> {
        let names = |key: &'static str| {
            let names = items(record.get(key)).iter().filter_map(text);
            names.map(|name| fits(name, key)).collect::<Result<BTreeSet<_>, _>>()
        };
        self.lead(Own::IsGenre, names("genres")?);
        self.lead(Own::IsStyle, names("styles")?);
        Ok(())
    }

    fn name(&mut self, record: &Map<String, Value>) -> Result<(), Unfit> {
        let Some(name) = record.get("name").and_then(text) else { return Ok(()) };
        self.set("name", Property::Text(fits(name, "name")?));
        Ok(())
    }

    fn title(&mut self, record: &Map<String, Value>) {
        if let Some(title) = record.get("title").and_then(text) {
            self.set("title", Property::Text(title));
        }
    }

    fn set(&mut self, name: &'static str, value: Property) {
        self.properties.insert(name, value);
    }

    fn lead(&mut self, own: Own, to: BTreeSet<String>) {
        if !to.is_empty() {
            self.own.insert(own, to);
        }
    }

    fn share(&mut self, shared: Shared, side: Side, others: BTreeSet<String>) {
        if !others.is_empty() {
            self.shared.insert((shared, side), others);
        }
    }
}

/// A text, if there is one: of an element with attributes, what stood between its tags.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Object(object) => object.get("#text")?.as_str()?,
        other => other.as_str()?,
    };
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// A list, or the one thing that stands where a list could.
fn items(value: Option<&Value>) -> &[Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(other) => std::slice::from_ref(other),
    }
}

/// The ids of those items that have one.
fn ids(value: Option<&Value>) -> Result<BTreeSet<String>, Unfit> {
    let ids = items(value).iter().filter_map(|item| text(item.get("id")?));
    ids.map(|id| fits(id, "id of another")).collect()
}

fn fits(text: String, what: &'static str) -> Result<String, Unfit> {
    if text.len() > LONGEST { Err(Unfit::TooLong(what)) } else { Ok(text) }
}

/// The year that a date begins with, if it can be one.
fn year(value: Option<&Value>, this_year: i64) -> Property {
    let year = value.and_then(text).and_then(|date| {
        let digits = date.get(..4)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|_| all)
    });
    match year {
        Some(year) if (FIRST_YEAR..=this_year + 1).contains(&year) => Property::Number(year),
        _ => Property::Nothing,
    }
}

#[cfg(test)]
mod tests;
