//! Counts that the platform's readers look up instead of counting: how much there is of a genre, a
//! style, a label, a person, as of the last version that was settled.

use super::link::Link;
use super::model::Label;
use super::walk::walk;

/// Genres and styles are few and lead to millions of releases each; of labels and people it is the
/// other way round.
const COUNTED: &[(Label, i64, &[&str])] = &[
    (Label::Genre, 1, &[RELEASES, ARTISTS, LABELS, STYLES_OF_GENRE]),
    (Label::Style, 1, &[RELEASES, ARTISTS, LABELS, GENRES_OF_STYLE]),
    (Label::Label, 200, &[RELEASES_ON, ARTISTS_ON, GENRES_ON]),
    (Label::Person, 200, &[CREDITS]),
];

const RELEASES: &str = "OPTIONAL MATCH (n)<-[:IS]-(found:Release)
     WITH n, count(found) AS found, min(found.year) AS first
     SET n.release_count = found SET n.first_year = first";
const ARTISTS: &str = "OPTIONAL MATCH (n)<-[:IS]-(:Release)-[:BY]->(found:Artist)
     WITH n, count(DISTINCT found) AS found SET n.artist_count = found";
const LABELS: &str = "OPTIONAL MATCH (n)<-[:IS]-(:Release)-[:ON]->(found:Label)
     WITH n, count(DISTINCT found) AS found SET n.label_count = found";
const STYLES_OF_GENRE: &str = "OPTIONAL MATCH (n)<-[:IS]-(:Release)-[:IS]->(found:Style)
     WITH n, count(DISTINCT found) AS found SET n.style_count = found";
const GENRES_OF_STYLE: &str = "OPTIONAL MATCH (n)<-[:IS]-(:Release)-[:IS]->(found:Genre)
     WITH n, count(DISTINCT found) AS found SET n.genre_count = found";
const RELEASES_ON: &str = "OPTIONAL MATCH (n)<-[:ON]-(found:Release)
     WITH n, count(found) AS found SET n.release_count = found";
const ARTISTS_ON: &str = "OPTIONAL MATCH (n)<-[:ON]-(:Release)-[:BY]->(found:Artist)
     WITH n, count(DISTINCT found) AS found SET n.artist_count = found";
const GENRES_ON: &str = "OPTIONAL MATCH (n)<-[:ON]-(:Release)-[:IS]->(found:Genre)
     WITH n, count(DISTINCT found) AS found SET n.genre_count = found";
const CREDITS: &str = "OPTIONAL MATCH (n)-[found:CREDITED_ON]->(:Release)
     WITH n, count(found) AS found SET n.credit_count = found";

/// Counts anew. Nothing else depends on it, so that a count which the server cannot make (one
/// genre may take longer than its limit for a transaction) is told and left out. False if `go_on`
/// ended it.
pub(super) async fn count(link: &Link, go_on: &mut (dyn FnMut(u64) -> bool + Send)) -> bool {
    for (label, step, counts) in COUNTED {
        let (name, key) = (label.name(), label.key());
        for what in *counts {
            let statement = format!(
                "MATCH (n:{name}) WHERE n.{key} > $after AND n.{key} <= $last WITH n {what}"
            );
            match walk(link, *label, *step, &[statement.as_str()], go_on).await {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    tracing::warn!(label = name, %error, "a count could not be made, and is left out");
                }
            }
        }
    }
    true
}
