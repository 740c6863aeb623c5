//! The dumps: which there are, which belong together, and what makes one the same as before.

mod catalogue;
mod identity;

pub use catalogue::{CatalogueError, Choice, Dump, choose, find};
pub use identity::identify;
