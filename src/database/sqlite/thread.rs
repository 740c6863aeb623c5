//! The one thread that writes to a file, in the order in which it is asked.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::obstacle;
use super::rows::write;
use crate::database::{Batch, Notes, Obstacle, Written};
use crate::model::agreement::Noter;
use crate::model::{Clock, Limits};

/// A transaction takes the batches that wait, up to about so many bytes of JSON or rows: enough
/// that its own cost vanishes, few enough that a confirmation comes soon and the log stays short.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_ROWS: usize = 5_000;

/// How long dropping the handle waits for the thread.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

type Answer<T> = oneshot::Sender<Result<T, Obstacle>>;

enum Work {
    Write(Arc<Batch>, Answer<Written>),
    Other(Box<dyn FnOnce(&Connection) + Send>),
}

/// The handle to the thread. Whoever asks waits for the answer, so no more is queued than there are
/// askers.
pub(super) struct Thread {
    work: Option<mpsc::Sender<Work>>,
    /// Closes when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Thread {
    /// Starts it with the connection that writes.
    pub(super) fn start(
        connection: Connection,
        noter: Option<Arc<Noter>>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Thread> {
        let (work, queue) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        thread::Builder::new().name("sqlite".into()).spawn(move || {
            run(&connection, noter.as_deref(), &*clock, &queue);
            drop(connection);
            drop(ending);
        })?;
        Ok(Thread { work: Some(work), ended: Mutex::new(ended) })
    }

    /// Writes a batch, together with those of others that wait.
    pub(super) async fn write(&self, batch: Arc<Batch>) -> Result<Written, Obstacle> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Write(batch, answer))?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Does something with the connection.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Obstacle> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Other(Box::new(move |connection| {
            // Whoever asked may have stopped waiting.
            _ = answer.send(work(connection).map_err(|error| obstacle(&error)));
        })))?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    fn send(&self, work: Work) -> Result<(), Obstacle> {
        let sent = self.work.as_ref().map(|queue| queue.send(work));
        sent.and_then(Result::ok).ok_or_else(gone)
    }
}

fn gone() -> Obstacle {
    Obstacle::lasting("the thread that writes to SQLite has ended")
}

impl Drop for Thread {
    /// Lets the thread end, which closes the database and so moves the log into it.
    fn drop(&mut self) {
        self.work = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: it ends by closing, or the time is up.
        let _ = ended.recv_timeout(SETTLE_TIMEOUT);
    }
}

fn run(
    connection: &Connection,
    noter: Option<&Noter>,
    clock: &dyn Clock,
    queue: &mpsc::Receiver<Work>,
) {
    let how = noter.map_or(Notes::Dealt, Notes::Messages);
    let mut next = queue.recv().ok();
    while let Some(work) = next {
        let mut after = None;
        match work {
            Work::Other(work) => work(connection),
            Work::Write(batch, answer) => {
                let mut size = Limits { records: batch.rows.len(), bytes: bytes(&batch) };
                let mut group = vec![(batch, answer)];
                while size.records < GROUP_ROWS && size.bytes < GROUP_BYTES {
                    match queue.try_recv() {
                        Ok(Work::Write(batch, answer)) => {
                            size.records += batch.rows.len();
                            size.bytes += bytes(&batch);
                            group.push((batch, answer));
                        }
                        Ok(other @ Work::Other(_)) => {
                            after = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                write_group(connection, group, how, clock);
            }
        }
        next = after.or_else(|| queue.recv().ok());
    }
}

fn bytes(batch: &Batch) -> usize {
    batch.rows.iter().map(|row| row.json.len()).sum()
}

/// Writes batches in one transaction. One that nobody waits for any more is left out: it must not be
/// written after whoever gave it up has begun again.
fn write_group(
    connection: &Connection,
    mut group: Vec<(Arc<Batch>, Answer<Written>)>,
    notes: Notes<'_>,
    clock: &dyn Clock,
) {
    group.retain(|(_, answer)| !answer.is_closed());
    if group.is_empty() {
        return;
    }
    let batches: Vec<&Batch> = group.iter().map(|(batch, _)| &**batch).collect();
    match write(connection, &batches, notes, clock.now()) {
        Ok(written) => {
            for ((_, answer), written) in group.into_iter().zip(written) {
                _ = answer.send(Ok(written));
            }
        }
        Err(error) => {
            let obstacle = obstacle(&error);
            for (_, answer) in group {
                _ = answer.send(Err(obstacle.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::sync_channel;

    use futures_util::future::join3;

    use super::*;
    use crate::database::Row;
    use crate::database::sqlite::{connect, prepare};
    use crate::model::{Kind, Ordinal, Run, Sha256, SystemClock, Timestamp};

    fn batch(kind: Kind, ordinal: u64) -> Arc<Batch> {
        let ordinal = Ordinal(ordinal);
        let (id, hash) = (ordinal.to_string().into(), Sha256([7; 32]));
        let row = Row { id, ordinal: Some(ordinal), hash, json: "{}".into() };
        let source = Some(("20260101".parse().unwrap(), Run(1)));
        let ordinals = [ordinal..=ordinal].into_iter().collect();
        Arc::new(Batch { kind, source, rows: vec![row], ordinals, unreadable: Vec::new() })
    }

    /// How many transactions the log holds: <https://www.sqlite.org/fileformat2.html#walformat>, the
    /// last frame of each has the size of the database.
    fn commits(database: &Path) -> usize {
        let log = std::fs::read(database.with_extension("db-wal")).unwrap();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let page = number(&log[8..12]) as usize;
        log[32..].chunks(24 + page).filter(|frame| number(&frame[4..8]) > 0).count()
    }

    #[test]
    fn batches_that_wait_together_go_in_one_transaction_and_an_abandoned_one_in_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.db");
        let connection = connect(&path).unwrap();
        prepare(&connection, Timestamp(0)).unwrap();
        let thread = Thread::start(connection, None, Arc::new(SystemClock::new())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let before = commits(&path);
        runtime.block_on(async {
            let (go_on, held_up) = sync_channel::<()>(0);
            let busy = thread.ask(move |_| {
                held_up.recv().unwrap();
                Ok(())
            });
            let abandoned = {
                let (answer, _) = oneshot::channel();
                Work::Write(batch(Kind::Masters, 1), answer)
            };
            let queued = async {
                // The thread is held up first; the others come while it is.
                tokio::task::yield_now().await;
                thread.send(abandoned).unwrap();
                let both = futures_util::future::join(
                    thread.write(batch(Kind::Artists, 1)),
                    thread.write(batch(Kind::Labels, 1)),
                );
                both.await
            };
            let release = async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                go_on.send(()).unwrap();
            };
            let (busy, (artists, labels), ()) = join3(busy, queued, release).await;
            busy.unwrap();
            assert_eq!((artists.unwrap(), labels.unwrap()), Default::default());
        });
        assert_eq!(commits(&path) - before, 1);
        let count = |kind: Kind| {
            let reader = connect(&path).unwrap();
            let sql = format!("SELECT count(*) FROM {kind}");
            reader.query_row(&sql, (), |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(Kind::ALL.map(count), [1, 1, 0, 0]);
    }
}
