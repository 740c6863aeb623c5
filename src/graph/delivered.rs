//! Which ordinals of a run the graph has dealt with, noted in the records' own transaction.

use std::ops::RangeInclusive;

use neo4rs::Query;

use super::fault::GraphError;
use super::link::{Link, Tx, patiently};
use crate::model::{DumpName, Ordinal, Ranges, Run};

/// Takes the node of a run for this transaction, so that nobody else adds to its ranges
/// meanwhile, and reads them. They are a list of first and last ordinals.
const CLAIM: &str = "MERGE (d:ExtractorDelivered {key: $key})
     SET d.claimed = true WITH d REMOVE d.claimed
     RETURN d.ranges AS ranges";

const NOTE: &str = "MATCH (d:ExtractorDelivered {key: $key})
     SET d.version = $version SET d.type = $type SET d.run = $run SET d.ranges = $ranges";

/// Notes ranges of a run's ordinals as dealt with.
pub(super) async fn note(
    tx: &mut Tx,
    file: DumpName,
    run: Run,
    more: &Ranges,
) -> Result<(), GraphError> {
    let key = key(file, run);
    let rows = tx.rows(Query::new(CLAIM.to_owned()).param("key", key.as_str())).await?;
    let mut ranges = read(&rows)?;
    more.iter().for_each(|range| ranges.insert(range));
    let query = Query::new(NOTE.to_owned())
        .param("key", key)
        .param("version", file.version.to_string())
        .param("type", file.kind.name())
        .param("run", run.0.cast_signed())
        .param("ranges", flat(&ranges));
    tx.run(query).await
}

/// The ordinals of a run that have been dealt with: written, or dropped for later ones.
///
/// # Errors
/// If the graph cannot be read.
pub async fn delivered(link: &Link, file: DumpName, run: Run) -> Result<Ranges, GraphError> {
    patiently(link, || once(link, file, run)).await
}

async fn once(link: &Link, file: DumpName, run: Run) -> Result<Ranges, GraphError> {
    let statement = "MATCH (d:ExtractorDelivered {key: $key}) RETURN d.ranges AS ranges";
    let mut tx = link.begin().await?;
    let rows = tx.rows(Query::new(statement.to_owned()).param("key", key(file, run))).await?;
    tx.commit().await?;
    read(&rows)
}

/// Notes ranges of a run's ordinals as dealt with, in a transaction of their own.
///
/// # Errors
/// If the graph cannot be written.
pub(super) async fn note_delivered(
    link: &Link,
    file: DumpName,
    run: Run,
    more: &Ranges,
) -> Result<(), GraphError> {
    patiently(link, || async {
        let mut tx = link.begin().await?;
        note(&mut tx, file, run, more).await?;
        tx.commit().await
    })
    .await
}

/// The highest run of a version and type of which anything has been dealt with.
///
/// # Errors
/// If the graph cannot be read.
pub(super) async fn last_run(link: &Link, file: DumpName) -> Result<Option<Run>, GraphError> {
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let latest = latest_runs(&mut tx, &file.version.to_string()).await?;
        tx.commit().await?;
        let of_type = latest.into_iter().find(|(kind, _)| kind == file.kind.name());
        Ok(of_type.and_then(|(_, run)| u64::try_from(run).ok()).map(Run))
    })
    .await
}

/// The latest run of each type of a version of which anything has been dealt with.
pub(super) async fn latest_runs(
    tx: &mut Tx,
    version: &str,
) -> Result<Vec<(String, i64)>, GraphError> {
    let statement = "MATCH (d:ExtractorDelivered {version: $version})
         RETURN d.type AS type, max(d.run) AS run";
    let rows = tx.rows(Query::new(statement.to_owned()).param("version", version)).await?;
    rows.iter().map(|row| Ok((row.get("type")?, row.get("run")?))).collect()
}

/// Ranges as a node keeps them: first and last ordinals in turn.
pub(super) fn flat(ranges: &Ranges) -> Vec<i64> {
    let bounds = |range: RangeInclusive<Ordinal>| [range.start().0, range.end().0];
    ranges.iter().flat_map(bounds).map(u64::cast_signed).collect()
}

/// The ranges of the first row.
pub(super) fn read(rows: &[neo4rs::Row]) -> Result<Ranges, GraphError> {
    let flat = rows.first().map(|row| row.get::<Option<Vec<i64>>>("ranges")).transpose()?;
    let flat = flat.flatten().unwrap_or_default();
    let ordinal = |number: i64| Ordinal(number.cast_unsigned());
    let pairs = flat.chunks_exact(2);
    Ok(pairs
        .map(|pair| -> RangeInclusive<Ordinal> { ordinal(pair[0])..=ordinal(pair[1]) })
        .collect())
}

/// What names the node of a run.
pub(super) fn key(file: DumpName, run: Run) -> String {
    format!("{}-{}-{run}", file.version, file.kind)
}
