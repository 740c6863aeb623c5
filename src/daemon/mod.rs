//! What whoever owns a store does beside extracting: watch and tell, and answer those who ask.

pub mod control;
mod watch;

pub use watch::Watch;
