//! `run`: the daemon.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::OptionFuture;
use indicatif::MultiProgress;
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::config::{Fetch, Run};
use super::exit::Exit;
use super::owner::{self, Owner, Usage};
use super::signals::Patience;
use super::{download, environment, versions};
use crate::daemon::http::{Http, Served};
use crate::daemon::{Daemon, DaemonOptions, Folder, Schedule, Session, Supply, Wishes, notify};
use crate::dump::jitter;
use crate::model::{Clock, FirstConnection, SystemClock};
use crate::observe::Metrics;
use crate::sink::Target;

/// Docker kills after 10 s. Draining takes 7 s at most, the last announcement 8 s, a goodbye 1 s.
const PATIENCE: Patience = Patience { time: Duration::from_millis(9_500), exit: Exit::Done };

/// Who asks is answered at once; more wait at the door.
const TRIGGERS: usize = 8;

/// By how much checks are put off at random, at most.
const JITTER: Duration = Duration::from_hours(1);

const NO_STATE: &str = "the daemon goes on where it was after every stop, and standard output \
    cannot\nhint: use jsonl:DIR, or `discogs-extractor extract` for standard output";

/// Runs the command.
pub fn run(config: &Run, state_dir: &Path, bars: &MultiProgress) -> Result<Exit> {
    owner::check_environment()?;
    let delivery = &config.delivery;
    let target = target(delivery.to.as_deref())?;
    if matches!(target, Target::StandardOutput) {
        bail!(Usage(NO_STATE.into()));
    }
    let token = environment::secret(&environment::variable, "TRIGGER_TOKEN")?;
    let runtime = owner::runtime()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let http = config.listen.map(|address| listen(&runtime, address)).transpose()?;
    // Nobody would ask for what is counted, and it would pile up.
    let metrics = http.as_ref().map(|_| Metrics::install(clock.now())).transpose();
    let metrics = metrics.context("cannot count anything")?;
    let (stop, picture, forgotten) =
        (CancellationToken::new(), watch::Sender::default(), Notify::new());
    let (trigger, triggers) = mpsc::channel(TRIGGERS);
    let telling = notify::run(picture.subscribe(), stop.clone());
    let work = async |session: Session| {
        let serving = http.zip(metrics).map(|(http, metrics)| {
            http.serve(Served {
                picture: session.picture.subscribe(),
                keeper: session.keeper.clone(),
                job: session.sink.job().clone(),
                clock: Arc::clone(&session.clock),
                trigger,
                token,
                metrics,
            })
        });
        let supply = config.fetch.as_ref().map(|fetch| supply(config, fetch, &session.clock));
        let supply = supply.transpose()?;
        let folder = Folder::open(config.root.clone(), Arc::clone(&session.clock)).await;
        let options = DaemonOptions {
            wishes: Wishes {
                kinds: delivery.kinds.clone(),
                version: delivery.version,
                newest_first: config.newest_first,
                require_checksum: config.require_checksum,
            },
            keep: config.keep,
            // Not everybody is to ask the site in the same second.
            schedule: Schedule {
                check_every: config.check_every + JITTER.mul_f64(jitter()),
                retry_after: config.retry_after,
            },
            force: owner::force_word(delivery.force.as_deref()),
            triggers,
            forgotten: &forgotten,
        };
        let daemon = Daemon::new(session, options, folder, supply);
        tokio::select! {
            ended = daemon.run() => Ok(ended?),
            Some(never) = OptionFuture::from(serving) => match never {},
        }
    };
    let owner = Owner {
        config: delivery,
        target,
        limit: None,
        first: FirstConnection::Whenever,
        patience: Some(PATIENCE),
        bars,
        state_dir,
        clock,
        stop,
        picture,
        forgotten: &forgotten,
    };
    owner.run(runtime, telling, work)?;
    Ok(Exit::Done)
}

/// The sink as it was named, else the platform's broker.
///
/// # Errors
/// If neither names one.
pub(super) fn target(to: Option<&str>) -> Result<Target> {
    let target = match to {
        Some(to) => to.parse(),
        None => environment::broker(&environment::variable)?.expose_secret().parse(),
    };
    Ok(target.map_err(|error| Usage(format!("{error}")))?)
}

/// The site that dumps are fetched from into the folder, which is made for them.
fn supply(config: &Run, fetch: &Fetch, clock: &Arc<dyn Clock>) -> Result<Supply> {
    // The daemon has a schedule of its own for asking again.
    let site = versions::open(&fetch.site, 1, Arc::clone(clock))?;
    // The folder itself is looked at, and told of, by the daemon.
    _ = std::fs::create_dir_all(&config.root);
    // It is asked for until it answers: nobody is there to start again.
    let limits = download::limits(fetch, clock, None);
    Ok(Supply::new(site, config.root.clone(), limits, fetch.connections))
}

pub(super) fn listen(runtime: &Runtime, address: SocketAddr) -> Result<Http> {
    let _within = runtime.enter();
    let http = Http::bind(address).with_context(|| {
        format!(
            "cannot listen on {address}\nhint: choose another port with --health-port \
             (HEALTH_PORT), or 0 for none, and another address with --listen (LISTEN)"
        )
    })?;
    tracing::info!(address = %http.local_addr(), "health and metrics are served");
    Ok(http)
}
