//! The arguments of the commands that deliver records.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::{FetchArgs, Progress};
use crate::cli::within::{Seconds, Threads, Window};
use crate::model::{Kind, Version};

const EXTRACT_EXAMPLES: &str = "\
Sinks:
  sqlite:PATH   tables in an SQLite database
  postgres://USER:PASSWORD@HOST:PORT/DATABASE
                the same tables in PostgreSQL; ?sslmode=verify-full&sslrootcert=FILE with TLS
  bolt://USER:PASSWORD@HOST:PORT
                the graph of `consume graph`, in Neo4j and what speaks Bolt; neo4j+s:// with TLS
  jsonl:DIR     DIR/VERSION/TYPE.jsonl, a record a line
  jsonl:-       the same lines on standard output; keeps no state
  amqp://USER:PASSWORD@HOST:PORT/VHOST
                a message a record to RabbitMQ; amqps:// with TLS
  null:         nowhere: to measure, or to check a dump

Examples:
  discogs-extractor extract dumps/ --to sqlite:discogs.db
  discogs-extractor extract dumps/ --to sqlite:discogs.db --types artists,labels
  discogs-extractor extract discogs_20260101_labels.xml.gz --to jsonl:out
  discogs-extractor extract dumps/ --to postgres://discogs:secret@localhost/discogs
  discogs-extractor extract dumps/ --to bolt://neo4j:secret@localhost
  discogs-extractor extract dumps/ --to null: --force-reprocess

Stop it at any time, by any means: the same command goes on where it was.";

#[derive(Args, Debug)]
#[command(after_help = EXTRACT_EXAMPLES)]
pub struct ExtractArgs {
    /// Dumps, or folders of dumps
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub delivery: DeliveryArgs,

    /// Deliver at most so many records of each file, then end with code 3
    #[arg(long, value_name = "N", env = "DISCOGS_LIMIT")]
    pub limit: Option<u64>,

    /// Wait for the sink for as long as it takes, and not for 30 s
    #[arg(long, env = "DISCOGS_WAIT")]
    pub wait: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  discogs-extractor run --root dumps/ --to sqlite:discogs.db
  discogs-extractor run --root dumps/ --to sqlite:discogs.db --keep 1 --limit-rate 10M
  discogs-extractor run --root dumps/ --to sqlite:discogs.db --site none
  RABBITMQ_HOST=localhost discogs-extractor run --root dumps/

Without --to the broker of RABBITMQ_HOST, RABBITMQ_PORT, RABBITMQ_USERNAME and RABBITMQ_PASSWORD
is the sink; the last two, and TRIGGER_TOKEN, can be read from files: RABBITMQ_PASSWORD_FILE.

The newest version that is completely published is fetched from the site, and extracted while it
is; with --site none only what somebody puts into the folder is taken.
A dump is taken up when it was renamed into the folder, closed after writing, or has not changed
for 10 s. SIGTERM and SIGINT end it with code 0 after a clean drain; it goes on where it was.";

#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// The folder of dumps [default: /discogs-data]
    #[arg(long, value_name = "DIR", env = "DISCOGS_ROOT")]
    pub root: Option<PathBuf>,

    #[command(flatten)]
    pub delivery: DeliveryArgs,

    #[command(flatten)]
    pub fetch: FetchArgs,

    /// Begin a newer version although an older one is unfinished
    #[arg(long, env = "DISCOGS_NEWEST_FIRST")]
    pub newest_first: bool,

    /// Keep the files of so many versions; older ones are removed when they and the newer ones are
    /// complete [default: all]
    #[arg(
        long, value_name = "N", env = "DISCOGS_KEEP",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub keep: Option<u16>,

    /// Look again after so many days, even if nothing happened [default: 15]
    #[arg(
        long, value_name = "DAYS", env = "PERIODIC_CHECK_DAYS",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub periodic_check_days: Option<u32>,

    /// Try what failed again after so many seconds, then after twice as many, up to 15 minutes
    /// [default: 60]
    #[arg(
        long, value_name = "SECONDS", env = "DISCOGS_RETRY_AFTER",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub retry_after: Option<u32>,

    /// The address that health and metrics are served on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "LISTEN")]
    pub listen: Option<IpAddr>,

    /// The port for it; 0 is off [default: 8000]
    #[arg(long, value_name = "PORT", env = "HEALTH_PORT")]
    pub health_port: Option<u16>,
}

#[derive(Args, Debug)]
pub struct DeliveryArgs {
    /// Where records go: sqlite:PATH, postgres://…, bolt://…, jsonl:DIR, jsonl:-, amqp://… or null:
    #[arg(long, value_name = "SINK", env = "DISCOGS_TO", hide_env_values = true)]
    pub to: Option<String>,

    /// Only these types: artists, labels, masters, releases [default: all]
    #[arg(long, value_name = "TYPES", value_delimiter = ',', env = "DISCOGS_TYPES")]
    pub types: Option<Vec<Kind>>,

    /// The version to take from a folder [default: the newest that has all wanted types]
    #[arg(long, value_name = "YYYYMMDD", env = "DISCOGS_DUMP_VERSION")]
    pub dump_version: Option<Version>,

    /// Forget what the state holds for these files and extract them again. true, false, `restart`
    /// (even if an earlier forced pass is unfinished), or any other word: honoured once ever
    #[arg(
        long, value_name = "WORD", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", env = "FORCE_REPROCESS"
    )]
    pub force_reprocess: Option<String>,

    /// What the names of exchanges and queues begin with [default: discogsography-discogs]
    #[arg(long, value_name = "PREFIX", env = "DISCOGS_EXCHANGE_PREFIX")]
    pub exchange_prefix: Option<String>,

    /// Consumers whose queues are declared before the first record: tableinator,graphinator
    #[arg(long = "for", value_name = "NAMES", value_delimiter = ',', env = "DISCOGS_CONSUMERS")]
    pub consumers: Option<Vec<String>>,

    /// Files at once [default: the cores]
    #[arg(long, value_name = "N", env = "MAX_WORKERS")]
    pub workers: Option<Threads>,

    /// Parse threads, shared by all files [default: the cores]
    #[arg(long, value_name = "N", env = "DISCOGS_THREADS")]
    pub threads: Option<Threads>,

    /// Deliveries in flight, per file [default: 5000]
    #[arg(long, value_name = "N", env = "DISCOGS_WINDOW")]
    pub window: Option<Window>,

    /// A file that does not move for so many seconds is called stalled [default: 120]
    #[arg(long, value_name = "SECONDS", env = "STALL_AFTER")]
    pub stall_after: Option<Seconds>,

    /// How many bad records a file may have before it fails [default: 100]
    #[arg(long, value_name = "N", env = "DISCOGS_MAX_BAD_RECORDS")]
    pub max_bad_records: Option<u64>,

    /// How progress is shown on standard error [default: auto]
    #[arg(long, value_name = "HOW", env = "DISCOGS_PROGRESS")]
    pub progress: Option<Progress>,

    /// The highest part of a table that a sweep may remove [default: 0.10]
    #[arg(long, value_name = "PART", env = "PURGE_MAX_DELETE_FRACTION", value_parser = fraction)]
    pub purge_max_delete_fraction: Option<f64>,

    /// Remove what the version no longer has, without proof and however much it is
    #[arg(long, env = "DISCOGS_SWEEP_ANYWAY")]
    pub sweep_anyway: bool,
}

pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("not between 0 and 1".into()) }
}
