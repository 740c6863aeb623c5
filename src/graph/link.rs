//! The way to a Bolt server: its URL, transactions, and trying again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use neo4rs::{BoltType, ConfigBuilder, Graph, Query, Row, Txn};
use url::Url;
use uuid::Uuid;

use super::fault::GraphError;

/// How long a server may take to let us in, and to answer: the heaviest step of a sweep takes
/// some seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Rows that the server hands over at once; no answer here is much longer.
const FETCH: usize = 5_000;

/// Rests between the tries of a transaction that was in the way of another: from the first to
/// the longest, doubled each time.
const FIRST_REST: Duration = Duration::from_millis(10);
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Tries before a conflict is reported: with the rests above, about a minute.
const CONFLICTS: u32 = 40;

/// Where a graph is and how to get in: `bolt://USER:PASSWORD@HOST:PORT/DATABASE`, or `neo4j://`;
/// with `+s` over TLS, with `+ssc` over TLS with any certificate. Without a database it is the
/// server's own choice. Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    user: String,
    password: String,
}

/// The schemes of a graph's URL.
pub const SCHEMES: [&str; 6] = ["bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"];

/// A URL that names no graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the graph's URL cannot be read: {0}\nhint: write bolt://USER:PASSWORD@HOST:PORT, with what is \
     special in a password percent-encoded"
)]
pub struct AddressError(String);

/// The port that Bolt has where none is given.
const PORT: u16 = 7687;

