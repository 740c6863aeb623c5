//! The graph: what a record says as nodes and relationships, and how it is written over Bolt, so
//! that neither the order of arrival nor repeats matter. `docs/ARCHITECTURE.md` has the rules.

mod activity;
mod aggregate;
mod checkup;
mod credit;
mod decide;
mod delivered;
mod due;
mod fault;
mod gathered;
mod imprint;
mod link;
pub mod model;
pub mod notes;
mod recategorize;
mod refused;
mod relate;
mod rows;
mod schema;
mod settle;
mod settler;
mod settling;
mod step;
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
pub use settle::{Pace, settle, settle_at};
pub use settling::End as SettlingEnd;
pub use sweep::sweep;
pub use target::Graph;
pub use writer::{Arrival, Noting, Refused, write};
