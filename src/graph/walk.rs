//! Going over all nodes of a label in the order of their keys, some at a time.

use neo4rs::{BoltType, Query};

use super::fault::GraphError;
use super::link::Tx;
use super::model::Label;

/// The keys of the nodes that follow a key, in order: about so many.
///
/// Nothing is sorted by the server, which would take all that follow each time: they come in the
/// order of the index. If some server has them in another, the range up to the last that came is read
/// again, so that none is ever passed over.
pub(super) async fn keys(
    tx: &mut Tx,
    label: Label,
    after: &str,
    nodes: usize,
) -> Result<Vec<String>, GraphError> {
    let (name, key) = (label.name(), label.key());
    let some =
        format!("MATCH (n:{name}) WHERE n.{key} > $after RETURN n.{key} AS key LIMIT {nodes}");
    let found = read(tx, Query::new(some).param("after", after)).await?;
    if found.is_sorted() {
        return Ok(found);
    }
    match found.iter().max() {
        Some(last) => between(tx, label, after, last).await,
        None => Ok(found),
    }
}

/// The keys after one, up to another, in order.
pub(super) async fn between(
    tx: &mut Tx,
    label: Label,
    after: &str,
    last: &str,
) -> Result<Vec<String>, GraphError> {
    let (name, key) = (label.name(), label.key());
    let range = format!(
        "MATCH (n:{name}) WHERE n.{key} > $after AND n.{key} <= $last
         RETURN n.{key} AS key ORDER BY key"
    );
    read(tx, Query::new(range).param("after", after).param("last", last)).await
}

async fn read(tx: &mut Tx, query: Query) -> Result<Vec<String>, GraphError> {
    let rows = tx.rows(query).await?;
    rows.iter().map(|row| Ok(row.get("key")?)).collect()
}

/// Keys as a parameter.
pub(super) fn list(keys: &[String]) -> Vec<BoltType> {
    keys.iter().map(|key| BoltType::from(key.as_str())).collect()
}
