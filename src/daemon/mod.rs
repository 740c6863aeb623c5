//! What whoever owns a store does beside extracting: watch and tell, and answer those who ask.

pub mod control;
mod gate;
pub mod http;
mod trigger;
mod watch;

pub use trigger::Trigger;
pub use watch::Watch;
