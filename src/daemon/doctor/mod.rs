//! What the doctor looks at beside the sink, the broker and the graph, which look for themselves.
//! Nothing is changed by looking.

mod access;
mod dumps;
mod machine;
mod room;
mod store;

pub use dumps::{Wants, folder, lines, site};
pub use machine::{clock, open_files, program};
pub use room::{Next, Room, disks, next};
pub use store::store;
