//! The bytes of one answer on their way into the part: as fast as they may come, written and hashed on
//! a thread of their own, synced now and then, and told of only when they are on disk and noted.
//!
//! INVARIANT: the store is never ahead of the disk, and what is told of is never ahead of the store.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use metrics::counter;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::arrived::Arrived;
use super::context::Downloads;
use super::disk::part_path;
use super::error::DownloadError;
use crate::dump::{Broken, Order, Part, RemoteDump, Synced};
use crate::model::fault::place;
use crate::model::metric;
use crate::state::Download;

/// Pieces that wait to be written, of some ten kB each: enough to outlast a sync of the disk.
const QUEUE: usize = 64;
/// What a crash may cost at most: so many bytes are fetched again.
const SYNC_BYTES: u64 = 8 << 20;
/// Or so much time's worth of them.
const SYNC_TIME: Duration = Duration::from_secs(1);

/// The bytes of an answer.
pub(super) struct Incoming {
    /// As they come.
    pub bytes: BoxStream<'static, Result<Bytes, Broken>>,
    /// So many of the first ones are here already.
    pub skip: u64,
    /// How long the whole file is, if that was said.
    pub promised: Option<u64>,
}

/// How the bytes of an answer ended.
pub(super) enum IncomingEnd {
    /// There are no more.
    All,
    /// There are no more, and some are lacking.
    Short,
    /// The connection broke.
    Broke(Broken),
    /// More came than was promised: so many, with what was here.
    TooLong(u64),
    /// It was stopped.
    Stopped,
}

/// What takes bytes in.
pub(super) struct Intake<'a> {
    pub downloads: &'a Downloads,
    pub remote: &'a RemoteDump,
    pub arrived: &'a watch::Sender<Arrived>,
    /// What is known of the file; it is led on as bytes are safe.
    pub record: &'a mut Download,
}

impl Intake<'_> {
    /// Takes all of them in, and gives the part back. Whatever the end, what came is on disk and
    /// noted.
    ///
    /// # Cancel safety
    /// None: it is to be awaited to its end, which `Downloads::stop` brings about, or a writer is left
    /// alone with the part. Inside, a turn of the loop takes what one arm brings and the others lose
    /// nothing: the stream and `synced` give up only what is received. What is synced comes before
    /// more bytes, so that a fast site does not keep it from being noted.
    ///
    /// # Errors
    /// If the disk or the store says no.
    pub(super) async fn run(
        &mut self,
        part: Part,
        body: Incoming,
    ) -> Result<(Part, IncomingEnd), DownloadError> {
        let Incoming { mut bytes, mut skip, promised } = body;
        let (orders, queue) = mpsc::channel(QUEUE);
        let (tell, mut synced) = watch::channel(None);
        let writing = spawn_blocking(move || part.take_in(queue, &tell));
        let mut came = self.record.synced;
        let (mut unsynced, mut sync_at, mut free_at) =
            (0, Instant::now() + SYNC_TIME, Instant::now());
        let end = loop {
            let paid = free_at <= Instant::now();
            tokio::select! {
                biased;
                () = self.downloads.stop.cancelled() => break IncomingEnd::Stopped,
                Ok(()) = synced.changed() => {
                    let safe = synced.borrow_and_update().clone();
                    self.note(safe).await?;
                }
                () = sleep_until(sync_at), if unsynced > 0 => {
                    // A writer that takes nothing more says why itself.
                    if orders.send(Order::Sync).await.is_err() { break IncomingEnd::All }
                    (unsynced, sync_at) = (0, Instant::now() + SYNC_TIME);
                }
                () = sleep_until(free_at), if !paid => {}
                piece = bytes.next(), if paid => {
                    let mut piece = match piece {
                        None if skip > 0 || promised.is_some_and(|length| came < length) => {
                            break IncomingEnd::Short;
                        }
                        None => break IncomingEnd::All,
                        Some(Err(broken)) => break IncomingEnd::Broke(broken),
                        Some(Ok(piece)) => piece,
                    };
                    if let Some(rate) = &self.downloads.limits.rate {
                        free_at = Instant::now() + rate.charge(piece.len());
                    }
                    let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                    drop(piece.split_to(known));
                    skip -= known as u64;
                    let length = piece.len() as u64;
                    came += length;
                    if promised.is_some_and(|promised| came > promised) {
                        break IncomingEnd::TooLong(came);
                    }
                    if length == 0 { continue }
                    if unsynced == 0 { sync_at = Instant::now() + SYNC_TIME }
                    unsynced += length;
                    if orders.send(Order::Bytes(piece)).await.is_err() { break IncomingEnd::All }
                    if unsynced >= SYNC_BYTES {
                        if orders.send(Order::Sync).await.is_err() { break IncomingEnd::All }
                        unsynced = 0;
                    }
                }
            }
        };
        _ = orders.send(Order::Sync).await;
        drop(orders);
        let written = writing.await.unwrap_or_else(|died| Err(io::Error::other(died).into()));
        let path = part_path(&self.downloads.folder, self.remote);
        let part = written.map_err(|error| DownloadError::of_part("write", &path, error))?;
        let safe = synced.borrow().clone();
        self.note(safe).await?;
        Ok((part, end))
    }

    /// Notes what is on disk, and only then tells of it.
    async fn note(&mut self, safe: Option<Synced>) -> Result<(), DownloadError> {
        let Intake { downloads, remote, arrived, record } = self;
        let Some(Synced { bytes, hash }) = safe.filter(|safe| safe.bytes != record.synced) else {
            return Ok(());
        };
        place("download.synced");
        let now = downloads.clock.now();
        counter!(metric::DOWNLOAD_BYTES, "type" => remote.name.kind.name())
            .increment(bytes.saturating_sub(record.synced));
        record.synced = bytes;
        record.hash = Some(hash);
        record.last_activity = Some(now);
        record.failures = 0;
        record.error = None;
        downloads.keeper.note_download(record.clone(), None, now).await?;
        place("download.noted");
        if let Some(length) = record.length.or(remote.size) {
            downloads.outstanding.left(remote.name, length.saturating_sub(bytes));
        }
        arrived.send_modify(|arrived| {
            arrived.synced = bytes;
            arrived.identity = Some(record.identity());
        });
        Ok(())
    }
}
