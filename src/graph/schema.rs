//! Constraints and indexes, and the graph's own identity.

use neo4rs::Query;
use uuid::Uuid;

use super::credit::TABLE;
use super::fault::{Fault, GraphError};
use super::link::{Link, patiently};
use super::model::Label;
use crate::model::Job;

/// What the platform's readers look things up by.
const INDEXES: &[(&str, &str)] = &[
    ("Artist", "sha256"),
    ("Label", "sha256"),
    ("Master", "sha256"),
    ("Release", "sha256"),
    ("Artist", "name"),
    ("Label", "name"),
    ("Master", "year"),
    ("Release", "year"),
    ("Genre", "first_year"),
    ("Style", "first_year"),
    ("Person", "credit_count"),
    ("Artist", "mbid"),
    ("Label", "mbid"),
    ("Master", "mbid"),
    ("Release", "mbid"),
];

/// What people search by. Not every server has such indexes, and nothing here needs them.
const FULL_TEXT: &[(&str, &str)] = &[
    ("Artist", "name"),
    ("Label", "name"),
    ("Master", "title"),
    ("Release", "title"),
    ("Genre", "name"),
    ("Style", "name"),
    ("Person", "name"),
];

/// Keys of nodes that no record becomes: the platform's users and its latch, and our own notes.
const OTHER_KEYS: &[(&str, &str)] = &[
    ("User", "id"),
    ("ExtractionCompletion", "version"),
    ("ExtractorJob", "only"),
    ("ExtractorDelivered", "key"),
    ("ExtractorSwept", "type"),
    ("ExtractorComplete", "key"),
    ("ExtractorAnnounced", "key"),
    ("ExtractorUnnumbered", "key"),
    ("ExtractorRefused", "key"),
    ("ExtractorWrites", "type"),
    ("ExtractorSettling", "only"),
];

/// Makes the constraints and indexes that are missing. Everything else relies on the constraints:
/// without them two writers could make a node twice.
///
/// # Errors
/// If the server is away, or has data that break a constraint.
pub async fn prepare(link: &Link) -> Result<(), GraphError> {
    let keys = Label::ALL.iter().map(|label| (label.name(), label.key()));
    for (label, key) in keys.chain(OTHER_KEYS.iter().copied()) {
        let name = format!("{}_{key}", label.to_lowercase());
        let statement = format!(
            "CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.{key} IS UNIQUE"
        );
        patiently(link, || link.run(&statement)).await?;
    }
    for (label, key) in INDEXES {
        let name = format!("{}_{key}_index", label.to_lowercase());
        let statement = format!("CREATE INDEX {name} IF NOT EXISTS FOR (n:{label}) ON (n.{key})");
        patiently(link, || link.run(&statement)).await?;
    }
    for (label, key) in FULL_TEXT {
        let name = format!("{}_{key}_fulltext", label.to_lowercase());
        let statement =
            format!("CREATE FULLTEXT INDEX {name} IF NOT EXISTS FOR (n:{label}) ON EACH [n.{key}]");
        match patiently(link, || link.run(&statement)).await {
            Err(error) if error.fault == Fault::Passing => return Err(error),
            Err(error) => tracing::debug!(index = name, %error, "no full-text index"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// The graph's identity, which is given to it at the first look: a graph that was emptied is
/// another one.
///
/// # Errors
/// If it cannot be read or written.
pub async fn job(link: &Link) -> Result<Job, GraphError> {
    let fresh = Uuid::new_v4().to_string();
    let id = patiently(link, || identity(link, &fresh)).await?;
    Ok(Job::new(format!("graph:{id}")))
}

async fn identity(link: &Link, fresh: &str) -> Result<String, GraphError> {
    let mut tx = link.begin().await?;
    // A graph that has none yet holds no credits of ours, and so none of an older table.
    let statement = "MERGE (j:ExtractorJob {only: true})
         ON CREATE SET j.id = $id, j.categories = $table RETURN j.id AS id";
    let query = Query::new(statement.to_owned()).param("id", fresh).param("table", TABLE);
    let rows = tx.rows(query).await?;
    let id = rows.first().map(|row| row.get::<String>("id")).transpose()?;
    tx.commit().await?;
    Ok(id.unwrap_or_default())
}
