//! Whether the database is away: said once for all types, and once when it is over.

use tokio::sync::watch;
use tokio::time::Instant;

use crate::database::Obstacle;

/// What all types know of the database.
pub struct Outage {
    since: watch::Sender<Option<Instant>>,
}

impl Default for Outage {
    fn default() -> Outage {
        Outage { since: watch::Sender::new(None) }
    }
}

impl Outage {
    /// The database cannot be used.
    pub fn begins(&self, why: &Obstacle) {
        self.since.send_if_modified(|since| {
            if since.is_some() {
                return false;
            }
            tracing::warn!(%why, "the database is away, trying until it is back");
            *since = Some(Instant::now());
            true
        });
    }

    /// It can.
    pub fn ends(&self) {
        self.since.send_if_modified(|since| {
            let Some(began) = since.take() else { return false };
            let seconds = began.elapsed().as_secs();
            tracing::info!(seconds, "the database is back");
            true
        });
    }
}
