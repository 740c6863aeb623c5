//! Dumps on their way from a site into a folder, resumed after any stop. It joins the site and the
//! file (`dump`) with what is known of them (`state`): the store is never ahead of the disk.

mod disk;
mod error;
mod here;
mod outstanding;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use error::DownloadError;

use crate::dump::{Dump, PartLock, RateLimit, RemoteDump, Site, jitter, rest};
use crate::model::{Clock, Identity, Verification};
use crate::state::{Download, DownloadKey, DownloadStatus, Keeper};

use here::Here;
use outstanding::Outstanding;
use transfer::Transfer;

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

/// How much of a file has arrived. It moves only after the bytes are on disk and noted in the
/// store, so whoever reads the part up to `synced` never reads what a crash can take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Where the bytes are; once it is verified or unverified, the file under its own name.
    pub part: PathBuf,
    /// What the file is; nothing before the site has answered.
    pub identity: Option<Identity>,
    /// Another number says that the bytes start over: what was read before is void.
    pub generation: u64,
    /// Bytes from the beginning that are safe to read.
    pub synced: u64,
    /// Bytes of the whole file, if that was said.
    pub length: Option<u64>,
    /// Where it stands.
    pub state: ArrivedState,
}

/// Where an arriving file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrivedState {
    /// More is to come.
    Growing,
    /// All of it is here, with the published checksum.
    Verified,
    /// All of it is here, and no checksum was to be had.
    Unverified,
    /// It will not come.
    Failed {
        /// Why.
        why: String,
        /// Whether what came of it is not what was published, so that nothing of it can be kept.
        mismatch: bool,
    },
}

impl Arrived {
    /// Nothing yet, of a file that will come to `folder`.
    pub fn nothing(remote: &RemoteDump, folder: &Path) -> Arrived {
        Arrived {
            part: part_path(folder, remote),
            identity: None,
            generation: 0,
            synced: 0,
            length: remote.size,
            state: ArrivedState::Growing,
        }
    }

    /// Whether there is anything to be read, or nothing will ever be.
    pub const fn has_begun(&self) -> bool {
        match self.state {
            ArrivedState::Growing => self.identity.is_some() && self.synced > 0,
            ArrivedState::Verified | ArrivedState::Unverified | ArrivedState::Failed { .. } => true,
        }
    }
}

/// A file that is here, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The file.
    pub dump: Dump,
    /// What is known of its bytes being the right ones.
    pub verification: Verification,
    /// Its size.
    pub bytes: u64,
    /// Bytes that came over the line for it now; none if it was here already.
    pub new_bytes: u64,
}

/// What fetches dumps of one site into one folder. Several may be fetched at once.
pub struct Downloads {
    keeper: Keeper,
    site: Arc<dyn Site>,
    folder: PathBuf,
    limits: DownloadLimits,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    outstanding: Outstanding,
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
            if disk::stamp_of(&named)? != foreign {
                continue;
            }
            if foreign.is_some() {
                let aside = aside_path(&self.folder, remote);
                disk::move_aside(&named, &aside)?;
                let aside = aside.display().to_string();
                tracing::warn!(file = %remote.name, aside, "is not the published file: moved aside");
            }
            return Transfer::new(self, remote, arrived, record, lock).await?.run().await;
        }
    }

    /// Locks the part. A download that gives up some time does so at once if another process has
    /// the lock; one that never gives up waits for it.
    async fn lock(&self, remote: &RemoteDump) -> Result<PartLock, DownloadError> {
        let path = part_path(&self.folder, remote);
        let mut tries = 0;
        loop {
            match disk::lock_part(&path).await {
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

    fn fetched(&self, remote: &RemoteDump, record: &Download, new_bytes: u64) -> Fetched {
        let path = self.folder.join(remote.name.to_string());
        let dump = Dump { name: remote.name, path };
        let bytes = record.length.unwrap_or(record.synced);
        Fetched { dump, verification: record.verification, bytes, new_bytes }
    }
}

fn tell_whole(arrived: &watch::Sender<Arrived>, fetched: &Fetched, record: &Download) {
    arrived.send_replace(Arrived {
        part: fetched.dump.path.clone(),
        identity: Some(record.identity()),
        generation: record.generation,
        synced: fetched.bytes,
        length: Some(fetched.bytes),
        state: match fetched.verification {
            Verification::Verified => ArrivedState::Verified,
            Verification::Unverified | Verification::Pending | Verification::Mismatch => {
                ArrivedState::Unverified
            }
        },
    });
}

fn part_path(folder: &Path, remote: &RemoteDump) -> PathBuf {
    folder.join(format!("{}.part", remote.name))
}

/// Where bytes that are not the published ones are kept: no dump's name.
fn aside_path(folder: &Path, remote: &RemoteDump) -> PathBuf {
    folder.join(format!(".{}.mismatch", remote.name))
}
