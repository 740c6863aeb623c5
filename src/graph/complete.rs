//! Consumers' notes in the graph: a node for each announced run, with what the tables have in
//! `extractor_complete`. Each change locks what it depends on, so that replicas agree.

use std::collections::BTreeMap;

use neo4rs::{BoltMap, BoltType, Query, Row};

use super::delivered::{self, delivered};
use super::fault::GraphError;
use super::link::{Link, Tx, patiently};
use super::rows::{null, row};
use crate::model::complete::{Announced, Note, Noter, Sweep};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp, Version};

const FIELDS: &str = "c.version AS version, c.run AS run, c.last AS last,
     c.bad_records AS bad_records, c.completed_at AS completed_at, c.cancel_at AS cancel_at,
     c.cancelled_at AS cancelled_at, c.sweep AS sweep";

/// What names a note. Without our headers nothing is known of a run: it is 0 then.
fn key(noter: &Noter, announced: &Announced) -> String {
    let Announced { kind, version, proof } = announced;
    let version = version.map(|version| version.to_string()).unwrap_or_default();
    let run = proof.map_or(0, |(run, ..)| run.0);
    format!("{}-{kind}-{version}-{run}", noter.consumer)
}

fn number(number: u64) -> BoltType {
    number.cast_signed().into()
}

fn time(at: Option<Timestamp>) -> BoltType {
    at.map_or_else(null, |at| number(at.0))
}

fn read(row: &Row, kind: Kind) -> Result<Note, GraphError> {
    let count = |name| Ok::<_, GraphError>(row.get::<Option<i64>>(name)?.map(i64::cast_unsigned));
    let at = |name| Ok::<_, GraphError>(count(name)?.map(Timestamp));
    let version: Option<String> = row.get("version")?;
    let run = Run(count("run")?.unwrap_or_default());
    let proof = count("last")?.zip(count("bad_records")?);
    let sweep: Option<String> = row.get("sweep")?;
    Ok(Note {
        announced: Announced {
            kind,
            version: version.and_then(|version| version.parse().ok()),
            proof: proof.map(|(last, bad_records)| (run, Ordinal(last), bad_records)),
        },
        written: 0,
        completed_at: at("completed_at")?,
        cancel_at: at("cancel_at")?,
        cancelled_at: at("cancelled_at")?,
        sweep: sweep.as_deref().and_then(Sweep::named),
    })
}

fn of_type(statement: String, noter: &Noter, kind: Kind) -> Query {
    Query::new(statement).param("consumer", noter.consumer.as_str()).param("type", kind.name())
}

/// Everything that is noted of a type.
///
/// # Errors
/// If the graph cannot be read.
pub async fn notes(link: &Link, noter: &Noter, kind: Kind) -> Result<Vec<Note>, GraphError> {
    let statement =
        format!("MATCH (c:ExtractorComplete {{consumer: $consumer, type: $type}}) RETURN {FIELDS}");
    let mut found = patiently(link, || async {
        let mut tx = link.begin().await?;
        let rows = tx.rows(of_type(statement.clone(), noter, kind)).await?;
        tx.commit().await?;
        rows.iter().map(|row| read(row, kind)).collect::<Result<Vec<_>, _>>()
    })
    .await?;
    for note in &mut found {
        let Announced { version: Some(version), proof: Some((run, last, _)), .. } = note.announced
        else {
            continue;
        };
        let held = delivered(link, DumpName { version, kind }, run).await?;
        note.written = held.count_to(last);
    }
    Ok(found)
}

/// Takes the notes of a type for this transaction, changes them, and says whether any is changed.
async fn change(
    tx: &mut Tx,
    noter: &Noter,
    kind: Kind,
    only: &str,
    after: impl Fn(Note) -> Note,
) -> Result<bool, GraphError> {
    let claim = format!(
        "MATCH (c:ExtractorComplete {{consumer: $consumer, type: $type}}) {only}
         SET c.claimed = true WITH c REMOVE c.claimed RETURN {FIELDS}"
    );
    let mut changed = Vec::new();
    for found in tx.rows(of_type(claim, noter, kind)).await? {
        let before = read(&found, kind)?;
        let after = after(before);
        if after != before {
            let mut set = BoltMap::default();
            let proof = after.announced.proof;
            set.put("last".into(), proof.map_or_else(null, |(_, last, _)| number(last.0)));
            set.put("bad_records".into(), proof.map_or_else(null, |(.., bad)| number(bad)));
            set.put("completed_at".into(), time(after.completed_at));
            set.put("cancel_at".into(), time(after.cancel_at));
            set.put("cancelled_at".into(), time(after.cancelled_at));
            set.put("sweep".into(), after.sweep.map_or_else(null, |sweep| sweep.name().into()));
            let key = key(noter, &before.announced);
            changed.push(row([("key", key.into()), ("set", BoltType::Map(set))]));
        }
    }
    let any = !changed.is_empty();
    let set = "UNWIND $rows AS row MATCH (c:ExtractorComplete {key: row.key}) SET c += row.set";
    tx.each(set, changed).await?;
    Ok(any)
}

