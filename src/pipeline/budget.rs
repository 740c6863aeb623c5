//! What one file may have in memory, in bytes, between its reader and the sink's word that it is
//! durable.

use std::future::pending;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

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
pub struct Share {
    permit: OwnedSemaphorePermit,
    runtime: Handle,
    /// Waits for what this part lacks, and holds it.
    rest: Option<AbortOnDropHandle<()>>,
}

impl Share {
    /// Takes more if what it stands for has become far larger: of control characters, JSON is six
    /// times the XML, and tiny records weigh more than their text. It does not wait, as this may be
    /// what the parts before it wait for; but the reader, which asks after it, waits for both.
    /// Without this, records of 20 kB of control characters took 317 MiB on their way to SQLite.
    pub fn grow_to(&mut self, bytes: usize) {
        let held = self.permit.num_permits();
        let lacking = u32::try_from(bytes.min(BYTES).saturating_sub(held)).unwrap_or(u32::MAX);
        if lacking == 0 || bytes < 2 * held {
            return;
        }
        let budget = Arc::clone(self.permit.semaphore());
        self.rest = Some(AbortOnDropHandle::new(self.runtime.spawn(async move {
            let _held = budget.acquire_many_owned(lacking).await;
            pending::<()>().await;
        })));
    }
}

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
                permit = self.bytes.clone().acquire_many_owned(share) => permit.ok().map(|permit| {
                    Share { permit, runtime: self.runtime.clone(), rest: None }
                }),
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
