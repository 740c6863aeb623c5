//! The databases that consumers fill, with what can go wrong with each.

use std::time::Duration;

use discogs_extractor::graph::settle;
use discogs_extractor::model::Kind;
use rusqlite::{Connection, OpenFlags};
use url::Url;

use crate::database::Database;
use crate::fixture::{Fixture, sample, write};
use crate::rabbit::wait;
use crate::support::broker::relay::Relay;
use crate::support::{Place, rows};
use crate::trouble::Trouble;
use crate::{FAKETIME, GRAPH};

/// A database of an episode's own.
pub trait Target {
    /// Whose queues are read.
    fn consumer(&self) -> &'static str {
        "tableinator"
    }

    /// Where consumers find it.
    fn url(&self) -> String;

    /// What one clean pass over a folder of dumps makes.
    fn clean(&mut self, place: &Place, folder: &str, version: &str) -> Vec<String>;

    /// All that people read.
    fn everything(&mut self) -> Vec<String>;

    /// How many types of a version are complete and swept.
    fn swept(&mut self, version: &str) -> u64;

    /// What consumers have noted, for whoever looks into a failure.
    fn notes(&mut self) -> String;

    /// Which troubles of its own it has.
    fn has(&self) -> &'static [Trouble];

    /// Whether there is such trouble here.
    fn knows(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::ClockAhead | Trouble::ClockBehind => std::env::var_os(FAKETIME).is_some(),
            Trouble::Full | Trouble::Locked | Trouble::Cut | Trouble::Stalled => {
                self.has().contains(&trouble)
            }
            Trouble::Killed
            | Trouble::Stopped
            | Trouble::Frozen
            | Trouble::Extractor
            | Trouble::Garbage
            | Trouble::Replay => true,
        }
    }

    fn begins(&mut self, trouble: Trouble);

    fn ends(&mut self, trouble: Trouble);
}

const SWEPT: &str = "SELECT count(DISTINCT type) FROM extractor_complete
    WHERE sweep = 'done' AND version = ";

const NOTES: &str = "SELECT type || ' ' || version || ' ' || run || ' last ' || coalesce(last, 0)
    || ' complete ' || coalesce(completed_at, 0) || ' sweep ' || coalesce(sweep, '')
    || ' ' || coalesce(sweep_words, '') FROM extractor_complete";

/// A SQLite file.
pub struct File {
    folder: tempfile::TempDir,
    lock: Option<Connection>,
}

impl File {
    pub fn new() -> File {
        File { folder: tempfile::tempdir().unwrap(), lock: None }
    }

    fn open(&self) -> Connection {
        let path = self.folder.path().join("c.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(path, flags).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        connection
    }

    fn texts(path: &std::path::Path) -> Vec<String> {
        let of = |kind: Kind| rows(path, kind.name()).into_iter().map(move |row| (kind, row));
        Kind::ALL.into_iter().flat_map(of).map(|row| format!("{row:?}")).collect()
    }
}

impl Target for File {
    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("c.db").display())
    }

    fn clean(&mut self, place: &Place, folder: &str, _version: &str) -> Vec<String> {
        let mut extract = place.program();
        extract.args(["extract", folder, "--to", "sqlite:clean.db"]);
        assert!(extract.output().unwrap().status.success());
        File::texts(&place.path("clean.db"))
    }

    fn everything(&mut self) -> Vec<String> {
        File::texts(&self.folder.path().join("c.db"))
    }

    fn swept(&mut self, version: &str) -> u64 {
        let swept = format!("{SWEPT}'{version}'");
        let count = self.open().query_row(&swept, [], |row| row.get::<_, i64>(0));
        count.unwrap().cast_unsigned()
    }

    fn notes(&mut self) -> String {
        let connection = self.open();
        let mut statement = connection.prepare(NOTES).unwrap();
        let notes = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        notes.map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    fn has(&self) -> &'static [Trouble] {
        &[Trouble::Locked]
    }

    fn begins(&mut self, trouble: Trouble) {
        if trouble == Trouble::Locked && self.lock.is_none() {
            let connection = self.open();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            self.lock = Some(connection);
        }
    }

    fn ends(&mut self, trouble: Trouble) {
        if trouble == Trouble::Locked {
            self.lock = None;
        }
    }
}

/// A database on a PostgreSQL server, behind a relay.
pub struct Server {
    database: Database,
    /// Somebody else, who may hold locks.
    other: Database,
    relay: Relay,
    url: String,
}

/// The tables that are full when the server is, and those that somebody holds: nobody who waits for
/// the one waits for the other.
const FULL: [Kind; 2] = [Kind::Labels, Kind::Releases];
const LOCKED: [Kind; 2] = [Kind::Artists, Kind::Masters];

impl Server {
    /// None where there is no server, which `tests/run` says.
    pub fn new() -> Option<Server> {
        let database = Database::new()?;
        let mut url = Url::parse(database.url()).unwrap();
        let relay = Relay::to(url.port().unwrap_or(5432));
        url.set_port(Some(relay.port())).unwrap();
        // Whoever hears nothing is to notice: what is cut by a relay is not always told.
        let other = Database::at(database.url());
        Some(Server { other, relay, url: url.into(), database })
    }

