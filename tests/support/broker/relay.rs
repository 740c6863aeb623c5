//! A relay between us and the broker, which can do what networks do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::private::free_port;
use super::{runtime, wait};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// What comes goes on, so much later.
    Forward(Duration),
    /// Connections are reset, new ones refused.
    Cut,
    /// Connections stay open, and nothing passes. One that has lost bytes stays so.
    Stalled,
}

/// Bytes that go on together.
const PIECE: usize = 256 << 10;

/// Forwards from a port of its own until it is dropped.
pub struct Relay {
    port: u16,
    mode: Arc<watch::Sender<Mode>>,
    task: AbortHandle,
}

impl Relay {
    /// To this port of loopback.
    pub fn to(port: u16) -> Relay {
        let own = free_port();
        let mode = Arc::new(watch::channel(Mode::Forward(Duration::ZERO)).0);
        let listener = wait(listen(own)).unwrap();
        let task = runtime().spawn(accept(own, listener, port, Arc::clone(&mode))).abort_handle();
        Relay { port: own, mode, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets all connections and refuses new ones.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Swallows everything, new connections too.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    /// Every piece arrives so much later.
    pub fn delay(&self, time: Duration) {
        self.mode.send_replace(Mode::Forward(time));
    }

    /// Lets new connections through again.
    pub fn resume(&self) {
        self.mode.send_replace(Mode::Forward(Duration::ZERO));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await
}

async fn accept(own: u16, listener: TcpListener, to: u16, mode: Arc<watch::Sender<Mode>>) {
    let mut changes = mode.subscribe();
    let mut listener = Some(listener);
    loop {
        let now = *changes.borrow_and_update();
        if now == Mode::Cut {
            listener = None; // so that the system refuses
        } else if listener.is_none() {
            listener = listen(own).await.ok();
        }
        tokio::select! {
            known = changes.changed() => if known.is_err() { return },
            accepted = async { match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }} => if let Ok((client, _)) = accepted {
                runtime().spawn(relay(client, to, mode.subscribe()));
            },
        }
    }
}

async fn relay(client: TcpStream, to: u16, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow_and_update() == Mode::Stalled {
        // Nobody answers, until it is cut or the other end gives up.
        let (read, write) = client.into_split();
        swallow(read, &mut mode).await;
        reset(write);
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
        client.set_zero_linger().unwrap();
        return;
    };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::join!(
        forward(client_read, server_write, mode.clone()),
        forward(server_read, client_write, mode),
    );
}

/// One direction, until either end is closed or the relay is cut.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let now = *mode.borrow_and_update();
        let delay = match now {
            Mode::Forward(delay) => delay,
            Mode::Cut => return reset(to),
            Mode::Stalled => {
                swallow(from, &mut mode).await;
                return reset(to);
            }
        };
        tokio::select! {
            _ = mode.changed() => {}
            read = from.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                tokio::time::sleep(delay).await;
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads into nothing until the other end gives up or the relay is cut.
async fn swallow(mut from: OwnedReadHalf, mode: &mut watch::Receiver<Mode>) {
    let mut buffer = vec![0; PIECE];
    loop {
        tokio::select! {
            changed = mode.changed() => {
                if changed.is_err() || *mode.borrow_and_update() == Mode::Cut {
                    return;
                }
            }
            read = from.read(&mut buffer) => if !matches!(read, Ok(1..)) { return },
        }
    }
}

/// Closes as a router does that has forgotten the connection.
fn reset(half: OwnedWriteHalf) {
    _ = half.as_ref().set_zero_linger();
    half.forget();
}
