//! Consumers' notes in the graph: a node for each announced run, with what the tables have in
//! `extractor_complete`. What is decided is `model/agreement`.

use std::collections::BTreeMap;

use neo4rs::{BoltMap, BoltType, Query, Row};

use super::delivered::{self, delivered};
use super::fault::GraphError;
use super::link::{Link, Tx, patiently};
use super::refused::refused;
use super::rows::{null, row};
use super::unnumbered::{lock_unnumbered, note_unnumbered, unnumbered};
use crate::database::{Noted, VersionEnd};
use crate::model::agreement::{
    Announced, Claim, Completion, Event, Note, Noter, Sweep, Unproven, next,
};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp};

const FIELDS: &str = "c.version AS version, c.run AS run, c.last AS last,
     c.bad_records AS bad_records, c.completed_at AS completed_at, c.cancel_at AS cancel_at,
     c.cancelled_at AS cancelled_at, c.sweep AS sweep, c.sweep_words AS sweep_words,
     c.swept_by AS swept_by, c.swept_until AS swept_until, c.cancel_turn AS cancel_turn,
     c.sweep_turn AS sweep_turn, c.pass AS pass, c.sent AS sent";

/// What names a note. Without our headers nothing is known of a run: it is 0 then.
fn key(noter: &Noter, announced: &Announced) -> String {
    let (version, run) = announced.key();
    let version = version.map(|version| version.to_string()).unwrap_or_default();
    format!("{}-{}-{version}-{}", noter.consumer, announced.kind, run.0)
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
    let (sweep, by): (Option<String>, Option<String>) = (row.get("sweep")?, row.get("swept_by")?);
    Ok(Note {
        announced: Announced {
            kind,
            version: version.and_then(|version| version.parse().ok()),
            proof: proof.map(|(last, bad_records)| (run, Ordinal(last), bad_records)),
            unproven: Unproven { pass: count("pass")?.unwrap_or(0), sent: count("sent")? },
        },
        written: 0,
        refused: 0,
        completed_at: at("completed_at")?,
        cancel_at: at("cancel_at")?,
        cancelled_at: at("cancelled_at")?,
        sweep: sweep.as_deref().and_then(Sweep::named),
        sweep_words: row.get("sweep_words")?,
        cancel_turn: count("cancel_turn")?.unwrap_or(0),
        claim: match by.zip(at("swept_until")?) {
            Some((by, until)) => Some(Claim { by, until, turn: count("sweep_turn")?.unwrap_or(0) }),
            None => None,
        },
    })
}

fn of_type(statement: String, noter: &Noter, kind: Kind) -> Query {
    Query::new(statement).param("consumer", noter.consumer.as_str()).param("type", kind.name())
}

/// What is noted of a type, and how much of each run is written.
///
/// # Errors
/// If the graph cannot be read.
pub async fn notes(
    link: &Link,
    noter: &Noter,
    kind: Kind,
    which: Noted,
) -> Result<Completion, GraphError> {
    let newest = match which.most() {
        Some(most) => format!("WITH c ORDER BY c.version DESC, c.run DESC LIMIT {most}"),
        None => String::new(),
    };
    let mut found = patiently(link, || async {
        let mut tx = link.begin().await?;
        let mut found = agreed(&mut tx, noter, kind, &newest).await?;
        if which.needs_unnumbered(&found.notes) {
            found.unnumbered = unnumbered(&mut tx, noter, kind).await?;
        }
        tx.commit().await?;
        Ok(found)
    })
    .await?;
    let counted = found.unnumbered;
    if !found.notes.iter().any(|note| which.counts(note)) {
        return Ok(found);
    }
    let refused = refused(link, kind).await?;
    for note in &mut found.notes {
        if !which.counts(note) {
            continue;
        }
        let Announced { version, proof, unproven, .. } = note.announced;
        match (version, proof) {
            (Some(version), Some((run, ..))) => {
                let held = delivered(link, DumpName { version, kind }, run).await?;
                note.count(&held, &refused.of(version, run));
            }
            (None, Some(_)) => {}
            (_, None) => note.written = counted.ids_of(unproven.pass),
        }
    }
    Ok(found)
}

/// Takes a node for this transaction: whoever else wants it waits.
const LOCK: &str = "SET c.claimed = true WITH c REMOVE c.claimed";

/// The notes, without what only senders need that do not number their records.
async fn agreed(
    tx: &mut Tx,
    noter: &Noter,
    kind: Kind,
    which: &str,
) -> Result<Completion, GraphError> {
    let statement = format!(
        "MATCH (c:ExtractorComplete {{consumer: $consumer, type: $type}}) {which} RETURN {FIELDS}"
    );
    let rows = tx.rows(of_type(statement, noter, kind)).await?;
    let found = rows.iter().map(|row| read(row, kind)).collect::<Result<_, _>>()?;
    Ok(Completion { notes: found, ..Completion::default() })
}

/// Tells the others that something happened, in a transaction of its own; what is agreed on then,
/// and whether that is new.
///
/// # Errors
/// If the graph cannot be written.
pub async fn agree(
    link: &Link,
    noter: &Noter,
    kind: Kind,
    event: &Event,
    now: Timestamp,
) -> Result<(Completion, bool), GraphError> {
    patiently(link, || async {
        let mut tx = link.begin().await?;
        if let Event::Announced(announced) = event {
            make(&mut tx, noter, announced, now).await?;
        }
        let agreed = agree_within(&mut tx, noter, kind, event, now).await?;
        tx.commit().await?;
        Ok(agreed)
    })
    .await
}

