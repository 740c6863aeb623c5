//! SIGINT and SIGTERM: the first one asks for a clean end, a second one ends at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Exit;

/// What is known of the signals so far.
#[derive(Clone, Debug)]
pub struct Signals {
    first: Arc<OnceLock<Exit>>,
}

/// How long a clean end may take, and what the process exits with if it takes longer.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long.
    pub time: Duration,
    /// With what.
    pub exit: Exit,
}

impl Signals {
    /// Heeds signals from now on: the first one cancels `stop`. Within a runtime only.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn heed(stop: CancellationToken, patience: Option<Patience>) -> Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let first = Arc::new(OnceLock::new());
        let signals = Signals { first: Arc::clone(&first) };
        tokio::spawn(async move {
            let exit = next(&mut interrupt, &mut terminate).await;
            // It is set here only.
            _ = first.set(exit);
            tracing::info!("stopping: what is in flight is settled first");
            stop.cancel();
            let too_long = async {
                match patience {
                    Some(Patience { time, exit }) => {
                        tokio::time::sleep(time).await;
                        exit
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = next(&mut interrupt, &mut terminate) => {
                    tracing::warn!("stopped at once");
                    std::process::exit(Exit::Incomplete.code().into());
                }
                exit = too_long => {
                    tracing::warn!("not everything was settled in time: it is sent again");
                    std::process::exit(exit.code().into());
                }
            }
        });
        Ok(signals)
    }

    /// The exit code that the first signal leads to, if there was one.
    pub fn first(&self) -> Option<Exit> {
        self.first.get().copied()
    }
}

/// Waits for the first signal that asks for an end. Within a runtime only.
///
/// # Errors
/// If the system does not let it.
pub async fn first() -> Result<Exit> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(next(&mut interrupt, &mut terminate).await)
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> Exit {
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}
