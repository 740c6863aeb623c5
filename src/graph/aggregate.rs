//! What is counted of a node, and looked at, when that can be done at once: how much there is of a
//! genre, a style, a label, a person, who is the same as which artist, which style is part of which
//! genre. Of nodes that too much leads to `gathered` counts it from the other side.

use super::imprint::is_left_over;
use super::model::Label;
use super::settling::Stage;

/// What leads to a node, as far as its stage walks over it.
pub(super) const fn probed(stage: Stage) -> Option<(Label, &'static str)> {
    match stage {
        Stage::Genres => Some((Label::Genre, "(n)<-[r:IS]-()")),
        Stage::Styles => Some((Label::Style, "(n)<-[r:IS]-()")),
        Stage::Labels => Some((Label::Label, "(n)<-[r:ON]-()")),
        Stage::Artists => Some((Label::Artist, "(n)<-[r:BY]-()")),
        Stage::People => Some((Label::Person, "(n)-[r:CREDITED_ON]->()")),
        Stage::Masters | Stage::Releases | Stage::Gathered | Stage::Orphans(_) => None,
    }
}

/// What is done with each node `n` of a stage.
pub(super) const fn each(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Genres => &[RELEASES, ARTISTS, LABELS, STYLES_OF_GENRE],
        Stage::Styles => &[RELEASES, ARTISTS, LABELS, GENRES_OF_STYLE, PART_OF],
        Stage::Labels => &[RELEASES_ON, ARTISTS_ON, GENRES_ON],
        Stage::People => &[CREDITS, NOT_SAME_AS, SAME_AS],
        Stage::Artists | Stage::Masters | Stage::Releases | Stage::Gathered | Stage::Orphans(_) => {
            &[]
        }
    }
}

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

/// A person is the same as each artist whose id stands at one of their credits, if there is a
/// record of that artist: the artist may have come after the release, or have gone. The platform's
/// credits have no ids: what it says of a person stays until the records of all their releases came.
const NOT_SAME_AS: &str = "MATCH (n)-[r:SAME_AS]->(a:Artist)
     WHERE r.source IS NULL AND NOT EXISTS {
         MATCH (n)-[c:CREDITED_ON]->(release:Release) WHERE c.source IS NULL
         AND ((c.artist_id = a.id AND a.sha256 IS NOT NULL)
             OR (c.artist_id IS NULL AND release.version IS NULL))
     }
     WITH collect(r) AS found UNWIND found AS r DELETE r";
const SAME_AS: &str = "MATCH (n)-[c:CREDITED_ON]->(:Release)
     WHERE c.source IS NULL AND c.artist_id IS NOT NULL
     WITH DISTINCT n, c.artist_id AS id
     MATCH (a:Artist {id: id}) WHERE a.sha256 IS NOT NULL
     MERGE (n)-[:SAME_AS]->(a)";

/// A style is part of a genre if a record of that style has no other genre.
const PART_OF: &str = "MATCH (n)-[r:PART_OF]->(g:Genre)
     WHERE r.source IS NULL AND NOT EXISTS {
         MATCH (n)<-[style:IS]-(record)-[genre:IS]->(g)
         WHERE style.source IS NULL AND genre.source IS NULL
         AND COUNT { MATCH (record)-[i:IS]->(:Genre) WHERE i.source IS NULL } = 1
     }
     WITH collect(r) AS found UNWIND found AS r DELETE r";

/// What becomes of a node that nothing leads to any more, and to which nobody but us wrote.
pub(super) fn orphans(label: Label) -> String {
    let unknown = match label {
        Label::Artist | Label::Label | Label::Master | Label::Release => "n.sha256 IS NULL AND ",
        Label::Genre | Label::Style | Label::Person => "",
    };
    format!("WITH n WHERE {unknown}{} DELETE n", is_left_over(label))
}

/// What nodes of a stage count for, of nodes that are counted from the other side: which label that
/// may be, and the way there.
pub(super) const fn counts_for(stage: Stage) -> &'static [(&'static [Label], &'static str)] {
    match stage {
        Stage::Labels => &[(&[Label::Genre, Label::Style], "(n)<-[:ON]-(:Release)-[:IS]->(other)")],
        Stage::Artists => &[
            (&[Label::Genre, Label::Style], "(n)<-[:BY]-(:Release)-[:IS]->(other)"),
            (&[Label::Label], "(n)<-[:BY]-(:Release)-[:ON]->(other)"),
        ],
        Stage::Genres
        | Stage::Styles
        | Stage::People
        | Stage::Masters
        | Stage::Releases
        | Stage::Gathered
        | Stage::Orphans(_) => &[],
    }
}

/// What releases and masters lead to, a row for each.
pub(super) const LEADS: &str = "MATCH (n)-[r:IS|BY|ON]->(other)
     RETURN n.id AS id, n.year AS year, labels(other) AS labels, r.source IS NULL AS own,
         CASE WHEN type(r) = 'IS' THEN other.name ELSE other.id END AS key";

/// Who is credited on releases.
pub(super) const CREDITED: &str = "MATCH (n)<-[c:CREDITED_ON]-(p:Person)
     RETURN p.name AS name, CASE WHEN c.source IS NULL THEN c.artist_id END AS artist,
         c.source IS NULL AND c.artist_id IS NULL AND n.version IS NULL AS taken_over";

/// What gathered styles are not part of, and who gathered people are not; `row` has the keys.
pub(super) const NOT_PART_OF_GATHERED: &str =
    "UNWIND $rows AS row MATCH (n:Style {name: row.key})-[r:PART_OF]->(other:Genre)
     WHERE r.source IS NULL AND NOT other.name IN row.leads_to
     WITH collect(r) AS found UNWIND found AS r DELETE r";
pub(super) const NOT_SAME_AS_GATHERED: &str =
    "UNWIND $rows AS row MATCH (n:Person {name: row.key})-[r:SAME_AS]->(other:Artist)
     WHERE r.source IS NULL AND NOT row.taken_over
     AND (other.sha256 IS NULL OR NOT other.id IN row.leads_to)
     WITH collect(r) AS found UNWIND found AS r DELETE r";
pub(super) const SAME_AS_GATHERED: &str = "UNWIND $rows AS row MATCH (n:Person {name: row.key})
     UNWIND row.leads_to AS id MATCH (a:Artist {id: id}) WHERE a.sha256 IS NOT NULL
     MERGE (n)-[:SAME_AS]->(a)";
