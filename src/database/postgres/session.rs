//! Connections to one database, and what its errors mean to whoever asked for something.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::connect::{ConnectError, Connected, Server};
use super::fault::{Fault, fault, words};
use super::identity::identity_now;
use crate::database::{Obstacle, Passes, hints};
use crate::model::parted;

/// How long one try to connect may take, greetings included.
const CONNECT: Duration = Duration::from_secs(15);

/// Where the database is, and which it must be.
pub(super) struct Session {
    pub(super) server: Server,
    /// Its identity, once it is known: another database at the same address is none of ours.
    pub(super) identity: Option<String>,
}

impl Session {
    /// A connection: the one that there was, if it still is one, or one try to make another.
    pub(super) async fn client(&self, there: Option<Client>) -> Result<Client, Obstacle> {
        if let Some(client) = there.filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let connected = match timeout(CONNECT, self.server.connect()).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(ConnectError::Server(error))) => return Err(self.obstacle(&error)),
            Ok(Err(ConnectError::Configuration(error))) => {
                return Err(unconfigured(&error.to_string()));
            }
            Err(_) => {
                return Err(Obstacle::away(format!("no answer within {} s", CONNECT.as_secs())));
            }
        };
        let Connected { client, talking } = connected;
        tokio::spawn(talking);
        let Some(identity) = &self.identity else { return Ok(client) };
        let now = identity_now(&client).await.map_err(|error| self.obstacle(&error))?;
        if now.as_ref() == Some(identity) {
            return Ok(client);
        }
        Err(Obstacle::lasting("it is not the database that it was: it was made anew")
            .hint("start again: what is there now is a job of its own, and gets everything"))
    }

    /// What an error means.
    pub(super) fn obstacle(&self, error: &Error) -> Obstacle {
        let why = self.server.without_user(&words(error));
        let passes = match fault(error) {
            Fault::Passing => Passes::Away,
            Fault::Refusing => Passes::Refusing,
            Fault::Record | Fault::Schema => {
                return Obstacle::lasting(why).hint(
                    "its tables are not as this program made them: give it a database or a schema \
                     (?options=-csearch_path%3DNAME) of its own",
                );
            }
        };
        Obstacle { why, hint: hint(error.code()).map(Into::into), passes }
    }
}

fn unconfigured(words: &str) -> Obstacle {
    let (why, hint) = parted(words);
    let obstacle = Obstacle::away(why);
    if hint.is_some() { obstacle.hint("the database's URL names it for TLS") } else { obstacle }
}

/// What to do about an error of the server's.
pub fn hint(state: Option<&SqlState>) -> Option<&'static str> {
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
