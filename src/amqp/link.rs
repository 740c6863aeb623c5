//! The connection to the broker, kept up for as long as somebody holds the link. One task owns it
//! and tells everybody else how it stands.

use std::net::{Shutdown, TcpStream as Socket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_compat::{Compat, CompatExt};
use futures_util::StreamExt;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, Error, ErrorKind, Event};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Broker, words};
use crate::model::metric;

/// How long one try to connect may take, greetings included.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the broker may take to answer a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Pauses between tries double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A connection that lasted so long was a good one; after a shorter one the pauses go on growing.
const STEADY: Duration = Duration::from_secs(5);

/// Complaints that may wait: one of each lane, and of who announces.
const COMPLAINTS: usize = 8;

/// How often a connection is looked at, beside what it tells by itself.
const LOOK: Duration = Duration::from_millis(500);

/// How the connection stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// There is none, for this reason; it is being tried again.
    Away(String),
    /// It is up.
    Up(Arc<Connection>),
    /// It is up, but the broker takes nothing: a memory or disk alarm, in its own words.
    Blocked(Arc<Connection>, String),
}

/// The handle to a connection that is kept up. When the last clone is dropped the connection is
/// closed.
#[derive(Clone)]
pub struct Link {
    standing: watch::Receiver<Standing>,
    complaints: mpsc::Sender<Arc<Connection>>,
    dropped: CancellationToken,
    _alive: Arc<DropGuard>,
}

impl Link {
    /// Begins to connect, and goes on doing so whenever the connection is lost. `name` is what
    /// the broker shows.
    pub fn start(runtime: &Handle, broker: Broker, name: &str) -> Link {
        let (tell, standing) = watch::channel(Standing::Away("not connected yet".into()));
        let (complaints, heard) = mpsc::channel(COMPLAINTS);
        let dropped = CancellationToken::new();
        let keeper = Keeper {
            broker,
            name: name.to_owned(),
            tell,
            dropped: dropped.clone(),
            blocked: Duration::ZERO,
            complaints: heard,
        };
        runtime.spawn(keeper.keep());
        Link {
            standing,
            complaints,
            dropped: dropped.clone(),
            _alive: Arc::new(dropped.drop_guard()),
        }
    }

    /// Closes the connection, and waits until that is done.
    pub async fn close(&self) {
        self.dropped.cancel();
        let mut standing = self.standing.clone();
        // It ends with the task that tells it.
        while standing.changed().await.is_ok() {}
    }

    /// Tells that a connection gives no answer although it is up. It is cut and made anew: a
    /// broker that stops reading it, as RabbitMQ 3.10 does for ever when a queue that it waits
    /// for is deleted, still sends heartbeats.
    pub fn complain(&self, connection: &Arc<Connection>) {
        if let Standing::Up(_) = *self.standing.borrow() {
            // As many complaints as fit are about the same connection.
            _ = self.complaints.try_send(Arc::clone(connection));
        }
    }

    /// How it stands, now and from now on.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

/// The task that owns the connection.
struct Keeper {
    broker: Broker,
    name: String,
    tell: watch::Sender<Standing>,
    dropped: CancellationToken,
    /// Time in which nothing could be sent, not counted yet.
    blocked: Duration,
    complaints: mpsc::Receiver<Arc<Connection>>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut outage: Option<Outage> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut tried = Instant::now();
            let dialled = tokio::select! {
                () = self.dropped.cancelled() => return,
                dialled = dial(&self.broker, &self.name) => dialled,
            };
            let failure = match dialled {
                Ok(Dialled { connection, socket }) => {
                    if let Some(Outage { since, .. }) = outage.take() {
                        metrics::counter!(metric::RECONNECTS).increment(1);
                        let seconds = since.elapsed().as_secs();
                        tracing::info!(broker = %self.broker, seconds, "the broker is back");
                    }
                    let up = Instant::now();
                    let Some(why) = self.watch(connection, &socket).await else { return };
                    tried = Instant::now();
                    if up.elapsed() > STEADY {
                        pause = FIRST_PAUSE;
                    }
                    Failure { why, refused: false }
                }
                Err(failure) => failure,
            };
            outage = Some(self.tell_of(&failure, outage));
            self.tell.send_replace(Standing::Away(failure.why));
            tokio::select! {
                () = self.dropped.cancelled() => return,
                () = sleep(pause) => {}
            }
            self.count_blocked(tried.elapsed());
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says once that the broker is away and, since somebody has to do something about that, once
    /// that it lets us not in.
    fn tell_of(&self, failure: &Failure, known: Option<Outage>) -> Outage {
        let Failure { why, refused } = failure;
        let since = known.map_or_else(Instant::now, |known| known.since);
        match known {
            _ if *refused && !known.is_some_and(|known| known.refused) => {
                tracing::error!(
                    broker = %self.broker, why, hint = "look at user, password and vhost",
                    "the broker does not let us in, trying until it does"
                );
            }
            None => {
                tracing::warn!(broker = %self.broker, why, "the broker is away, trying until it is back");
            }
            Some(_) => {}
        }
        Outage { since, refused: *refused || known.is_some_and(|known| known.refused) }
    }

