//! The first connection to the broker, for whoever typed a command.

use tokio::time::{Instant, sleep};

use super::Broker;
use super::link::{Failure, dial, goodbye};
use crate::model::{FirstConnection, NoConnection};

/// A broker to which there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect to {broker}: {why}\nhint: {hint}")]
pub struct Unreachable {
    broker: String,
    why: String,
    hint: &'static str,
}

/// Finds out whether the broker is there and lets us in. Who waits for as long as it takes need not.
///
/// # Errors
/// If it does not let us in, or there is no answer within the time that is given.
pub async fn reach(broker: &Broker, name: &str, first: FirstConnection) -> Result<(), Unreachable> {
    let FirstConnection::Within(limit) = first else { return Ok(()) };
    let (began, mut tries) = (Instant::now(), 0);
    loop {
        let Failure { why, refused } = match dial(broker, name).await {
            Ok(dialled) => {
                goodbye(&dialled.connection).await;
                return Ok(());
            }
            Err(failure) => failure,
        };
        let no = if refused { NoConnection::Refused } else { NoConnection::NotYet };
        let Some(rest) = first.rest(no, tries, began.elapsed()) else {
            let hint = match no {
                NoConnection::Refused => "look at user, password and vhost",
                NoConnection::NotYet => {
                    "look at host and port; with --wait it is waited for as long as it takes"
                }
            };
            return Err(Unreachable { broker: broker.to_string(), why, hint });
        };
        if tries == 0 {
            let seconds = limit.as_secs();
            tracing::warn!(%broker, why, seconds, "there is no connection yet, trying for a while");
        }
        tries += 1;
        sleep(rest).await;
    }
}
