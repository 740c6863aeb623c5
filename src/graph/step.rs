//! What one step of a settling does within its transaction, and what it finds for the nodes that are
//! counted from the other side.

use std::collections::BTreeMap;

use neo4rs::{BoltMap, BoltType, Query};

use super::aggregate::{
    CREDITED, LEADS, NOT_PART_OF_GATHERED, NOT_SAME_AS_GATHERED, SAME_AS_GATHERED, counts_for,
    each, orphans, probed,
};
use super::fault::GraphError;
use super::gathered::{Allotment, Gathered, Leads};
use super::link::Tx;
use super::model::Label;
use super::rows::{null, row, texts};
use super::settling::Stage;
use super::walk::list;

/// The nodes that a stage walks over; none if it has a list of its own.
pub(super) const fn walked(stage: Stage) -> Option<Label> {
    match stage {
        Stage::Genres => Some(Label::Genre),
        Stage::Styles => Some(Label::Style),
        Stage::Labels => Some(Label::Label),
        Stage::Artists => Some(Label::Artist),
        Stage::People => Some(Label::Person),
        Stage::Masters => Some(Label::Master),
        Stage::Releases => Some(Label::Release),
        Stage::Gathered => None,
        Stage::Orphans(label) => Some(label),
    }
}

/// What a step finds for the nodes that are counted from the other side.
pub(super) enum Contribution {
    Alone { what: Label, label: Label, key: String, nodes: u64 },
    Master(Leads),
    Release(Leads),
    Credit { person: String, artist: Option<String>, taken_over: bool },
}

impl Contribution {
    /// Adds it to what was found before.
    pub(super) fn counts(self, gathered: &mut Gathered) {
        match self {
            Contribution::Alone { what, label, key, nodes } => {
                gathered.alone(what, label, &key, nodes);
            }
            Contribution::Master(leads) => gathered.master(&leads),
            Contribution::Release(leads) => gathered.release(&leads),
            Contribution::Credit { person, artist, taken_over } => {
                gathered.credit(&person, artist.as_deref(), taken_over);
            }
        }
    }
}

/// Some nodes, within a transaction.
pub(super) struct Step<'a> {
    /// The transaction.
    pub(super) tx: &'a mut Tx,
    /// What is done.
    pub(super) stage: Stage,
    /// The kind of nodes.
    pub(super) label: Label,
    /// Their keys.
    pub(super) keys: &'a [String],
}

