//! Batches of records into the graph, each batch in one transaction with the note of its ordinals.

use std::collections::BTreeMap;
use std::time::Instant;

use neo4rs::{BoltMap, BoltType, Query};

use super::activity;
use super::decide::{Age, Stamp, Stored, Verdict, decide};
use super::delivered;
use super::fault::{Fault, GraphError};
use super::imprint::{PROPERTY as IMPRINT, held, imprint, is_left_over};
use super::link::{Link, Tx, patiently};
use super::model::{Entity, Label, Property};
use super::notes::agree_within;
use super::relate::relationships;
use super::rows::{property, row};
use super::unnumbered::{newly, of_pass, unnumbered};
use super::withdraw::{Holder, withdraw, withdraw_shared};
use crate::model::agreement::{Counted, Event, Noter, Sources};
use crate::model::{DumpName, Kind, Ranges, Run, Timestamp, Version};

/// Records in one transaction at most: of releases 2,000 went at 1,240 a second, 500 at 900 and
/// 150 at 870. Of more, those that are in each other's way lose too much.
const BATCH: usize = 2_000;

/// A record as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Where it comes from; messages of older extractors do not say.
    pub stamp: Option<Stamp>,
    /// What it says.
    pub entity: Entity,
}

/// What is noted with the records.
#[derive(Clone, Copy, Debug)]
pub struct Noting<'a> {
    /// Their type.
    pub kind: Kind,
    /// Whose notes of completion they change, if they are messages.
    pub noter: Option<&'a Noter>,
    /// The time.
    pub now: Timestamp,
}

/// The records that the graph refused for themselves, by index, with its words.
pub type Refused = BTreeMap<usize, String>;

