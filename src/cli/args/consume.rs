//! The arguments of the other end of the broker.

use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};

use super::Progress;
use super::delivery::fraction;
use crate::cli::within::Seconds;

#[derive(Args, Debug)]
pub struct ConsumeArgs {
    #[command(subcommand)]
    pub command: ConsumeCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConsumeCommand {
    /// Fill the tables of a database (the tableinator)
    #[command(after_help = TABLES_EXAMPLES)]
    Tables(Box<ConsumerArgs>),
    /// Fill a graph over Bolt (the graphinator)
    #[command(after_help = GRAPH_EXAMPLES)]
    Graph(Box<ConsumerArgs>),
    /// Put dead letters back into the queues that they came from
    ReplayDeadLetters(ReplayArgs),
}

const TABLES_EXAMPLES: &str = "\
Examples:
  discogs-extractor consume tables --from amqp://guest:guest@localhost --to sqlite:discogs.db
  RABBITMQ_HOST=localhost discogs-extractor consume tables --to sqlite:discogs.db
  discogs-extractor consume tables --to postgres://me@localhost/discogs --migrate-only

Without --from the broker of RABBITMQ_HOST, RABBITMQ_PORT, RABBITMQ_USERNAME and RABBITMQ_PASSWORD
is read. Without --to the database of POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USERNAME,
POSTGRES_PASSWORD and POSTGRES_DATABASE is filled. User names and passwords can be read from files:
RABBITMQ_PASSWORD_FILE.

Several may read the same queues into one database. SIGTERM and SIGINT end it with code 0 after
what was read is written.";

const GRAPH_EXAMPLES: &str = "\
Examples:
  discogs-extractor consume graph --from amqp://guest:guest@localhost --to bolt://neo4j:secret@localhost
  NEO4J_HOST=localhost RABBITMQ_HOST=localhost discogs-extractor consume graph
  discogs-extractor consume graph --to neo4j+s://me:secret@graph.example/discogs --migrate-only

Without --from the broker of RABBITMQ_HOST, RABBITMQ_PORT, RABBITMQ_USERNAME and RABBITMQ_PASSWORD
is read. Without --to the graph of NEO4J_HOST, NEO4J_PORT, NEO4J_USERNAME and NEO4J_PASSWORD is
filled, with NEO4J_TLS_ENABLED over TLS. User names and passwords can be read from files:
NEO4J_PASSWORD_FILE.

Several may read the same queues into one graph. SIGTERM and SIGINT end it with code 0 after what
was read is written.";

#[derive(Args, Debug)]
pub struct ConsumerArgs {
    /// The broker: amqp://USER:PASSWORD@HOST:PORT/VHOST, amqps:// with TLS
    #[arg(long, value_name = "AMQP", env = "DISCOGS_FROM", hide_env_values = true)]
    pub from: Option<String>,

    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE; of a graph
    /// bolt://USER:PASSWORD@HOST:PORT/DATABASE, neo4j://, with +s for TLS
    #[arg(long, value_name = "DATABASE", env = "DISCOGS_TO", hide_env_values = true)]
    pub to: Option<String>,

    /// Bring the database's schema up to date, and end
    #[arg(long, env = "DISCOGS_MIGRATE_ONLY")]
    pub migrate_only: bool,

    /// What the names of exchanges and queues begin with [default: discogsography-discogs]
    #[arg(long, value_name = "PREFIX", env = "DISCOGS_EXCHANGE_PREFIX")]
    pub exchange_prefix: Option<String>,

    /// Cancel a type's consumers so many seconds after the type is complete; 0 never
    /// [default: 300]
    #[arg(long, value_name = "SECONDS", env = "CONSUMER_CANCEL_DELAY")]
    pub consumer_cancel_delay: Option<u32>,

    /// Look into a cancelled queue every so many seconds [default: 3600]
    #[arg(
        long, value_name = "SECONDS", env = "QUEUE_CHECK_INTERVAL",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub queue_check_interval: Option<u32>,

    /// A type whose messages are not written for so many seconds is called stalled [default: 120]
    #[arg(long, value_name = "SECONDS", env = "STALL_AFTER")]
    pub stall_after: Option<Seconds>,

    /// How progress is shown on standard error [default: auto]
    #[arg(long, value_name = "HOW", env = "DISCOGS_PROGRESS")]
    pub progress: Option<Progress>,

    /// The highest part of a type's records that a sweep may remove [default: 0.10]
    #[arg(long, value_name = "PART", env = "PURGE_MAX_DELETE_FRACTION", value_parser = fraction)]
    pub purge_max_delete_fraction: Option<f64>,

    /// Remove what a complete version no longer has, in spite of bad records and however much it is
    #[arg(long, env = "DISCOGS_SWEEP_ANYWAY")]
    pub sweep_anyway: bool,

    /// The address that health and metrics are served on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "LISTEN")]
    pub listen: Option<IpAddr>,

    /// The port for it; 0 is off [default: 8002, of the graph 8001]
    #[arg(long, value_name = "PORT", env = "HEALTH_PORT")]
    pub health_port: Option<u16>,
}

#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// Whose dead letters
    pub consumer: ConsumerName,

    /// The broker: amqp://USER:PASSWORD@HOST:PORT/VHOST, amqps:// with TLS
    #[arg(long, value_name = "AMQP", env = "DISCOGS_FROM", hide_env_values = true)]
    pub from: Option<String>,

    /// What the names of exchanges and queues begin with [default: discogsography-discogs]
    #[arg(long, value_name = "PREFIX", env = "DISCOGS_EXCHANGE_PREFIX")]
    pub exchange_prefix: Option<String>,

    /// Wait for the broker for as long as it takes, and not for 30 s
    #[arg(long, env = "DISCOGS_WAIT")]
    pub wait: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConsumerName {
    /// The tableinator's
    Tables,
    /// The graphinator's
    Graph,
}

impl ConsumerName {
    /// As it stands in the names of queues.
    pub const fn name(self) -> &'static str {
        match self {
            ConsumerName::Tables => "tableinator",
            ConsumerName::Graph => "graphinator",
        }
    }

    /// The port on which the platform looks for its health.
    pub const fn health_port(self) -> u16 {
        match self {
            ConsumerName::Tables => 8_002,
            ConsumerName::Graph => 8_001,
        }
    }
}
