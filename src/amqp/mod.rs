//! The broker: how it is named, the connection that is kept up, and the exchanges and queues that
//! both ends declare.

mod broker;
mod link;
mod topology;

pub use broker::{Broker, BrokerError};
pub use link::{Link, Standing};
pub use topology::{Declared, Topology, TopologyError, Waiting, words};
