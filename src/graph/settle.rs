//! What many records assert together, settled when a version is complete: who is the same as which
//! artist, which style is part of which genre, what nobody names any more, and how much there is of
//! what is left.

use super::aggregate;
use super::fault::GraphError;
use super::imprint::is_left_over;
use super::link::Link;
use super::model::Label;
use super::recategorize::recategorize;
use super::walk::walk;

/// Nodes that one step looks at.
const STEP: i64 = 2_000;

/// People that one step looks at: some are credited a hundred thousand times.
const PEOPLE: i64 = 200;

/// Settles what no record alone decides. It may be stopped anywhere and begun again, and must be
/// run when nothing is being written. `go_on` is told the nodes looked at, and ends it by saying
/// no; then the answer is false.
///
/// # Errors
/// If the server is away or the database is broken.
pub async fn settle(
    link: &Link,
    go_on: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<bool, GraphError> {
    if !recategorize(link, go_on).await? {
        return Ok(false);
    }
    if !walk(link, Label::Person, PEOPLE, SAME_AS, go_on).await? {
        return Ok(false);
    }
    if !walk(link, Label::Style, 1, &[PART_OF], go_on).await? {
        return Ok(false);
    }
    for label in Label::ALL {
        let (name, key) = (label.name(), label.key());
        let unknown = match key {
            "id" => "n.sha256 IS NULL AND ",
            _ => "",
        };
        let orphans = format!(
            "MATCH (n:{name}) WHERE n.{key} > $after AND n.{key} <= $last
             WITH n WHERE {unknown}{}
             DELETE n",
            is_left_over(label)
        );
        if !walk(link, label, STEP, &[orphans.as_str()], go_on).await? {
            return Ok(false);
        }
    }
    Ok(aggregate::count(link, go_on).await)
}

/// A person is the same as each artist whose id stands at one of their credits, if there is a
/// record of that artist: the artist may have come after the release, or have gone. The platform's
/// credits have no ids: what it says of a person stays until the records of all their releases came.
const SAME_AS: &[&str] = &[
    "MATCH (n:Person)-[r:SAME_AS]->(a:Artist)
     WHERE n.name > $after AND n.name <= $last AND r.source IS NULL AND NOT EXISTS {
         MATCH (n)-[c:CREDITED_ON]->(release:Release) WHERE c.source IS NULL
         AND ((c.artist_id = a.id AND a.sha256 IS NOT NULL)
             OR (c.artist_id IS NULL AND release.version IS NULL))
     }
     WITH collect(r) AS found UNWIND found AS r DELETE r",
    "MATCH (n:Person)-[c:CREDITED_ON]->(:Release)
     WHERE n.name > $after AND n.name <= $last
     AND c.source IS NULL AND c.artist_id IS NOT NULL
     WITH DISTINCT n, c.artist_id AS id
     MATCH (a:Artist {id: id}) WHERE a.sha256 IS NOT NULL
     MERGE (n)-[:SAME_AS]->(a)",
];

/// A style is part of a genre if a record of that style has no other genre.
const PART_OF: &str = "MATCH (n:Style)-[r:PART_OF]->(g:Genre)
     WHERE n.name > $after AND n.name <= $last AND r.source IS NULL AND NOT EXISTS {
         MATCH (n)<-[style:IS]-(record)-[genre:IS]->(g)
         WHERE style.source IS NULL AND genre.source IS NULL
         AND COUNT { MATCH (record)-[i:IS]->(:Genre) WHERE i.source IS NULL } = 1
     }
     WITH collect(r) AS found UNWIND found AS r DELETE r";
