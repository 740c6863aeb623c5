//! A Bolt server for tests: that of `DISCOGS_TEST_BOLT` if it is set, or one of our own, in a
//! folder of its own and on ports of its own, of the files that `DISCOGS_TEST_BOLT_FILES` names.

use std::env;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long the server may take to answer.
const START: Duration = Duration::from_mins(1);

const PASSWORD: &str = "play-with-data";

/// A server that is stopped when this is dropped.
pub struct Server {
    files: PathBuf,
    folder: TempDir,
    port: u16,
    http: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts a server of our own; none if there are no files to start it of.
    pub fn start() -> Option<Server> {
        let files = files()?;
        let (port, http) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server { files, folder, port, http, child: None };
        server.begin();
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("bolt://root:{PASSWORD}@127.0.0.1:{}/neo4j", self.port)
    }

    /// Starts it again on the same data and port, after `kill`.
    pub fn begin(&mut self) {
        let home = self.folder.path();
        let log = File::create(home.join("out")).unwrap();
        let set = |name: &str, value: &str| format!("-Darcadedb.{name}={value}");
        let child = Command::new(self.files.join("jre/bin/java"))
            .current_dir(home)
            .args(["-Xmx1g", "--add-modules", "jdk.incubator.vector", "-cp"])
            .arg(format!("{}/*", self.files.join("jars").display()))
            .arg(set("server.rootPath", &home.display().to_string()))
            .arg(set("server.rootPassword", PASSWORD))
            .arg(set("server.httpIncomingHost", "127.0.0.1"))
            .arg(set("server.httpIncomingPort", &self.http.to_string()))
            .arg(set("server.plugins", "Bolt:com.arcadedb.bolt.BoltProtocolPlugin"))
            .arg(set("bolt.host", "127.0.0.1"))
            .arg(set("bolt.port", &self.port.to_string()))
            .arg(set("bolt.defaultDatabase", "neo4j"))
            .arg(set("server.defaultDatabases", "neo4j[root]"))
            .arg("com.arcadedb.server.ArcadeDBServer")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let said = || fs::read_to_string(home.join("out")).unwrap_or_default();
            assert!(since.elapsed() < START, "the Bolt server does not start:\n{}", said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder with the server's `jars` and `jre`.
fn files() -> Option<PathBuf> {
    let named = env::var_os("DISCOGS_TEST_BOLT_FILES").map(PathBuf::from);
    named.filter(|folder| folder.join("jre/bin/java").exists())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