    /// Adds to the time in which nothing could be sent; a counter takes whole seconds.
    fn count_blocked(&mut self, time: Duration) {
        self.blocked += time;
        let seconds = self.blocked.as_secs();
        metrics::counter!(metric::BLOCKED_SECONDS).increment(seconds);
        self.blocked -= Duration::from_secs(seconds);
    }

    /// Follows a connection to its end, and says why that came; nothing if it was no longer
    /// wanted.
    async fn watch(&mut self, connection: Connection, socket: &Socket) -> Option<String> {
        let connection = Arc::new(connection);
        let mut events = Box::pin(connection.events_listener());
        self.tell.send_replace(Standing::Up(Arc::clone(&connection)));
        let mut looks = interval(LOOK);
        let mut blocked: Option<Instant> = None;
        let mut looked = Instant::now();
        let mut last_error = None;
        loop {
            tokio::select! {
                () = self.dropped.cancelled() => {
                    goodbye(&connection).await;
                    // Nothing more is wanted of it, whether or not it answered.
                    _ = socket.shutdown(Shutdown::Both);
                    return None;
                }
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(why)) => {
                        tracing::warn!(broker = %self.broker, why, "the broker takes nothing");
                        blocked = Some(Instant::now());
                        let standing = Standing::Blocked(Arc::clone(&connection), why);
                        self.tell.send_replace(standing);
                    }
                    Some(Event::ConnectionUnblocked) => {
                        let seconds = blocked.take().map_or(0, |since| since.elapsed().as_secs());
                        tracing::info!(broker = %self.broker, seconds, "the broker takes messages again");
                        self.tell.send_replace(Standing::Up(Arc::clone(&connection)));
                    }
                    Some(Event::Error(error)) => last_error = Some(words(&error)),
                    Some(_) | None => {}
                },
                Some(about) = self.complaints.recv() => if Arc::ptr_eq(&about, &connection) {
                    _ = socket.shutdown(Shutdown::Both);
                    return Some("it gives no answer although it is up".into());
                },
                _ = looks.tick() => {}
            }
            if blocked.is_some() {
                self.count_blocked(looked.elapsed());
            }
            looked = Instant::now();
            if !connection.status().connected() {
                _ = socket.shutdown(Shutdown::Both);
                return Some(last_error.unwrap_or_else(|| "the connection was lost".into()));
            }
        }
    }
}

/// Says goodbye, unless the broker takes nothing now.
pub(super) async fn goodbye(connection: &Connection) {
    if !connection.status().blocked() {
        // A broker that does not answer has been told all the same.
        _ = timeout(GOODBYE, connection.close(200, "done".into())).await;
    }
}

/// Why there is no connection.
pub(super) struct Failure {
    pub(super) why: String,
    /// Whether the broker is there and does not let us in.
    pub(super) refused: bool,
}

/// A time without a connection, and what was said of it.
#[derive(Clone, Copy)]
struct Outage {
    since: Instant,
    refused: bool,
}

/// A connection and its socket, by which it can be cut off.
pub(super) struct Dialled {
    pub(super) connection: Connection,
    pub(super) socket: Socket,
}

/// Connects once. A try that takes too long is cut off at its socket: the library's thread would
/// wait for a silent peer for ever.
pub(super) async fn dial(broker: &Broker, name: &str) -> Result<Dialled, Failure> {
    let failed = |why: String| Failure { why, refused: false };
    let tls = broker.tls().map_err(|error| failed(error.to_string()))?;
    let runtime = lapin::runtime::default_runtime().map_err(|error| failed(words(&error)))?;
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let twin: Arc<Mutex<Option<Socket>>> = Arc::default();
    let kept = Arc::clone(&twin);
    let connecting = Connection::connector(
        broker.uri(),
        runtime,
        async move |uri: AMQPUri, _| {
            let address = (uri.authority.host.as_str(), uri.authority.port);
            let socket = timeout(CONNECT, TcpStream::connect(address)).await;
            let socket = socket.map_err(std::io::Error::from).flatten()?;
            socket.set_nodelay(true)?;
            let twin = Socket::from(socket.as_fd().try_clone_to_owned()?);
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(twin);
            encrypt(&uri, &tls, socket).await
        },
        properties,
    );
    let connected = timeout(CONNECT, connecting).await;
    let socket = twin.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (connected, socket) {
        (Ok(Ok(connection)), Some(socket)) => Ok(Dialled { connection, socket }),
        (connected, socket) => {
            if let Some(socket) = socket {
                _ = socket.shutdown(Shutdown::Both);
            }
            Err(match connected {
                Ok(Err(error)) => Failure { why: words(&error), refused: is_refusal(&error) },
                Ok(Ok(_)) | Err(_) => failed(format!("no answer within {} s", CONNECT.as_secs())),
            })
        }
    }
}

/// Whether the broker knows who we are and does not let us in.
fn is_refusal(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => matches!(
            error.kind(),
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
                | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
        ),
        _ => false,
    }
}

async fn encrypt(
    uri: &AMQPUri,
    tls: &OwnedTLSConfig,
    socket: TcpStream,
) -> Result<AsyncTcpStream<Compat<TcpStream>>, Error> {
    let plain = AsyncTcpStream::Plain(socket.compat());
    Ok(match uri.scheme {
        AMQPScheme::AMQP => plain,
        AMQPScheme::AMQPS => plain.into_tls(&uri.authority.host, tls.as_ref()).await?,
    })
}