impl Address {
    fn database(&self) -> Option<&str> {
        Some(self.url.path().trim_matches('/')).filter(|name| !name.is_empty())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let mut url = Url::parse(text).map_err(|error| AddressError(error.to_string()))?;
        if !SCHEMES.contains(&url.scheme()) {
            let known = SCHEMES.join(", ");
            return Err(AddressError(format!("{} is none of {known}", url.scheme())));
        }
        if url.path().contains('@') {
            // A password with a slash ends there, and what follows it would be taken for the database.
            return Err(AddressError("there is an @ behind the host".to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(AddressError("it has no host".to_owned()));
        }
        let decoded = |part: &str| {
            let pair = format!("x={}", part.replace('+', "%2B"));
            let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
            pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let user = decoded(url.username());
        let password = decoded(url.password().unwrap_or_default());
        // What is left is shown; a URL that has a host takes both.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Address { url, user, password })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.url.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One connection to a graph, made when it is needed and made again when it was lost. It does one
/// thing at a time: who writes and sweeps at once has two.
#[derive(Clone)]
pub struct Link(Graph);

impl Link {
    /// A link to a graph, which need not be there yet.
    ///
    /// # Errors
    /// If the certificates for TLS cannot be read.
    pub fn new(address: &Address) -> Result<Link, GraphError> {
        let mut server = address.url.clone();
        server.set_path("");
        server.set_query(None);
        let mut config = ConfigBuilder::default()
            .uri(server.as_str())
            .user(&address.user)
            .password(&address.password)
            .connection_timeout(PATIENCE)
            .fetch_size(FETCH)
            .max_connections(1);
        if let Some(database) = address.database() {
            config = config.db(database);
        }
        if server.port().is_none() {
            let mut with_port = server.clone();
            // A URL that has a host takes a port.
            let _ = with_port.set_port(Some(PORT));
            config = config.uri(with_port.as_str());
        }
        Ok(Link(Graph::connect(config.build()?)?))
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// What it, or the way to it, says.
    pub async fn ask(&self) -> Result<(), GraphError> {
        let mut tx = self.begin().await?;
        tx.rows(Query::new("RETURN 1 AS one".to_owned())).await?;
        tx.commit().await
    }

    pub(super) async fn begin(&self) -> Result<Tx, GraphError> {
        Ok(Tx(self.0.start_txn().await?))
    }

    /// Runs one statement in a transaction of its own, once.
    pub(super) async fn run(&self, statement: &str) -> Result<(), GraphError> {
        let mut tx = self.begin().await?;
        tx.run(Query::new(statement.to_owned())).await?;
        tx.commit().await
    }
}

/// How a statement for [`Tx::make`] ends.
pub(super) const MADE: &str = "RETURN count(*) AS made";

/// A transaction. Dropped, it is rolled back when the link is used next.
pub(super) struct Tx(Txn);

impl Tx {
    pub(super) async fn run(&mut self, query: Query) -> Result<(), GraphError> {
        self.0.run(query).await?;
        Ok(())
    }

    /// Runs a statement for each of the rows, if there are any.
    pub(super) async fn each(
        &mut self,
        statement: impl Into<String>,
        rows: Vec<BoltType>,
    ) -> Result<(), GraphError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.run(Query::new(statement.into()).param("rows", rows)).await
    }

    /// Makes so many relationships of the rows; the statement ends in [`MADE`]. Where fewer were
    /// made, a node that one of them joins was there a moment ago and is not any more: somebody else
    /// deleted it, and the whole transaction is to be done again.
    pub(super) async fn make(
        &mut self,
        statement: impl Into<String>,
        rows: Vec<BoltType>,
        wanted: usize,
    ) -> Result<(), GraphError> {
        if rows.is_empty() {
            return Ok(());
        }
        let found = self.rows(Query::new(statement.into()).param("rows", rows)).await?;
        let made = found.first().map(|row| row.get::<i64>("made")).transpose()?.unwrap_or(0);
        if made.cast_unsigned() == wanted as u64 {
            Ok(())
        } else {
            Err(GraphError::conflict(format!("of {wanted} relationships {made} could be made")))
        }
    }

    pub(super) async fn rows(&mut self, query: Query) -> Result<Vec<Row>, GraphError> {
        let mut stream = self.0.execute(query).await?;
        let mut rows = Vec::new();
        while let Some(row) = stream.next(self.0.handle()).await? {
            rows.push(row);
        }
        Ok(rows)
    }

    pub(super) async fn rollback(self) -> Result<(), GraphError> {
        Ok(self.0.rollback().await?)
    }

    pub(super) async fn commit(self) -> Result<(), GraphError> {
        Ok(self.0.commit().await?)
    }
}

/// Does something in a transaction, again while it is in the way of others.
pub(super) async fn patiently<T, W: Future<Output = Result<T, GraphError>>>(
    link: &Link,
    work: impl Fn() -> W,
) -> Result<T, GraphError> {
    let mut tries = Tries::default();
    loop {
        match work().await {
            Ok(done) => return Ok(done),
            Err(error) => tries.rest(link, error).await?,
        }
    }
}

/// The tries of one transaction.
#[derive(Default)]
struct Tries {
    conflicts: u32,
    losses: u32,
}

impl Tries {
    /// Rests before the next try, if the error is one for another try: a conflict with another
    /// transaction, or, once, a connection that was found to be lost.
    async fn rest(&mut self, link: &Link, error: GraphError) -> Result<(), GraphError> {
        if error.conflict && self.conflicts < CONFLICTS {
            // What was locked stays so until the connection is used again.
            if let Ok(tx) = link.begin().await {
                let _ = tx.0.rollback().await;
            }
            tracing::debug!(tries = self.conflicts, %error, "the graph was busy, trying again");
            tokio::time::sleep(rest(self.conflicts, Uuid::new_v4().as_u128())).await;
            self.conflicts += 1;
            return Ok(());
        }
        if error.fault == super::Fault::Passing && !error.conflict && self.losses == 0 {
            self.losses += 1;
            return Ok(());
        }
        Err(error)
    }
}

/// How long to rest after so many tries: somewhere between half and all of what is due, so that
/// two that met do not meet again.
fn rest(tries: u32, random: u128) -> Duration {
    let due = FIRST_REST.saturating_mul(1 << tries.min(16)).min(LONGEST_REST);
    let half = due / 2;
    let span = half.as_micros().max(1);
    half + Duration::from_micros(u64::try_from(random % span).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_never_shows_its_password() {
        let address: Address = "bolt://neo%40j:p%2Fw+d@graph:7688/discogs".parse().unwrap();
        assert_eq!((&*address.user, &*address.password), ("neo@j", "p/w+d"));
        assert_eq!(address.database(), Some("discogs"));
        assert_eq!(
            format!("{address} {address:?}"),
            "bolt://graph:7688/discogs bolt://graph:7688/discogs"
        );
        let plain: Address = "neo4j+s://graph".parse().unwrap();
        assert_eq!(plain.database(), None);
        for wrong in ["http://graph", "bolt://", "graph", "bolt://u:1/s3cret@graph"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rests_grow_to_a_limit_and_differ() {
        assert_eq!(rest(0, 0), FIRST_REST / 2);
        assert!(rest(0, 4_999) > rest(0, 0));
        for tries in [10, 40, u32::MAX] {
            let rest = rest(tries, u128::MAX);
            assert!(rest >= LONGEST_REST / 2 && rest <= LONGEST_REST, "{tries}");
        }
    }
}
