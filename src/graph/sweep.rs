//! Removing the records that a complete version no longer has, a bounded stretch at a time.

use std::collections::BTreeMap;

use neo4rs::{BoltMap, BoltType, Query};

use super::activity;
use super::decide::Age;
use super::delivered::delivered;
use super::fault::GraphError;
use super::imprint::{Held, PROPERTY as IMPRINT, held};
use super::link::{Link, patiently};
use super::model::Label;
use super::rows::{null, row};
use super::walk::{between, keys, list};
use super::withdraw::{DELETE, Holder, withdraw};
use crate::model::{Kind, Sweep, Swept};

/// Nodes that one step looks at, and so the most that one transaction removes.
const STEP: usize = 2_000;

/// Whether a node is a record's, and not of this run of the version and not of a later one.
/// The runs of one version are compared as in `decide`.
const STALE: &str = "(n.sha256 IS NOT NULL AND (n.version IS NULL OR n.version < $version
     OR (n.version = $version AND (n.run IS NULL OR n.run < $run))))";

/// Consecutive nodes of a label.
struct Stretch {
    after: String,
    last: String,
    rows: u64,
    stale: u64,
}

/// Removes what a complete version no longer has, with all that it asserted. A record that others
/// still name stays as a bare node. `go_on` is told the nodes looked at, then those removed, and
/// ends it by saying no.
///
/// # Errors
/// If the server is away or the database is broken; what was removed stays so.
pub async fn sweep(
    link: &Link,
    sweep: &Sweep,
    go_on: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<Swept, GraphError> {
    let held = delivered(link, sweep.file, sweep.run).await?;
    let (mut rows, mut stale) = (0, 0);
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut after = String::new();
    while let Some(stretch) = next_stretch(link, sweep, &after).await? {
        rows += stretch.rows;
        stale += stretch.stale;
        let looked_at = stretch.rows;
        after.clone_from(&stretch.last);
        if stretch.stale > 0 {
            stretches.push(stretch);
        }
        if !go_on(looked_at) {
            return Ok(Swept::Stopped);
        }
    }
    if !sweep.anyway {
        // Nothing would go, so nothing need be proven; but then late messages are not held back.
        if let Some(why) = sweep.unproven(held.prefix()) {
            return Ok(if stale == 0 { Swept::Removed(0) } else { Swept::Refused(why) });
        }
        if let Some(why) = sweep.too_many(rows, stale) {
            return Ok(Swept::Refused(why));
        }
    }
    patiently(link, || note_sweep(link, sweep)).await?;
    let mut removed = 0;
    for stretch in &stretches {
        let step = patiently(link, || remove(link, sweep, stretch)).await?;
        removed += step;
        if !go_on(step) {
            return Ok(Swept::Stopped);
        }
    }
    Ok(Swept::Removed(removed))
}

fn with_age(query: String, sweep: &Sweep) -> Query {
    let age = Age::new(sweep.file.version, sweep.run);
    Query::new(query).param("version", age.version).param("run", age.run)
}

/// The stretch that follows a key; none at the end.
async fn next_stretch(
    link: &Link,
    sweep: &Sweep,
    after: &str,
) -> Result<Option<Stretch>, GraphError> {
    let label = Label::of(sweep.file.kind);
    let statement = format!(
        "MATCH (n:{}) WHERE n.id > $after AND n.id <= $last
         RETURN count(n.sha256) AS rows, sum(CASE WHEN {STALE} THEN 1 ELSE 0 END) AS stale",
        label.name()
    );
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let Some(last) = keys(&mut tx, label, after, STEP).await?.pop() else {
            tx.commit().await?;
            return Ok(None);
        };
        let query = with_age(statement.clone(), sweep);
        let rows = tx.rows(query.param("after", after).param("last", last.as_str())).await?;
        tx.commit().await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let count = |name| Ok::<_, GraphError>(row.get::<i64>(name)?.cast_unsigned());
        let (rows, stale) = (count("rows")?, count("stale")?);
        Ok(Some(Stretch { after: after.to_owned(), last, rows, stale }))
    })
    .await
}

/// Notes that what is older is gone for good. Written before anything is removed: whoever takes
/// a node before it is looked at here is seen to be stale, whoever takes it later sees the note.
async fn note_sweep(link: &Link, sweep: &Sweep) -> Result<(), GraphError> {
    let statement = "MERGE (s:ExtractorSwept {type: $type})
         SET s.claimed = true WITH s REMOVE s.claimed
         WITH s WHERE s.version IS NULL OR s.version < $version
             OR (s.version = $version AND s.run < $run)
         SET s.version = $version SET s.run = $run";
    let mut tx = link.begin().await?;
    let query = with_age(statement.to_owned(), sweep).param("type", sweep.file.kind.name());
    tx.run(query).await?;
    tx.commit().await
}

/// Removes what is stale in a stretch; says how many records.
async fn remove(link: &Link, sweep: &Sweep, stretch: &Stretch) -> Result<u64, GraphError> {
    let kind = sweep.file.kind;
    let label = Label::of(kind).name();
    let mut tx = link.begin().await?;
    let keys = between(&mut tx, Label::of(kind), &stretch.after, &stretch.last).await?;
    let claim = format!(
        "UNWIND $keys AS key MATCH (n:{label} {{id: key}}) WHERE {STALE}
         SET n.claimed = true WITH n REMOVE n.claimed
         WITH n WHERE {STALE}
         RETURN n.id AS id"
    );
    let rows = tx.rows(with_age(claim, sweep).param("keys", list(&keys))).await?;
    let ids = rows.iter().map(|row| row.get::<String>("id")).collect::<Result<Vec<_>, _>>()?;
    let holders: Vec<_> = ids.iter().map(|id| Holder { id, now: None }).collect();
    withdraw(&mut tx, kind, &holders).await?;
    let rows = || ids.iter().map(|id| BoltType::from(id.as_str())).collect::<Vec<_>>();
    if kind == Kind::Artists {
        let same = format!(
            "UNWIND $rows AS id MATCH (:Person)-[r:SAME_AS]->(n:Artist {{id: id}})
             WHERE r.source IS NULL {DELETE}"
        );
        tx.each(same, rows()).await?;
    }
    let held = held(&mut tx, kind, rows()).await?;
    let set = format!("UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) SET n += row.set");
    tx.each(set, bare(kind, &held)).await?;
    let isolated = format!(
        "UNWIND $rows AS row MATCH (n:{label} {{id: row.id}})
         WHERE NOT (n)--() AND all(name IN keys(n) WHERE name IN row.leavings) DELETE n"
    );
    tx.each(isolated, bare(kind, &held)).await?;
    activity::raise(&mut tx, kind).await?;
    tx.commit().await?;
    Ok(ids.len() as u64)
}

/// Rows that leave a node its id and what is not its record's. If that is nothing but `leavings`, it
/// may go.
fn bare(kind: Kind, held: &BTreeMap<String, Held>) -> Vec<BoltType> {
    let one = |(id, held): (&String, &Held)| {
        let mut set = BoltMap::default();
        let own = ["sha256", "version", "run", "ordinal", IMPRINT];
        for name in own.into_iter().chain(held.of_record(id)) {
            set.put(name.into(), null());
        }
        let leavings = held.leavings(kind).into_iter().map(BoltType::from).collect();
        let leavings = BoltType::List(leavings);
        row([("id", id.as_str().into()), ("set", BoltType::Map(set)), ("leavings", leavings)])
    };
    held.iter().map(one).collect()
}
