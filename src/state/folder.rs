//! Folders that appear, move and go as a whole, and durably so.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use super::StateError;

/// Copies a folder's files and folders into `to`, which exists, and syncs them.
pub(super) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            let mut written = File::create(&target)?;
            std::io::copy(&mut File::open(entry.path())?, &mut written)?;
            written.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

/// Renames a file or a folder.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StateError> {
    fs::rename(from, to).map_err(|error| StateError::disk("rename", from, &error))
}

/// Makes durable what appeared in a folder, was renamed in it or went.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StateError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StateError::disk("sync the folder", folder, &error))
}

/// Removes a folder with all that is in it, if it is there.
pub(super) fn remove_folder(folder: &Path) -> Result<(), StateError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StateError::disk("remove", folder, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
