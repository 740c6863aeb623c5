//! One file from wherever it stands to wherever it ends: opens it, asks the store where it goes on,
//! opens the sink's lane, lets reader and delivery work, and keeps in the store how that ended. What
//! follows a failed attempt decides `attempt`; the work is done in `reader` and `deliver`.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::attempt::{self, Attempt, Trouble, Why};
use super::budget::Budget;
use super::context::FileContext;
use super::deliver::deliver;
use super::download::ArrivedState;
use super::error::FileError;
use super::opening::{self, Opened, open};
use super::outbox::{self, Refused};
use super::outcome::FileEnd;
use super::reader::{self, Outlet, ReadEnd, ReadError, Start};
use super::reading::Reading;
use super::source::{Growth, Source};
use super::workers::last_words;
use crate::model::{
    Boundary, Checkpoint, Ending, GzipOffset, Identity, Limits, Ordinal, Phase, Position,
    ResumePoint, Run, Window, fault, parted,
};
use crate::sink::{Lane, LaneStart};
use crate::state::{Beginning, Begun, Owes};

/// Bytes of documents in flight per file, beside the limit in records: what 5,000 releases take.
const WINDOW_BYTES: usize = 20 << 20;

/// Batches that may wait in a lane's channel: the sink is never idle between two of them, and the
/// window bounds them in bytes.
const LANE_DEPTH: usize = 64;

/// Chunks between parse threads and delivery: more than the budget can hold, so that a parse
/// thread never waits for one file's sink while another file has work for it.
const DONE_CHUNKS: usize = 512;

/// One file on its way into the sink, from its checkpoint to wherever it ends.
pub struct Extraction<'a> {
    file: &'a FileContext<'a>,
}

/// Where an attempt goes on.
struct From {
    run: Run,
    checkpoint: Checkpoint,
    point: Option<ResumePoint>,
    lane: Lane,
}

/// How an attempt ended.
enum Ended {
    File(FileEnd),
    Trouble {
        what: Trouble,
        used_point: bool,
        /// What the file fails with if no other attempt helps.
        error: FileError,
    },
}