/// The same within a transaction that goes on. Where something would change, the notes are locked
/// until it ends: whoever writes records mostly changes nothing.
pub(super) async fn agree_within(
    tx: &mut Tx,
    noter: &Noter,
    kind: Kind,
    event: &Event,
    now: Timestamp,
) -> Result<(Completion, bool), GraphError> {
    if !event.is_unnumbered() {
        let seen = agreed(tx, noter, kind, "").await?;
        if next(&seen, event, &noter.rules, now) == seen {
            return Ok((seen, false));
        }
    }
    let mut before = agreed(tx, noter, kind, LOCK).await?;
    if event.is_unnumbered() {
        before.unnumbered = lock_unnumbered(tx, noter, kind).await?;
    }
    let after = next(&before, event, &noter.rules, now);
    let changed = after.changed_from(&before).map(|note| stored(noter, note)).collect();
    let set = "UNWIND $rows AS row MATCH (c:ExtractorComplete {key: row.key}) SET c += row.set";
    tx.each(set, changed).await?;
    if after.unnumbered != before.unnumbered {
        note_unnumbered(tx, noter, kind, &after.unnumbered).await?;
    }
    let is_new = after != before;
    Ok((after, is_new))
}

/// Makes the node of an end, if there is none yet: what is not there cannot be locked.
async fn make(
    tx: &mut Tx,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> Result<(), GraphError> {
    let statement = "MERGE (c:ExtractorComplete {key: $key})
         ON CREATE SET c.consumer = $consumer, c.type = $type, c.version = $version,
             c.run = $run, c.last = $last, c.bad_records = $bad_records, c.announced_at = $now";
    let Announced { kind, version, proof, .. } = *announced;
    let version = version.map(|version| version.to_string()).unwrap_or_default();
    let query = of_type(statement.to_owned(), noter, kind)
        .param("key", key(noter, announced))
        .param("version", version)
        .param("run", number(announced.key().1.0))
        .param("last", proof.map_or_else(null, |(_, last, _)| number(last.0)))
        .param("bad_records", proof.map_or_else(null, |(.., bad)| number(bad)))
        .param("now", number(now.0));
    tx.run(query).await
}

/// What a note's node has.
fn stored(noter: &Noter, note: &Note) -> BoltType {
    let Note {
        announced,
        completed_at,
        cancel_at,
        cancel_turn,
        cancelled_at,
        sweep,
        sweep_words,
        claim,
        ..
    } = note;
    let mut set = BoltMap::default();
    let proof = announced.proof;
    set.put("last".into(), proof.map_or_else(null, |(_, last, _)| number(last.0)));
    set.put("bad_records".into(), proof.map_or_else(null, |(.., bad)| number(bad)));
    let Unproven { pass, sent } = announced.unproven;
    set.put("pass".into(), number(pass));
    set.put("sent".into(), sent.map_or_else(null, number));
    if completed_at.is_none() {
        // Of what is sent again nothing is swept yet.
        set.put("swept".into(), null());
    }
    set.put("completed_at".into(), time(*completed_at));
    set.put("cancel_at".into(), time(*cancel_at));
    set.put("cancel_turn".into(), number(*cancel_turn));
    set.put("cancelled_at".into(), time(*cancelled_at));
    set.put("sweep".into(), sweep.map_or_else(null, |sweep| sweep.name().into()));
    set.put("sweep_words".into(), sweep_words.as_deref().map_or_else(null, BoltType::from));
    set.put("swept_by".into(), claim.as_ref().map_or_else(null, |claim| (&*claim.by).into()));
    set.put("swept_until".into(), time(claim.as_ref().map(|claim| claim.until)));
    set.put("sweep_turn".into(), claim.as_ref().map_or_else(null, |claim| number(claim.turn)));
    row([("key", key(noter, announced).into()), ("set", BoltType::Map(set))])
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
pub async fn version_ends(
    link: &Link,
    noter: &Noter,
    kind: Kind,
    end: &VersionEnd,
    now: Timestamp,
) -> Result<(), GraphError> {
    let statement = "MERGE (a:ExtractorAnnounced {key: $key})
         ON CREATE SET a.received_at = $now
         SET a.consumer = $consumer SET a.type = $type SET a.version = $version
         SET a.started_at = $started_at SET a.record_counts = $record_counts";
    let version = end.version;
    let text = |text: Option<&str>| text.map_or_else(null, BoltType::from);
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let query = of_type(statement.to_owned(), noter, kind)
            .param("key", format!("{}-{version}-{kind}", noter.consumer))
            .param("version", version.to_string())
            .param("started_at", text(end.started_at.as_deref()))
            .param("record_counts", text(end.record_counts.as_deref()))
            .param("now", number(now.0));
        tx.run(query).await?;
        let latch = of_type(LATCH.to_owned(), noter, kind).param("version", version.to_string());
        tx.run(latch).await?;
        tx.commit().await
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

/// The end of the newest version that was announced on any exchange.
///
/// # Errors
/// If the graph cannot be read.
pub async fn last_version_end(
    link: &Link,
    noter: &Noter,
) -> Result<Option<VersionEnd>, GraphError> {
    let statement = "MATCH (a:ExtractorAnnounced {consumer: $consumer})
         RETURN a.version AS version, a.started_at AS started_at,
             a.record_counts AS record_counts
         ORDER BY version DESC LIMIT 1";
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let query = Query::new(statement.to_owned()).param("consumer", noter.consumer.as_str());
        let rows = tx.rows(query).await?;
        tx.commit().await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let version = row.get::<String>("version")?.parse().ok();
        let (started_at, record_counts) = (row.get("started_at")?, row.get("record_counts")?);
        Ok(version.map(|version| VersionEnd { version, started_at, record_counts }))
    })
    .await
}
