//! One connection to the database, made again whenever it is lost, and what is said about that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::model::{Clock, DumpName, metric, parted};
use crate::sink::{LeftOut, SinkError, hints};
use crate::tables::postgres::{ConnectError, Connected, Fault, Server, fault, identity_now, words};

/// How long one try to connect may take, greetings included.
const CONNECT: Duration = Duration::from_secs(15);

/// How long asking a server to leave off may take.
const CANCEL: Duration = Duration::from_secs(1);

/// Pauses between tries double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What all connections of a sink share.
pub(super) struct Base {
    pub(super) server: Server,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Handle,
    /// The database's identity, once it is known: another database at the same address is none
    /// of ours.
    pub(super) identity: OnceLock<String>,
    pub(super) outage: Mutex<Outage>,
    pub(super) left_out: Mutex<BTreeMap<DumpName, LeftOut>>,
}

/// What is held up now, and what was said about it.
#[derive(Default)]
pub(super) struct Outage {
    /// How many connections wait.
    waiting: usize,
    since: Option<Instant>,
    said_away: bool,
    said_refusing: bool,
}

/// Why something has to wait.
pub(super) struct Trouble {
    pub(super) why: String,
    hint: Option<&'static str>,
    refusing: bool,
}

/// Why something could not be done.
pub(super) enum Failure {
    /// It is tried again.
    Passing(Trouble),
    /// It will not get better by itself.
    Fatal(SinkError),
}

/// One connection.
pub(super) struct Link {
    pub(super) base: Arc<Base>,
    client: Option<Client>,
    /// The client has not been asked for since it was made.
    fresh: bool,
    waiting: bool,
    pause: Duration,
}

impl Link {
    /// A connection that is made when it is first needed.
    pub(super) fn new(base: &Arc<Base>) -> Link {
        let base = Arc::clone(base);
        Link { base, client: None, fresh: false, waiting: false, pause: FIRST_PAUSE }
    }

    /// The connection, and whether it is a new one; one try to make one if there is none.
    pub(super) async fn client(&mut self) -> Result<(&mut Client, bool), Failure> {
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.client = None;
        }
        let client = if let Some(client) = self.client.take() {
            client
        } else {
            self.fresh = true;
            self.connect().await?
        };
        let fresh = std::mem::take(&mut self.fresh);
        Ok((self.client.insert(client), fresh))
    }

    async fn connect(&mut self) -> Result<Client, Failure> {
        let Base { server, runtime, identity, .. } = &*self.base;
        let connected = match timeout(CONNECT, server.connect()).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(ConnectError::Server(error))) => return Err(self.failure("open", &error)),
            Ok(Err(ConnectError::Configuration(error))) => return Err(passing(&error.to_string())),
            Err(_) => return Err(passing(&format!("no answer within {} s", CONNECT.as_secs()))),
        };
        let Connected { client, talking } = connected;
        runtime.spawn(talking);
        if let Some(identity) = identity.get() {
            let now = identity_now(&client).await.map_err(|error| self.failure("read", &error))?;
            if now.as_ref() != Some(identity) {
                let what = format!("{server} is not the database that it was: it was made anew");
                return Err(Failure::Fatal(SinkError::new(what).hint(
                    "start again: what is there now is a job of its own, and gets everything",
                )));
            }
        }
        Ok(client)
    }

    /// What an error while doing something means.
    pub(super) fn failure(&self, doing: &str, error: &Error) -> Failure {
        let why = self.base.server.without_user(&words(error));
        let refusing = match fault(error) {
            Fault::Passing => false,
            Fault::Refusing => true,
            Fault::Record | Fault::Schema => {
                let what = format!("cannot {doing} {}: {why}", self.base.server);
                return Failure::Fatal(SinkError::new(what).hint(
                    "its tables are not as this program made them: give it a database or a schema \
                     (?options=-csearch_path%3DNAME) of its own",
                ));
            }
        };
        Failure::Passing(Trouble { why, hint: hint(error.code()), refusing })
    }

    /// Says once for all connections what is the matter, and pauses before the next try.
    pub(super) async fn wait(&mut self, trouble: &Trouble) {
        self.say(trouble);
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        sleep(pause).await;
    }

    fn say(&mut self, Trouble { why, hint, refusing }: &Trouble) {
        let database = &self.base.server;
        let mut outage = self.base.outage.lock().unwrap_or_else(PoisonError::into_inner);
        outage.since.get_or_insert_with(Instant::now);
        outage.waiting += usize::from(!std::mem::replace(&mut self.waiting, true));
        if *refusing && !std::mem::replace(&mut outage.said_refusing, true) {
            tracing::warn!(%database, why, hint, "the database refuses, trying until it does not");
        } else if !*refusing && !std::mem::replace(&mut outage.said_away, true) {
            tracing::warn!(%database, why, hint, "the database is away, trying until it is back");
        }
    }

    /// Notes that the database did what was asked, and says so if it did not before.
    pub(super) fn well(&mut self) {
        self.pause = FIRST_PAUSE;
        if !std::mem::take(&mut self.waiting) {
            return;
        }
        if let Some(since) = self.base.leave() {
            metrics::counter!(metric::RECONNECTS).increment(1);
            let (database, seconds) = (&self.base.server, since.elapsed().as_secs());
            tracing::info!(%database, seconds, "the database is back");
        }
    }

    /// Asks the server to leave off what was asked of it last.
    pub(super) async fn cancel(&self) {
        if let Some(client) = &self.client {
            // It ends with the connection, if not by this.
            _ = timeout(CANCEL, self.base.server.cancel(client)).await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.waiting {
            self.base.leave();
        }
    }
}

impl Base {
    /// One connection fewer waits; when that was the last, since when there was trouble.
    fn leave(&self) -> Option<Instant> {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        outage.waiting = outage.waiting.saturating_sub(1);
        if outage.waiting > 0 {
            return None;
        }
        std::mem::take(&mut *outage).since
    }
}

fn passing(why: &str) -> Failure {
    let (wrong, hint) = parted(why);
    let hint = hint.map(|_| "the database's URL names it for TLS");
    Failure::Passing(Trouble { why: wrong.to_owned(), hint, refusing: false })
}

pub(super) fn hint(state: Option<&SqlState>) -> Option<&'static str> {
    let state = state?;
    let rows = [
        (SqlState::INVALID_CATALOG_NAME, "create the database, or correct its name in the URL"),
        (
            SqlState::INSUFFICIENT_PRIVILEGE,
            "let the URL's user create tables in the schema, and own those that are there",
        ),
        (SqlState::DISK_FULL, hints::FULL),
        (SqlState::READ_ONLY_SQL_TRANSACTION, "it is a standby, or set to read only"),
    ];
    let found = rows.iter().find(|(row, _)| row == state).map(|(_, hint)| *hint);
    found.or_else(|| {
        let who = state.code().starts_with("28");
        who.then_some("correct user and password in the URL, or let the user in (pg_hba.conf)")
    })
}
