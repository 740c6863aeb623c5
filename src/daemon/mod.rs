//! What whoever owns a store does beside extracting: watch and tell, answer those who ask, and, as
//! the daemon, know when the next pass is due.

mod choice;
pub mod consumer;
pub mod control;
mod deadline;
pub mod doctor;
mod failures;
mod folder;
mod gate;
pub mod http;
mod lease;
pub mod notify;
mod page;
mod plan;
mod prune;
mod run;
mod said;
mod schedule;
mod session;
mod sightings;
mod situation;
mod supply;
mod trigger;
mod watch;

pub use choice::Wishes;
pub use folder::Folder;
pub use run::{Daemon, DaemonOptions};
pub use schedule::Schedule;
pub use session::Session;
pub use supply::Supply;
pub use trigger::Trigger;
pub use watch::Watch;
