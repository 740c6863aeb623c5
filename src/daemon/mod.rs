//! What an owner of a store serves while it runs.

pub mod control;
