//! A PostgreSQL server that a test may stop.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server of a test's own.
pub struct Own {
    folder: tempfile::TempDir,
    port: u16,
}

impl Own {
    /// None where none is installed.
    pub fn new() -> Option<Own> {
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let own = Own { folder, port };
        if rustix::process::geteuid().is_root() {
            Command::new("chown").arg("postgres").arg(own.folder.path()).status().unwrap();
        }
        let mut initdb = command("initdb")?;
        initdb.args(["-A", "trust", "-U", "postgres", "-N", "-D"]).arg(own.data());
        let made = initdb.current_dir("/").stdout(Stdio::null()).status().unwrap();
        made.success().then_some(own)
    }

    /// Its own database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `pg_ctl`, which waits until it is done.
    pub fn control(&self, what: &[&str]) {
        assert!(self.can(what), "{what:?}");
    }

    fn can(&self, what: &[&str]) -> bool {
        let folder: &Path = self.folder.path();
        let options = format!("-p {} -h 127.0.0.1 -k {}", self.port, folder.display());
        let mut command = command("pg_ctl").unwrap();
        command.arg("-D").arg(self.data()).args(["-w", "-l"]).arg(folder.join("log"));
        command.args(["-o", &options]).args(what).stdout(Stdio::null());
        command.current_dir("/").status().unwrap().success()
    }
}

/// One of the server's programs, as a user that it runs as.
fn command(program: &str) -> Option<Command> {
    let mut releases: Vec<_> = fs::read_dir("/usr/lib/postgresql").ok()?.collect();
    let folder = releases.pop()?.ok()?.path().join("bin");
    let program = folder.join(program);
    Some(if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    })
}

impl Drop for Own {
    fn drop(&mut self) {
        // A test that failed may have stopped it.
        _ = self.can(&["-m", "immediate", "stop"]);
    }
}
