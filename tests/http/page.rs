//! The status page and its events.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use discogs_extractor::model::{Kind, Live, WaitsFor};
use discogs_extractor::observe::{FileNow, Stage};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, socket};
use serde_json::Value;

use super::support::http::{ask, connect, get, read, send};
use super::{Server, complete, extracting};

struct Events(BufReader<TcpStream>);

impl Events {
    fn of(address: SocketAddr) -> Events {
        let mut stream = connect(address);
        let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Events(BufReader::new(stream))
    }

    /// The next event, or nothing at the end.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        while self.0.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
            line.clear();
        }
        None
    }
}

#[test]
fn the_page_is_whole_without_a_script_and_loads_nothing_from_elsewhere() {
    let server = Server::new();
    let stalled = extracting(Kind::Releases, 12_345);
    let mut live = stalled.live.clone();
    live.waits_for = WaitsFor::SinkBlocked("<b>no disk</b>".to_owned());
    let stalled = FileNow { live, stalled: true, ..stalled };
    server.show(Stage::Running, vec![stalled, complete(Kind::Artists, 7)]);
    let page = get(server.address, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for words in [
        "<caption><h2>Files</h2></caption>",
        "discogs_20260101_releases.xml.gz",
        "12\u{202f}345",
        "sink blocked: &lt;b&gt;no disk&lt;/b&gt;",
        "40&nbsp;%",
        "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>",
    ] {
        assert!(page.body.contains(words), "{words} is missing in\n{}", page.body);
    }
    assert!(!page.body.contains("://"), "{}", page.body);
    for path in ["/", "/page.css", "/page.js"] {
        let answer = get(server.address, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(ask(server.address, "POST", path).status, 405, "{path}");
    }
}

#[test]
fn other_sites_and_other_names_get_neither_the_page_nor_its_events() {
    let server = Server::new();
    for path in ["/", "/events"] {
        for headers in ["Host: example.org", "Host: localhost\r\nOrigin: http://example.org"] {
            let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n");
            let answer = send(server.address, request.as_bytes());
            assert_eq!(answer.status, 403, "{path} {headers}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
}

#[test]
fn events_come_by_themselves_and_at_once_on_change_and_end_with_the_daemon() {
    let server = Server::new();
    let mut events = Events::of(server.address);
    let first = events.next().unwrap();
    assert_eq!(first["picture"]["state"], "calm");
    let beat = events.next().unwrap();
    assert_eq!(beat["picture"]["stage"], first["picture"]["stage"], "nothing changed");
    server.show(Stage::Running, vec![extracting(Kind::Labels, 5)]);
    let changed = std::iter::from_fn(|| events.next()).find(|e| e["picture"]["state"] == "busy");
    assert!(changed.unwrap()["html"].as_str().unwrap().contains("discogs_20260101_labels.xml.gz"));
    server.serving.abort();
    while events.next().is_some() {}
}

#[test]
fn listeners_are_bounded_and_starve_nobody() {
    let server = Server::new();
    let mut listeners: Vec<_> = (0..16).map(|_| Events::of(server.address)).collect();
    assert!(listeners.iter_mut().all(|listener| listener.next().is_some()));
    let mut late = connect(server.address);
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    late.write_all(request.as_bytes()).unwrap();
    assert_eq!(read(&mut late).status, 503);
    assert_eq!(get(server.address, "/health").status, 200);
}

/// A listener whose system takes next to nothing for it, and which takes nothing of that.
fn deaf(address: SocketAddr) -> TcpStream {
    let SocketAddr::V4(address) = address else { panic!("{address}") };
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    set_socket_recv_buffer_size(&socket, 4096).unwrap();
    rustix::net::connect(&socket, &address).unwrap();
    let mut stream = TcpStream::from(socket);
    let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn listeners_that_never_read_are_let_go_and_hold_up_nobody() {
    let server = Server::new();
    let file = extracting(Kind::Labels, 5);
    // More than the system takes of what nobody reads.
    let waits_for = WaitsFor::SinkBlocked("x".repeat(1 << 20));
    let live = Live { waits_for, ..file.live };
    server.show(Stage::Running, vec![FileNow { live, stalled: true, ..file }]);
    let mut reads = Events::of(server.address);
    reads.next().unwrap();
    let deaf: Vec<_> = (0..15).map(|_| deaf(server.address)).collect();
    // All seats are taken: whoever reads is served all the same, and so is everybody else.
    let began = Instant::now();
    let mut turned_away = 0;
    loop {
        reads.next().unwrap();
        assert_eq!(get(server.address, "/health").status, 503, "it is stalled");
        let mut late = Events::of(server.address);
        if late.next().is_some() {
            break;
        }
        turned_away += 1;
        assert!(began.elapsed() < Duration::from_secs(40), "no seat became free");
    }
    assert!(turned_away > 2, "{turned_away}");
    reads.next().unwrap();
    for mut stream in deaf {
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut rest = Vec::new();
        // Ended or reset, but not still open.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}
