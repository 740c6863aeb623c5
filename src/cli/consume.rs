//! `consume`: the other end of the broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::OptionFuture;
use secrecy::ExposeSecret;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::args::ConsumerName;
use super::config::Consume;
use super::environment;
use super::exit::Exit;
use super::owner::{self, Usage};
use super::progress::How;
use super::signals::{Patience, Signals};
use crate::amqp::{Broker, Topology};
use crate::consume::{Consumed, Consumer, Said, Settings, ledger, replay};
use crate::daemon::consumer::{self, Shown};
use crate::daemon::notify;
use crate::database::postgres::{Postgres, Server};
use crate::database::sqlite::Sqlite;
use crate::database::{Database, SweepLimits};
use crate::graph::{Address, Graph, SCHEMES};
use crate::model::agreement::Noter;
use crate::model::{Clock, FirstConnection, SystemClock};
use crate::observe::{Metrics, lines};

/// Docker kills after 10 s. What was read is written in 6 s at most, a goodbye takes 1 s.
const PATIENCE: Patience = Patience { time: Duration::from_millis(9_500), exit: Exit::Done };

/// Who serves waits.
const WHENEVER: FirstConnection = FirstConnection::Whenever;

/// Runs `consume tables` or `consume graph`.
pub fn run(config: Consume, state_dir: &Path) -> Result<Exit> {
    owner::check_environment()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let broker = if config.migrate_only { None } else { Some(broker(config.from.as_deref())?) };
    let name = config.consumer.name();
    let noter = Noter::new(name, config.cancel_after);
    let runtime = owner::runtime()?;
    let stop = CancellationToken::new();
    let listen = config.listen.filter(|_| broker.is_some());
    let http = listen.map(|address| super::run::listen(&runtime, address)).transpose()?;
    let metrics = http.as_ref().map(|_| Metrics::install(clock.now())).transpose();
    let metrics = metrics.context("cannot count anything")?;
    let consumed = runtime.block_on(async {
        Signals::heed(stop.clone(), Some(PATIENCE))?;
        let opening = Box::pin(database(
            config.consumer,
            config.to.as_deref(),
            noter,
            Arc::clone(&clock),
            stop.clone(),
        ));
        let Some(database) = stop.run_until_cancelled(opening).await else {
            return Ok(Consumed::default());
        };
        let database = database?;
        tracing::info!(database = database.location(), "the schema is up to date");
        let Some(broker) = broker else { return Ok(Consumed::default()) };
        let settings = Settings {
            consumer: name.to_owned(),
            broker,
            topology: topology(config.exchange_prefix, name)?,
            cancel_after: config.cancel_after,
            check_interval: config.check_interval,
            sweep: SweepLimits {
                max_fraction: config.purge_max_delete_fraction,
                anyway: config.sweep_anyway,
            },
            say,
        };
        let keeper = stop.run_until_cancelled(owner::open_store(state_dir, &clock)).await;
        let Some((keeper, control)) = keeper.transpose()? else {
            return Ok(Consumed::default());
        };
        let (job, location) = (database.job().clone(), database.location().to_owned());
        let running = Consumer::new(settings, database, Arc::clone(&clock), stop.clone());
        let (tell_stalled, stalled) = watch::channel(Vec::new());
        let shown = Shown {
            service: name,
            types: running.now(),
            stalled,
            keeper: keeper.clone(),
            clock: Arc::clone(&clock),
        };
        let seen = shown.clone();
        let overlay = |inspection: &mut _| seen.overlay(inspection);
        let says = How::resolve(config.progress, false) == How::Lines;
        let watching = consumer::watch(shown.clone(), tell_stalled, config.stall_after, says);
        let keeping = ledger::keep(
            keeper.clone(),
            job,
            location,
            running.now(),
            Arc::clone(&clock),
            stop.clone(),
        );
        let serving =
            http.zip(metrics).map(|(http, metrics)| consumer::serve(http, shown, metrics));
        // What is forgotten of the state is noted again with the next message.
        let forgotten = Notify::new();
        let working = async {
            let keeping = async {
                let kept = keeping.await;
                // Without its state it must not go on.
                stop.cancel();
                kept
            };
            let (consumed, kept) = tokio::join!(running.run(), keeping);
            kept?;
            consumed.map_err(|why| anyhow!(why))
        };
        let consumed = tokio::select! {
            consumed = working => consumed,
            never = watching => match never {},
            never = control.serve(&keeper, &*clock, overlay, &forgotten) => match never {},
            never = notify::consumer(stop.clone()) => match never {},
            Some(never) = OptionFuture::from(serving) => match never {},
        };
        drop(control);
        keeper.close().await?;
        consumed
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
const NO_GRAPH: &str = "there is no graph to fill\nhint: say where with --to \
    (bolt://USER:PASSWORD@HOST:PORT or neo4j://…), or with NEO4J_HOST and the other variables";

async fn database(
    consumer: ConsumerName,
    to: Option<&str>,
    noter: Noter,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<Arc<dyn Database>> {
    let noter = Some(noter);
    Ok(match address(consumer, to)? {
        Place::Sqlite(path) => Arc::new(Sqlite::open(&path, noter, clock)?),
        Place::Postgres(server) => {
            Arc::new(Postgres::open(&server, noter, clock, WHENEVER, stop).await?)
        }
        Place::Graph(address) => Arc::new(Graph::open(&address, noter, clock, WHENEVER).await?),
    })
}

/// What is filled.
pub(super) enum Place {
    /// A database file.
    Sqlite(PathBuf),
    /// A database of a server.
    Postgres(Box<Server>),
    /// A graph.
    Graph(Address),
}

/// What a consumer fills: what was typed, else what the platform's variables say.
///
/// # Errors
/// If that names nothing that it can fill.
pub(super) fn address(consumer: ConsumerName, to: Option<&str>) -> Result<Place> {
    let variables = &environment::variable;
    let set = match (to, consumer) {
        (Some(_), _) => None,
        (None, ConsumerName::Tables) => environment::database(variables)?,
        (None, ConsumerName::Graph) => environment::graph(variables)?,
    };
    let to = to.or(set.as_ref().map(ExposeSecret::expose_secret));
    let usage = |error: String| anyhow!(Usage(error));
    match (consumer, to.and_then(|to| to.split_once(':'))) {
        (ConsumerName::Tables, Some(("sqlite", path))) if !path.is_empty() => {
            Ok(Place::Sqlite(path.into()))
        }
        (ConsumerName::Tables, Some(("postgres" | "postgresql", _))) => {
            let server = to.unwrap_or_default().parse::<Server>();
            let server = server.map_err(|error| usage(error.to_string()))?;
            server.check()?;
            Ok(Place::Postgres(Box::new(server)))
        }
        (ConsumerName::Tables, _) => bail!(Usage(NO_DATABASE.into())),
        (ConsumerName::Graph, Some((scheme, _))) if SCHEMES.contains(&scheme) => {
            let address = to.unwrap_or_default().parse::<Address>();
            Ok(Place::Graph(address.map_err(|error| usage(error.to_string()))?))
        }
        (ConsumerName::Graph, _) => bail!(Usage(NO_GRAPH.into())),
    }
}

pub(super) fn topology(prefix: String, consumer: &str) -> Result<Topology> {
    Topology::new(prefix, vec![consumer.to_owned()])
        .map_err(|error| anyhow!(Usage(error.to_string())))
}

pub(super) fn broker(from: Option<&str>) -> Result<Broker> {
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
    first: FirstConnection,
    prefix: String,
) -> Result<Exit> {
    let consumer = consumer.name();
    let (broker, topology) = (broker(from)?, topology(prefix, consumer)?);
    let runtime = owner::runtime()?;
    let moved = runtime.block_on(replay(broker, first, &topology, consumer))?;
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
