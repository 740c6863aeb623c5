//! What many records assert together, against a real Bolt server: whatever fails and whoever else
//! writes meanwhile.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stdout, reason = "the seed, times, and what is left out")]

#[path = "support/bolt.rs"]
mod bolt;
#[path = "graph/fixture.rs"]
mod fixture;
#[path = "graph/made.rs"]
#[expect(dead_code, reason = "not all of it is wanted here")]
mod made;
#[path = "graph/relay.rs"]
mod relay;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use discogs_extractor::database::Database;
use discogs_extractor::graph::{Fault, Graph, Link, Pace, SettlingEnd as End, settle, settle_at};
use discogs_extractor::model::{FirstConnection, Kind, SystemClock};
use fixture::{Fixture, sample, write};
use made::Made;
use rand::{Rng, SeedableRng, rngs::StdRng};
use relay::Relay;
use serde_json::json;

/// The graph that the tests use.
const GRAPH: &str = "DISCOGS_TEST_BOLT";

/// Almost everything leads to too much at this pace, and it is noted after every step how far it came.
const TINY: Pace = Pace { nodes: 3, relationships: 2, note_every: Duration::ZERO };

impl Fixture {
    fn through(&self, relay: &Relay) -> Link {
        Link::new(&relay.url(&self.url).parse().unwrap()).unwrap()
    }

    async fn fill(&self, made: &Made) {
        for kind in Kind::ALL {
            let written = write(&self.link, kind, &made.arrivals(kind)).await;
            assert_eq!(written.unwrap(), [].into());
        }
    }

    /// The project's own small dumps.
    async fn fill_with_sample(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample");
        for kind in Kind::ALL {
            let written = write(&self.link, kind, &sample(&folder, kind, "20260101")).await;
            assert_eq!(written.unwrap(), [].into());
        }
    }

    /// Takes back what settling counts.
    async fn uncount(&self) {
        let counts = [
            "release_count",
            "first_year",
            "artist_count",
            "label_count",
            "style_count",
            "genre_count",
            "credit_count",
        ];
        for count in counts {
            self.texts(&format!("MATCH (n) WHERE n.{count} IS NOT NULL REMOVE n.{count}")).await;
        }
    }

    async fn settled(&self, pace: Pace) -> Vec<String> {
        assert_eq!(settle_at(&self.link, pace, &mut |_| true).await.unwrap(), End::Settled);
        self.all().await
    }
}

