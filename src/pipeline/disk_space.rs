//! Whether the disk will hold what a pass brings.

use rustix::fs::statvfs;

use crate::sink::Sink;

/// What a pass will roughly need on disk, where there is less than that.
#[derive(Debug, PartialEq, Eq)]
pub struct Short {
    /// The folder.
    pub folder: String,
    /// Bytes that will roughly be written.
    pub needed: u64,
    /// Bytes that are free.
    pub free: u64,
}

/// Compares what delivering so many compressed bytes will need with what is free.
pub fn short(sink: &dyn Sink, gzip_bytes: u64) -> Option<Short> {
    let need = sink.needs(gzip_bytes)?;
    let disk = statvfs(&need.folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let folder = need.folder.display().to_string();
    (free < need.bytes).then_some(Short { folder, needed: need.bytes, free })
}
