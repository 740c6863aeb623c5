use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Bytes of a file that may be between its reader and the sink's word that they are durable,
/// counted as XML. 32 MiB hold a window of 5,000 releases and 20 chunks on their way to it, and
/// four files at once leave the whole process under 256 MiB.
pub const BYTES: usize = 32 << 20;

/// Bounds what one file has in memory, in bytes: a reader waits here before it sends more.
#[derive(Clone)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    runtime: Handle,
    stop: CancellationToken,
}

/// Part of a budget; given back when dropped.
pub type Share = OwnedSemaphorePermit;

impl Budget {
    /// A whole budget. It must be made on the runtime.
    pub fn new(stop: CancellationToken) -> Budget {
        Budget { bytes: Arc::new(Semaphore::new(BYTES)), runtime: Handle::current(), stop }
    }

    /// Waits, on a thread of its own, until so many bytes are free; what is larger than the
    /// budget gets all of it. Nothing if it was stopped meanwhile.
    pub fn wait_for(&self, bytes: usize) -> Option<Share> {
        let share = u32::try_from(bytes.min(BYTES)).unwrap_or(u32::MAX);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => None,
                share = self.bytes.clone().acquire_many_owned(share) => share.ok(),
            }
        })
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether nothing of it is in use.
    pub fn is_whole(&self) -> bool {
        self.bytes.available_permits() == BYTES
    }
}
