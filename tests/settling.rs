//! What many records assert together, against a real Bolt server: whatever fails and whoever else
//! writes meanwhile.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stdout, reason = "what is left out")]

#[path = "support/bolt.rs"]
mod bolt;
#[path = "graph/fixture.rs"]
mod fixture;
#[path = "graph/made.rs"]
mod made;
#[path = "graph/relay.rs"]
mod relay;

use discogs_extractor::graph::Link;
use discogs_extractor::model::Kind;
use fixture::{Fixture, write};
use relay::Relay;
use serde_json::json;

/// The graph that the tests use.
const GRAPH: &str = "DISCOGS_TEST_BOLT";

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_deletes_while_it_is_led_to_is_made_again_and_led_to() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let relay = Relay::to(&fixture.url).await;
    let link = Link::new(&relay.url(&fixture.url).parse().unwrap()).unwrap();
    // The artist is there, and nothing leads to it yet.
    fixture.texts("MERGE (a:Artist {id: '7'}) RETURN a.id AS id").await;
    let held = relay.hold("CREATE (n)-[:BY]->(other)");
    let release = json!({"id": "1", "title": "T", "artists": [{"id": "7", "name": "A"}]});
    let release = made::arrival(Kind::Releases, &release, made::stamp("20260101", 1, 1));
    let writing = tokio::spawn(async move { write(&link, Kind::Releases, &[release]).await });
    held.reached.notified().await;
    fixture.texts("MATCH (a:Artist {id: '7'}) DETACH DELETE a RETURN 1 AS gone").await;
    held.go_on.notify_one();
    assert_eq!(writing.await.unwrap().unwrap(), [].into());
    let led_to = "MATCH (r:Release {id: '1'})-[:BY]->(a:Artist) RETURN a.id AS id";
    assert_eq!(fixture.texts(led_to).await, [r#"{"id":"7"}"#]);
}
