//! Sinks by the words that name them: what the scheme of a URL opens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::{Amqp, Filled, Jsonl, Lines, Need, Null, Opening, Sink, SinkError, jsonl};
use crate::amqp::{Broker, BrokerError};
use crate::database::postgres::{Postgres, Server, ServerError};
use crate::database::sqlite::{Sqlite, need};
use crate::database::{Database, OpenError};
use crate::graph::{Address, AddressError, Graph, SCHEMES};

/// A sink as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `postgres://…` or `postgresql://…`
    Postgres(Box<Server>),
    /// `bolt://…` or `neo4j://…`
    Graph(Box<Address>),
    /// `jsonl:DIR`
    Folder(PathBuf),
    /// `jsonl:-`
    StandardOutput,
    /// `amqp://…` or `amqps://…`
    Amqp(Broker),
    /// `null:`
    Null,
}

impl Target {
    /// Opens the sink.
    ///
    /// # Errors
    /// If it cannot be reached, or is something else.
    pub fn open(&self, opening: &Opening) -> Result<Arc<dyn Sink>, SinkError> {
        Ok(match self {
            Target::Sqlite(path) => {
                filled(opening, async { Sqlite::open(path, None, Arc::clone(&opening.clock)) })?
            }
            Target::Postgres(server) => {
                let (clock, stop) = (Arc::clone(&opening.clock), opening.stop.clone());
                filled(opening, Postgres::open(server, None, clock, opening.first, stop))?
            }
            Target::Graph(address) => {
                let clock = Arc::clone(&opening.clock);
                filled(opening, Graph::open(address, None, clock, opening.first))?
            }
            Target::Folder(folder) => Arc::new(Jsonl::open(folder)?),
            Target::StandardOutput => Arc::new(Lines::to_standard_output()),
            Target::Amqp(broker) => Arc::new(Amqp::open(broker, opening)?),
            Target::Null => Arc::new(Null::new()),
        })
    }
}

/// A sink over a database, once that is open.
fn filled<D: Database + 'static>(
    opening: &Opening,
    open: impl Future<Output = Result<D, OpenError>>,
) -> Result<Arc<dyn Sink>, SinkError> {
    let Opening { runtime, stop, .. } = opening;
    let opened = runtime.block_on(stop.run_until_cancelled(open));
    let database = Arc::new(opened.ok_or_else(SinkError::stopped)??);
    Ok(Arc::new(Filled::new(database, runtime.clone(), stop.clone())))
}

impl Target {
    /// What delivering dumps of `gzip_bytes` will roughly need on a disk of this machine, beyond
    /// what is there already; none if nothing is written to one.
    pub fn needs(&self, gzip_bytes: u64) -> Option<Need> {
        match self {
            Target::Sqlite(path) => {
                // The next version's rows take the place of those that are there.
                let there = path.metadata().map_or(0, |metadata| metadata.len());
                let Need { folder, bytes } = need(path, gzip_bytes)?;
                Some(Need { folder, bytes: bytes.saturating_sub(there) })
            }
            Target::Folder(folder) => Some(jsonl::need(folder, gzip_bytes)),
            Target::Postgres(_)
            | Target::Graph(_)
            | Target::StandardOutput
            | Target::Amqp(_)
            | Target::Null => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Target::Postgres(server) => server.fmt(f),
            Target::Graph(address) => address.fmt(f),
            Target::Folder(folder) => write!(f, "jsonl:{}", folder.display()),
            Target::StandardOutput => f.write_str("jsonl:-"),
            Target::Amqp(broker) => broker.fmt(f),
            Target::Null => f.write_str("null:"),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match (scheme, rest) {
            ("sqlite", "") => Err(TargetError::NoPath("sqlite:PATH")),
            ("jsonl", "") => Err(TargetError::NoPath("jsonl:DIR")),
            ("sqlite", path) => Ok(Target::Sqlite(path.into())),
            ("postgres" | "postgresql", _) => Ok(Target::Postgres(Box::new(text.parse()?))),
            (scheme, _) if SCHEMES.contains(&scheme) => Ok(Target::Graph(Box::new(text.parse()?))),
            ("jsonl", "-") => Ok(Target::StandardOutput),
            ("jsonl", folder) => Ok(Target::Folder(folder.into())),
            ("amqp" | "amqps", _) => Ok(Target::Amqp(text.parse()?)),
            ("null", "") if text.ends_with(':') => Ok(Target::Null),
            _ if rest.contains('@') => Err(TargetError::Unknown("what was given".to_owned())),
            _ => Err(TargetError::Unknown(format!("{scheme:?}"))),
        }
    }
}

/// Words that name no sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// None of the sinks there are; of the words only what stands before the first colon, and
    /// nothing where that may be a user's name, as there may be a password behind it.
    #[error(
        "{0} names no sink\nhint: the sinks are sqlite:PATH (a database file), \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE (PostgreSQL), \
         bolt://USER:PASSWORD@HOST:PORT (a graph), jsonl:DIR (a folder), jsonl:- \
         (standard output), amqp://USER:PASSWORD@HOST:PORT/VHOST (RabbitMQ) and null: (nowhere)"
    )]
    Unknown(String),
    /// A sink without a place.
    #[error("the sink has no path\nhint: write {0}")]
    NoPath(&'static str),
    /// A broker that is not named as one.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A database that is not named as one.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A graph that is not named as one.
    #[error(transparent)]
    Graph(#[from] AddressError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_shown() {
        let rows = [
            ("sqlite:discogs.db", Target::Sqlite("discogs.db".into())),
            ("sqlite:/var/lib/a:b.db", Target::Sqlite("/var/lib/a:b.db".into())),
            (
                "postgres://db:5432/discogs",
                Target::Postgres(Box::new("postgresql://db/discogs".parse().unwrap())),
            ),
            ("jsonl:out", Target::Folder("out".into())),
            ("jsonl:./-", Target::Folder("./-".into())),
            ("jsonl:-", Target::StandardOutput),
            ("amqp://rabbit:5672/%2F", Target::Amqp("amqp://rabbit".parse().unwrap())),
            ("null:", Target::Null),
        ];
        for (text, target) in rows {
            assert_eq!(text.parse(), Ok(target.clone()));
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn what_names_no_sink_is_told_which_there_are() {
        for text in ["", "discogs.db", "SQLITE:x", "null:x", "mysql://host/db", "-"] {
            let words = text.parse::<Target>().unwrap_err().to_string();
            assert!(words.contains("sqlite:PATH") && words.contains("jsonl:-"), "{words}");
        }
        let words = "sqlite:".parse::<Target>().unwrap_err().to_string();
        assert!(words.ends_with("hint: write sqlite:PATH"), "{words}");
    }
}
