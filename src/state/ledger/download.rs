//! What is noted of files that are fetched.

use crate::model::Timestamp;
use crate::state::layout::{Tree, bounded, download_key};
use crate::state::store::Changes;
use crate::state::{Download, DownloadKey, DownloadStatus, StateError};

use super::Ledger;

impl Ledger {
    pub(in crate::state) fn download(
        &self,
        key: &DownloadKey,
    ) -> Result<Option<Download>, StateError> {
        self.store.get(Tree::Downloads, &download_key(key))
    }

    pub(in crate::state) fn downloads(&self) -> Result<Vec<Download>, StateError> {
        self.store.scan(Tree::Downloads, b"")
    }

    pub(in crate::state) fn note_download(
        &mut self,
        download: &Download,
        event: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let mut changes = Changes::default();
        let error = download.error.as_deref().map(bounded);
        let row = Download { error, ..download.clone() };
        changes.put(Tree::Downloads, download_key(&download.key), &row);
        if let Some(what) = event {
            self.journal(&mut changes, at, None, Some(download.key.file.clone()), what);
        }
        self.snapshot_due |= download.status == DownloadStatus::Complete;
        self.commit(&changes)
    }

    pub(in crate::state) fn forget_download(
        &mut self,
        key: &DownloadKey,
        at: Timestamp,
    ) -> Result<bool, StateError> {
        if self.download(key)?.is_none() {
            return Ok(false);
        }
        let mut changes = Changes::default();
        changes.remove(Tree::Downloads, download_key(key));
        self.journal(&mut changes, at, None, Some(key.file.clone()), "the download was forgotten");
        self.commit(&changes)?;
        Ok(true)
    }
}
