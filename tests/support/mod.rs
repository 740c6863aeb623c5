//! What the tests of the program share: a place of its own for each, dumps, and the program.

#![allow(dead_code, reason = "each test takes what it needs")]

pub mod broker;
pub mod daemon;
pub mod http;
pub mod running;
pub mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use discogs_extractor::sample::{Options, make};
use tempfile::TempDir;

/// A folder of its own with a state directory in it.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with this place's state directory, and nothing of the tester's environment.
    pub fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_discogs-extractor"));
        command.env_clear().current_dir(self.dir.path());
        command.env("STATE_DIR", self.path("state")).env("HOME", self.dir.path());
        // Nothing of the world outside is asked for, unless a test names a site.
        command.env("DISCOGS_SITE", "none");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.program().args(arguments).output().unwrap())
    }

    /// `extract` of this place's `dumps` folder into a sink.
    pub fn extract(&self, to: &str) -> Ran {
        self.run(&["extract", "dumps", "--to", to])
    }

    /// Makes a dump set in `dumps`.
    pub fn sample(&self, options: &Options) {
        make(options, &self.path("dumps")).unwrap();
    }

    /// A dump of artists in `dumps` with exactly these bytes on disk.
    pub fn dump(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::create_dir_all(self.path("dumps")).unwrap();
        let path = self.path("dumps").join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// `state list --json`.
    pub fn state(&self) -> serde_json::Value {
        let ran = self.run(&["state", "list", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// The state of the only file there is.
    pub fn only_file(&self) -> serde_json::Value {
        let state = self.state();
        let files = state["files"].as_array().unwrap();
        assert_eq!(files.len(), 1, "{state:#}");
        files[0].clone()
    }
}

/// How a run of the program ended and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Asserts the exit code, and that standard error says all of this.
    #[track_caller]
    pub fn ends(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for words in says {
            assert!(self.err.contains(words), "{words:?} is missing in:\n{}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// A value is as a JSON Schema says.
#[track_caller]
pub fn conforms(schema: &str, value: &serde_json::Value) {
    const NAME: &str = "schema.json";
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.enable_format_assertions();
    compiler.add_resource(NAME, serde_json::from_str(schema).unwrap()).unwrap();
    let schema = compiler.compile(NAME, &mut schemas).unwrap();
    let conforms = schemas.validate(value, schema).map_err(|error| error.to_string());
    conforms.unwrap_or_else(|why| panic!("{why}\n{value:#}"));
}

/// Text as a gzip file.
pub fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A small dump of artists as XML, and how many records it holds.
pub fn artists(count: usize) -> String {
    let record = |n| format!("<artist><id>{n}</id><name>Artist {n}</name></artist>\n");
    format!("<artists>\n{}</artists>\n", (1..=count).map(record).collect::<String>())
}

/// Copies a folder and what is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_folder(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All rows of a table, without when they were written and by which run.
pub fn rows(database: &Path, table: &str) -> Vec<(String, String, String)> {
    let database = rusqlite::Connection::open(database).unwrap();
    let query = format!("SELECT data_id, hash, data FROM {table} ORDER BY data_id");
    let mut query = database.prepare(&query).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The most memory that a process ever had, in MiB.
pub fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() >> 10
}
