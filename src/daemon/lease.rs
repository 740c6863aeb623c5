//! How long a connection may still take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The time a connection has. Whoever serves it may renew the lease while its client reads.
#[derive(Clone)]
pub struct Lease {
    time: Duration,
    until: Arc<watch::Sender<Instant>>,
}

impl Lease {
    /// A lease that runs from now.
    pub fn new(time: Duration) -> Lease {
        Lease { time, until: Arc::new(watch::Sender::new(Instant::now() + time)) }
    }

    /// Lets it run from now again.
    pub fn renew(&self) {
        self.until.send_replace(Instant::now() + self.time);
    }

    /// Waits until it is over.
    pub async fn over(&self) {
        loop {
            let until = *self.until.borrow();
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}
