//! One file on its way: ask, take in, rest and ask again, until all of it is here and proven.

use std::path::PathBuf;
use std::time::Duration;

use metrics::counter;
use tokio::sync::watch;
use tokio::time::sleep;

use super::arrived::{Arrived, ArrivedState, Fetched, tell_whole};
use super::context::Downloads;
use super::disk::{aside_path, empty, give_name, move_aside, part_path, take_up};
use super::error::DownloadError;
use super::intake::{Incoming, IncomingEnd, Intake};
use crate::dump::{Broken, Held, Part, PartLock, RemoteDump, Verdict, jitter, judge, rest};
use crate::model::fault::place;
use crate::model::{Verification, metric};
use crate::state::{Download, DownloadStatus};

/// How often bytes that are not the published ones are fetched before that is an error.
const MISMATCHES: u32 = 2;

pub(super) struct Transfer<'a> {
    downloads: &'a Downloads,
    remote: &'a RemoteDump,
    arrived: &'a watch::Sender<Arrived>,
    record: Download,
    path: PathBuf,
    part: Part,
    mismatches: u32,
    new_bytes: u64,
}

/// How a try to get bytes ended.
enum Tried {
    /// There are no more.
    Whole,
    /// It broke off, or there was nothing to be had; what the site asked for.
    Again { why: String, asked_for: Option<Duration> },
}

