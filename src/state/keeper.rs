//! The thread that owns the store, and the handle to it. What is waiting when the thread comes
//! round is written together and made durable with one flush.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::model::{
    Checkpoint, Clock, Confirmed, GzipOffset, Identity, Job, Kind, Ordinal, ResumePoint, Run,
    Timestamp, Version,
};

use super::forced::{ForceWord, Forced};
use super::ledger::{Advance, Begun, Followed, Ledger};
use super::lifecycle::Written;
use super::memory::Memory;
use super::outbox::{OutboxId, Owes};
use super::view::{Inspection, OwedEntry};
use super::{Download, DownloadKey, FileKey, FileState, StateError};

/// Requests that may wait. Each file has at most a few under way; when the disk is slow, whoever
/// asks waits rather than that memory grows.
const QUEUE: usize = 64;

/// Does something, and answers once it is known whether that is durable.
type Request = Box<dyn FnOnce(&mut Ledger) -> Answer + Send>;
type Answer = Box<dyn FnOnce(&Result<(), StateError>) + Send>;

enum Order {
    Do(Request),
    Close(oneshot::Sender<Result<(), StateError>>),
}

/// The handle to the state. Its clones share one store; when the last of them is gone, or after
/// [`Keeper::close`], the store is closed.
#[derive(Clone)]
pub struct Keeper {
    orders: mpsc::Sender<Order>,
}

/// The answer to a request that is under way. It may be dropped: a step that failed makes the
/// next one of the same file fail too.
pub struct Pending<T>(oneshot::Receiver<Result<T, StateError>>);

impl<T> Future for Pending<T> {
    type Output = Result<T, StateError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|got| got.unwrap_or(Err(StateError::Closed)))
    }
}

impl Keeper {
    /// Opens the state directory as its owner, on a thread of its own. It waits up to 5 s for
    /// the lock, longer for an upgrade.
    ///
    /// # Errors
    /// If another process owns it, or it is damaged or newer, or the disk says no.
    pub async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Keeper, StateError> {
        let folder = dir.to_owned();
        Keeper::of(dir, move || Ledger::open(&folder, clock)).await
    }

    /// Opens a store in memory, for a simulation: no file of it is made, and no lock is taken. `dir`
    /// is what messages call it.
    ///
    /// # Errors
    /// If a row does not decode.
    pub async fn in_memory(
        dir: &Path,
        memory: Memory,
        clock: Arc<dyn Clock>,
    ) -> Result<Keeper, StateError> {
        let folder = dir.to_owned();
        Keeper::of(dir, move || Ledger::in_memory(&folder, &memory, clock)).await
    }

    async fn of(
        dir: &Path,
        open: impl FnOnce() -> Result<Ledger, StateError> + Send + 'static,
    ) -> Result<Keeper, StateError> {
        let (orders, queue) = mpsc::channel(QUEUE);
        let (opened, outcome) = oneshot::channel();
        std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || match open() {
                Ok(ledger) => {
                    if opened.send(Ok(())).is_ok() {
                        keep(ledger, queue);
                    }
                }
                // whoever opens waits for this
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|error| StateError::disk("start the thread for", dir, &error))?;
        outcome.await.unwrap_or(Err(StateError::Closed))?;
        Ok(Keeper { orders })
    }

