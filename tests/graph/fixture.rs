//! A graph for a test: emptied, on a real server, and what is in it.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use discogs_extractor::graph::model::{Entity, Label};
use discogs_extractor::graph::{Arrival, GraphError, Link, Noting, Refused, Stamp, prepare};
use discogs_extractor::model::agreement::{Noter, Rules, SweepOwed};
use discogs_extractor::model::message::write_data;
use discogs_extractor::model::{DumpName, Kind, Ordinal, Run, Timestamp};
use discogs_extractor::record::{Parser, Split, Splitter};
use neo4rs::{ConfigBuilder, Graph, Query};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use super::bolt::Server;

pub const YEAR: i64 = 2026;

/// Each test has the graph for itself.
static TURN: Mutex<()> = Mutex::const_new(());

pub struct Fixture {
    pub link: Link,
    plain: Graph,
    pub url: String,
    pub server: Option<Server>,
    _turn: MutexGuard<'static, ()>,
}

impl Fixture {
    /// An empty graph on the server that a variable of the environment names, or on one of our
    /// own; none where there is neither.
    pub async fn new(variable: &str) -> Option<Fixture> {
        let turn = TURN.lock().await;
        match std::env::var(variable) {
            Ok(url) => Some(Fixture::at(url, None, turn).await),
            Err(_) => Fixture::private(turn).await,
        }
    }

    /// An empty graph on a server of our own, which can be killed.
    pub async fn mortal() -> Option<Fixture> {
        let turn = TURN.lock().await;
        Fixture::private(turn).await
    }

    async fn private(turn: MutexGuard<'static, ()>) -> Option<Fixture> {
        let Some(server) = Server::start() else {
            println!("left out: neither DISCOGS_TEST_BOLT nor DISCOGS_TEST_BOLT_FILES is set");
            return None;
        };
        Some(Fixture::at(server.url(), Some(server), turn).await)
    }

    async fn at(url: String, server: Option<Server>, turn: MutexGuard<'static, ()>) -> Fixture {
        let link = Link::new(&url.parse().unwrap()).unwrap();
        let parts = url::Url::parse(&url).unwrap();
        let config = ConfigBuilder::default()
            .uri(format!("{}:{}", parts.host_str().unwrap(), parts.port().unwrap_or(7687)))
            .user(parts.username())
            .password(parts.password().unwrap_or_default())
            .db("neo4j")
            .build();
        let plain = Graph::connect(config.unwrap()).unwrap();
        let fixture = Fixture { link, plain, url, server, _turn: turn };
        let since = Instant::now();
        while let Err(error) = fixture.link.ask().await {
            assert!(since.elapsed() < Duration::from_secs(30), "no answer: {error}");
        }
        fixture.empty().await;
        prepare(&fixture.link).await.unwrap();
        fixture
    }

    pub async fn empty(&self) {
        // What a server deletes in one transaction.
        let some = "MATCH (n) WITH n LIMIT 5000 DETACH DELETE n";
        while self.texts("MATCH (n) RETURN 1 AS any LIMIT 1").await != [""; 0] {
            self.plain.run(some).await.unwrap();
        }
    }

    pub async fn texts(&self, statement: &str) -> Vec<String> {
        let mut rows = self.plain.execute(Query::new(statement.to_owned())).await.unwrap();
        let mut texts = Vec::new();
        while let Some(row) = rows.next().await.unwrap() {
            texts.push(row.to::<Value>().unwrap().to_string());
        }
        texts.sort();
        texts
    }

    /// Everything in the graph but our own notes, in an order of its own.
    pub async fn all(&self) -> Vec<String> {
        let mut all = Vec::new();
        for label in Label::ALL {
            let name = label.name();
            let nodes = format!("MATCH (n:{name}) RETURN '{name}' AS label, properties(n) AS p");
            all.extend(self.texts(&nodes).await);
        }
        let relationships = "MATCH (a)-[r]->(b)
             RETURN labels(a) AS la, coalesce(a.id, a.name) AS a, type(r) AS t,
                 properties(r) AS p, labels(b) AS lb, coalesce(b.id, b.name) AS b";
        all.extend(self.texts(relationships).await);
        all
    }
}

/// Writes as a consumer does that cancels nothing.
pub async fn write(link: &Link, kind: Kind, arrivals: &[Arrival]) -> Result<Refused, GraphError> {
    let rules = Rules { cancel_after: None, sweep_owed: SweepOwed::Always };
    let noter = Noter { consumer: "graphinator".into(), rules };
    let noting = Noting { kind, noter: Some(&noter), now: Timestamp(0) };
    discogs_extractor::graph::write(link, &noting, arrivals).await
}

/// A record as it is sent.
#[derive(Clone, Debug)]
pub struct Document {
    pub kind: Kind,
    pub record: Value,
    pub sha256: String,
    pub stamp: Stamp,
}

impl Document {
    pub fn arrival(&self) -> Arrival {
        let json = self.record.to_string();
        let entity = Entity::read(self.kind, json.as_bytes(), &self.sha256, YEAR).unwrap();
        Arrival { stamp: Some(self.stamp), entity }
    }
}

/// The records of a sample dump as they arrive.
pub fn sample(folder: &Path, kind: Kind, version: &str) -> Vec<Arrival> {
    documents(folder, kind, version).iter().map(Document::arrival).collect()
}

/// The records of a sample dump.
pub fn documents(folder: &Path, kind: Kind, version: &str) -> Vec<Document> {
    let file: DumpName = format!("discogs_{version}_{kind}.xml.gz").parse().unwrap();
    let gzip = std::fs::File::open(folder.join(file.to_string())).unwrap();
    let mut xml = Vec::new();
    flate2::read::MultiGzDecoder::new(gzip).read_to_end(&mut xml).unwrap();
    let (mut splitter, mut parser) = (Splitter::new(kind), Parser::new());
    let mut documents = Vec::new();
    loop {
        match splitter.next(&xml, true).unwrap() {
            Split::Record(range) => {
                let mut json = Vec::new();
                let document = parser.parse(kind, &xml[range], &mut json).unwrap();
                let mut message = Vec::new();
                write_data(&json, &document, &mut message);
                let record = serde_json::from_slice(&message).unwrap();
                let ordinal = Ordinal(documents.len() as u64 + 1);
                let stamp = Stamp { version: file.version, run: Run(1), ordinal };
                let sha256 = document.hash.to_string();
                documents.push(Document { kind, record, sha256, stamp });
            }
            Split::End => return documents,
            other => panic!("{other:?}"),
        }
    }
}
