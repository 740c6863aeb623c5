//! `run`: the daemon.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::MultiProgress;
use secrecy::ExposeSecret;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::config::Run;
use super::environment;
use super::exit::Exit;
use super::owner::{self, Owner, Usage};
use super::signals::Patience;
use crate::daemon::{Daemon, Folder, Said, Schedule, Session, Trigger, notify};
use crate::sink::Target;

/// Docker kills after 10 s. Draining takes 7 s at most, the last announcement 8 s, a goodbye 1 s.
const PATIENCE: Patience = Patience { time: Duration::from_millis(9_500), exit: Exit::Done };

/// Only one pass can be asked for at a time; more who ask wait for their answer.
const TRIGGERS: usize = 8;

const NO_STATE: &str = "the daemon goes on where it was after every stop, and standard output \
    cannot\nhint: use jsonl:DIR, or `discogs-extractor extract` for standard output";

/// Runs the command.
pub fn run(config: &Run, state_dir: &Path, bars: &MultiProgress) -> Result<Exit> {
    owner::check_environment()?;
    let delivery = &config.delivery;
    let target: Target = match &delivery.to {
        Some(to) => to.parse(),
        None => environment::broker(&environment::variable)?.expose_secret().parse(),
    }
    .map_err(|error| Usage(format!("{error}")))?;
    if matches!(target, Target::StandardOutput) {
        bail!(Usage(NO_STATE.into()));
    }
    let (stop, picture, forgotten) =
        (CancellationToken::new(), watch::Sender::default(), Notify::new());
    let (_trigger, triggers) = mpsc::channel::<Trigger>(TRIGGERS);
    let telling = notify::run(picture.subscribe(), stop.clone());
    let work = async |session: Session| {
        let clock = session.clock.clone();
        let folder = Folder::open(config.root.clone(), clock).await;
        let daemon = Daemon {
            session,
            kinds: delivery.kinds.clone(),
            version: delivery.version,
            schedule: Schedule { check_every: config.check_every, retry_after: config.retry_after },
            force: owner::force_word(delivery.force.as_deref()),
            triggers,
            forgotten: &forgotten,
            said: Said::default(),
        };
        Ok(daemon.run(folder).await?)
    };
    let owner = Owner {
        config: delivery,
        target,
        limit: None,
        patience: Some(PATIENCE),
        bars,
        state_dir,
        stop,
        picture,
        forgotten: &forgotten,
    };
    owner.run(telling, work)?;
    Ok(Exit::Done)
}
