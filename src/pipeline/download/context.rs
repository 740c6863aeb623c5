//! What all downloads of one site into one folder share, and is handed down to each.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::arrived::Fetched;
use super::disk::{lock_part, part_path};
use super::error::DownloadError;
use super::outstanding::Outstanding;
use crate::dump::{Dump, PartLock, RateLimit, RemoteDump, Site, jitter, rest};
use crate::model::Clock;
use crate::state::{Download, DownloadKey, DownloadStatus, Keeper};

/// Tries in a row without a new byte after which a download gives up: with the rests between
/// them, about five minutes.
pub const TRIES: u32 = 10;

/// How downloads may go about it.
#[derive(Clone)]
pub struct DownloadLimits {
    /// Bytes a second, all connections together.
    pub rate: Option<Arc<RateLimit>>,
    /// Tries in a row that bring nothing new, until one gives up; none for never.
    pub tries: Option<u32>,
    /// Whether a file without a published checksum is refused.
    pub require_checksum: bool,
}

/// What fetches dumps of one site into one folder. Several may be fetched at once.
pub struct Downloads {
    pub(super) keeper: Keeper,
    pub(super) site: Arc<dyn Site>,
    pub(super) folder: PathBuf,
    pub(super) limits: DownloadLimits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: CancellationToken,
    pub(super) outstanding: Outstanding,
}

impl Downloads {
    /// Downloads of `site` into `folder`, which is absolute and exists. `stop` ends them cleanly,
    /// wherever they are.
    pub fn new(
        keeper: Keeper,
        site: Arc<dyn Site>,
        folder: PathBuf,
        limits: DownloadLimits,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Downloads {
        let outstanding = Outstanding::default();
        Downloads { keeper, site, folder, limits, clock, stop, outstanding }
    }

    /// Makes sure that the disk can hold all that is still to come of these dumps, as far as their
    /// sizes are known; of the others [`Downloads::fetch`] makes sure when the site says them.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn make_sure_of_room(&self, remotes: &[RemoteDump]) -> Result<(), DownloadError> {
        for remote in remotes {
            let known = self.keeper.download(self.key(remote)).await?;
            let whole = self.folder.join(remote.name.to_string()).exists();
            let length = remote.size.or(known.as_ref().and_then(|known| known.length));
            if let Some(length) = length.filter(|_| !whole) {
                let part = known.filter(|known| known.status != DownloadStatus::Complete);
                let part = part.map_or(0, |part| part.synced);
                let to_come = length.saturating_sub(part);
                self.outstanding.expect(remote.name, to_come, &self.folder)?;
            }
        }
        Ok(())
    }

    /// The key of a dump's record in the store.
    pub fn key(&self, remote: &RemoteDump) -> DownloadKey {
        DownloadKey::new(remote.name, &self.folder)
    }

    /// Locks the part. A download that gives up some time does so at once if another process has
    /// the lock; one that never gives up waits for it.
    pub(super) async fn lock(&self, remote: &RemoteDump) -> Result<PartLock, DownloadError> {
        let path = part_path(&self.folder, remote);
        let mut tries = 0;
        loop {
            match lock_part(&path).await {
                Err(DownloadError::Busy { .. }) if self.limits.tries.is_none() => {}
                taken => return taken,
            }
            if tries == 0 {
                let file = remote.name.to_string();
                tracing::warn!(file, "another process downloads it: waiting for that to end");
            }
            tries += 1;
            tokio::select! {
                () = sleep(rest(tries, None, jitter())) => {}
                () = self.stop.cancelled() => return Err(DownloadError::Stopped),
            }
        }
    }

    /// What is said of a file that is here.
    pub(super) fn fetched(
        &self,
        remote: &RemoteDump,
        record: &Download,
        new_bytes: u64,
    ) -> Fetched {
        let path = self.folder.join(remote.name.to_string());
        let dump = Dump { name: remote.name, path };
        let bytes = record.length.unwrap_or(record.synced);
        Fetched { dump, verification: record.verification, bytes, new_bytes }
    }
}