async fn change_alone(
    link: &Link,
    noter: &Noter,
    kind: Kind,
    after: impl Fn(Note) -> Note,
) -> Result<bool, GraphError> {
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let changed = change(&mut tx, noter, kind, "", &after).await?;
        tx.commit().await?;
        Ok(changed)
    })
    .await
}

/// Notes the end of a run. That of one that is complete schedules its cancellation if there is
/// none; without proof it has to be found complete again.
///
/// # Errors
/// If the graph cannot be written.
pub async fn announce(
    link: &Link,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> Result<(), GraphError> {
    let Announced { kind, version, proof } = *announced;
    let make = "MERGE (c:ExtractorComplete {key: $key})
         ON CREATE SET c.consumer = $consumer, c.type = $type, c.version = $version,
             c.run = $run, c.last = $last, c.bad_records = $bad_records, c.announced_at = $now";
    let after = |note: Note| {
        if key(noter, &note.announced) != key(noter, announced) {
            return note;
        }
        let again = proof.is_none() && note.cancel_at.is_none();
        let due =
            || noter.cancel_at(now).filter(|_| note.completed_at.is_some() && proof.is_some());
        Note {
            announced: *announced,
            completed_at: note.completed_at.filter(|_| !again),
            cancel_at: note.cancel_at.or_else(due),
            ..note
        }
    };
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let version = version.map(|version| version.to_string()).unwrap_or_default();
        let query = of_type(make.to_owned(), noter, kind)
            .param("key", key(noter, announced))
            .param("version", version)
            .param("run", number(proof.map_or(0, |(run, ..)| run.0)))
            .param("last", proof.map_or_else(null, |(_, last, _)| number(last.0)))
            .param("bad_records", proof.map_or_else(null, |(.., bad)| number(bad)))
            .param("now", number(now.0));
        tx.run(query).await?;
        change(&mut tx, noter, kind, "", after).await?;
        tx.commit().await
    })
    .await
}

/// Notes that a run is complete; false if that was noted before.
///
/// # Errors
/// If the graph cannot be written.
pub async fn complete(
    link: &Link,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> Result<bool, GraphError> {
    change_alone(link, noter, announced.kind, |note| {
        let same = key(noter, &note.announced) == key(noter, announced);
        if !same || note.completed_at.is_some() {
            return note;
        }
        // Without proof nothing is removed; what many records assert is settled even so.
        Note {
            completed_at: Some(now),
            cancel_at: noter.cancel_at(now),
            cancelled_at: None,
            sweep: Some(Sweep::Owed),
            ..note
        }
    })
    .await
}

/// Notes what written records mean for cancellations. Within the records' transaction.
pub(super) async fn data_came(
    tx: &mut Tx,
    noter: &Noter,
    kind: Kind,
    sources: &[Option<(Version, Run)>],
    now: Timestamp,
) -> Result<(), GraphError> {
    let after = |note: Note| note.after_data(noter, sources, now);
    change(tx, noter, kind, "WHERE c.cancel_at IS NOT NULL", after).await?;
    Ok(())
}

/// Notes that a type's consumers are cancelled, if that is due.
///
/// # Errors
/// If the graph cannot be written.
pub async fn cancel(
    link: &Link,
    noter: &Noter,
    kind: Kind,
    now: Timestamp,
) -> Result<(), GraphError> {
    let after = |note: Note| {
        let due = note.cancel_at.is_some_and(|at| at <= now);
        Note { cancelled_at: note.cancelled_at.or(due.then_some(now)), ..note }
    };
    change_alone(link, noter, kind, after).await.map(|_| ())
}

/// Notes that a type's consumers read again; they are cancelled again, unless records come.
///
/// # Errors
/// If the graph cannot be written.
pub async fn resume(
    link: &Link,
    noter: &Noter,
    kind: Kind,
    now: Timestamp,
) -> Result<(), GraphError> {
    let after = |note: Note| match note.cancelled_at {
        Some(_) => Note { cancelled_at: None, cancel_at: noter.cancel_at(now), ..note },
        None => note,
    };
    change_alone(link, noter, kind, after).await.map(|_| ())
}

/// The platform's own latch, which its readers wait on.
const LATCH: &str = "MERGE (l:ExtractionCompletion {version: $version})
     ON CREATE SET l.signals = [], l.created_at = datetime()
     SET l.signals = CASE WHEN $type IN l.signals THEN l.signals ELSE l.signals + $type END
     SET l.updated_at = datetime()";

/// Notes the end of a version as it was announced on one type's exchange, in our words and in
/// those of the platform.
///
/// # Errors
/// If the graph cannot be written.
pub async fn extraction_complete(
    link: &Link,
    noter: &Noter,
    kind: Kind,
    version: Version,
    words: (Option<&str>, Option<&str>),
    now: Timestamp,
) -> Result<(), GraphError> {
    let statement = "MERGE (a:ExtractorAnnounced {key: $key})
         ON CREATE SET a.received_at = $now
         SET a.consumer = $consumer SET a.type = $type SET a.version = $version
         SET a.started_at = $started_at SET a.record_counts = $record_counts";
    let text = |text: Option<&str>| text.map_or_else(null, BoltType::from);
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let query = of_type(statement.to_owned(), noter, kind)
            .param("key", format!("{}-{version}-{kind}", noter.consumer))
            .param("version", version.to_string())
            .param("started_at", text(words.0))
            .param("record_counts", text(words.1))
            .param("now", number(now.0));
        tx.run(query).await?;
        let latch = of_type(LATCH.to_owned(), noter, kind).param("version", version.to_string());
        tx.run(latch).await?;
        tx.commit().await
    })
    .await
}

