//! A download site that does as it is told, also what no good one would: raw sockets, a thread a
//! connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// How much is written at once; a reply may say how long to rest between.
const PIECE: usize = 32 << 10;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Path and query.
    pub target: String,
    /// The file's name, if it is one.
    pub file: Option<String>,
    pub headers: BTreeMap<String, String>,
    /// Where the wanted range begins.
    pub from: Option<usize>,
    /// How many times this was asked for, this time included.
    pub time: usize,
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Arc<Vec<u8>>,
    /// Of the body, only what follows this.
    pub from: usize,
    /// Close the connection after so many bytes of what is to be sent.
    pub cut: Option<usize>,
    /// Say nothing more after so many bytes.
    pub silent: Option<usize>,
    /// Rest between pieces.
    pub drip: Duration,
    /// What Content-Length claims, if not the truth.
    pub length: Option<usize>,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub fn text(text: &str) -> Reply {
        Reply { status: 200, body: Arc::new(text.as_bytes().to_vec()), ..Reply::default() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Names and sizes.
pub type Files = [(String, usize)];

/// What a list of these files looks like, if one is asked for.
pub type List = fn(&Ask, &Files) -> Option<Reply>;

type Rule = dyn Fn(&Ask, Reply) -> Reply + Send + Sync;

/// The files of a site and how it sends them.
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    files: Mutex<BTreeMap<String, Arc<Vec<u8>>>>,
    list: List,
    rule: Box<Rule>,
    asked: Mutex<Vec<Ask>>,
    sent: Mutex<BTreeMap<String, usize>>,
    moved: Condvar,
    over: AtomicBool,
}

impl Server {
    /// Serves these files with this kind of list; `rule` may change every reply.
    pub fn start(
        files: BTreeMap<String, Vec<u8>>,
        list: List,
        rule: impl Fn(&Ask, Reply) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let files = files.into_iter().map(|(name, bytes)| (name, Arc::new(bytes))).collect();
        let shared = Arc::new(Shared {
            files: Mutex::new(files),
            list,
            rule: Box::new(rule),
            asked: Mutex::default(),
            sent: Mutex::default(),
            moved: Condvar::new(),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if serving.over.load(Ordering::Acquire) {
                    break;
                }
                let (client, serving) = (client.unwrap(), Arc::clone(&serving));
                // A client that is gone ends its thread.
                std::thread::spawn(move || serving.talk(&client));
            }
        });
        Server { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Puts another file under a name.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) {
        self.shared.files.lock().unwrap().insert(name.to_owned(), Arc::new(bytes));
    }

    /// What was asked for so far that has this in its target.
    pub fn asked(&self, word: &str) -> Vec<Ask> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|ask| ask.target.contains(word)).cloned().collect()
    }

    /// Bytes of a file that were sent so far.
    pub fn sent(&self, name: &str) -> usize {
        self.shared.sent.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// Waits until so many bytes of a file were sent.
    pub fn wait_sent(&self, name: &str, bytes: usize) {
        let mut sent = self.shared.sent.lock().unwrap();
        while sent.get(name).copied().unwrap_or_default() < bytes {
            let (guard, late) =
                self.shared.moved.wait_timeout(sent, Duration::from_secs(30)).unwrap();
            assert!(!late.timed_out(), "{name}: {bytes} bytes were never sent");
            sent = guard;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // It wakes up to see that it is over.
        _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn talk(&self, client: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(client.try_clone().ok()?).lines();
        loop {
            let request = lines.next()?.ok()?;
            let target = request.split_whitespace().nth(1)?.to_owned();
            let mut headers = BTreeMap::new();
            for line in lines.by_ref() {
                let line = line.ok()?;
                let Some((name, value)) = line.split_once(':') else { break };
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let (reply, name) = self.reply(target, headers);
            self.send(client, &reply, &name)?;
        }
    }

    fn reply(&self, target: String, headers: BTreeMap<String, String>) -> (Reply, String) {
        let files = self.files.lock().unwrap().clone();
        let decoded = target.replace("%2F", "/");
        let last = decoded.rsplit('/').next().unwrap_or_default();
        let file = files.contains_key(last).then(|| last.to_owned());
        let range = headers.get("range").and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        let mut asked = self.asked.lock().unwrap();
        let time = 1 + asked.iter().filter(|ask| ask.target == target).count();
        let ask = Ask { target, file: file.clone(), headers, from: range, time };
        asked.push(ask.clone());
        drop(asked);
        let sizes: Vec<(String, usize)> =
            files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect();
        let listed = (self.list)(&ask, &sizes);
        let name = file.clone().unwrap_or_default();
        let plain = match (listed, file.and_then(|file| files.get(&file))) {
            (Some(listed), _) => listed,
            (None, Some(bytes)) => send_file(&ask, bytes),
            (None, None) => Reply::status(404),
        };
        ((self.rule)(&ask, plain), name)
    }

    fn send(&self, mut client: &TcpStream, reply: &Reply, name: &str) -> Option<()> {
        let body = &reply.body[reply.from.min(reply.body.len())..];
        let length = reply.length.unwrap_or(body.len());
        let mut head = format!("HTTP/1.1 {} .\r\ncontent-length: {length}\r\n", reply.status);
        for (name, value) in &reply.headers {
            head = head + name + ": " + value + "\r\n";
        }
        client.write_all((head + "\r\n").as_bytes()).ok()?;
        let end = reply.cut.or(reply.silent).unwrap_or(body.len()).min(body.len());
        for piece in body[..end].chunks(PIECE) {
            client.write_all(piece).ok()?;
            *self.sent.lock().unwrap().entry(name.to_owned()).or_default() += piece.len();
            self.moved.notify_all();
            if !reply.drip.is_zero() {
                std::thread::sleep(reply.drip);
            }
        }
        if reply.silent.is_some() {
            // Until the client has had enough.
            std::io::copy(&mut client, &mut std::io::sink()).ok()?;
        }
        if reply.cut.is_some() || reply.length.is_some() {
            client.shutdown(Shutdown::Both).ok()?;
            return None;
        }
        Some(())
    }
}

/// As a good server does: a tag, ranges, and all of it if the file is another one by now.
fn send_file(ask: &Ask, bytes: &Arc<Vec<u8>>) -> Reply {
    let tag = tag(bytes);
    let same = ask.headers.get("if-range").is_none_or(|wanted| *wanted == tag);
    let body = Arc::clone(bytes);
    let reply = Reply { status: 200, body, ..Reply::default() }.with("etag", &tag);
    match ask.from.filter(|_| same) {
        None => reply,
        Some(from) if from >= bytes.len() => {
            Reply::status(416).with("content-range", &format!("bytes */{}", bytes.len()))
        }
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Reply { status: 206, from, ..reply }.with("content-range", &range)
        }
    }
}

/// A tag that another file does not have.
pub fn tag(bytes: &[u8]) -> String {
    format!("\"{:08x}\"", crc32fast::hash(bytes))
}

/// The public site's pages: years, and the files of a year behind `?download=`.
pub fn year_pages(ask: &Ask, files: &Files) -> Option<Reply> {
    let year = |name: &str| name.split('_').nth(1).map(|version| version[..4].to_owned());
    let mut years: Vec<String> = files.iter().filter_map(|(name, _)| year(name)).collect();
    years.dedup();
    let page =
        ask.target.split_once("?prefix=data%2F").map(|(_, rest)| rest.trim_end_matches("%2F"));
    match page {
        None if ask.target == "/" => {
            let link = |year: &String| format!("<a href=\"?prefix=data%2F{year}%2F\">{year}</a>\n");
            Some(Reply::text(&years.iter().map(link).collect::<String>()))
        }
        None => None,
        Some(wanted) => {
            let of_year = files.iter().filter(|(name, _)| year(name).as_deref() == Some(wanted));
            let link = |(name, _): &(String, usize)| {
                format!("<a href=\"?download=data%2F{wanted}%2F{name}\">{name}</a>\n")
            };
            let up = "<a href=\"?prefix=\">up</a>".to_owned();
            Some(Reply::text(&(up + &of_year.map(link).collect::<String>())))
        }
    }
}

/// A plain index of one folder.
pub fn index(ask: &Ask, files: &Files) -> Option<Reply> {
    let link = |(name, _): &(String, usize)| format!("<a href=\"{name}\">{name}</a>\n");
    let page = || Reply::text(&files.iter().map(link).collect::<String>());
    (ask.target.split('?').next() == Some("/")).then(page)
}

/// An object store that lists three keys a page.
pub fn bucket(ask: &Ask, files: &Files) -> Option<Reply> {
    let path = ask.target.split('?').next().unwrap_or_default();
    if path != "/" {
        return None;
    }
    let after = ask.target.split_once("continuation-token=");
    let start: usize =
        after.map_or(0, |(_, rest)| rest.split('&').next().unwrap().parse().unwrap());
    let entry = |(name, size): &(String, usize)| {
        format!("<Contents><Key>data/2026/{name}</Key><Size>{size}</Size></Contents>")
    };
    let keys: String = files.iter().skip(start).take(3).map(entry).collect();
    let more = if start + 3 < files.len() {
        let next = start + 3;
        format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"
        )
    } else {
        "<IsTruncated>false</IsTruncated>".to_owned()
    };
    Some(Reply::text(&format!("<ListBucketResult>{more}{keys}</ListBucketResult>")))
}

/// A line as `sha256sum -b` prints it.
pub fn checksum_line(name: &str, bytes: &[u8]) -> String {
    let hash = discogs_extractor::model::Sha256(Sha256::digest(bytes).into());
    format!("{hash} *{name}\n")
}
