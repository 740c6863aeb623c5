//! Who has a state directory.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has a state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
}

impl Holder {
    /// This process.
    pub fn this() -> Holder {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Holder { pid: std::process::id(), host }
    }

    /// What stands in the lock file.
    pub(super) fn parse(text: &str) -> Option<Holder> {
        let (pid, host) = text.trim().split_once(' ')?;
        Some(Holder { pid: pid.parse().ok()?, host: host.to_owned() })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("another process");
        }
        write!(f, "process {} on {}", self.pid, self.host)
    }
}
