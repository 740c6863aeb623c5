//! Asks the database now and then to do what is to be done when nothing has come for minutes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::shared::Shared;
use crate::database::GoOn;

/// Between two looks, and after failures.
const LOOK: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(5);

/// Asks until everything is told to stop.
pub async fn run(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let stopped = stop.clone();
    let go_on: GoOn = Arc::new(move |_| !stopped.is_cancelled());
    let mut pause = LOOK;
    let asking = async {
        loop {
            sleep(pause).await;
            match shared.database.settle_if_quiet(Arc::clone(&go_on)).await {
                Ok(()) => pause = LOOK,
                Err(why) => {
                    tracing::debug!(%why, "cannot be settled now");
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    };
    let asked: Option<Infallible> = stop.run_until_cancelled(asking).await;
    debug_assert!(asked.is_none(), "it is asked for ever");
}