impl Step<'_> {
    /// Does what the stage does with each; nothing, and no answer, if too much leads to them.
    pub(super) async fn take(
        mut self,
        relationships: usize,
        gathered: &Gathered,
    ) -> Result<Option<Vec<Contribution>>, GraphError> {
        if let Some((_, pattern)) = probed(self.stage) {
            let most = relationships.saturating_add(1);
            let probe =
                format!("MATCH {pattern} WITH r LIMIT {most} RETURN count(r) AS relationships");
            let rows = self.rows(&probe).await?;
            let found = rows.first().map(|row| row.get::<i64>("relationships")).transpose()?;
            if found.unwrap_or(0).cast_unsigned() > relationships as u64 {
                return Ok(None);
            }
        }
        for what in each(self.stage) {
            let query = self.query(what);
            self.tx.run(query).await?;
        }
        if let Stage::Orphans(label) = self.stage {
            let query = self.query(&orphans(label));
            self.tx.run(query).await?;
        }
        let mut found = Vec::new();
        for (others, way) in counts_for(self.stage) {
            if others.iter().any(|other| gathered.has(*other)) {
                found.extend(self.alone(way).await?);
            }
        }
        match self.stage {
            Stage::Masters => found.extend(self.leads().await?.map(Contribution::Master)),
            Stage::Releases => {
                found.extend(self.leads().await?.map(Contribution::Release));
                if gathered.has(Label::Person) {
                    found.extend(self.credits().await?);
                }
            }
            Stage::Genres
            | Stage::Styles
            | Stage::Labels
            | Stage::Artists
            | Stage::People
            | Stage::Gathered
            | Stage::Orphans(_) => {}
        }
        Ok(Some(found))
    }

    fn query(&self, what: &str) -> Query {
        let (name, key) = (self.label.name(), self.label.key());
        let statement =
            format!("UNWIND $keys AS key MATCH (n:{name} {{{key}: key}}) WITH n {what}");
        Query::new(statement).param("keys", list(self.keys))
    }

    async fn rows(&mut self, what: &str) -> Result<Vec<neo4rs::Row>, GraphError> {
        let query = self.query(what);
        self.tx.rows(query).await
    }

    /// For how many of the nodes each of the others counts.
    async fn alone(&mut self, way: &str) -> Result<Vec<Contribution>, GraphError> {
        let statement = format!(
            "MATCH {way} WITH DISTINCT n, other
             RETURN labels(other) AS labels, coalesce(other.id, other.name) AS key,
                 count(n) AS nodes"
        );
        let rows = self.rows(&statement).await?;
        let mut found = Vec::new();
        for row in &rows {
            let Some(label) = labelled(row)? else { continue };
            let (key, nodes) = (row.get("key")?, row.get::<i64>("nodes")?.cast_unsigned());
            found.push(Contribution::Alone { what: self.label, label, key, nodes });
        }
        Ok(found)
    }

    async fn leads(&mut self) -> Result<impl Iterator<Item = Leads> + use<>, GraphError> {
        let rows = self.rows(LEADS).await?;
        let mut leads: BTreeMap<String, Leads> = BTreeMap::new();
        for row in &rows {
            let (Some(label), Some(key)) = (labelled(row)?, row.get::<Option<String>>("key")?)
            else {
                continue;
            };
            let of = leads.entry(row.get("id")?).or_default();
            of.year = row.get("year")?;
            if row.get::<bool>("own")? {
                of.own.entry(label).or_default().insert(key.clone());
            }
            of.to.entry(label).or_default().insert(key);
        }
        Ok(leads.into_values())
    }

    async fn credits(&mut self) -> Result<Vec<Contribution>, GraphError> {
        let rows = self.rows(CREDITED).await?;
        let credit = |row: &neo4rs::Row| {
            let (person, artist) = (row.get("name")?, row.get("artist")?);
            Ok(Contribution::Credit { person, artist, taken_over: row.get("taken_over")? })
        };
        rows.iter().map(credit).collect()
    }
}

/// The label of a row's node, if it is one of those that records make.
fn labelled(row: &neo4rs::Row) -> Result<Option<Label>, GraphError> {
    let labels: Vec<String> = row.get("labels")?;
    Ok(labels.iter().find_map(|name| Label::named(name)))
}

/// Gives gathered nodes what was counted for them.
pub(super) async fn give(tx: &mut Tx, due: &[Allotment<'_>]) -> Result<(), GraphError> {
    let rows = |label: Label| {
        let of = due.iter().filter(move |due| due.label == label);
        of.map(|due| {
            let mut set = BoltMap::default();
            for (name, count) in &due.counts {
                set.put((*name).into(), count.map_or_else(null, BoltType::from));
            }
            let set = BoltType::Map(set);
            let (leads_to, taken_over) = (texts(due.leads_to), due.taken_over.into());
            let key = due.key.into();
            row([("key", key), ("set", set), ("leads_to", leads_to), ("taken_over", taken_over)])
        })
        .collect::<Vec<_>>()
    };
    for label in [Label::Label, Label::Genre, Label::Style, Label::Person] {
        let (name, key) = (label.name(), label.key());
        let set =
            format!("UNWIND $rows AS row MATCH (n:{name} {{{key}: row.key}}) SET n += row.set");
        tx.each(set, rows(label)).await?;
    }
    tx.each(NOT_PART_OF_GATHERED, rows(Label::Style)).await?;
    tx.each(NOT_SAME_AS_GATHERED, rows(Label::Person)).await?;
    tx.each(SAME_AS_GATHERED, rows(Label::Person)).await
}
