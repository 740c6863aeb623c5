//! The house's own rules: layers import only what lies below them, no files import each other, files
//! stay small, nothing is left lying about. The table is that of `docs/ARCHITECTURE.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "tidy/house.rs"]
mod house;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use house::House;

/// What each folder may import of ours.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("dump", &["model"]),
    ("gzip", &["model"]),
    ("record", &["model"]),
    ("sample", &["model"]),
    ("state", &["model"]),
    ("database", &["model"]),
    ("amqp", &["model"]),
    ("graph", &["model", "database"]),
    ("observe", &["model", "state"]),
    ("sink", &["model", "database", "amqp", "graph"]),
    ("consume", &["model", "amqp", "database", "state"]),
    ("pipeline", &["model", "dump", "gzip", "record", "state", "sink"]),
    (
        "daemon",
        &[
            "model", "dump", "gzip", "record", "state", "database", "amqp", "observe", "sink",
            "graph", "pipeline", "consume",
        ],
    ),
    ("tui", &["model", "state", "observe"]),
    (
        "cli",
        &[
            "model", "dump", "gzip", "record", "sample", "state", "database", "amqp", "graph",
            "observe", "sink", "pipeline", "consume", "daemon", "tui",
        ],
    ),
];

/// Folders in which nothing waits: no runtime, no clock of their own.
const WITHOUT_TOKIO: &[&str] = &["model", "gzip", "record", "sample", "observe", "tui"];

const HARD_LIMIT: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// A file's code without its tests, comments and documentation.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let tests = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let code = &text[..tests];
    code.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}

fn folder_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned()
}

/// The crate's files, without the tests that lie in files of their own.
fn house() -> House {
    let files = rust_files(&root().join("src"));
    House::new(files.into_iter().filter(|path| !path.ends_with("tests.rs")).map(|path| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        (name, code(&path).join("\n"))
    }))
}

#[test]
fn every_folder_imports_only_what_lies_below_it() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    let house = house();
    for (file, to) in house.mentions() {
        let folder = folder_of(&root().join(file));
        let Some(name) = to.first().map(String::as_str) else { continue };
        if folder == "lib.rs" || folder == "main.rs" || !layers.contains_key(name) {
            continue;
        }
        let allowed = layers.get(folder.as_str()).unwrap_or_else(|| panic!("{folder}: no layer"));
        if name != folder && !allowed.contains(&name) {
            wrong.push(format!("{file}: {}", to.join("::")));
        }
    }
    assert!(wrong.is_empty(), "against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other() {
    let house = house();
    let circles = house.circles();
    let words: Vec<_> = circles.iter().map(|circle| format!("{circle:#?}")).collect();
    assert!(circles.is_empty(), "files that import each other:\n{}", words.join("\n"));
}

#[test]
fn a_file_is_one_idea_and_no_longer_than_that() {
    for path in rust_files(&root().join("src")) {
        let lines = code(&path).iter().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= HARD_LIMIT, "{}: {lines} lines of code", path.display());
    }
}

#[test]
fn what_each_library_is_for_stays_behind_its_door() {
    let doors: &[(&str, &[&str])] = &[
        ("bincode", &["state"]),
        ("libz_rs_sys", &["gzip"]),
        ("quick_xml", &["record"]),
        ("rusqlite", &["database"]),
        ("tokio_postgres", &["database"]),
        ("lapin", &["amqp", "sink", "consume"]),
        ("neo4rs", &["graph"]),
        ("clap", &["cli"]),
        ("indicatif", &["cli"]),
        ("axum", &["daemon"]),
        ("hyper", &["daemon"]),
        ("hyper_util", &["daemon"]),
        ("metrics_exporter_prometheus", &["observe"]),
        ("ratatui", &["tui"]),
        ("reqwest", &["dump", "amqp"]),
    ];
    for path in rust_files(&root().join("src")) {
        let folder = folder_of(&path);
        let code = code(&path).join("\n");
        for (library, folders) in doors {
            let used = code.contains(&format!("{library}::"));
            assert!(!used || folders.contains(&folder.as_str()), "{library} in {}", path.display());
        }
        if WITHOUT_TOKIO.contains(&folder.as_str()) {
            assert!(!code.contains("tokio::"), "tokio in {}", path.display());
        }
        let printing = code.contains("println!") || code.contains("std::env::var");
        let may_print = ["cli", "model"].contains(&folder.as_str());
        assert!(!printing || may_print, "printing or environment in {}", path.display());
        let is_disk = path.ends_with("state/disk.rs");
        assert!(is_disk || !code.contains("sled::"), "sled in {}", path.display());
        let is_door = path.ends_with("gzip/raw.rs") || path.ends_with("cli/allocator.rs");
        assert!(is_door || !code.contains("unsafe "), "unsafe in {}", path.display());
    }
}

#[test]
fn nothing_is_left_lying_about() {
    for folder in ["src", "tests", "benches"] {
        let folder = root().join(folder);
        if !folder.exists() {
            continue;
        }
        for path in rust_files(&folder) {
            if path.ends_with("tests/tidy.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for word in ["todo!", "unimplemented!", "dbg!(", "TODO", "FIXME", "XXX", "#[ignore"] {
                assert!(!text.contains(word), "{word} in {}", path.display());
            }
        }
    }
    for name in ["util", "utils", "common", "helpers", "manager"] {
        for path in rust_files(&root().join("src")) {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(stem != name && folder_of(&path) != name, "{}", path.display());
        }
    }
}

#[test]
fn the_top_level_is_as_it_was_agreed() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "migrations",
        "tests",
        "data",
        "README.md",
        "docs",
        "benches",
        "packaging",
        "fuzz",
        "compose.yaml",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "CHANGELOG.md",
        "target",
        "proptest-regressions",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let database = name.starts_with("discogs.db");
        assert!(name.starts_with('.') || database || allowed.contains(&name.as_str()), "{name}");
    }
}
