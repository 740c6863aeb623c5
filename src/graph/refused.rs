//! Which records of a run the graph refused for good, or nobody could read: a node for each run, with
//! ranges as in `ExtractorDelivered`, and the words about the first of them.

use neo4rs::Query;

use super::delivered::{delivered, flat, key, read};
use super::fault::GraphError;
use super::link::{Link, patiently};
use super::rows::texts;
use crate::database::{MOST_REFUSED, Refusal, RunRanges};
use crate::model::agreement::{Announced, Note};
use crate::model::{DumpName, Kind, Run};

/// Reasons that are kept, for people.
const REASONS: usize = 100;

const CLAIM: &str = "MERGE (r:ExtractorRefused {key: $key})
     SET r.claimed = true WITH r REMOVE r.claimed
     RETURN r.ranges AS ranges, r.words AS words";

const NOTE: &str = "MATCH (r:ExtractorRefused {key: $key})
     SET r.version = $version SET r.type = $type SET r.run = $run SET r.ranges = $ranges
     SET r.words = $words";

/// Notes refused records in a transaction of their own: who dies before it gets their messages again.
/// Of a graph that refuses everything only so many ranges are kept: its types do not become complete.
pub(super) async fn note_refused(
    link: &Link,
    file: DumpName,
    run: Run,
    refusals: &[Refusal<'_>],
) -> Result<(), GraphError> {
    let key = key(file, run);
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let rows = tx.rows(Query::new(CLAIM.to_owned()).param("key", key.as_str())).await?;
        let mut ranges = read(&rows)?;
        let words = rows.first().map(|row| row.get::<Option<Vec<String>>>("words")).transpose()?;
        let mut words = words.flatten().unwrap_or_default();
        for refusal in refusals {
            if ranges.iter().count() as u64 >= MOST_REFUSED || ranges.contains(refusal.ordinal) {
                continue;
            }
            ranges.insert(refusal.ordinal..=refusal.ordinal);
            if words.len() < REASONS {
                words.push(format!("{}: {}", refusal.ordinal, refusal.short()));
            }
        }
        let note = Query::new(NOTE.to_owned())
            .param("key", key.as_str())
            .param("version", file.version.to_string())
            .param("type", file.kind.name())
            .param("run", run.0.cast_signed())
            .param("ranges", flat(&ranges))
            .param("words", texts(&words));
        tx.run(note).await?;
        tx.commit().await
    })
    .await
}

/// The refused records of all runs of a type, also those that were taken since.
///
/// # Errors
/// If the graph cannot be read.
pub(super) async fn refused(link: &Link, kind: Kind) -> Result<RunRanges, GraphError> {
    let statement = "MATCH (r:ExtractorRefused {type: $type})
         RETURN r.version AS version, r.run AS run, r.ranges AS ranges";
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let query = Query::new(statement.to_owned()).param("type", kind.name());
        let rows = tx.rows(query).await?;
        tx.commit().await?;
        let mut refused = RunRanges::default();
        for row in &rows {
            let (version, run) = (row.get::<String>("version")?, row.get::<i64>("run")?);
            for range in read(std::slice::from_ref(row))?.iter() {
                refused.insert(&version, Run(run.cast_unsigned()), range);
            }
        }
        Ok(refused)
    })
    .await
}

/// How many records of an announced run were refused and not taken since.
pub(super) async fn refused_of(link: &Link, announced: &Announced) -> Result<u64, GraphError> {
    let mut note = Note::new(*announced);
    if let (Some(version), Some((run, ..))) = (announced.version, announced.proof) {
        let kind = announced.kind;
        let held = delivered(link, DumpName { version, kind }, run).await?;
        note.count(&held, &refused(link, kind).await?.of(version, run));
    }
    Ok(note.refused)
}
