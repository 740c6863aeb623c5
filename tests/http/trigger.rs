//! Who may start a pass, and what they hear.

use std::sync::Arc;
use std::sync::Mutex;

use super::support::http::{self, read};
use super::{LOOPBACK, Server, connect};
use serde_json::json;
use std::io::Write;

const EVERYWHERE: &str = "0.0.0.0:0";
const TOKEN: &str = "s3cret-of-the-test";

impl Server {
    /// Answers every trigger with `begins`; what they asked for is in the list.
    fn answers(mut self, begins: bool) -> (Server, Arc<Mutex<Vec<bool>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let mut triggers = std::mem::replace(&mut self.triggers, tokio::sync::mpsc::channel(1).1);
        self.runtime.spawn(async move {
            while let Some(trigger) = triggers.recv().await {
                noted.lock().unwrap().push(trigger.force);
                trigger.answer.send(begins).unwrap();
            }
        });
        (self, asked)
    }
}

#[test]
fn a_trigger_starts_a_pass_and_says_409_while_one_is_under_way() {
    let (server, asked) = Server::new().answers(true);
    for (body, force) in [
        ("", false),
        (" \n", false),
        ("{}", false),
        (r#"{"force_reprocess":false}"#, false),
        (r#"{"force_reprocess": true}"#, true),
        (r#"{"other": 1, "force_reprocess": true}"#, true),
    ] {
        let answer = http::trigger(server.address, &[], body);
        assert_eq!(answer.status, 202, "{body}: {answer:?}");
        assert_eq!(answer.json(), json!({"status": "started", "force_reprocess": force}));
        assert_eq!(asked.lock().unwrap().pop(), Some(force), "{body}");
    }
    let (busy, _) = Server::new().answers(false);
    let answer = http::trigger(busy.address, &[], "");
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json(), json!({"status": "already_running"}));
    // Nobody listens any more.
    let mut gone = Server::new();
    gone.triggers.close();
    assert_eq!(http::trigger(gone.address, &[], "").status, 503);
}

#[test]
fn a_body_that_is_none_is_refused_in_words_and_starts_nothing() {
    let (server, asked) = Server::new().answers(true);
    for garbage in [
        "yes",
        "[]",
        "[true]",
        "null",
        "true",
        "{",
        r#"{"force_reprocess":"true"}"#,
        r#"{"force_reprocess":1}"#,
        r#"{"force_reprocess":null}"#,
        "force_reprocess=true",
        "\u{0}",
    ] {
        let answer = http::trigger(server.address, &[], garbage);
        assert_eq!(answer.status, 400, "{garbage}");
        let words = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(words.contains("hint: ") && words.contains("force_reprocess"), "{words}");
    }
    let long = format!("{{\"force_reprocess\":true}}{}", " ".repeat(5_000));
    assert_eq!(http::trigger(server.address, &[], &long).status, 413);
    let mut chunked = connect(server.address);
    let head = "POST /trigger HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked
        .write_all(format!("{head}1388\r\n{}\r\n0\r\n\r\n", " ".repeat(5_000)).as_bytes())
        .unwrap();
    assert_eq!(read(&mut chunked).status, 413);
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn who_may_start_a_pass() {
    let right = format!("Bearer {TOKEN}");
    let wrong = "Bearer something-else";
    let rows: [(&str, Option<&str>, Option<&str>, u16); 11] = [
        (LOOPBACK, None, None, 202),
        (LOOPBACK, Some(""), None, 202),
        (LOOPBACK, Some(TOKEN), None, 401),
        (LOOPBACK, Some(TOKEN), Some(wrong), 401),
        (LOOPBACK, Some(TOKEN), Some(&right), 202),
        (EVERYWHERE, None, None, 403),
        (EVERYWHERE, None, Some(wrong), 403),
        (EVERYWHERE, Some(""), Some("Bearer "), 403),
        (EVERYWHERE, Some(TOKEN), None, 401),
        (EVERYWHERE, Some(TOKEN), Some(wrong), 401),
        (EVERYWHERE, Some(TOKEN), Some(&right), 202),
    ];
    for (listen, token, sent, status) in rows {
        let (server, asked) = Server::with(listen, token).answers(true);
        let headers: Vec<_> = sent.iter().map(|sent| ("Authorization", *sent)).collect();
        let answer = http::trigger(server.address, &headers, "");
        assert_eq!(answer.status, status, "{listen} {token:?} {sent:?}: {answer:?}");
        assert_eq!(asked.lock().unwrap().len(), usize::from(status == 202));
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.is_some_and(|c| c.starts_with("Bearer ")), status == 401);
        if status == 403 {
            assert!(answer.body.contains("TRIGGER_TOKEN"), "{}", answer.body);
        }
        assert!(!format!("{answer:?}").contains(TOKEN), "no answer has the secret");
        for path in ["/health", "/ready", "/metrics", "/api/state"] {
            let open = http::get(server.address, path);
            assert_ne!(open.status / 100, 4, "{path} needs no token");
            assert!(!open.body.contains(TOKEN));
        }
    }
}

#[test]
fn pages_of_other_sites_and_names_that_others_made_up_are_turned_away() {
    let (server, asked) = Server::new().answers(true);
    let own = format!("http://{}", server.address);
    for (headers, status) in [
        (vec![("Origin", own.as_str())], 202),
        (vec![("Origin", "http://evil.example")], 403),
        (vec![("Origin", "null")], 403),
        (vec![("Origin", "http://localhost:1"), ("Host", "localhost:2")], 403),
        (vec![("Host", "evil.example"), ("Origin", "http://evil.example")], 403),
        (vec![("Host", "evil.example")], 403),
        (vec![("Host", "localhost:9999")], 202),
        (vec![("Host", "[::1]:8000")], 202),
    ] {
        let answer = http::trigger(server.address, &headers, "");
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        assert!(status == 202 || answer.json()["error"].is_string());
    }
    assert_eq!(asked.lock().unwrap().len(), 3);
    // Who only looks may come by any name: a scraper asks for a host of its network.
    let health = "GET /health HTTP/1.1\r\nHost: extractor:8000\r\nOrigin: http://x\r\n\r\n";
    assert_eq!(http::send(server.address, health.as_bytes()).status, 200);
}
