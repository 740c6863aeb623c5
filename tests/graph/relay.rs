//! Stands between the program and a Bolt server, reads what is asked, and can cut or hold it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What is to happen to what the program asks.
#[derive(Default)]
struct Rules {
    /// The connection of whoever asks something with all these words is cut.
    cut: Vec<&'static str>,
    cuts: usize,
    /// Whoever first asks something with these words has to wait.
    hold: Option<Held>,
    /// Everything that was asked.
    asked: Vec<String>,
}

/// What is held, or was.
#[derive(Clone)]
pub struct Held {
    words: &'static str,
    /// It is there.
    pub reached: Arc<Notify>,
    /// It may go on.
    pub go_on: Arc<Notify>,
}

/// A relay that ends with the test's runtime.
pub struct Relay {
    port: u16,
    rules: Arc<Mutex<Rules>>,
}

impl Relay {
    /// A relay to the server of a URL.
    pub async fn to(url: &str) -> Relay {
        let target = url::Url::parse(url).unwrap();
        let target = (target.host_str().unwrap().to_owned(), target.port().unwrap_or(7687));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let rules = Arc::<Mutex<Rules>>::default();
        let relay = Relay { port, rules: Arc::clone(&rules) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await;
                if let Ok(server) = server {
                    tokio::spawn(pass(client, server, Arc::clone(&rules)));
                }
            }
        });
        relay
    }

    /// The same URL by way of this relay.
    pub fn url(&self, url: &str) -> String {
        let mut through = url::Url::parse(url).unwrap();
        through.set_host(Some("127.0.0.1")).unwrap();
        through.set_port(Some(self.port)).unwrap();
        through.to_string()
    }

    /// From now on whoever asks something with all these words loses the connection.
    pub fn cut(&self, words: &[&'static str]) {
        self.rules.lock().unwrap().cut = words.to_vec();
    }

    /// How often that happened.
    pub fn cuts(&self) -> usize {
        self.rules.lock().unwrap().cuts
    }

    /// Holds the next that asks something with these words.
    pub fn hold(&self, words: &'static str) -> Held {
        let held = Held { words, reached: Arc::default(), go_on: Arc::default() };
        self.rules.lock().unwrap().hold = Some(held.clone());
        held
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.rules.lock().unwrap().asked)
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, rules: Arc<Mutex<Rules>>) {
    let (mut asked, mut answered) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let text = String::from_utf8_lossy(&asked[..length]).into_owned();
                let held = {
                    let mut rules = rules.lock().unwrap();
                    let is_cut =
                        !rules.cut.is_empty() && rules.cut.iter().all(|words| text.contains(words));
                    if is_cut {
                        rules.cuts += 1;
                        return;
                    }
                    let held = rules.hold.take_if(|held| text.contains(held.words));
                    rules.asked.push(text);
                    held
                };
                if let Some(held) = held {
                    held.reached.notify_one();
                    held.go_on.notified().await;
                }
                if server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
