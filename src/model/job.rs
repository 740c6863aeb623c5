use std::fmt;

use serde::{Deserialize, Serialize};

/// One sink's own identity, so that state can never claim what the sink does not hold:
/// `sqlite:UUID`, `jsonl:UUID`, `null:`, `amqp:HOST:PORT/VHOST/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Job(String);

impl Job {
    /// Takes the identity as the sink states it; a NUL byte would break the store's keys.
    pub fn new(identity: impl Into<String>) -> Job {
        Job(identity.into().replace('\0', "\u{FFFD}"))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