/// Writes records of one type, in the order in which they came, and notes their ordinals with
/// them, but for those refused. Of several with one id the latest counts (`Age`), of those without
/// a stamp the one that came last. Conflicts with other writers are tried again here.
///
/// # Errors
/// If the server is away or the database is broken: some of the records may have been written.
/// All may be written again. A refused record is no error.
pub async fn write(
    link: &Link,
    noting: &Noting<'_>,
    arrivals: &[Arrival],
) -> Result<Refused, GraphError> {
    let mut refused = Refused::new();
    let firsts = (0..arrivals.len()).step_by(BATCH).rev();
    let mut parts: Vec<_> = firsts.map(|first| first..arrivals.len().min(first + BATCH)).collect();
    while let Some(part) = parts.pop() {
        match write_batch(link, noting, &arrivals[part.clone()]).await {
            Ok(()) => {}
            Err(error) if error.fault == Fault::Record && part.len() > 1 => {
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
            Err(error) if error.fault == Fault::Record => {
                refused.insert(part.start, error.words);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

async fn write_batch(
    link: &Link,
    noting: &Noting<'_>,
    arrivals: &[Arrival],
) -> Result<(), GraphError> {
    let (began, latest) = (Instant::now(), fold(arrivals));
    patiently(link, || attempt(link, noting, &latest, arrivals, began)).await
}

/// For each id, in order, what counts of it.
fn fold(arrivals: &[Arrival]) -> BTreeMap<&str, (Age, &Entity)> {
    let mut latest: BTreeMap<&str, (Age, &Entity)> = BTreeMap::new();
    for arrival in arrivals {
        let age = Age::of(arrival.stamp.as_ref());
        let known = latest.get(arrival.entity.id.as_str());
        if known.is_none_or(|(known, _)| *known <= age) {
            latest.insert(&arrival.entity.id, (age, &arrival.entity));
        }
    }
    latest
}

async fn attempt(
    link: &Link,
    noting: &Noting<'_>,
    latest: &BTreeMap<&str, (Age, &Entity)>,
    arrivals: &[Arrival],
    began: Instant,
) -> Result<(), GraphError> {
    let kind = noting.kind;
    let mut tx = link.begin().await?;
    let pass = match noting.noter {
        Some(noter) if arrivals.iter().any(|arrival| arrival.stamp.is_none()) => {
            Some(unnumbered(&mut tx, noter, kind).await?.now())
        }
        Some(_) | None => None,
    };
    let latest = &of_pass(latest, pass);
    let stored =
        claim(&mut tx, kind, latest.keys().map(|id| BoltType::from(*id)).collect()).await?;
    let ids = newly(latest, &stored);
    let swept = last_swept(&mut tx, kind).await?;
    let (mut stamps, mut dropped, mut written) = (Vec::new(), Vec::new(), Vec::new());
    let (mut met, mut changed) = (Vec::new(), Vec::new());
    for (id, (age, entity)) in latest {
        let none = Stored::default();
        let stored = stored.get(*id).unwrap_or(&none);
        match decide(stored, swept.as_ref(), &entity.sha256, age) {
            Verdict::Keep => {}
            Verdict::Drop => dropped.push(BoltType::from(*id)),
            Verdict::Stamp => stamps.push(stamp_row(entity, age)),
            Verdict::Write => {
                written.push((age, *entity));
                if stored.was_there {
                    met.push(Holder { id, now: Some(entity) });
                }
            }
            Verdict::Rewrite => {
                written.push((age, *entity));
                changed.push(Holder { id, now: Some(entity) });
            }
        }
    }
    let label = Label::of(kind).name();
    // Looking for them made them.
    let unmake = format!(
        "UNWIND $rows AS id MATCH (n:{label} {{id: id}})
         WHERE n.sha256 IS NULL AND {} DELETE n",
        is_left_over(Label::of(kind))
    );
    tx.each(unmake, dropped).await?;
    tx.each(
        format!(
            "UNWIND $rows AS row MATCH (n:{label} {{id: row.id}})
             SET n.version = row.version SET n.run = row.run SET n.ordinal = row.ordinal
             SET n.{IMPRINT} = row.imprint"
        ),
        stamps,
    )
    .await?;
    withdraw_shared(&mut tx, kind, &met).await?;
    withdraw(&mut tx, kind, &changed).await?;
    let lost = lost(&mut tx, kind, &changed).await?;
    let node = |(age, entity): &(&Age, &Entity)| {
        node_row(entity, age, lost.get(&entity.id).map_or(&[], Vec::as_slice))
    };
    let rows = written.iter().map(node).collect();
    let set = format!("UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) SET n += row.set");
    tx.each(set, rows).await?;
    let entities: Vec<&Entity> = written.iter().map(|(_, entity)| *entity).collect();
    relationships(&mut tx, kind, &entities).await?;
    for ((version, run), ranges) in ordinals(arrivals) {
        delivered::note(&mut tx, DumpName { version, kind }, Run(run), &ranges).await?;
    }
    if let Some(noter) = noting.noter {
        let counted = pass.map(|pass| Counted { pass, ids, took: began.elapsed() });
        let came = Event::Written(Sources { runs: runs(arrivals), unnumbered: counted });
        let (agreed, _) = agree_within(&mut tx, noter, kind, &came, noting.now).await?;
        if pass.is_some_and(|pass| !agreed.unnumbered.has(pass)) {
            tx.rollback().await?;
            return Err(GraphError::conflict("the pass of these records was ended meanwhile"));
        }
    }
    // Last, as all who write the type take this node.
    activity::raise(&mut tx, kind).await?;
    tx.commit().await
}

/// Takes the nodes of these ids for this transaction, makes those that are missing, and reads
/// what is known of them. What a node has is read after it is locked, or two writers could each
/// believe to be the later one.
async fn claim(
    tx: &mut Tx,
    kind: Kind,
    ids: Vec<BoltType>,
) -> Result<BTreeMap<String, Stored>, GraphError> {
    let statement = format!(
        "UNWIND $rows AS id MERGE (n:{} {{id: id}})
         ON CREATE SET n.claimed = false ON MATCH SET n.claimed = true
         WITH n, n.claimed AS was_there REMOVE n.claimed
         RETURN n.id AS id, was_there, n.sha256 AS sha256, n.version AS version, n.run AS run,
             n.ordinal AS ordinal",
        Label::of(kind).name()
    );
    let rows = tx.rows(Query::new(statement).param("rows", ids)).await?;
    let read = |row: &neo4rs::Row| {
        let version: Option<String> = row.get("version")?;
        let run: Option<i64> = row.get("run")?;
        // Nodes from before it was kept have none.
        let ordinal = row.get::<Option<i64>>("ordinal")?.unwrap_or(0);
        let age = version.map(|version| Age { version, run: run.unwrap_or(0), ordinal });
        let (was_there, sha256) = (row.get("was_there")?, row.get("sha256")?);
        Ok::<_, GraphError>((row.get("id")?, Stored { was_there, sha256, age }))
    };
    rows.iter().map(read).collect()
}

/// What goes from the nodes of changed records, by id: what the earlier record set and this one
/// does not have.
async fn lost(
    tx: &mut Tx,
    kind: Kind,
    changed: &[Holder<'_>],
) -> Result<BTreeMap<String, Vec<&'static str>>, GraphError> {
    let lacks = |holder: &&Holder<'_>| {
        holder.now.is_some_and(|it| it.properties.values().any(|it| *it == Property::Nothing))
    };
    let ids = changed.iter().filter(lacks).map(|holder| BoltType::from(holder.id)).collect();
    let held = held(tx, kind, ids).await?;
    Ok(held.into_iter().map(|(id, held)| (id.clone(), held.of_record(&id))).collect())
}

async fn last_swept(tx: &mut Tx, kind: Kind) -> Result<Option<Age>, GraphError> {
    let statement =
        "MATCH (s:ExtractorSwept {type: $type}) RETURN s.version AS version, s.run AS run";
    let rows = tx.rows(Query::new(statement.to_owned()).param("type", kind.name())).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Age { version: row.get("version")?, run: row.get("run")?, ordinal: 0 }))
}

/// It is the record that was written, so its imprint is known, also where none was left then.
fn stamp_row(entity: &Entity, age: &Age) -> BoltType {
    row([
        ("id", entity.id.as_str().into()),
        ("version", age.version.as_str().into()),
        ("run", age.run.into()),
        ("ordinal", age.ordinal.into()),
        ("imprint", imprint(entity).into()),
    ])
}

fn node_row(entity: &Entity, age: &Age, lost: &[&str]) -> BoltType {
    let mut set = BoltMap::default();
    set.put("sha256".into(), entity.sha256.as_str().into());
    set.put("version".into(), age.version.as_str().into());
    set.put("run".into(), age.run.into());
    set.put("ordinal".into(), age.ordinal.into());
    set.put(IMPRINT.into(), imprint(entity).into());
    for (name, value) in &entity.properties {
        if *value != Property::Nothing || lost.contains(name) {
            set.put((*name).into(), property(value));
        }
    }
    row([("id", entity.id.as_str().into()), ("set", BoltType::Map(set))])
}

/// The versions and runs that the records come from, each once.
fn runs(arrivals: &[Arrival]) -> Vec<(Version, Run)> {
    let mut runs = Vec::new();
    for Stamp { version, run, .. } in arrivals.iter().filter_map(|arrival| arrival.stamp) {
        if !runs.contains(&(version, run)) {
            runs.push((version, run));
        }
    }
    runs
}

/// The ordinals of a batch by version and run.
fn ordinals(arrivals: &[Arrival]) -> BTreeMap<(Version, u64), Ranges> {
    let mut ranges: BTreeMap<(Version, u64), Ranges> = BTreeMap::new();
    for stamp in arrivals.iter().filter_map(|arrival| arrival.stamp) {
        let of = ranges.entry((stamp.version, stamp.run.0)).or_default();
        of.insert(stamp.ordinal..=stamp.ordinal);
    }
    ranges
}