/// Takes an owed sweep, or one that was refused, for `me` until some time; false if somebody else
/// has it.
///
/// # Errors
/// If the graph cannot be written.
pub async fn claim_sweep(
    link: &Link,
    noter: &Noter,
    announced: &Announced,
    me: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, GraphError> {
    let statement = "MATCH (c:ExtractorComplete {key: $key})
         SET c.claimed = true WITH c REMOVE c.claimed
         WITH c WHERE c.sweep IN ['owed', 'refused']
             AND (c.swept_by = $me OR c.swept_until IS NULL OR c.swept_until < $now)
         SET c.swept_by = $me SET c.swept_until = $until
         RETURN c.key AS key";
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let query = Query::new(statement.to_owned())
            .param("key", key(noter, announced))
            .param("me", me)
            .param("now", number(now.0))
            .param("until", number(until.0));
        let rows = tx.rows(query).await?;
        tx.commit().await?;
        Ok(!rows.is_empty())
    })
    .await
}

/// Notes that a run is swept, and says whether it is the last of its version: of every type of
/// which the graph has anything, or knows the end, the latest run is swept then. Of two that end
/// at once one sees it.
///
/// # Errors
/// If the graph cannot be written.
pub async fn is_last_swept(
    link: &Link,
    noter: &Noter,
    announced: &Announced,
) -> Result<bool, GraphError> {
    let version = announced.version.map(|version| version.to_string()).unwrap_or_default();
    let claim = "MATCH (c:ExtractorComplete {consumer: $consumer, version: $version})
         SET c.claimed = true WITH c REMOVE c.claimed
         SET c.swept = (c.key = $key OR coalesce(c.swept, false))
         RETURN c.type AS type, c.run AS run, c.swept AS swept";
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let query = Query::new(claim.to_owned())
            .param("consumer", noter.consumer.as_str())
            .param("version", version.as_str())
            .param("key", key(noter, announced));
        // By type: the latest run, and whether it is swept.
        let mut latest: BTreeMap<String, (i64, bool)> = BTreeMap::new();
        let begun = delivered::latest_runs(&mut tx, &version).await?;
        latest.extend(begun.into_iter().map(|(kind, run)| (kind, (run, false))));
        for row in tx.rows(query).await? {
            let of = latest.entry(row.get("type")?).or_default();
            *of = (*of).max((row.get("run")?, row.get("swept")?));
        }
        tx.commit().await?;
        Ok(latest.values().all(|(_, swept)| *swept))
    })
    .await
}

/// Notes how a sweep ended.
///
/// # Errors
/// If the graph cannot be written.
pub async fn end_sweep(
    link: &Link,
    noter: &Noter,
    announced: &Announced,
    sweep: Sweep,
    words: &str,
) -> Result<(), GraphError> {
    let statement = "MATCH (c:ExtractorComplete {key: $key})
         SET c.sweep = $sweep SET c.sweep_words = $words REMOVE c.swept_until";
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let query = Query::new(statement.to_owned())
            .param("key", key(noter, announced))
            .param("sweep", sweep.name())
            .param("words", words);
        tx.run(query).await?;
        tx.commit().await
    })
    .await
}
