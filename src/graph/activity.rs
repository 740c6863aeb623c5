//! Who has written and who settles, as the graph knows it: a number for each type that every
//! transaction with records raises (`ExtractorWrites`), and one node that says who settles, as of
//! which of these numbers, and how far he came (`ExtractorSettling`). No clock decides anything here:
//! a number that stands still for long enough means that nothing comes.

use neo4rs::Query;

use super::fault::GraphError;
use super::link::{Link, Tx, patiently};
use crate::model::Kind;

/// Notes that records of a type were written or removed, in their own transaction.
pub(super) async fn raise(tx: &mut Tx, kind: Kind) -> Result<(), GraphError> {
    let statement = "MERGE (w:ExtractorWrites {type: $type})
         SET w.writes = coalesce(w.writes, 0) + 1";
    tx.run(Query::new(statement.to_owned()).param("type", kind.name())).await
}

/// How writing and settling stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// How often anything was written.
    pub(super) writes: i64,
    /// Who settles, or did last.
    pub(super) by: Option<String>,
    /// Grows while he does.
    beat: i64,
    /// As of how many writes everything is settled.
    settled: i64,
    /// As of how many writes it is being settled, and how far that came, in words of `settle`.
    progress: Option<(i64, String)>,
}

impl Activity {
    /// Whether something was written that is not settled.
    pub(super) const fn is_owed(&self) -> bool {
        self.writes != self.settled
    }

    /// How far settling what is there now came.
    pub(super) fn progress(&self) -> Option<&str> {
        let (of, progress) = self.progress.as_ref()?;
        (*of == self.writes).then_some(progress)
    }

    /// What stands still if nobody writes or settles.
    pub(super) const fn pulse(&self) -> (i64, i64) {
        (self.writes, self.beat)
    }
}

const READ: &str = "OPTIONAL MATCH (w:ExtractorWrites) WITH sum(w.writes) AS writes
     OPTIONAL MATCH (s:ExtractorSettling {only: true})
     RETURN writes, s.by AS by, s.beat AS beat, s.settled AS settled, s.of AS of,
         s.progress AS progress";

/// How writing and settling stand, as seen by a transaction.
pub(super) async fn within(tx: &mut Tx) -> Result<Activity, GraphError> {
    let rows = tx.rows(Query::new(READ.to_owned())).await?;
    let Some(row) = rows.first() else { return Ok(Activity::default()) };
    let number = |name| row.get::<Option<i64>>(name);
    let progress: Option<String> = row.get("progress")?;
    Ok(Activity {
        writes: number("writes")?.unwrap_or(0),
        by: row.get("by")?,
        beat: number("beat")?.unwrap_or(0),
        settled: number("settled")?.unwrap_or(0),
        progress: number("of")?.zip(progress),
    })
}

/// How writing and settling stand.
///
/// # Errors
/// If the graph cannot be read.
pub(super) async fn activity(link: &Link) -> Result<Activity, GraphError> {
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let found = within(&mut tx).await?;
        tx.commit().await?;
        Ok(found)
    })
    .await
}

/// Takes the settling over from whoever has it: he stops at his next step.
///
/// # Errors
/// If the graph cannot be written.
pub(super) async fn take(link: &Link, me: &str) -> Result<Activity, GraphError> {
    let statement = "MERGE (s:ExtractorSettling {only: true})
         SET s.by = $me SET s.beat = coalesce(s.beat, 0) + 1";
    patiently(link, || async {
        let mut tx = link.begin().await?;
        tx.run(Query::new(statement.to_owned()).param("me", me)).await?;
        let found = within(&mut tx).await?;
        tx.commit().await?;
        Ok(found)
    })
    .await
}

/// What is noted of a settling.
pub(super) struct ProgressNote<'a> {
    /// As of how many writes.
    pub(super) of: i64,
    /// How far it came; nothing if it is over.
    pub(super) progress: Option<&'a str>,
    /// The stage and the last key, for people.
    pub(super) place: (String, &'a str),
}

/// Notes how far a settling came, if it is still ours.
///
/// # Errors
/// If the graph cannot be written.
pub(super) async fn note(
    link: &Link,
    me: &str,
    note: &ProgressNote<'_>,
) -> Result<Activity, GraphError> {
    let statement = "MATCH (s:ExtractorSettling {only: true}) WHERE s.by = $me
         SET s.beat = coalesce(s.beat, 0) + 1 SET s.of = $of SET s.progress = $progress
         SET s.stage = $stage SET s.after = $after
         WITH s WHERE $progress IS NULL SET s.settled = $of";
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let before = within(&mut tx).await?;
        if before.by.as_deref() != Some(me) || before.writes != note.of {
            tx.rollback().await?;
            return Ok(before);
        }
        let query = Query::new(statement.to_owned())
            .param("me", me)
            .param("of", note.of)
            .param("progress", note.progress.map(str::to_owned))
            .param("stage", note.place.0.as_str())
            .param("after", note.place.1);
        tx.run(query).await?;
        tx.commit().await?;
        Ok(before)
    })
    .await
}
