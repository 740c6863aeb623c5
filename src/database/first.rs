//! The first connection to a database.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{Obstacle, Outage, Passes, Patience};
use crate::model::{FirstConnection, NoConnection};

/// Tries until something is open, or until waiting makes no sense any more.
///
/// # Errors
/// Why not.
pub async fn connected<T>(
    outage: &Arc<Outage>,
    first: FirstConnection,
    mut attempt: impl AsyncFnMut() -> Result<T, Obstacle>,
) -> Result<T, Obstacle> {
    let (mut patience, began, mut tries) = (Patience::with(outage), Instant::now(), 0);
    loop {
        let obstacle = match attempt().await {
            Ok(open) => {
                patience.well();
                return Ok(open);
            }
            Err(obstacle) if obstacle.passes == Passes::Never => return Err(obstacle),
            Err(obstacle) => obstacle,
        };
        let FirstConnection::Within(limit) = first else {
            patience.wait(&obstacle).await;
            continue;
        };
        let why = match obstacle.passes {
            Passes::Refusing => NoConnection::Refused,
            Passes::Away | Passes::Locked | Passes::Never => NoConnection::NotYet,
        };
        let Some(rest) = first.rest(why, tries, began.elapsed()) else {
            return Err(given_up(obstacle, why));
        };
        if tries == 0 {
            let (why, seconds) = (&obstacle.why, limit.as_secs());
            tracing::warn!(why, seconds, "there is no connection yet, trying for a while");
        }
        tries += 1;
        sleep(rest).await;
    }
}

fn given_up(obstacle: Obstacle, why: NoConnection) -> Obstacle {
    match why {
        NoConnection::Refused => obstacle,
        NoConnection::NotYet => {
            let hint = obstacle.hint.clone().unwrap_or(
                "look at host and port; with --wait it is waited for as long as it takes".into(),
            );
            obstacle.hint(hint)
        }
    }
}