impl<'a> Transfer<'a> {
    /// Cuts the part back to what is known of it.
    pub(super) async fn new(
        downloads: &'a Downloads,
        remote: &'a RemoteDump,
        arrived: &'a watch::Sender<Arrived>,
        mut record: Download,
        lock: PartLock,
    ) -> Result<Transfer<'a>, DownloadError> {
        let path = part_path(&downloads.folder, remote);
        let part = take_up(&path, lock, &record, &downloads.stop).await?;
        let event = if record.synced == 0 {
            format!("the download begins, from {}", record.site)
        } else if part.bytes() == record.synced {
            format!("the download goes on after byte {}", record.synced)
        } else {
            let why = "the part on disk does not hold what is known of it";
            tracing::warn!(file = %remote.name, why, "the download starts over");
            forget_bytes(&mut record);
            format!("the download starts over: {why}")
        };
        tracing::info!(file = %remote.name, "{event}");
        downloads.keeper.note_download(record.clone(), Some(event), downloads.clock.now()).await?;
        let transfer = Transfer {
            downloads,
            remote,
            arrived,
            record,
            path,
            part,
            mismatches: 0,
            new_bytes: 0,
        };
        transfer.tell();
        Ok(transfer)
    }

    /// Goes on until the file is here, or cannot be.
    pub(super) async fn run(mut self) -> Result<Fetched, DownloadError> {
        loop {
            if self.record.length != Some(self.record.synced) {
                let before = self.record.synced;
                match self.ask().await? {
                    (this, Tried::Whole) => self = this.whole()?,
                    (this, Tried::Again { why, asked_for }) => {
                        self = this;
                        let progress = self.record.synced > before;
                        self.rest(progress, why, asked_for).await?;
                        continue;
                    }
                }
            }
            match self.finish().await? {
                Ok(fetched) => return Ok(fetched),
                Err(this) => self = this,
            }
        }
    }

    /// One request, and the bytes it brings.
    async fn ask(mut self) -> Result<(Self, Tried), DownloadError> {
        let held = Held {
            bytes: self.record.synced,
            etag: self.record.etag.clone(),
            last_modified: self.record.last_modified.clone(),
            length: self.record.length,
        };
        let downloads = self.downloads;
        let opened = tokio::select! {
            opened = downloads.site.open(&self.remote.place, &held) => opened,
            () = downloads.stop.cancelled() => return Err(DownloadError::Stopped),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(Broken(why)) => return Ok((self, Tried::Again { why, asked_for: None })),
        };
        let answer = opened.answer;
        let status = answer.status;
        let again = |why: String| Tried::Again { why, asked_for: answer.retry_after };
        let skip = match judge(&held, &answer) {
            Verdict::GoOn => 0,
            Verdict::Skip => held.bytes,
            Verdict::Over(why) => {
                if let Some(why) = why {
                    self = self.start_over(why).await?;
                }
                self.record.etag.clone_from(&answer.etag);
                self.record.last_modified.clone_from(&answer.last_modified);
                0
            }
            Verdict::Again(why) => {
                self = self.start_over(why).await?;
                return Ok((self, again(why.to_owned())));
            }
            Verdict::Whole => return Ok((self, Tried::Whole)),
            Verdict::Later => return Ok((self, again(format!("the site answers {status}")))),
            Verdict::Gone => {
                let (file, site) = (self.file(), self.record.site.clone());
                return Err(DownloadError::Gone { file, site, status });
            }
            Verdict::Refused => {
                let (file, site) = (self.file(), self.record.site.clone());
                return Err(DownloadError::Refused { file, site, status });
            }
        };
        if let Some(total) = answer.total() {
            self.as_promised(total)?;
            if self.record.length.replace(total) != Some(total) {
                self.note(None).await?;
            }
        }
        let promised = self.record.length.or(self.remote.size);
        if let Some(length) = promised {
            let to_come = length.saturating_sub(self.record.synced);
            downloads.outstanding.expect(self.remote.name, to_come, &downloads.folder)?;
        }
        self.tell();
        self.take_in(Incoming { bytes: opened.body, skip, promised }).await
    }

    /// Takes in what an answer brings.
    async fn take_in(mut self, body: Incoming) -> Result<(Self, Tried), DownloadError> {
        let Transfer { downloads, remote, arrived, .. } = self;
        let (before, promised) = (self.record.synced, body.promised);
        let mut intake = Intake { downloads, remote, arrived, record: &mut self.record };
        let (part, end) = intake.run(self.part, body).await?;
        self.part = part;
        self.new_bytes += self.record.synced.saturating_sub(before);
        match end {
            IncomingEnd::Stopped => Err(DownloadError::Stopped),
            IncomingEnd::Broke(Broken(why)) => Ok((self, Tried::Again { why, asked_for: None })),
            IncomingEnd::TooLong(came) => {
                let (file, promised) = (self.file(), promised.unwrap_or_default());
                Err(DownloadError::Length { file, promised, came })
            }
            IncomingEnd::Short => {
                let why = "the connection was closed before the end".to_owned();
                Ok((self, Tried::Again { why, asked_for: None }))
            }
            IncomingEnd::All => Ok((self, Tried::Whole)),
        }
    }

    /// There are no more bytes, so these are all.
    fn whole(mut self) -> Result<Self, DownloadError> {
        self.as_promised(self.record.synced)?;
        self.record.length = Some(self.record.synced);
        Ok(self)
    }

    /// A file of another length than the listing's is another file.
    fn as_promised(&self, came: u64) -> Result<(), DownloadError> {
        match self.remote.size {
            Some(promised) if promised != came => {
                Err(DownloadError::Length { file: self.file(), promised, came })
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn start_over(mut self, why: &str) -> Result<Self, DownloadError> {
        self.forget(why).await?;
        self.part = empty(&self.path, self.part).await?;
        self.tell();
        Ok(self)
    }

    /// Notes that the bytes that came are no use.
    async fn forget(&mut self, why: &str) -> Result<(), DownloadError> {
        tracing::warn!(file = self.file(), why, "the download starts over");
        forget_bytes(&mut self.record);
        self.note(Some(format!("the download starts over: {why}"))).await
    }

    async fn rest(
        &mut self,
        progress: bool,
        why: String,
        asked_for: Option<Duration>,
    ) -> Result<(), DownloadError> {
        let kind = self.remote.name.kind.name();
        counter!(metric::DOWNLOAD_RETRIES, "type" => kind).increment(1);
        self.record.failures = if progress { 1 } else { self.record.failures + 1 };
        let tries = self.record.failures;
        if self.downloads.limits.tries.is_some_and(|most| tries >= most) {
            return Err(DownloadError::GivenUp { file: self.file(), tries, why });
        }
        let wait = rest(tries, asked_for, jitter());
        tracing::warn!(
            file = self.file(),
            bytes = self.record.synced,
            why,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "broke off, is asked for again"
        );
        self.record.error = Some(why);
        self.note(None).await?;
        tokio::select! {
            () = sleep(wait) => Ok(()),
            () = self.downloads.stop.cancelled() => Err(DownloadError::Stopped),
        }
    }

    /// All bytes are here: gives them their name if they are the right ones, else starts over once.
    async fn finish(mut self) -> Result<Result<Fetched, Self>, DownloadError> {
        let came = self.part.sha256();
        let verification = match self.remote.checksum {
            Some(published) if published == came => Verification::Verified,
            Some(published) => {
                self.mismatches += 1;
                let changed = |error| DownloadError::of_part("look at", &self.path, error);
                self.part.check(&self.path).map_err(changed)?;
                let aside = aside_path(&self.downloads.folder, self.remote);
                move_aside(&self.path, &aside)?;
                place("download.mismatch.aside");
                self.record.verification = Verification::Mismatch;
                self.forget(&format!("its SHA-256 is {came}, and {published} was published"))
                    .await?;
                self.tell();
                if self.mismatches == MISMATCHES {
                    let (file, aside) = (self.file(), aside.display().to_string());
                    return Err(DownloadError::Mismatch { file, came, published, aside });
                }
                let lock = self.downloads.lock(self.remote).await?;
                let stop = &self.downloads.stop;
                self.part = take_up(&self.path, lock, &self.record, stop).await?;
                return Ok(Err(self));
            }
            None => {
                tracing::warn!(file = self.file(), "no checksum is published: it is unverified");
                Verification::Unverified
            }
        };
        let (folder, name) = (&self.downloads.folder, self.remote.name.to_string());
        let (part, on_disk) = give_name(&self.path, self.part, folder, name).await?;
        self.part = part;
        let now = self.downloads.clock.now();
        self.record = Download {
            status: DownloadStatus::Complete,
            verification,
            hash: None,
            completed_at: Some(now),
            stamp: Some(on_disk),
            failures: 0,
            error: None,
            ..self.record
        };
        self.note(Some(format!("the download is complete, {verification}"))).await?;
        let fetched = self.downloads.fetched(self.remote, &self.record, self.new_bytes);
        tracing::info!(file = self.file(), bytes = fetched.bytes, "is here, {verification}");
        tell_whole(self.arrived, &fetched, &self.record);
        Ok(Ok(fetched))
    }

    async fn note(&self, event: Option<String>) -> Result<(), DownloadError> {
        let now = self.downloads.clock.now();
        Ok(self.downloads.keeper.note_download(self.record.clone(), event, now).await?)
    }

    fn tell(&self) {
        self.arrived.send_replace(Arrived {
            part: self.path.clone(),
            identity: Some(self.record.identity()),
            generation: self.record.generation,
            synced: self.record.synced,
            length: self.record.length.or(self.remote.size),
            state: ArrivedState::Growing,
        });
    }

    fn file(&self) -> String {
        self.remote.name.to_string()
    }
}

/// The bytes that are here are no use: what is read of them is void.
fn forget_bytes(record: &mut Download) {
    if record.synced > 0 {
        record.generation += 1;
    }
    record.synced = 0;
    record.hash = None;
    record.etag = None;
    record.last_modified = None;
    record.length = None;
}
