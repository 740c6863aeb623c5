//! The one connection of all types, which is there as long as somebody needs it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use lapin::Connection;
use tokio::runtime::Handle;

use crate::amqp::{Broker, Link, Standing};

/// Gives out the connection. It is closed when nobody holds it any more.
pub struct Line {
    broker: Broker,
    name: String,
    runtime: Handle,
    link: Mutex<Weak<Link>>,
}

impl Line {
    /// A line without a connection. `name` is what the broker shows.
    pub fn new(broker: Broker, name: String, runtime: Handle) -> Line {
        Line { broker, name, runtime, link: Mutex::default() }
    }

    /// The connection, which is begun if there is none.
    pub fn hold(&self) -> Arc<Link> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Link::start(&self.runtime, self.broker.clone(), &self.name));
            *link = Arc::downgrade(&new);
            new
        })
    }

    /// Whether somebody holds the connection.
    pub fn is_held(&self) -> bool {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0
    }

    /// Takes leave of the broker, if there is a connection.
    pub async fn close(&self) {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(link) = link {
            link.close().await;
        }
    }
}

/// Waits until the connection is up. One that is blocked is good enough to read from.
pub async fn up(link: &Link) -> Option<Arc<Connection>> {
    let mut standing = link.standing();
    loop {
        match &*standing.borrow_and_update() {
            Standing::Up(connection) | Standing::Blocked(connection, _) => {
                return Some(Arc::clone(connection));
            }
            Standing::Away(_) => {}
        }
        standing.changed().await.ok()?;
    }
}
