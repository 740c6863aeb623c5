//! Going over all nodes of a label in the order of their keys, a step a transaction, so that it may
//! be stopped between two steps and no transaction grows with the graph.

use neo4rs::Query;

use super::fault::GraphError;
use super::link::{Link, Tx, patiently};
use super::model::Label;

/// Runs statements over all nodes of a label, so many at a time, each time in one transaction.
pub(super) async fn walk(
    link: &Link,
    label: Label,
    step: i64,
    statements: &[&str],
    go_on: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<bool, GraphError> {
    let mut after = String::new();
    loop {
        let next = patiently(link, || async {
            let mut tx = link.begin().await?;
            let Some((last, rows)) = bounds(&mut tx, label, step, &after).await? else {
                tx.commit().await?;
                return Ok(None);
            };
            for statement in statements {
                let query = Query::new((*statement).to_owned());
                let bounded = query.param("after", after.as_str()).param("last", last.as_str());
                tx.run(bounded).await?;
            }
            tx.commit().await?;
            Ok(Some((last, rows)))
        });
        let Some((last, rows)) = next.await? else { return Ok(true) };
        after = last;
        if !go_on(rows) {
            return Ok(false);
        }
    }
}

/// The last key of the next step, and how many nodes it has; none at the end.
async fn bounds(
    tx: &mut Tx,
    label: Label,
    step: i64,
    after: &str,
) -> Result<Option<(String, u64)>, GraphError> {
    let (name, key) = (label.name(), label.key());
    let statement = format!(
        "MATCH (n:{name}) WHERE n.{key} > $after
         WITH n.{key} AS key ORDER BY key LIMIT {step}
         RETURN max(key) AS last, count(key) AS rows"
    );
    let rows = tx.rows(Query::new(statement).param("after", after)).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let Some(last) = row.get::<Option<String>>("last")? else { return Ok(None) };
    Ok(Some((last, row.get::<i64>("rows")?.cast_unsigned())))
}
