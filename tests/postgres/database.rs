//! A database of a test's own on the server of the environment.

use std::path::Path;
use std::time::{Duration, Instant};

use discogs_extractor::database::postgres::{Connected, Server};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, SimpleQueryMessage};
use url::Url;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Dropped at the end.
pub struct Database {
    name: String,
    url: String,
    runtime: Runtime,
    server: Client,
    client: Client,
}

/// A row as a reader sees it: id, hash, data.
pub type Row = (String, String, Value);

impl Database {
    /// None where there is no server, which `tests/run` says.
    pub fn new() -> Option<Database> {
        std::env::var(super::SERVER).ok().map(|server| Database::on(&server))
    }

    /// One that is there already.
    pub fn at(url: &str) -> Database {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let name = Url::parse(url).unwrap().path().trim_matches('/').to_owned();
        let (server, client) = (connect(&runtime, url), connect(&runtime, url));
        Database { name, url: url.to_owned(), runtime, server, client }
    }

    /// A new one on this server.
    pub fn on(server: &str) -> Database {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let name = format!("t_{:016x}", rand::random::<u64>());
        let mut url = Url::parse(server).unwrap();
        let server = connect(&runtime, server);
        runtime.block_on(server.batch_execute(&format!("CREATE DATABASE {name}"))).unwrap();
        url.set_path(&name);
        let client = connect(&runtime, url.as_str());
        Database { name, url: url.into(), runtime, server, client }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    /// The same, but not in the database itself.
    pub fn run_outside(&self, sql: &str) {
        self.runtime.block_on(self.server.batch_execute(sql)).unwrap();
    }

    /// The first column of the first row as text; nothing if there is none or it is null.
    pub fn value(&self, sql: &str) -> String {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).unwrap();
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        row.unwrap_or_default().to_owned()
    }

    /// Waits until a value is as it should be.
    #[track_caller]
    pub fn settled(&self, sql: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.value(sql);
            if is_so(&value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{value} of {sql}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All rows, by id.
    pub fn rows(&self, table: &str) -> Vec<Row> {
        let sql = format!("SELECT data_id, hash, data FROM {table} ORDER BY data_id COLLATE \"C\"");
        let messages = self.runtime.block_on(self.client.simple_query(&sql)).unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let text = |column| row.get(column).unwrap().to_owned();
                Some((text(0), text(1), serde_json::from_str(&text(2)).unwrap()))
            }
            _ => None,
        });
        rows.collect()
    }

    /// Cuts off everybody else.
    pub fn cut(&self) {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A server that a test stopped drops nothing.
        _ = self.runtime.block_on(self.server.batch_execute(&drop));
    }
}

fn connect(runtime: &Runtime, url: &str) -> Client {
    let server: Server = url.parse().unwrap();
    let Ok(Connected { client, talking }) = runtime.block_on(server.connect()) else {
        panic!("no server at {server}")
    };
    runtime.spawn(talking);
    client
}

/// The rows that a PostgreSQL table has to have where the SQLite sink has these.
pub fn sqlite_rows(path: &Path, table: &str) -> Vec<Row> {
    let rows = crate::support::rows(path, table).into_iter().map(|(id, hash, data)| {
        let mut data: Value = serde_json::from_str(&data).unwrap();
        let dated = match table {
            "masters" => Some("year"),
            "releases" => Some("released"),
            _ => None,
        };
        if let Some(dated) = dated {
            let year = data[dated].as_str().and_then(|date| date.get(..4)?.parse::<i32>().ok());
            let year = year.filter(|year| (1860..=2100).contains(year));
            data["year"] = year.map_or(Value::Null, Value::from);
        }
        (id, hash, data)
    });
    rows.collect()
}
