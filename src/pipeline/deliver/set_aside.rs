//! The bad records of one file as its delivery meets them: kept on disk before the mark may pass them,
//! counted, and no more than are allowed.

use std::io;

use tokio::task::spawn_blocking;

use crate::model::{BadRecord, Ordinal};
use crate::pipeline::context::FileContext;
use crate::pipeline::error::FileError;

/// What was set aside of a file.
pub struct SetAside<'a> {
    file: &'a FileContext<'a>,
    /// In this run, whether or not the mark has passed them.
    count: u64,
}

impl<'a> SetAside<'a> {
    /// So many as there were before, up to the mark.
    ///
    /// # Errors
    /// If they are more than are allowed now.
    pub fn before(
        file: &'a FileContext<'a>,
        count: u64,
        mark: Ordinal,
    ) -> Result<SetAside<'a>, FileError> {
        let aside = SetAside { file, count };
        aside.check(mark, "it was set aside before")?;
        Ok(aside)
    }

    /// Keeps a bad record, durably, where a person finds it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn keep(&self, ordinal: Ordinal, bad: &BadRecord) -> Result<(), FileError> {
        let (folder, file) = (self.file.bad_records.clone(), self.file.name());
        let kept = bad.clone();
        let kept = spawn_blocking(move || folder.keep(file, ordinal, &kept)).await;
        let folder = || self.file.bad_records.folder().to_owned();
        kept.map_err(io::Error::other).flatten().map_err(|cause| FileError::CannotSetAside {
            ordinal,
            folder: folder(),
            cause,
        })?;
        tracing::warn!(
            %file, ordinal = ordinal.0, xml_offset = bad.start.0, why = bad.reason,
            "record set aside"
        );
        Ok(())
    }

    /// Counts a bad record. The mark does not pass the one that is too many: a restart meets it
    /// again, and ends as this attempt does.
    ///
    /// # Errors
    /// If there are more than are allowed.
    pub fn count(&mut self, ordinal: Ordinal, reason: &str) -> Result<(), FileError> {
        self.count += 1;
        self.check(ordinal, reason)
    }

    fn check(&self, last: Ordinal, reason: &str) -> Result<(), FileError> {
        if self.count <= self.file.pass.settings.max_bad_records {
            return Ok(());
        }
        Err(FileError::TooManyBad {
            file: self.file.name().to_string(),
            count: self.count,
            last,
            reason: reason.to_owned(),
            folder: self.file.bad_records.folder().to_owned(),
        })
    }
}
