//! Credits that were written when the table of roles was another one, set right once for a graph.
//!
//! Done when a version is settled, as nobody writes then; until that, records that change get the new
//! categories and the others keep their old ones. A transaction goes over some people and changes so
//! many credits at most, and how far that came is noted in it, so that it goes on there whatever
//! happens. Others' credits, which have a `source`, are theirs.

use neo4rs::{BoltMap, BoltType, Query, Row};

use super::credit::{TABLE, category};
use super::fault::GraphError;
use super::link::{Link, Tx, patiently};
use super::model::Label;
use super::walk::{keys, list};

/// People that one step looks at: some are credited a hundred thousand times.
const PEOPLE: usize = 200;

/// Credits that one transaction changes at most.
const CREDITS: i64 = 5_000;

/// How far it came. A graph that is not ours yet has no such node, and nothing of ours to set right.
const BEGUN: &str = "MATCH (j:ExtractorJob {only: true})
     RETURN j.categories AS table, j.categories_to AS after";

const ROLES: &str =
    "UNWIND $names AS name MATCH (n:Person {name: name})-[c:CREDITED_ON]->(:Release)
     WHERE c.source IS NULL RETURN DISTINCT c.role AS role, c.category AS category";

const CHANGE: &str =
    "UNWIND $names AS name MATCH (n:Person {name: name})-[c:CREDITED_ON]->(:Release)
     WITH c, $categories[c.role] AS category
     WHERE c.source IS NULL AND coalesce(c.category, '') <> category
     WITH c, category LIMIT $credits
     SET c.category = category RETURN count(*) AS changed";

const GO_ON: &str = "MATCH (j:ExtractorJob {only: true}) SET j.categories_to = $last";

const DONE: &str = "MATCH (j:ExtractorJob {only: true})
     SET j.categories = $table REMOVE j.categories_to";

/// Gives credits the categories of today's table, if they may have others. `go_on` is told the people
/// looked at, and ends it by saying no; then the answer is false.
///
/// # Errors
/// If the server is away or the database is broken.
pub(super) async fn recategorize(
    link: &Link,
    go_on: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<bool, GraphError> {
    while let Some(people) = patiently(link, || step(link)).await? {
        if !go_on(people) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One transaction; how many people it was about, or none if all are done.
async fn step(link: &Link) -> Result<Option<u64>, GraphError> {
    let mut tx = link.begin().await?;
    let looked_at = match begun(&mut tx).await? {
        Some(after) => some(&mut tx, &after).await?,
        None => None,
    };
    tx.commit().await?;
    Ok(looked_at)
}

/// The name up to which all is done; none if everything is.
async fn begun(tx: &mut Tx) -> Result<Option<String>, GraphError> {
    let rows = tx.rows(Query::new(BEGUN.to_owned())).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.get::<Option<i64>>("table")? == Some(TABLE) {
        return Ok(None);
    }
    Ok(Some(row.get::<Option<String>>("after")?.unwrap_or_default()))
}

async fn some(tx: &mut Tx, after: &str) -> Result<Option<u64>, GraphError> {
    let names = keys(tx, Label::Person, after, PEOPLE).await?;
    let Some(last) = names.last() else {
        tx.run(Query::new(DONE.to_owned()).param("table", TABLE)).await?;
        return Ok(None);
    };
    let people = list(&names);
    let roles = tx.rows(Query::new(ROLES.to_owned()).param("names", people.clone())).await?;
    let wrong = wrong(&roles)?;
    let mut changed = 0;
    if !wrong.is_empty() {
        let query = Query::new(CHANGE.to_owned())
            .param("names", people)
            .param("categories", BoltType::Map(wrong))
            .param("credits", CREDITS);
        let answer = tx.rows(query).await?;
        changed = answer.first().map_or(Ok(0), |row| row.get::<i64>("changed"))?;
    }
    // The same people once more, if there may be more of theirs.
    if changed < CREDITS {
        tx.run(Query::new(GO_ON.to_owned()).param("last", last.as_str())).await?;
    }
    Ok(Some(names.len() as u64))
}

/// The categories of those roles that have another one.
fn wrong(roles: &[Row]) -> Result<BoltMap, GraphError> {
    let mut wrong = BoltMap::default();
    for row in roles {
        let Some(role) = row.get::<Option<String>>("role")? else { continue };
        let right = category(&role);
        if row.get::<Option<String>>("category")?.as_deref() != Some(right) {
            wrong.put(role.as_str().into(), right.into());
        }
    }
    Ok(wrong)
}
