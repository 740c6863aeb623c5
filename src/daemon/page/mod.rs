//! The status page: a picture rendered on the server, which a script keeps up to date.

mod consumer;
mod live;
mod render;

pub use consumer::{Consumer, of_types};
pub use live::{Live, Source, routes};
