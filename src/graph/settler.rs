//! Who settles: whoever swept the last run of a version, or whoever finds that something was written
//! and nothing has come for minutes. Of two the later one goes on where the other was.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::activity::activity;
use super::due::{When, known, when};
use super::fault::GraphError;
use super::link::Link;
use super::settle::{Pace, settle_at};
use super::settling::End;
use crate::model::Version;
use crate::model::agreement::Noter;

/// How long nothing must have come where it is not known whether more does, and where all that can
/// be expected is there.
pub(super) const QUIET: Duration = Duration::from_mins(3);
const STILL: Duration = Duration::from_secs(3);

/// Between two looks for that.
const LOOK: Duration = Duration::from_millis(100);

/// Since when nothing has changed, as this process saw it.
#[derive(Default)]
pub(super) struct Stillness(Mutex<Option<((i64, i64), Instant)>>);

impl Stillness {
    /// How long it has been the same.
    fn still_for(&self, pulse: (i64, i64)) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *seen {
            Some((before, since)) if before == pulse => since.elapsed(),
            Some(_) | None => {
                *seen = Some((pulse, Instant::now()));
                Duration::ZERO
            }
        }
    }
}

type GoOn<'a> = &'a mut (dyn FnMut(u64) -> bool + Send);

/// Settles, and says so.
///
/// # Errors
/// If the server is away, or does not do what it is asked.
pub(super) async fn settle_now(link: &Link, go_on: GoOn<'_>) -> Result<End, GraphError> {
    tracing::info!("settling what many records say together");
    let began = Instant::now();
    let end = settle_at(link, Pace::default(), go_on).await?;
    if end == End::Settled {
        let seconds = began.elapsed().as_secs();
        tracing::info!(seconds, "what many records say together is settled");
    }
    Ok(end)
}

/// Settles a version of which all that is announced is swept, as soon as nothing more is to be
/// expected; leaves it if that may take minutes. False if it was told to stop.
///
/// # Errors
/// If the server is away, or does not do what it is asked.
pub(super) async fn settle_version(
    link: &Link,
    noter: &Noter,
    version: Option<Version>,
    go_on: GoOn<'_>,
) -> Result<bool, GraphError> {
    let watch = Stillness::default();
    let mut must_be_still = false;
    loop {
        let now = activity(link).await?;
        if !now.is_owed() {
            return Ok(true);
        }
        let is_still = watch.still_for(now.pulse()) >= STILL;
        let begins = match when(&known(link, noter, version).await?) {
            When::Now => is_still || !must_be_still,
            When::Soon => is_still,
            When::Later | When::Never => return Ok(true),
        };
        if begins {
            match settle_now(link, go_on).await? {
                End::Settled | End::TakenOver | End::GivenUp => return Ok(true),
                End::Stopped => return Ok(false),
                // Messages that came again. If it is a new run, somebody sweeps after that.
                End::Written => must_be_still = true,
            }
        }
        if !go_on(0) {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
}

/// Settles what was written, if nothing has come for so long and nobody settles.
///
/// # Errors
/// If the server is away, or does not do what it is asked.
pub(super) async fn settle_if_quiet(
    link: &Link,
    watch: &Stillness,
    quiet: Duration,
    go_on: GoOn<'_>,
) -> Result<(), GraphError> {
    let now = activity(link).await?;
    if !now.is_owed() || watch.still_for(now.pulse()) < quiet {
        return Ok(());
    }
    settle_now(link, go_on).await?;
    Ok(())
}
