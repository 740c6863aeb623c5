//! `consume`: the other end of the broker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::args::ConsumerName;
use super::config::Tables;
use super::environment;
use super::exit::Exit;
use super::owner::{self, Usage};
use super::signals::{Patience, Signals};
use crate::amqp::{Broker, Topology};
use crate::consume::target::{SweepLimits, Target};
use crate::consume::{Consumed, Consumer, Postgres, Said, Settings, Sqlite, replay};
use crate::model::{Clock, SystemClock};
use crate::observe::lines;
use crate::tables::complete::Noter;
use crate::tables::postgres::Server;

/// Docker kills after 10 s. What was read is written in 6 s at most, a goodbye takes 1 s.
const PATIENCE: Patience = Patience { time: Duration::from_millis(9_500), exit: Exit::Done };

/// Runs `consume tables`.
pub fn tables(config: Tables, _state_dir: &Path) -> Result<Exit> {
    owner::check_environment()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let broker = if config.migrate_only { None } else { Some(broker(config.from.as_deref())?) };
    let consumer = ConsumerName::Tables.name();
    let noter = Noter { consumer: consumer.to_owned(), cancel_after: config.cancel_after };
    let runtime = owner::runtime()?;
    let stop = CancellationToken::new();
    let consumed = runtime.block_on(async {
        Signals::heed(stop.clone(), Some(PATIENCE))?;
        let opening = target(config.to.as_deref(), noter, Arc::clone(&clock));
        let Some(target) = stop.run_until_cancelled(opening).await else {
            return Ok(Consumed::default());
        };
        let target = target?;
        tracing::info!(database = target.location(), "the schema is up to date");
        let Some(broker) = broker else { return Ok(Consumed::default()) };
        let settings = Settings {
            consumer: consumer.to_owned(),
            broker,
            topology: topology(config.exchange_prefix, consumer)?,
            check_interval: config.check_interval,
            sweep: SweepLimits {
                max_fraction: config.purge_max_delete_fraction,
                anyway: config.sweep_anyway,
            },
            say,
        };
        let consumer = Consumer::new(settings, target, clock, stop.clone());
        consumer.run().await.map_err(|why| anyhow!(why))
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(if consumed?.refused.is_empty() { Exit::Done } else { Exit::Failed })
}

fn say(said: Said) {
    match said {
        Said::Complete(kind) => tracing::info!("{}", lines::file_processing_complete(kind)),
        Said::Canceling(kind) => tracing::info!("{}", lines::canceling_consumer(kind)),
    }
}

const NO_DATABASE: &str = "there is no database to fill\nhint: say where with --to \
    (sqlite:PATH or postgres://…), or with POSTGRES_HOST and the other variables";

async fn target(to: Option<&str>, noter: Noter, clock: Arc<dyn Clock>) -> Result<Arc<dyn Target>> {
    let set = match to {
        Some(_) => None,
        None => environment::database(&environment::variable)?,
    };
    let to = to.or(set.as_ref().map(|url| url.expose_secret()));
    match to.and_then(|to| to.split_once(':')) {
        Some(("sqlite", path)) if !path.is_empty() => {
            Ok(Arc::new(Sqlite::open(Path::new(path), noter, clock)?))
        }
        Some(("postgres" | "postgresql", _)) => {
            let server: Server =
                to.unwrap_or_default().parse().map_err(|error| Usage(format!("{error}")))?;
            server.check()?;
            Ok(Arc::new(Postgres::open(&server, noter, clock).await?))
        }
        _ => bail!(Usage(NO_DATABASE.into())),
    }
}

fn topology(prefix: String, consumer: &str) -> Result<Topology> {
    Topology::new(prefix, vec![consumer.to_owned()])
        .map_err(|error| anyhow!(Usage(error.to_string())))
}

fn broker(from: Option<&str>) -> Result<Broker> {
    let broker = match from {
        Some(from) => from.parse::<Broker>(),
        None => environment::broker(&environment::variable)?.expose_secret().parse(),
    };
    let broker = broker.map_err(|error| Usage(error.to_string()))?;
    broker.tls().map_err(|error| Usage(error.to_string()))?;
    Ok(broker)
}

/// Runs `consume replay-dead-letters`.
pub fn replay_dead_letters(
    consumer: ConsumerName,
    from: Option<&str>,
    prefix: String,
) -> Result<Exit> {
    let consumer = consumer.name();
    let (broker, topology) = (broker(from)?, topology(prefix, consumer)?);
    let runtime = owner::runtime()?;
    let moved = runtime.block_on(replay(broker, &topology, consumer))?;
    for (kind, messages) in moved {
        print(&format!("{kind}: {messages}"))?;
    }
    let all: u64 = moved.iter().map(|(_, messages)| messages).sum();
    print(&format!("{all} dead letters put back"))?;
    Ok(Exit::Done)
}

fn print(line: &str) -> Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").context("cannot print")
}