    fn texts(database: &Database) -> Vec<String> {
        let of = |kind: Kind| database.rows(kind.name()).into_iter().map(move |row| (kind, row));
        Kind::ALL.into_iter().flat_map(of).map(|row| format!("{row:?}")).collect()
    }

    fn ddl(&self, of: impl Fn(Kind) -> String) {
        for kind in FULL {
            self.database.run(&of(kind));
        }
    }
}

impl Target for Server {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn clean(&mut self, place: &Place, folder: &str, _version: &str) -> Vec<String> {
        let clean = Database::new().unwrap();
        let mut extract = place.program();
        extract.args(["extract", folder, "--to", clean.url()]);
        assert!(extract.output().unwrap().status.success());
        Server::texts(&clean)
    }

    fn everything(&mut self) -> Vec<String> {
        Server::texts(&self.database)
    }

    fn swept(&mut self, version: &str) -> u64 {
        self.database.value(&format!("{SWEPT}'{version}'")).parse().unwrap()
    }

    fn notes(&mut self) -> String {
        self.database.value(&format!("SELECT string_agg(note, chr(10)) FROM ({NOTES}) AS n(note)"))
    }

    fn has(&self) -> &'static [Trouble] {
        &[Trouble::Cut, Trouble::Stalled, Trouble::Full, Trouble::Locked]
    }

    fn begins(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Cut => self.relay.cut(),
            Trouble::Stalled => self.relay.stall(),
            Trouble::Full => {
                self.database.run(
                    "CREATE OR REPLACE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$",
                );
                self.ddl(|kind| {
                    format!(
                        "CREATE OR REPLACE TRIGGER full_{kind} BEFORE INSERT OR UPDATE ON {kind}
                         FOR EACH STATEMENT EXECUTE FUNCTION full()"
                    )
                });
            }
            Trouble::Locked => {
                let [one, other] = LOCKED;
                self.other.run(&format!("BEGIN; LOCK TABLE {one}, {other}"));
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn ends(&mut self, trouble: Trouble) {
        match trouble {
            // What is stalled has lost bytes: it is cut, as a network does in the end.
            Trouble::Cut | Trouble::Stalled => {
                self.relay.cut();
                self.relay.resume();
            }
            Trouble::Full => {
                self.ddl(|kind| format!("DROP TRIGGER IF EXISTS full_{kind} ON {kind}"));
            }
            Trouble::Locked => self.other.run("ROLLBACK"),
            other => unreachable!("{other:?}"),
        }
    }
}

/// A graph on a Bolt server, behind a relay.
pub struct Bolt {
    fixture: Fixture,
    relay: Relay,
    url: String,
}

impl Bolt {
    /// None where there is no server, which `tests/run` says.
    pub fn new() -> Option<Bolt> {
        let fixture = wait(Fixture::new(GRAPH))?;
        let mut url = Url::parse(&fixture.url).unwrap();
        let relay = Relay::to(url.port().unwrap_or(7687));
        url.set_port(Some(relay.port())).unwrap();
        Some(Bolt { fixture, relay, url: url.into() })
    }
}

impl Target for Bolt {
    fn consumer(&self) -> &'static str {
        "graphinator"
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn clean(&mut self, place: &Place, folder: &str, version: &str) -> Vec<String> {
        wait(self.fixture.empty());
        for kind in Kind::ALL {
            let arrivals = sample(&place.path(folder), kind, version);
            assert_eq!(wait(write(&self.fixture.link, kind, &arrivals)).unwrap(), [].into());
        }
        assert!(wait(settle(&self.fixture.link, &mut |_| true)).unwrap());
        let clean = self.everything();
        wait(self.fixture.empty());
        clean
    }

    fn everything(&mut self) -> Vec<String> {
        let without_run = |text: String| {
            let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
            value["p"].as_object_mut().unwrap().remove("run");
            value.to_string()
        };
        wait(self.fixture.all()).into_iter().map(without_run).collect()
    }

    fn swept(&mut self, version: &str) -> u64 {
        let types = format!(
            "MATCH (c:ExtractorComplete {{version: '{version}', sweep: 'done'}})
             RETURN DISTINCT c.type AS type"
        );
        wait(self.fixture.texts(&types)).len() as u64
    }

    fn notes(&mut self) -> String {
        let notes = "MATCH (c:ExtractorComplete) RETURN properties(c) AS note";
        wait(self.fixture.texts(notes)).join("\n")
    }

    fn has(&self) -> &'static [Trouble] {
        &[Trouble::Cut, Trouble::Stalled]
    }

    fn begins(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Cut => self.relay.cut(),
            Trouble::Stalled => self.relay.stall(),
            other => unreachable!("{other:?}"),
        }
    }

    fn ends(&mut self, _trouble: Trouble) {
        self.relay.cut();
        self.relay.resume();
    }
}
