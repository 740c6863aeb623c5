//! The daemon's HTTP face as its users see it: over real connections, with a real store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod exposition;
mod metrics;
mod page;
mod run;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod trigger;

use std::io::Write;
use std::net::TcpStream;

use discogs_extractor::daemon::http::Http;
use discogs_extractor::model::{Identity, Kind};
use discogs_extractor::observe::{FileNow, Stage};
use discogs_extractor::state::FileKey;
use serde_json::{Value, json};
use server::{LOOPBACK, Server, complete, extracting, job, name, now};
use support::http::{ask, connect, get, send};

#[test]
fn health_has_the_platforms_keys_and_says_503_on_stall_and_failure() {
    let server = Server::new();
    let health = || get(server.address, "/health");
    let first = health();
    assert_eq!(first.status, 200);
    let said = first.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in [
        "status",
        "service",
        "extraction_status",
        "extraction_progress",
        "last_extraction_time",
        "timestamp",
        "stalled",
        "completed_types",
        "active_types",
        "completed_at",
        "version",
        "dump_version",
    ] {
        assert!(said.get(key).is_some(), "{key} is missing in {said:#}");
    }
    assert_eq!(
        keys(&said["extraction_progress"]),
        ["artists", "labels", "masters", "release_groups", "releases", "total"]
    );
    assert_eq!(keys(&said["last_extraction_time"]), ["artists", "labels", "masters", "releases"]);
    assert_eq!(said["service"], "rust-extractor");
    assert_eq!((&said["status"], &said["extraction_status"]), (&json!("healthy"), &json!("idle")));

    server.show(Stage::Running, vec![extracting(Kind::Labels, 7), complete(Kind::Artists, 5)]);
    let running = health();
    assert_eq!(running.status, 200);
    let said = running.json();
    assert_eq!(said["extraction_status"], "running");
    assert_eq!(said["extraction_progress"]["total"], 12);
    assert_eq!(said["active_types"], json!(["labels"]));
    assert_eq!(said["completed_types"], json!(["artists"]));
    assert!(said["last_extraction_time"]["labels"].as_f64().unwrap() < 60.0);

    let stalled = FileNow { stalled: true, ..extracting(Kind::Labels, 7) };
    server.show(Stage::Running, vec![stalled]);
    let unhealthy = health();
    assert_eq!(unhealthy.status, 503);
    assert_eq!(unhealthy.json()["stalled"], json!(["labels"]));
    assert_eq!(unhealthy.json()["status"], "unhealthy");

    server.show(Stage::Failed(now()), vec![complete(Kind::Labels, 7)]);
    assert_eq!(health().status, 503);
    assert_eq!(health().json()["extraction_status"], "failed");
    server.show(Stage::Waiting(now()), vec![complete(Kind::Labels, 7)]);
    assert_eq!(health().status, 200);
    assert_eq!(health().json()["extraction_status"], "completed");
}

#[test]
fn it_is_ready_once_something_was_begun() {
    let server = Server::new();
    assert_eq!(get(server.address, "/ready").status, 503);
    assert_eq!(get(server.address, "/ready").json()["status"], "not_ready");
    for stage in [Stage::Running, Stage::Waiting(now()), Stage::Failed(now())] {
        server.show(stage, vec![]);
        assert_eq!(get(server.address, "/ready").status, 200, "{stage:?}");
    }
    assert_eq!(get(server.address, "/ready").json()["status"], "ready");
}

