//! A dump from its site into the folder: looked for here first, then fetched, and noted if that fails.

use tokio::sync::watch;

use super::arrived::{Arrived, ArrivedState, Fetched, tell_whole};
use super::context::Downloads;
use super::disk::{aside_path, move_aside, part_path, stamp_of};
use super::error::DownloadError;
use super::here::{self, Here};
use super::transfer::Transfer;
use crate::dump::{PartLock, RemoteDump};
use crate::state::{Download, DownloadStatus};

impl Downloads {
    /// Fetches a dump, from where an earlier attempt got to; tells `arrived` how far it is. A dump
    /// that is here and known costs no request. What is known of it (site, checksum, tag, length)
    /// is the store's record with [`Downloads::key`]. It is to be awaited to its end, which `stop`
    /// brings about: a writer that was left alone might meet the next one in the same file.
    ///
    /// # Errors
    /// Why it is not here now. What came stays, and the next call goes on with it, unless the
    /// error says otherwise.
    pub async fn fetch(
        &self,
        remote: &RemoteDump,
        arrived: watch::Sender<Arrived>,
    ) -> Result<Fetched, DownloadError> {
        let fetched = self.fetch_or_fail(remote, &arrived).await;
        self.outstanding.settle(remote.name);
        if let Err(error) = &fetched {
            let words = error.to_string();
            let mismatch = matches!(error, DownloadError::Mismatch { .. });
            let failed = ArrivedState::Failed { why: words.clone(), mismatch };
            arrived.send_modify(|arrived| arrived.state = failed);
            self.note_failure(remote, error, words).await?;
        }
        fetched
    }

    async fn fetch_or_fail(
        &self,
        remote: &RemoteDump,
        arrived: &watch::Sender<Arrived>,
    ) -> Result<Fetched, DownloadError> {
        if self.limits.require_checksum && remote.checksum.is_none() {
            return Err(DownloadError::NoChecksum { file: remote.name.to_string() });
        }
        let named = self.folder.join(remote.name.to_string());
        loop {
            let (record, foreign) = match here::look(self, remote).await? {
                Here::Whole(record) => {
                    let fetched = self.fetched(remote, &record, 0);
                    tell_whole(arrived, &fetched, &record);
                    return Ok(fetched);
                }
                Here::Part { record, foreign } => (*record, foreign),
            };
            let lock = self.lock(remote).await?;
            // Another process may have got the file whole between the look and the lock.
            if stamp_of(&named)? != foreign {
                continue;
            }
            if foreign.is_some() {
                let aside = aside_path(&self.folder, remote);
                move_aside(&named, &aside)?;
                let aside = aside.display().to_string();
                tracing::warn!(file = %remote.name, aside, "is not the published file: moved aside");
            }
            return Transfer::new(self, remote, arrived, record, lock).await?.run().await;
        }
    }

    /// A stop is no failure, and of a store that cannot go on nothing can be noted.
    async fn note_failure(
        &self,
        remote: &RemoteDump,
        error: &DownloadError,
        words: String,
    ) -> Result<(), DownloadError> {
        if matches!(error, DownloadError::Stopped | DownloadError::State(_)) {
            return Ok(());
        }
        let now = self.clock.now();
        let known = self.keeper.download(self.key(remote)).await?;
        let known = known.unwrap_or_else(|| {
            Download::begun(self.key(remote), self.site.shown(), remote.checksum, now)
        });
        if known.synced == 0 {
            // Nothing came that could be gone on with.
            PartLock::remove_unused(&part_path(&self.folder, remote));
        }
        let event = Some(format!("the download failed: {words}"));
        let failed = Download { status: DownloadStatus::Failed, error: Some(words), ..known };
        Ok(self.keeper.note_download(failed, event, now).await?)
    }
}
