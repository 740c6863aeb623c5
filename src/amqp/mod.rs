//! The broker: how it is named, the connection that is kept up, and the exchanges and queues that
//! both ends declare.

mod broker;
mod checkup;
mod first;
mod header;
mod link;
mod management;
mod topology;

pub use broker::{Broker, BrokerError};
pub use checkup::{Expected, checkup};
pub use first::{Unreachable, reach};
pub use header::{header, table};
pub use link::{Link, Standing};
pub use topology::{Declared, Topology, TopologyError, Waiting, words};
