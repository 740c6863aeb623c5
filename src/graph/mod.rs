//! The graph: what a record says as nodes and relationships, and how it is written over Bolt, so
//! that neither the order of arrival nor repeats matter. `docs/ARCHITECTURE.md` has the rules.

mod aggregate;
mod checkup;
mod credit;
mod decide;
mod delivered;
mod fault;
mod imprint;
mod link;
pub mod model;
pub mod notes;
mod recategorize;
mod refused;
mod rows;
mod schema;
mod settle;
mod sweep;
mod target;
mod unnumbered;
mod walk;
mod withdraw;
mod writer;

pub use checkup::checkup;
pub use decide::Stamp;
pub use delivered::delivered;
pub use fault::{Fault, GraphError};
pub use link::{Address, AddressError, Link, SCHEMES};
pub use schema::{job, prepare};
pub use settle::settle;
pub use sweep::sweep;
pub use target::Graph;
pub use writer::{Arrival, Noting, Refused, write};
