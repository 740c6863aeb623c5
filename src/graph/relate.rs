//! The nodes that records name and the relationships that they assert, into the graph.

use std::collections::{BTreeMap, BTreeSet};

use neo4rs::BoltType;

use super::fault::GraphError;
use super::link::{MADE, Tx};
use super::model::{Entity, Label, Own, Shared, Side};
use super::rows::{null, row};
use crate::model::Kind;

/// Makes the nodes that the records name.
pub(super) async fn others(tx: &mut Tx, entities: &[&Entity]) -> Result<(), GraphError> {
    let mut nodes: BTreeMap<Label, BTreeSet<&str>> = BTreeMap::new();
    for entity in entities {
        for (own, keys) in &entity.own {
            nodes.entry(own.to().1).or_default().extend(keys.iter().map(String::as_str));
        }
        for ids in entity.shared.values() {
            let label = Label::of(entity.kind);
            nodes.entry(label).or_default().extend(ids.iter().map(String::as_str));
        }
        let people = entity.credits.iter().map(|credit| credit.name.as_str());
        nodes.entry(Label::Person).or_default().extend(people);
    }
    for (label, keys) in nodes {
        let (name, key) = (label.name(), label.key());
        let keys = keys.into_iter().map(BoltType::from).collect();
        tx.each(format!("UNWIND $rows AS key MERGE (:{name} {{{key}: key}})"), keys).await?;
    }
    Ok(())
}

pub(super) async fn relationships(
    tx: &mut Tx,
    kind: Kind,
    entities: &[&Entity],
) -> Result<(), GraphError> {
    let label = Label::of(kind).name();
    for own in [Own::By, Own::On, Own::DerivedFrom, Own::IsGenre, Own::IsStyle] {
        let (name, other) = own.to();
        let (other, key) = (other.name(), other.key());
        // The record's node is ours, and those of ours that it had are taken back: there are none to
        // be found, but such as others made for themselves.
        let create = format!(
            "UNWIND $rows AS row MATCH (n:{label} {{id: row.id}})
             MATCH (other:{other} {{{key}: row.other}})
             CREATE (n)-[:{name}]->(other) {MADE}"
        );
        let of = |entity: &&Entity| pairs(&entity.id, entity.own.get(&own));
        tx.make(create, entities.iter().flat_map(of).collect()).await?;
    }
    for (shared, side) in Shared::of(kind) {
        let of = |entity: &&Entity| pairs(&entity.id, entity.shared.get(&(*shared, *side)));
        let rows = entities.iter().flat_map(of).collect();
        tx.make(share(label, *shared, *side), rows).await?;
    }
    let parts: BTreeSet<(&str, &str)> = entities
        .iter()
        .flat_map(|entity| {
            let styles = entity.own.get(&Own::IsStyle).into_iter().flatten();
            entity
                .only_genre()
                .into_iter()
                .flat_map(move |genre| styles.clone().map(move |style| (style.as_str(), genre)))
        })
        .collect();
    let parts = parts.into_iter().map(|(style, genre)| pair(style, genre)).collect();
    let part_of = format!(
        "UNWIND $rows AS row MATCH (s:Style {{name: row.id}})
         MATCH (g:Genre {{name: row.other}}) MERGE (s)-[:PART_OF]->(g) {MADE}"
    );
    tx.make(part_of, parts).await?;
    credits(tx, entities).await
}

async fn credits(tx: &mut Tx, entities: &[&Entity]) -> Result<(), GraphError> {
    let (mut credits, mut same) = (Vec::new(), BTreeSet::new());
    for entity in entities {
        for credit in &entity.credits {
            let artist = credit.artist_id.as_deref();
            same.extend(artist.map(|artist| (credit.name.as_str(), artist)));
            credits.push(row([
                ("id", entity.id.as_str().into()),
                ("name", credit.name.as_str().into()),
                ("role", credit.role.as_str().into()),
                ("category", credit.category.into()),
                ("artist", artist.map_or_else(null, BoltType::from)),
            ]));
        }
    }
    let credited = format!(
        "UNWIND $rows AS row MATCH (p:Person {{name: row.name}})
         MATCH (r:Release {{id: row.id}})
         CREATE (p)-[c:CREDITED_ON {{role: row.role, category: row.category}}]->(r)
         SET c.artist_id = row.artist {MADE}"
    );
    tx.make(credited, credits).await?;
    let same = same.into_iter().map(|(name, artist)| pair(name, artist)).collect();
    let same_as = "UNWIND $rows AS row MATCH (p:Person {name: row.id})
         MATCH (a:Artist {id: row.other}) WHERE a.sha256 IS NOT NULL
         MERGE (p)-[:SAME_AS]->(a)";
    tx.each(same_as, same).await
}

/// One that is there, whoever made it, gets the flag of our side and nothing else: without the
/// other flag it counts as asserted there (`withdraw`). One that we make is asserted by us alone.
fn share(label: &str, shared: Shared, side: Side) -> String {
    let name = shared.name();
    let (pattern, ours, theirs) = match side {
        Side::Start => (format!("-[r:{name}]->"), "by_start", "by_end"),
        Side::End => (format!("<-[r:{name}]-"), "by_end", "by_start"),
    };
    format!(
        "UNWIND $rows AS row MATCH (n:{label} {{id: row.id}})
         MATCH (other:{label} {{id: row.other}})
         MERGE (n){pattern}(other) ON CREATE SET r.{theirs} = false
         SET r.{ours} = true {MADE}"
    )
}

fn pair(id: &str, other: &str) -> BoltType {
    row([("id", id.into()), ("other", other.into())])
}

fn pairs(id: &str, others: Option<&BTreeSet<String>>) -> Vec<BoltType> {
    others.into_iter().flatten().map(|other| pair(id, other)).collect()
}