/// From `DISCOGS_TEST_SEED`, or a new one, which is printed.
fn random() -> StdRng {
    let seed = std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("DISCOGS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

#[track_caller]
fn same(expected: &[String], found: &[String]) {
    let (expected, found): (BTreeSet<_>, BTreeSet<_>) =
        (expected.iter().collect(), found.iter().collect());
    let missing: Vec<_> = expected.difference(&found).collect();
    let more: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:#?}\nmore {more:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_deletes_while_it_is_led_to_is_made_again_and_led_to() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let relay = Relay::to(&fixture.url).await;
    let link = fixture.through(&relay);
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_from_the_other_side_is_what_one_step_counts() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let mut random = random();
    for round in 0..7 {
        fixture.empty().await;
        if round == 0 {
            fixture.fill_with_sample().await;
        } else {
            let old = Made::new("20251201", 7, &mut random);
            fixture.fill(&old).await;
            // What is no longer asserted has to go.
            fixture.fill(&old.next("20260101", 3, &mut random)).await;
        }
        let tiny = fixture.settled(TINY).await;
        fixture.uncount().await;
        same(&fixture.settled(Pace::default()).await, &tiny);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_cannot_be_made_is_left_out_for_that_node_alone() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    fixture.fill_with_sample().await;
    let clean = fixture.settled(Pace::default()).await;
    let genres = fixture.texts("MATCH (g:Genre) RETURN g.name AS name").await;
    assert!(genres.len() > 2, "{genres:?}");
    fixture.uncount().await;
    let relay = Relay::to(&fixture.url).await;
    // It stands before others.
    relay.cut(&["AS found, min(found.year)", "Electronic"]);
    assert!(settle(&fixture.through(&relay), &mut |_| true).await.unwrap());
    // Not only once, and not for ever.
    assert!((4..40).contains(&relay.cuts()), "{}", relay.cuts());
    let left_out = "MATCH (g:Genre) WHERE g.release_count IS NULL RETURN g.name AS name";
    assert_eq!(fixture.texts(left_out).await, [r#"{"name":"Electronic"}"#]);
    let found = fixture.all().await;
    let different: Vec<_> = clean.iter().filter(|text| !found.contains(text)).collect();
    assert!(different.len() == 1 && different[0].contains("Electronic"), "{different:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_was_stopped_or_killed() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let mut random = random();
    fixture.fill_with_sample().await;
    let pace = Pace { nodes: 7, relationships: 9, ..TINY };
    let mut once = 0;
    let mut go_on = |rows| {
        once += rows;
        true
    };
    assert_eq!(settle_at(&fixture.link, pace, &mut go_on).await.unwrap(), End::Settled);
    let clean = fixture.all().await;

    fixture.uncount().await;
    let (mut looked_at, mut kills, mut stops) = (0, 0, 0);
    loop {
        let link = Link::new(&fixture.url.parse().unwrap()).unwrap();
        let most = random.random_range(3..30);
        let (mut taken, is_kill) = (0, random.random_bool(0.5));
        let killed = tokio::sync::Notify::new();
        let mut go_on = |rows| {
            looked_at += rows;
            taken += 1;
            if taken == most && is_kill {
                killed.notify_one();
            }
            taken < most || is_kill
        };
        let ended = tokio::select! {
            biased;
            () = killed.notified() => None,
            ended = settle_at(&link, pace, &mut go_on) => Some(ended.unwrap()),
        };
        match ended {
            None => kills += 1,
            Some(End::Stopped) => stops += 1,
            Some(end) => {
                assert_eq!(end, End::Settled);
                break;
            }
        }
    }
    same(&clean, &fixture.all().await);
    println!("{once} nodes at once, {looked_at} with {kills} kills and {stops} stops");
    assert!(kills + stops > 3, "{kills} {stops}");
    // What was noted is not looked at again; a kill may cost the step that it hit.
    assert!(looked_at <= once + kills * 7, "{looked_at} {once} {kills}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_somebody_writes_or_takes_it_over() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let relay = Relay::to(&fixture.url).await;
    fixture.fill_with_sample().await;
    let more = Made::new("20260201", 3, &mut random());
    for is_written in [true, false] {
        let held = relay.hold("CREDITED_ON]->() WITH r LIMIT");
        let link = fixture.through(&relay);
        let settling =
            tokio::spawn(async move { settle_at(&link, TINY, &mut |_| true).await.unwrap() });
        held.reached.notified().await;
        let end = if is_written {
            fixture.fill(&more).await;
            End::Written
        } else {
            fixture.settled(Pace::default()).await;
            End::TakenOver
        };
        held.go_on.notify_one();
        assert_eq!(settling.await.unwrap(), end);
    }
    let found = fixture.all().await;
    fixture.uncount().await;
    same(&fixture.settled(Pace::default()).await, &found);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_meanwhile_is_an_error_that_passes_and_it_goes_on_there() {
    let Some(mut fixture) = Fixture::mortal().await else { return };
    fixture.fill_with_sample().await;
    let clean = fixture.settled(TINY).await;
    fixture.uncount().await;
    let relay = Relay::to(&fixture.url).await;
    let held = relay.hold("CREDITED_ON]->() WITH r LIMIT");
    let link = fixture.through(&relay);
    let settling = tokio::spawn(async move { settle_at(&link, TINY, &mut |_| true).await });
    held.reached.notified().await;
    let mut server = fixture.server.take().unwrap();
    server.kill();
    held.go_on.notify_one();
    assert_eq!(settling.await.unwrap().unwrap_err().fault, Fault::Passing);
    fixture.server = tokio::task::spawn_blocking(move || {
        server.begin();
        Some(server)
    })
    .await
    .unwrap();
    let link = fixture.through(&relay);
    relay.asked();
    let end = settle_at(&link, TINY, &mut |_| true).await;
    assert_eq!(end.unwrap(), End::Settled);
    let is_begun_anew =
        relay.asked().iter().any(|asked| asked.contains("MATCH (n)<-[r:IS]-() WITH"));
    assert!(!is_begun_anew, "it was at the people");
    same(&clean, &fixture.all().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_sweep_settles_is_settled_when_nothing_comes() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    fixture.fill_with_sample().await;
    let open = async |quiet| {
        let address = fixture.url.parse().unwrap();
        let clock = Arc::new(SystemClock::new());
        let graph = Graph::open(&address, None, clock, FirstConnection::Whenever).await;
        graph.unwrap().quiet_after(quiet)
    };
    let counted = "MATCH (g:Genre) WHERE g.release_count > 0 RETURN g.name AS name";
    let patient = open(Duration::from_hours(1)).await;
    for _ in 0..3 {
        patient.settle_if_quiet(Arc::new(|_| true)).await.unwrap();
    }
    assert_eq!(fixture.texts(counted).await, [""; 0]);
    let hasty = open(Duration::ZERO).await;
    hasty.settle_if_quiet(Arc::new(|_| true)).await.unwrap();
    assert_ne!(fixture.texts(counted).await, [""; 0]);
    // Once.
    fixture.uncount().await;
    hasty.settle_if_quiet(Arc::new(|_| true)).await.unwrap();
    assert_eq!(fixture.texts(counted).await, [""; 0]);
}

/// `DISCOGS_TEST_RECORDS=50000` makes the long variant.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_follows_all_that_leads_to_a_genre_a_label_an_artist_or_a_person() {
    let Some(fixture) = Fixture::new(GRAPH).await else { return };
    let releases = std::env::var("DISCOGS_TEST_RECORDS").ok().map(|it| it.parse().unwrap());
    let releases: usize = releases.unwrap_or(3_000);
    let nodes = "MERGE (:Genre {name: 'The genre'}) MERGE (:Style {name: 'The style'})
         MERGE (:Label {id: '99999991'}) MERGE (:Artist {id: '99999992', sha256: 'a'})
         MERGE (:Person {name: 'The person'}) RETURN 1 AS one";
    fixture.texts(nodes).await;
    for some in (0..releases).collect::<Vec<_>>().chunks(1_000) {
        let (first, last) = (some[0], some[some.len() - 1]);
        let each = format!("UNWIND range({first}, {last}) AS i ");
        fixture.texts(&format!("{each} CREATE (:Release {{id: toString(i), year: 1990}})")).await;
        let others = [
            "MATCH (n:Genre {name: 'The genre'}) CREATE (r)-[:IS]->(n)",
            "MATCH (n:Style {name: 'The style'}) CREATE (r)-[:IS]->(n)",
            "MATCH (n:Label {id: '99999991'}) CREATE (r)-[:ON]->(n)",
            "MATCH (n:Artist {id: '99999992'}) CREATE (r)-[:BY]->(n)",
            "MATCH (n:Person {name: 'The person'})
             CREATE (n)-[:CREDITED_ON {role: 'a', artist_id: '99999992'}]->(r)",
        ];
        for other in others {
            let statement = format!("{each} MATCH (r:Release {{id: toString(i)}}) {other}");
            fixture.texts(&statement).await;
        }
    }
    let relay = Relay::to(&fixture.url).await;
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    let mut go_on = |_| {
        longest = longest.max(last.elapsed());
        last = Instant::now();
        true
    };
    let link = fixture.through(&relay);
    assert_eq!(settle_at(&link, Pace::default(), &mut go_on).await.unwrap(), End::Settled);
    println!("{releases} releases, the longest step took {longest:?}");
    let supernodes = ["The genre", "The style", "99999991", "99999992", "The person"];
    for asked in relay.asked() {
        let names_one = supernodes.iter().any(|name| asked.contains(name));
        let from_it = ["<-[", "-[r:CREDITED_ON", "-[c:CREDITED_ON", "-[found:CREDITED_ON"];
        let is_bounded = asked.contains("LIMIT") || !from_it.iter().any(|way| asked.contains(way));
        assert!(!names_one || is_bounded, "{asked}");
    }
    let n = releases;
    let counts = [
        (
            "MATCH (n:Genre) RETURN n.release_count AS r, n.first_year AS y, n.artist_count AS a,
             n.label_count AS l, n.style_count AS s",
            json!({"r": n, "y": 1990, "a": 1, "l": 1, "s": 1}),
        ),
        (
            "MATCH (n:Style) RETURN n.release_count AS r, n.artist_count AS a, n.genre_count AS g",
            json!({"r": n, "a": 1, "g": 1}),
        ),
        (
            "MATCH (n:Label) RETURN n.release_count AS r, n.artist_count AS a, n.genre_count AS g",
            json!({"r": n, "a": 1, "g": 1}),
        ),
        ("MATCH (n:Person) RETURN n.credit_count AS c", json!({"c": n})),
        ("MATCH (:Person)-[r:SAME_AS]->(a:Artist) RETURN a.id AS id", json!({"id": "99999992"})),
    ];
    for (statement, expected) in counts {
        assert_eq!(fixture.texts(statement).await, [expected.to_string()]);
    }
}
