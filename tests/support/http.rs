//! A client of the daemon's HTTP face that sends what it is told to, byte for byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:#?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and reads until the other end closes.
#[track_caller]
pub fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    read(&mut stream)
}

#[track_caller]
pub fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap();
    let status = status.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("{status}"));
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    Answer {
        status: status[..3].parse().unwrap(),
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

/// A request without a body.
#[track_caller]
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    send(address, format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())
}

#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path)
}

/// `POST /trigger` with these headers, and the address as `Host` if none is among them.
#[track_caller]
pub fn trigger(address: SocketAddr, headers: &[(&str, &str)], body: &str) -> Answer {
    let host = address.to_string();
    let named = headers.iter().any(|(name, _)| *name == "Host");
    let own = [("Host", host.as_str())].into_iter().filter(|_| !named);
    let lines =
        own.chain(headers.iter().copied()).map(|(name, value)| format!("{name}: {value}\r\n"));
    let head: String = lines.collect();
    let length = body.len();
    let request = format!("POST /trigger HTTP/1.1\r\nContent-Length: {length}\r\n{head}\r\n{body}");
    send(address, request.as_bytes())
}
