//! One file from wherever it stands to wherever it ends: opens it, asks the store where it goes on,
//! opens the sink's lane, lets reader and delivery work, and keeps in the store how that ended. What
//! follows a failed attempt decides `attempt`; the work is done in `reader` and `deliver`, and what
//! comes after the last record in `completion`.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::attempt::{self, Attempt, Came, DownloadNow, Follows, Trouble, came_of, trouble_of};
use super::budget::Budget;
use super::completion::complete;
use super::context::FileContext;
use super::deliver::deliver;
use super::download::ArrivedState;
use super::error::FileError;
use super::input::Input;
use super::lane::{self, StartFrom, with_sink};
use super::opening::{Opened, open};
use super::outcome::{FileEnd, StoreNote, store_note};
use super::reader::{self, Outlet, ReadEnd, ReadError, Start};
use super::reading::Reading;
use super::source::{Growth, Source};
use super::workers::last_words;
use crate::model::{Checkpoint, Identity, Ordinal, Phase, Window, parted};
use crate::state::{Beginning, Begun};

/// Chunks between parse threads and delivery: more than the budget can hold, so that a parse
/// thread never waits for one file's sink while another file has work for it.
const DONE_CHUNKS: usize = 512;

/// How one file's extraction ended.
pub struct FileResult {
    /// How, or why it failed.
    pub end: Result<FileEnd, FileError>,
    /// Records that earlier processes delivered.
    pub began_with: u64,
}

/// Extracts a file, and keeps in the store how that ended.
pub async fn extract(file: &FileContext<'_>) -> FileResult {
    let mut extraction = Extraction { file, began_with: file.live.borrow().records };
    let end = extraction.attempts().await;
    let end = match end {
        Err(error) if error.is_stop() => Ok(FileEnd::Stopped { drained: true }),
        end => end,
    };
    let noted = extraction.note(&end).await;
    FileResult { end: noted.and(end), began_with: extraction.began_with }
}

struct Extraction<'a> {
    file: &'a FileContext<'a>,
    /// Records that earlier processes delivered.
    began_with: u64,
}

/// How an attempt ended.
enum AttemptEnd {
    /// So did the file.
    File(FileEnd),
    /// It ran into something.
    Trouble {
        /// What.
        what: Trouble,
        /// The attempt as it was made.
        attempt: Attempt,
        /// What the file fails with if no other attempt helps.
        error: FileError,
    },
}