impl<'a> Extraction<'a> {
    /// An extraction that has not begun.
    pub const fn new(file: &'a FileContext<'a>) -> Extraction<'a> {
        Extraction { file }
    }

    /// Extracts the file, and keeps in the store how that ended. `began_with` is told how many
    /// records earlier processes delivered.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(&self, began_with: &mut u64) -> Result<FileEnd, FileError> {
        let ended = match self.attempts(began_with).await {
            Err(error) if error.is_stop() => Ok(FileEnd::Stopped { drained: true }),
            ended => ended,
        };
        let now = self.file.pass.clock.now();
        let keeper = &self.file.pass.keeper;
        match &ended {
            // What is complete is noted already, and a store that fails cannot be told so.
            Ok(FileEnd::AlreadyComplete | FileEnd::Complete) => {}
            Err(FileError::State(error)) if error.is_lasting() => {}
            Ok(FileEnd::Limited) => {
                keeper.stop(self.file.key.clone(), "limit reached".into(), now).await?;
            }
            Ok(FileEnd::Stopped { .. } | FileEnd::Failed(_)) => {
                keeper.stop(self.file.key.clone(), "stopped".into(), now).await?;
            }
            Err(error) => {
                let words = error.to_string();
                let (words, hint) = parted(&words);
                let file = self.file.name();
                if self.file.pass.told.get(&file) == Some(&error.to_string()) {
                    tracing::info!(%file, error = words, "failed again");
                } else if !error.reader_gone() {
                    tracing::error!(%file, error = words, hint, "failed");
                }
                let known = keeper
                    .fail(self.file.key.clone(), words.to_owned(), error.drops_progress(), now)
                    .await;
                if let Err(error) = known {
                    tracing::debug!(%error, "the failure could not be noted");
                }
            }
        }
        ended
    }

    async fn attempts(&self, began_with: &mut u64) -> Result<FileEnd, FileError> {
        let mut attempt = Attempt::FromPoint;
        loop {
            let opened = self.open().await?;
            let identity = opened.identity.clone();
            let now = self.file.pass.clock.now();
            let (key, keeper) = (&self.file.key, &self.file.pass.keeper);
            let over = match attempt {
                Attempt::Over(why) => Some(why.words().to_owned()),
                Attempt::FromPoint | Attempt::FromStart => None,
            };
            self.note_last_run().await?;
            let begun = keeper.begin(key.clone(), identity.clone(), over, now).await?;
            let name = self.file.name();
            match &begun.beginning {
                Beginning::AlreadyComplete { .. } => {
                    let still_holds = match self.still_holds(&begun).await {
                        Err(error) if error.is_stop() => true,
                        answer => answer?,
                    };
                    if !still_holds {
                        attempt = Attempt::Over(Why::SinkLost);
                        continue;
                    }
                    self.tell(&begun.checkpoint);
                    *began_with = begun.checkpoint.records;
                    return Ok(FileEnd::AlreadyComplete);
                }
                Beginning::Fresh => {
                    tracing::info!(file = %name, "extracting");
                    self.clear_bad_records().await?;
                }
                Beginning::Resumed => {
                    tracing::info!(file = %name, after = begun.checkpoint.ordinal().0, "going on");
                }
                Beginning::StartedOver { why } => {
                    tracing::warn!(file = %name, why, "starting over");
                    self.clear_bad_records().await?;
                }
            }
            let mut from = self.open_lane(begun.run, begun.checkpoint, begun.point).await?;
            self.tell(&from.checkpoint);
            *began_with = from.checkpoint.records;
            if attempt == Attempt::FromStart {
                from.point = None;
            }
            let (what, used_point, error) = match self.attempt(opened, from).await? {
                Ended::File(end) => return Ok(end),
                Ended::Trouble { what, used_point, error } => (what, used_point, error),
            };
            let Some(next) = attempt::next(used_point, what) else { return Err(error) };
            let why = match next {
                Attempt::Over(why) => why.words(),
                Attempt::FromPoint | Attempt::FromStart => {
                    let words = error.to_string();
                    let (why, _) = parted(&words);
                    tracing::warn!(file = %name, why, "inflating from the start of the file");
                    "the resume point did not verify"
                }
            };
            keeper.stop(key.clone(), why.to_owned(), now).await?;
            attempt = next;
        }
    }

    /// Two stores may write into one sink: a new run begins above all that it knows.
    async fn note_last_run(&self) -> Result<(), FileError> {
        let (sink, file) = (Arc::clone(&self.file.pass.sink), self.file.name());
        let known = spawn_blocking(move || sink.last_run(file)).await;
        let known = known.map_err(|died| self.died("sink", died.to_string()))??;
        if let Some(known) = known {
            self.file.pass.keeper.note_run(known).await?;
        }
        Ok(())
    }

    /// Whether the sink still holds what the store calls complete.
    async fn still_holds(&self, begun: &Begun) -> Result<bool, FileError> {
        let (sink, file) = (Arc::clone(&self.file.pass.sink), self.file.name());
        let (run, last) = (begun.run, begun.checkpoint.ordinal());
        let asked = spawn_blocking(move || sink.still_holds(file, run, last)).await;
        Ok(asked.map_err(|died| self.died("sink", died.to_string()))??)
    }

    async fn open(&self) -> Result<Opened, FileError> {
        open(self.file.input, &self.file.key, &self.file.pass.keeper).await
    }

    /// Opens the sink's lane. Where the sink holds less than the checkpoint says, the checkpoint
    /// goes back to what it does hold.
    async fn open_lane(
        &self,
        run: Run,
        mut checkpoint: Checkpoint,
        mut point: Option<ResumePoint>,
    ) -> Result<From, FileError> {
        let lane = self.lane(run, checkpoint.clone()).await?;
        if lane.holds >= checkpoint.ordinal() {
            return Ok(From { run, checkpoint, point, lane });
        }
        let why = format!(
            "the sink holds records up to {} where {} were confirmed",
            lane.holds,
            checkpoint.ordinal()
        );
        tracing::warn!(file = %self.file.name(), why, "going back");
        let keeper = &self.file.pass.keeper;
        // How many of the records before a point were bad is known only if none was.
        point = match checkpoint.bad_records {
            0 => keeper.point_before(self.file.key.clone(), lane.holds).await?,
            _ => None,
        };
        let gzip = point.as_ref().map_or(GzipOffset(0), |point| point.place().gzip);
        checkpoint = match &point {
            Some(point) => {
                let Boundary { after, xml, check } = point.boundary();
                Checkpoint {
                    position: Position::At(after, xml),
                    check: Some(check),
                    records: after.0,
                    ..Checkpoint::BEGINNING
                }
            }
            None => Checkpoint::BEGINNING,
        };
        let now = self.file.pass.clock.now();
        keeper.rewind(self.file.key.clone(), checkpoint.clone(), gzip, why, now).await?;
        drop(lane);
        let lane = self.lane(run, checkpoint.clone()).await?;
        Ok(From { run, checkpoint, point, lane })
    }

    async fn lane(&self, run: Run, from: Checkpoint) -> Result<Lane, FileError> {
        let sink = Arc::clone(&self.file.pass.sink);
        let window = self.window();
        let start = LaneStart { file: self.file.name(), run, from, depth: LANE_DEPTH, window };
        let opened = spawn_blocking(move || sink.open(&start)).await;
        Ok(opened.map_err(|died| self.died("sink", died.to_string()))??)
    }

    /// How much may be on its way.
    const fn window(&self) -> Limits {
        Limits { records: self.file.pass.settings.window, bytes: WINDOW_BYTES }
    }

    /// How much the lane may have.
    fn handed_out(&self) -> Limits {
        let Limits { records, bytes } = self.window();
        if self.file.pass.sink.reads_ahead() {
            Limits { records: records + records.div_ceil(2), bytes: bytes + bytes / 2 }
        } else {
            Limits { records, bytes }
        }
    }

    async fn attempt(&self, opened: Opened, from: From) -> Result<Ended, FileError> {
        let Opened { file, identity, growing } = opened;
        let settings = &self.file.pass.settings;
        let (done, arriving) = mpsc::channel(DONE_CHUNKS);
        // The reader ends with its file: because it was stopped, or because delivery failed.
        let stop = self.file.pass.stop.child_token();
        let ends_with_this = stop.clone().drop_guard();
        let reading = Reading::new(Budget::new(stop.clone()));
        let source = match (&self.file.input.arrived, growing) {
            (Some(arrived), Some(_)) => {
                let waits = Arc::clone(&reading.waits_for_bytes);
                Source::growing(file, Growth::new(arrived.clone(), waits, stop))
            }
            (Some(_) | None, _) => Source::whole(file),
        };
        let used_point = from.point.is_some();
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
            pool: self.file.pool.clone(),
            done,
        };
        let read = self.start_reader(source, start, outlet)?;
        let window = Window::new(self.handed_out(), from.checkpoint);
        let delivered = deliver(self.file, &reading, window, from.lane, arriving).await;
        drop(ends_with_this);
        let read = read.await.map_err(|_| self.died("reader", String::new()))?;
        let window = delivered?;
        let read = read.map_err(|panic| self.died("reader", last_words(&*panic)))?;
        let drained = window.in_flight() == 0;
        let trouble = |what, error| Ok(Ended::Trouble { what, used_point, error });
        let file = || self.file.input.dump.path.display().to_string();
        match read {
            Err(cause) if growing.is_some() && growing != self.generation() => {
                let error = FileError::Damaged { file: file(), cause };
                trouble(Trouble::DownloadRestarted, error)
            }
            Err(cause) => {
                self.download_failed()?;
                let may_be_the_point = cause.may_be_the_point();
                let what = match &cause {
                    ReadError::NotTheSame(_) => Trouble::NotTheSame,
                    _ => Trouble::Damaged,
                };
                let error = FileError::Damaged { file: file(), cause };
                if may_be_the_point { trouble(what, error) } else { Err(error) }
            }
            Ok(ReadEnd::Limit) => Ok(Ended::File(FileEnd::Limited)),
            // What was read after the stop was not delivered.
            Ok(ReadEnd::End(ending)) if drained && window.mark().ordinal() >= ending.last => {
                self.complete(&identity, from.run, window, &ending).await.map(Ended::File)
            }
            Ok(ReadEnd::End(_) | ReadEnd::TooManyBad | ReadEnd::Stopped) => {
                Ok(Ended::File(FileEnd::Stopped { drained }))
            }
        }
    }

    /// Which file the download is at.
    fn generation(&self) -> Option<u64> {
        self.file.input.arrived.as_ref().map(|arrived| arrived.borrow().generation)
    }

    /// The download's own error comes before what it looks like from here.
    fn download_failed(&self) -> Result<(), FileError> {
        let state = self.file.input.arrived.as_ref().map(|arrived| arrived.borrow().state.clone());
        let Some(ArrivedState::Failed { why, mismatch }) = state else { return Ok(()) };
        Err(FileError::Download { file: self.file.name().to_string(), why, mismatch })
    }

    fn start_reader(
        &self,
        source: Source,
        start: Start,
        outlet: Outlet,
    ) -> Result<oneshot::Receiver<thread::Result<Result<ReadEnd, ReadError>>>, FileError> {
        let (ended, reading) = oneshot::channel();
        let name = format!("read-{}", self.file.name().kind);
        let run = move || {
            let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                reader::read(source, &start, &outlet)
            }));
            // Delivery sees the channel close only after this.
            _ = ended.send(read);
            drop(outlet);
        };
        thread::Builder::new().name(name).spawn(run).map_err(FileError::NoThread)?;
        Ok(reading)
    }

    /// Makes the output final and the file complete, and pays what becomes owed by that.
    async fn complete(
        &self,
        identity: &Identity,
        run: Run,
        mut window: Window,
        ending: &Ending,
    ) -> Result<FileEnd, FileError> {
        let now_is = self.open().await?;
        if now_is.identity != *identity {
            return Err(FileError::Changed(self.file.input.dump.path.display().to_string()));
        }
        if let Identity::Source { .. } = identity {
            // It is known by its content from now on, as is any copy of it.
            let content = opening::content(&self.file.input.dump).await?;
            self.file.pass.keeper.arrived(self.file.key.clone(), content).await?;
        }
        let (sink, name) = (Arc::clone(&self.file.pass.sink), self.file.name());
        fault::place("sink.finish.before");
        let finished = spawn_blocking(move || sink.finish(name, run)).await;
        finished.map_err(|died| self.died("sink", died.to_string()))??;
        fault::place("sink.finish.after");
        let end = window
            .finish(ending)
            .map_err(|cause| FileError::Window { file: self.file.name().to_string(), cause })?;
        let owes = Owes {
            announcements: self.file.pass.sink.announces(),
            sweep: self.file.pass.sink.sweeps(),
        };
        let now = self.file.pass.clock.now();
        self.file.pass.keeper.complete(self.file.key.clone(), end, owes, now).await?;
        self.file.live.send_modify(|live| {
            live.phase = Phase::Complete;
            live.last_activity = Some(now);
        });
        let mark = window.mark();
        tracing::info!(
            file = %self.file.name(), records = mark.records, bad_records = mark.bad_records,
            "complete"
        );
        outbox::settle(self.file.pass, Refused::LeaveAlone).await?;
        Ok(FileEnd::Complete)
    }

    fn tell(&self, from: &Checkpoint) {
        self.file.live.send_modify(|live| {
            live.phase = Phase::Extracting;
            live.records = from.records;
            live.bad_records = from.bad_records;
        });
    }

    async fn clear_bad_records(&self) -> Result<(), FileError> {
        let bad_records = self.file.bad_records.clone();
        let cleared = spawn_blocking(move || bad_records.clear()).await;
        cleared.map_err(io::Error::other).flatten().map_err(|cause| FileError::CannotSetAside {
            ordinal: Ordinal(0),
            folder: self.file.bad_records.folder().to_owned(),
            cause,
        })
    }

    fn died(&self, thread: &'static str, words: String) -> FileError {
        FileError::Died { file: self.file.name().to_string(), thread, words }
    }
}
