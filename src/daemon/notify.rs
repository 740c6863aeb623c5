//! Tells the service manager how the daemon is: systemd, by its notify protocol. Without one
//! nothing happens.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::observe::Snapshot;

/// A status line comes at every change of stage, and for progress at most this often.
const PROGRESS: Duration = Duration::from_secs(10);

/// Without a watchdog there is nothing to ping; any time will do.
const NO_WATCHDOG: Duration = Duration::from_hours(1);

/// Tells until it is dropped. It says at once that the daemon is ready. The watchdog's pings come
/// from the task that drives the daemon, so that they stop when that hangs.
pub async fn run(
    mut picture: watch::Receiver<Arc<Snapshot>>,
    stop: CancellationToken,
) -> Infallible {
    send(&[NotifyState::Ready]);
    let watchdog = sd_notify::watchdog_enabled().filter(|time| !time.is_zero());
    let mut ping = interval(watchdog.map_or(NO_WATCHDOG, |time| time / 2));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    let mut told_at = Instant::now();
    loop {
        let now = Arc::clone(&picture.borrow_and_update());
        let status = now.status();
        let news = match &told {
            Some((stage, words)) => {
                *stage != now.stage || (*words != status && told_at.elapsed() >= PROGRESS)
            }
            None => true,
        };
        if news {
            send(&[NotifyState::Status(&status)]);
            (told, told_at) = (Some((now.stage, status)), Instant::now());
        }
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ping.tick(), if watchdog.is_some() => send(&[NotifyState::Watchdog]),
            changed = picture.changed() => if changed.is_err() { break },
        }
    }
    stop.cancelled().await;
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    loop {
        if watchdog.is_none() {
            return pending().await;
        }
        ping.tick().await;
        send(&[NotifyState::Watchdog]);
    }
}

/// Tells it that a consumer is at work, and that it ends.
pub async fn consumer(stop: CancellationToken) -> Infallible {
    send(&[NotifyState::Ready, NotifyState::Status("consuming")]);
    let watchdog = sd_notify::watchdog_enabled().filter(|time| !time.is_zero());
    let mut ping = interval(watchdog.map_or(NO_WATCHDOG, |time| time / 2));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
            }
            _ = ping.tick() => send(&[NotifyState::Watchdog]),
        }
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
