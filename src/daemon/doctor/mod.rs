//! What the doctor looks at beside the sink, the broker and the graph, which look for themselves.
//! Nothing is changed by looking.

mod dumps;
mod machine;
mod room;
mod store;

use std::path::Path;

use rustix::fs::{Access, access};

pub use dumps::{Wants, folder, lines, site};
pub use machine::{clock, open_files, program};
pub use room::{Next, Room, disks, next};
pub use store::store;

/// Whether files may be made in a folder, or the folder itself where there is none yet.
pub(crate) fn may_write(folder: &Path) -> bool {
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    let there = match there {
        Some(there) if !there.as_os_str().is_empty() => there,
        _ => Path::new("."),
    };
    access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok() && there.is_dir()
}
