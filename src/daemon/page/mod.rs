//! The status page: a picture rendered on the server, which a script keeps up to date.

mod consumer;
mod curve;
mod extractor;
mod live;
mod picture;
mod render;

pub use consumer::{Consumer, of_types};
pub use extractor::of_files;
pub use live::{Live, Source, routes};
pub use picture::Picture;
