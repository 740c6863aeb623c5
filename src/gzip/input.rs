use std::io::{self, ErrorKind, Read};

use super::error::GzipError;
use crate::model::GzipOffset;

/// Bytes read at once. Large enough that system calls cost nothing beside inflating (1 in 2 ms),
/// small enough to stay in the second-level cache.
pub(super) const READ_AT_ONCE: usize = 256 * 1024;

/// The compressed bytes, with exact knowledge of how many of them were used.
pub(super) struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    /// What of the buffer was read and not yet used.
    start: usize,
    end: usize,
    offset: u64,
}

impl<R: Read> Input<R> {
    /// An input whose reader stands at `offset` of the file.
    pub(super) fn new(reader: R, offset: GzipOffset) -> Input<R> {
        let buffer = vec![0; READ_AT_ONCE].into_boxed_slice();
        Input { reader, buffer, start: 0, end: 0, offset: offset.0 }
    }

    /// Where in the file the unused bytes begin.
    pub(super) const fn offset(&self) -> GzipOffset {
        GzipOffset(self.offset)
    }

    /// Where in the file the bytes read so far end.
    pub(super) fn read_to(&self) -> GzipOffset {
        GzipOffset(self.offset + self.unused().len() as u64)
    }

    /// What was read and not yet used.
    pub(super) fn unused(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Marks the first `count` of the unused bytes as used.
    pub(super) fn advance(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Whether nothing fits beside the unused bytes.
    pub(super) fn is_full(&self) -> bool {
        self.unused().len() == self.buffer.len()
    }

    /// Reads more behind the unused bytes; false if there is no more, or no room for it.
    pub(super) fn more(&mut self) -> Result<bool, GzipError> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let count = read(&mut self.reader, &mut self.buffer[self.end..])
            .map_err(|cause| GzipError::Io { at: self.read_to(), cause })?;
        self.end += count;
        Ok(count > 0)
    }
}

fn read(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
