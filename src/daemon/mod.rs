//! What whoever owns a store does beside extracting: watch and tell, answer those who ask, and, as
//! the daemon, know when the next pass is due.

mod choice;
mod chosen;
pub mod consumer;
pub mod control;
mod deadline;
pub mod doctor;
mod folder;
mod gate;
pub mod http;
mod lease;
pub mod notify;
mod page;
mod prune;
mod run;
mod schedule;
mod session;
mod sightings;
mod supply;
mod trigger;
mod watch;

pub use folder::Folder;
pub use run::{Daemon, Plan};
pub use schedule::Schedule;
pub use session::Session;
pub use supply::Supply;
pub use trigger::Trigger;
pub use watch::Watch;
