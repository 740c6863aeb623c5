//! Text that stands between two records and belongs to none.

use crate::model::{BadRecord, XmlOffset};

use super::is_space;

/// Text between two records, from its first to its last byte that is no white space. It is not
/// held: what a bad record keeps of it is gathered as it comes.
pub(super) struct Stray {
    start: u64,
    end: u64,
    raw: Vec<u8>,
}

impl Stray {
    /// Text that begins at this place of the dump.
    pub(super) const fn new(start: u64) -> Stray {
        Stray { start, end: start, raw: Vec::new() }
    }

    /// The text goes on at `at` with these bytes.
    pub(super) fn take(&mut self, at: u64, bytes: &[u8]) {
        let room = BadRecord::RAW_LIMIT.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if let Some(last) = bytes.iter().rposition(|byte| !is_space(*byte)) {
            self.end = at + last as u64 + 1;
        }
    }

    /// The text is over.
    pub(super) fn end(&mut self) -> BadRecord {
        let length = self.end - self.start;
        let mut raw = std::mem::take(&mut self.raw);
        raw.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        BadRecord {
            reason: "text between two records".to_owned(),
            start: XmlOffset(self.start),
            length,
            raw,
        }
    }
}
