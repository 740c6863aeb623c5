//! What this program may do on the disk.

use std::path::Path;

use rustix::fs::{Access, access};

/// Whether files may be made in a folder, or the folder itself where there is none yet.
pub(crate) fn may_write(folder: &Path) -> bool {
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    let there = match there {
        Some(there) if !there.as_os_str().is_empty() => there,
        _ => Path::new("."),
    };
    access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok() && there.is_dir()
}