impl Extraction<'_> {
    async fn attempts(&mut self) -> Result<FileEnd, FileError> {
        let mut asked_for = Attempt::default();
        loop {
            let (what, attempt, error) = match self.attempt(asked_for).await? {
                AttemptEnd::File(end) => return Ok(end),
                AttemptEnd::Trouble { what, attempt, error } => (what, attempt, error),
            };
            let Follows::Again(next) = attempt::next(attempt, what) else { return Err(error) };
            if next == Attempt::FromStart {
                let words = error.to_string();
                let (why, _) = parted(&words);
                let file = self.file.name();
                tracing::warn!(%file, why, "inflating from the start of the file");
            }
            // What was complete did not begin.
            if what != Trouble::SinkLost {
                self.stopped(next.words_before()).await?;
            }
            asked_for = next;
        }
    }

    async fn attempt(&mut self, asked_for: Attempt) -> Result<AttemptEnd, FileError> {
        let file = self.file;
        let opened = open(file.input, &file.key, &file.pass.keeper).await?;
        let begun = self.begin(asked_for, opened.identity.clone()).await?;
        if let Beginning::AlreadyComplete { .. } = begun.beginning {
            if !self.still_holds(&begun).await? {
                let (what, attempt) = (Trouble::SinkLost, asked_for);
                let error = FileError::SinkLost(file.name().to_string());
                return Ok(AttemptEnd::Trouble { what, attempt, error });
            }
            self.tell(&begun.checkpoint);
            return Ok(AttemptEnd::File(FileEnd::AlreadyComplete));
        }
        let mut from = lane::open(file, begun).await?;
        self.tell(&from.checkpoint);
        if asked_for == Attempt::FromStart {
            from.point = None;
        }
        let attempt = if from.point.is_some() { asked_for } else { asked_for.without_point() };
        let (identity, growing, run) = (opened.identity.clone(), opened.growing, from.run);
        let (read, window) = self.read(opened, from).await?;
        let drained = window.in_flight() == 0;
        let end = match read {
            Ok(end) => end,
            Err(cause) => {
                let (what, error) = self.trouble(cause, growing);
                return Ok(AttemptEnd::Trouble { what, attempt, error });
            }
        };
        match came_of(end, drained, window.mark().ordinal()) {
            Came::AllDelivered(ending) => {
                complete(file, &identity, run, window, &ending).await?;
                Ok(AttemptEnd::File(FileEnd::Complete))
            }
            Came::Limited => Ok(AttemptEnd::File(FileEnd::Limited)),
            Came::Stopped => Ok(AttemptEnd::File(FileEnd::Stopped { drained })),
        }
    }

    /// Asks the store where the file goes on. A new run begins above all that the sink knows, since two
    /// stores may write into one sink, and forgets what an earlier one set aside.
    async fn begin(&self, attempt: Attempt, identity: Identity) -> Result<Begun, FileError> {
        let FileContext { pass, key, .. } = self.file;
        let file = self.file.name();
        if let Some(known) = with_sink(self.file, move |sink| sink.last_run(file)).await? {
            pass.keeper.note_run(known).await?;
        }
        let over = attempt.over().map(|why| why.words().to_owned());
        let begun = pass.keeper.begin(key.clone(), identity, over, pass.clock.now()).await?;
        match &begun.beginning {
            Beginning::AlreadyComplete { .. } => {}
            Beginning::Fresh => {
                tracing::info!(%file, "extracting");
                self.clear_bad_records().await?;
            }
            Beginning::Resumed => {
                tracing::info!(%file, after = begun.checkpoint.ordinal().0, "going on");
            }
            Beginning::StartedOver { why } => {
                tracing::warn!(%file, why, "starting over");
                self.clear_bad_records().await?;
            }
        }
        Ok(begun)
    }

    /// Whether the sink still holds what the store calls complete, or is stopped before it says so.
    async fn still_holds(&self, begun: &Begun) -> Result<bool, FileError> {
        let (file, run, last) = (self.file.name(), begun.run, begun.checkpoint.ordinal());
        match with_sink(self.file, move |sink| sink.still_holds(file, run, last)).await {
            Err(error) if error.is_stop() => Ok(true),
            answer => answer,
        }
    }

    /// Lets reader and delivery work until both have ended. Gives back how the reader did, and the
    /// window of what it gave out.
    async fn read(
        &self,
        opened: Opened,
        from: StartFrom,
    ) -> Result<(Result<ReadEnd, ReadError>, Window), FileError> {
        let FileContext { pass, pool, input, .. } = *self.file;
        let settings = &pass.settings;
        let (done, arriving) = mpsc::channel(DONE_CHUNKS);
        // The reader ends with its file: because it was stopped, or because delivery failed.
        let stop = pass.stop.child_token();
        let ends_with_this = stop.clone().drop_guard();
        let reading = Reading::new(Budget::new(stop.clone()));
        let source = match (&input.arrived, opened.growing) {
            (Some(arrived), Some(_)) => {
                let waits = Arc::clone(&reading.waits_for_bytes);
                Source::growing(opened.file, Growth::new(arrived.clone(), waits, stop))
            }
            (Some(_) | None, _) => Source::whole(opened.file),
        };
        let start = Start {
            from: from.checkpoint.clone(),
            point: from.point,
            limit: settings.limit,
            max_bad_records: settings.max_bad_records,
            chunk_records: (settings.window / 4).max(1),
            sizes: settings.sizes,
        };
        let outlet = Outlet {
            kind: self.file.name().kind,
            reading: reading.clone(),
            pool: pool.clone(),
            done,
        };
        let read = reader::start(source, start, outlet).map_err(FileError::NoThread)?;
        let window = Window::new(lane::handed_out(self.file), from.checkpoint);
        let delivered = deliver(self.file, &reading, window, from.lane, arriving).await;
        drop(ends_with_this);
        let died = |words| FileError::died(self.file.name(), "reader", words);
        let read = read.await.map_err(|_| died(String::new()))?;
        let window = delivered?;
        Ok((read.map_err(|panic| died(last_words(&*panic)))?, window))
    }

    /// What a reader's error is, given how the download stands of which it has read, and what the file
    /// fails with if no other attempt helps.
    fn trouble(&self, cause: ReadError, growing: Option<u64>) -> (Trouble, FileError) {
        let Input { dump, arrived } = self.file.input;
        let now = arrived.as_ref().map(|arrived| arrived.borrow().clone());
        let generation = now.as_ref().map(|now| now.generation);
        let damaged = |cause| FileError::Damaged { file: dump.path.display().to_string(), cause };
        match now.map(|now| now.state) {
            _ if growing.is_some() && growing != generation => {
                (trouble_of(&cause, DownloadNow::Restarted), damaged(cause))
            }
            Some(ArrivedState::Failed { why, mismatch }) => {
                let error = FileError::Download { file: dump.name.to_string(), why, mismatch };
                (trouble_of(&cause, DownloadNow::Failed), error)
            }
            Some(ArrivedState::Growing | ArrivedState::Verified | ArrivedState::Unverified)
            | None => (trouble_of(&cause, DownloadNow::AsRead), damaged(cause)),
        }
    }

    fn tell(&mut self, from: &Checkpoint) {
        self.began_with = from.records;
        self.file.live.send_modify(|live| {
            live.phase = Phase::Extracting;
            live.records = from.records;
            live.bad_records = from.bad_records;
        });
    }

    async fn clear_bad_records(&self) -> Result<(), FileError> {
        let bad_records = self.file.bad_records.clone();
        let folder = bad_records.folder().to_owned();
        let cleared = spawn_blocking(move || bad_records.clear()).await;
        let cleared = cleared.map_err(io::Error::other).flatten();
        let ordinal = Ordinal(0);
        cleared.map_err(|cause| FileError::CannotSetAside { ordinal, folder, cause })
    }

    /// Keeps in the store that the attempt is over, and can be gone on with.
    async fn stopped(&self, why: &str) -> Result<(), FileError> {
        let FileContext { pass, key, .. } = self.file;
        Ok(pass.keeper.stop(key.clone(), why.to_owned(), pass.clock.now()).await?)
    }

    /// Keeps in the store how the file ended. A failure is told once.
    async fn note(&self, end: &Result<FileEnd, FileError>) -> Result<(), FileError> {
        let FileContext { pass, key, .. } = self.file;
        match store_note(end) {
            StoreNote::Nothing => {}
            StoreNote::Stopped(why) => self.stopped(why).await?,
            StoreNote::Failed(error) => {
                let all = error.to_string();
                let (words, hint) = parted(&all);
                let file = self.file.name();
                if pass.told.get(&file) == Some(&all) {
                    tracing::info!(%file, error = words, "failed again");
                } else if !error.reader_gone() {
                    tracing::error!(%file, error = words, hint, "failed");
                }
                let (new_run, now) = (error.drops_progress(), pass.clock.now());
                let known = pass.keeper.fail(key.clone(), words.to_owned(), new_run, now).await;
                if let Err(error) = known {
                    tracing::debug!(%error, "the failure could not be noted");
                }
            }
        }
        Ok(())
    }
}