    async fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<T, StateError> + Send + 'static,
    ) -> Result<Pending<T>, StateError> {
        let (answer, pending) = oneshot::channel();
        let request: Request = Box::new(move |ledger| {
            let done = ledger.guarded(work);
            Box::new(move |flushed| {
                let done = done.and_then(|value| flushed.clone().map(|()| value));
                // nobody need wait for it
                drop(answer.send(done));
            })
        });
        self.orders.send(Order::Do(request)).await.map_err(|_| StateError::Closed)?;
        Ok(Pending(pending))
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        self.start(work).await?.await
    }

    /// Answers from what is stored, also when nothing can be written any more.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let (answer, pending) = oneshot::channel();
        let request: Request = Box::new(move |ledger| {
            let done = ledger.guarded(|ledger| work(ledger));
            Box::new(move |_| drop(answer.send(done)))
        });
        self.orders.send(Order::Do(request)).await.map_err(|_| StateError::Closed)?;
        Pending(pending).await
    }

    /// Notes where a job is: `sqlite:discogs.db`.
    ///
    /// # Errors
    /// If the store fails; so with every method here, which then fails for ever.
    pub async fn register_job(
        &self,
        job: Job,
        location: String,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.register_job(&job, &location, at)).await
    }

    /// Notes that a file waits for a worker. A complete file stays complete.
    ///
    /// # Errors
    /// If it is being extracted.
    pub async fn register(&self, key: FileKey, identity: Identity) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.register(&key, identity)).await
    }

    /// Notes dumps of a version that are to come, as far as nothing is known of them: until they
    /// have come, not all is complete.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn expect(
        &self,
        job: Job,
        version: Version,
        kinds: Vec<Kind>,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.expect(&job, version, &kinds)).await
    }

    /// Notes a run that a sink knows of: no new run begins at or below it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn note_run(&self, known: Run) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.note_run(known)).await
    }

    /// Begins an attempt at a file: from its checkpoint, or with its first record if it was never
    /// begun, if it is another file than before, or if there is a reason to start `over`. A file
    /// that is complete is left alone.
    ///
    /// # Errors
    /// If it is being extracted already.
    pub async fn begin(
        &self,
        key: FileKey,
        identity: Identity,
        over: Option<String>,
        at: Timestamp,
    ) -> Result<Begun, StateError> {
        self.ask(move |ledger| ledger.begin(&key, &identity, over, at)).await
    }

    /// Begins to write a run that somebody else reads and sends, as a consumer: anew if it is
    /// another run than before, else from what was written of it. `run` is the sender's, or 0 if it
    /// says none. A run that is complete is left alone.
    ///
    /// # Errors
    /// If it is being written already.
    pub async fn follow(
        &self,
        key: FileKey,
        run: Run,
        at: Timestamp,
    ) -> Result<Followed, StateError> {
        self.ask(move |ledger| ledger.follow(&key, run, at)).await
    }

    /// Notes that a consumer wrote more of the run that it follows.
    ///
    /// # Errors
    /// If it is less than before, or the file is not being written.
    pub async fn wrote(
        &self,
        key: FileKey,
        written: Written,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.wrote(&key, written, at)).await
    }

    /// Notes that a consumer wrote all of the run that it follows, with what becomes owed by that,
    /// in one transaction.
    ///
    /// # Errors
    /// If it is less than before, or the file is not being written.
    pub async fn wrote_all(
        &self,
        key: FileKey,
        written: Written,
        owes: Owes,
        at: Timestamp,
    ) -> Result<Vec<OwedEntry>, StateError> {
        self.ask(move |ledger| ledger.wrote_all(&key, written, owes, at)).await
    }

    /// Notes that records were taken after all that had been refused when a consumer had written all
    /// of a run.
    ///
    /// # Errors
    /// If the file is not complete, or other records are missing, or the store fails.
    pub async fn taken(&self, key: FileKey, written: Written) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.taken(&key, written)).await
    }

    /// The last resume point of the file's run at or before a record.
    ///
    /// # Errors
    /// If the file is unknown.
    pub async fn point_before(
        &self,
        key: FileKey,
        ordinal: Ordinal,
    ) -> Result<Option<ResumePoint>, StateError> {
        self.read(move |ledger| ledger.point_before(&key, ordinal)).await
    }

    /// Moves the checkpoint. It returns as soon as the step is handed in; what it returns says
    /// when the step is durable.
    ///
    /// # Errors
    /// If the state is closed. The step's own error, a gap or an overlap or the disk, comes with
    /// [`Pending`].
    pub async fn advance(&self, key: FileKey, advance: Advance) -> Result<Pending<()>, StateError> {
        self.start(move |ledger| ledger.advance(&key, advance)).await
    }

    /// Notes that input was read on the way to the mark.
    ///
    /// # Errors
    /// If the file is not being extracted.
    pub async fn activity(&self, key: FileKey, at: Timestamp) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.activity(&key, at)).await
    }

    /// Notes that a file which was extracted while it was downloaded is wholly here, and what it is.
    ///
    /// # Errors
    /// If the file is not being extracted.
    pub async fn arrived(&self, key: FileKey, identity: Identity) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.arrived(&key, identity)).await
    }

    /// Puts the checkpoint back to an earlier place, because the sink lost what came after.
    ///
    /// # Errors
    /// If the place is not earlier, or the file is not being extracted.
    pub async fn rewind(
        &self,
        key: FileKey,
        to: Checkpoint,
        gzip_offset: GzipOffset,
        why: String,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.rewind(&key, to, gzip_offset, &why, at)).await
    }

    /// Ends an attempt before the file ended; the file waits again.
    ///
    /// # Errors
    /// If the file is not being extracted.
    pub async fn stop(
        &self,
        key: FileKey,
        reason: String,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.stop(&key, &reason, at)).await
    }

    /// Ends an attempt with an error. `drop_progress` is for a wrong checksum: the next attempt is
    /// a new run.
    ///
    /// # Errors
    /// If the file is complete, or has failed already.
    pub async fn fail(
        &self,
        key: FileKey,
        error: String,
        drop_progress: bool,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.fail(&key, &error, drop_progress, at)).await
    }

    /// Makes a file complete, with what becomes owed by that, in one transaction. Returns what is
    /// owed, in the order in which it is to be sent.
    ///
    /// # Errors
    /// If the step does not lead from where the file is to its end.
    pub async fn complete(
        &self,
        key: FileKey,
        step: Confirmed,
        owes: Owes,
        at: Timestamp,
    ) -> Result<Vec<OwedEntry>, StateError> {
        self.ask(move |ledger| ledger.complete(&key, step, owes, at)).await
    }

    /// What a job is owed, in the order in which it is to be sent.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn owed(&self, job: Job) -> Result<Vec<OwedEntry>, StateError> {
        self.ask(move |ledger| ledger.owed(&job)).await
    }

    /// Takes an entry off the outbox, when what it owed is done. It may be gone already.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn strike(&self, job: Job, id: OutboxId) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.strike(&job, id)).await
    }

    /// Notes why an owed sweep was refused; it stays owed.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn refuse(
        &self,
        job: Job,
        id: OutboxId,
        why: String,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.refuse(&job, id, &why, at)).await
    }

    /// What is known of a version's files in a job.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn files(
        &self,
        job: Job,
        version: Version,
    ) -> Result<Vec<(FileKey, FileState)>, StateError> {
        self.read(move |ledger| ledger.files(&job, version)).await
    }

    /// Clears what is known of the selected types of a version for a forced pass, in one step, or
    /// goes on with the pass under way.
    ///
    /// # Errors
    /// If one of the files is being extracted.
    pub async fn force(
        &self,
        job: Job,
        version: Version,
        kinds: Vec<Kind>,
        word: ForceWord,
        at: Timestamp,
    ) -> Result<Forced, StateError> {
        self.ask(move |ledger| ledger.force(&job, version, &kinds, &word, at)).await
    }

    /// Forgets files, with what is owed for them. Returns how many were known.
    ///
    /// # Errors
    /// If one of them is being extracted: then none is forgotten.
    pub async fn reset(&self, files: Vec<FileKey>, at: Timestamp) -> Result<usize, StateError> {
        self.ask(move |ledger| ledger.reset(&files, at)).await
    }

    /// Forgets a whole job. Returns how many files it had.
    ///
    /// # Errors
    /// If one of them is being extracted.
    pub async fn forget(&self, job: Job, at: Timestamp) -> Result<usize, StateError> {
        self.ask(move |ledger| ledger.forget(&job, at)).await
    }

    /// What is known of a download.
    ///
    /// # Errors
    /// If its row does not decode.
    pub async fn download(&self, key: DownloadKey) -> Result<Option<Download>, StateError> {
        self.read(move |ledger| ledger.download(&key)).await
    }

    /// Notes how a download stands, and what happened to it, if that is worth an event. What it
    /// says of the file must be so on disk already.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn note_download(
        &self,
        download: Download,
        event: Option<String>,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.ask(move |ledger| ledger.note_download(&download, event.as_deref(), at)).await
    }

    /// All downloads, sorted by version, type, file name and folder.
    ///
    /// # Errors
    /// If a row does not decode.
    pub async fn downloads(&self) -> Result<Vec<Download>, StateError> {
        self.read(Ledger::downloads).await
    }

    /// Forgets a download, as when its file was removed. Whether it was known.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_download(
        &self,
        key: DownloadKey,
        at: Timestamp,
    ) -> Result<bool, StateError> {
        self.ask(move |ledger| ledger.forget_download(&key, at)).await
    }

    /// Everything the store holds.
    ///
    /// # Errors
    /// If a row does not decode.
    pub async fn inspect(&self) -> Result<Inspection, StateError> {
        self.read(Ledger::inspect).await
    }

    /// Makes everything durable, writes the snapshot if it is behind, closes the store and gives
    /// the lock back. Requests of other handles fail from then on.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn close(self) -> Result<(), StateError> {
        let (answer, closed) = oneshot::channel();
        self.orders.send(Order::Close(answer)).await.map_err(|_| StateError::Closed)?;
        closed.await.unwrap_or(Err(StateError::Closed))
    }
}

fn keep(mut ledger: Ledger, mut queue: mpsc::Receiver<Order>) {
    let mut closing = None;
    let mut waiting = Vec::new();
    while closing.is_none() && queue.blocking_recv_many(&mut waiting, QUEUE) > 0 {
        let mut answers = Vec::new();
        for order in waiting.drain(..) {
            match order {
                Order::Do(request) => answers.push(request(&mut ledger)),
                Order::Close(answer) => closing = Some(answer),
            }
        }
        let flushed = ledger.guarded(Ledger::settle);
        for answer in answers {
            answer(&flushed);
        }
        // what fails here fails the next request too, which has someone to tell
        drop(ledger.guarded(Ledger::tidy));
    }
    queue.close();
    let closed = ledger.guarded(Ledger::close);
    drop(ledger);
    if let Some(answer) = closing {
        // whoever asked may have stopped waiting
        drop(answer.send(closed));
    }
}
