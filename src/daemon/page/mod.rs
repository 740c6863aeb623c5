//! The status page: a picture rendered on the server, which a script keeps up to date.

mod live;
mod render;

pub use live::{Live, Source, routes};