#[test]
fn api_state_is_what_state_list_says_with_this_seconds_values() {
    let server = Server::new();
    let state = || {
        let answer = get(server.address, "/api/state");
        assert_eq!(answer.status, 200, "{answer:?}");
        let list = answer.json();
        conforms(&list);
        list
    };
    assert_eq!(state()["files"], json!([]));
    let identity = Identity::Content { size: 100, ends: [7; 32] };
    let key = FileKey::new(job(), name(Kind::Labels));
    let begun = server.keeper.begin(key, identity, None, now());
    server.runtime.block_on(begun).unwrap();
    assert_eq!(state()["files"][0]["records"], 0);
    server.show(Stage::Running, vec![extracting(Kind::Labels, 42)]);
    let alive = state();
    assert_eq!(alive["files"][0]["records"], 42);
    assert_eq!(alive["active_types"], json!(["labels"]));
    assert_eq!(alive["store"]["owner"]["pid"], std::process::id());
    // What the command says afterwards, without an owner, is the same but for that.
    server.runtime.block_on(server.keeper.clone().close()).unwrap();
    let told = server.place.state();
    let keys = |list: &Value| -> Vec<String> {
        list["files"][0].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&told), keys(&alive));
    let closed = get(server.address, "/api/state");
    assert_eq!(closed.status, 500);
    assert!(closed.json()["error"].is_string());
    assert_eq!(get(server.address, "/health").status, 200, "which needs no store");
}

#[track_caller]
fn conforms(list: &Value) {
    support::conforms(include_str!("../../docs/state-list.schema.json"), list);
}

#[test]
fn what_is_not_there_is_404_and_what_is_not_meant_405() {
    let server = Server::new();
    for path in ["/nothing", "/health/", "/../etc/passwd", "/api"] {
        let answer = get(server.address, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].is_string());
    }
    for (method, path, allowed) in [
        ("POST", "/health", "GET,HEAD"),
        ("DELETE", "/api/state", "GET,HEAD"),
        ("GET", "/trigger", "POST"),
        ("OPTIONS", "/trigger", "POST"),
    ] {
        let answer = ask(server.address, method, path);
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(ask(server.address, "HEAD", "/health").status, 200);
    assert_eq!(send(server.address, b"garbage\r\n\r\n").status, 400);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000));
    let mut stream = connect(server.address);
    // It may close before it has read all of it.
    _ = stream.write_all(long.as_bytes());
    assert_eq!(get(server.address, "/health").status, 200, "and lives");
}

#[test]
fn clients_that_say_nothing_hold_nobody_up_and_are_let_go() {
    let server = Server::new();
    let half = |said: &[u8]| {
        let mut stream = connect(server.address);
        stream.write_all(said).unwrap();
        stream
    };
    let head = b"POST /trigger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    let few: Vec<_> = (0..8).map(|_| half(b"GET /health HTTP/1.1\r\nHos")).collect();
    assert_eq!(get(server.address, "/health").status, 200, "beside a few");
    // As many as are served at the same time: the next one waits until they are let go.
    let mut many: Vec<TcpStream> =
        (0..56).map(|n| half(if n % 2 == 0 { b"" } else { head })).collect();
    assert_eq!(get(server.address, "/health").status, 200, "after many");
    for mut stream in few.into_iter().chain(many.drain(..)) {
        let mut rest = Vec::new();
        let closed = std::io::Read::read_to_end(&mut stream, &mut rest);
        assert!(closed.is_ok() && rest.is_empty(), "{closed:?} {rest:?}");
    }
}

#[test]
fn a_connection_carries_one_answer() {
    let server = Server::new();
    let request = format!("GET /ready HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let answer = send(server.address, request.repeat(2).as_bytes());
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(!answer.body.contains("HTTP/1.1"), "{answer:?}");
}

#[test]
fn when_it_is_dropped_the_port_is_free_at_once_and_a_busy_one_is_an_error() {
    let server = Server::new();
    let mut waiting = connect(server.address);
    assert_eq!(get(server.address, "/health").status, 200);
    let inside = server.runtime.enter();
    let busy = Http::bind(server.address).map(drop).unwrap_err();
    assert_eq!(busy.kind(), std::io::ErrorKind::AddrInUse);
    drop(inside);
    server.serving.abort();
    server.runtime.block_on(async { _ = server.serving.await });
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut waiting, &mut rest).unwrap();
    assert!(rest.is_empty());
    let inside = server.runtime.enter();
    let again = Http::bind(server.address);
    drop(inside);
    assert!(again.is_ok());
}
