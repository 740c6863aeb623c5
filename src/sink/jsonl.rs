//! A folder of JSON lines as a sink. INVARIANT: what is confirmed is synced, and after a restart the
//! part is cut back to it, so that no line is torn or there twice.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use super::lines::{empty, write_lines};
use super::{Lane, LaneEnds, LaneStart, Need, Outcome, Sink, SinkError, join, spawn};
use crate::model::{Checkpoint, DumpName, Job, Ordinal, Run, fault};

/// How many written batches may wait for the disk. While one sync runs, some more are written;
/// more than these would only be dirty pages for the next.
const UNSYNCED: usize = 64;

/// Bytes of JSON lines for a byte of gzip, rounded up: the samples' releases come to 5.3.
const LINES_PER_GZIP: u64 = 6;

/// `jsonl:DIR`: one file of JSON lines for every version and type, `DIR/{version}/{type}.jsonl`,
/// which is called `….jsonl.part` until it is finished. `DIR/.discogs-extractor` holds the
/// folder's identity and which run writes to which file.
pub struct Jsonl {
    job: Job,
    location: String,
    folder: PathBuf,
    marker: Mutex<Marker>,
    /// The threads that write: of two lanes of one file the second begins after the first.
    writers: Mutex<BTreeMap<DumpName, JoinHandle<()>>>,
    /// Holds the lock on the folder.
    _lock: File,
}

/// What `.discogs-extractor` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    job: String,
    #[serde(default)]
    files: BTreeMap<String, Writing>,
}

/// Which run writes to a file, or has finished it. A rename keeps the inode, so it tells a file
/// that this run finished from the one it was to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Writing {
    run: u64,
    inode: u64,
}

impl Marker {
    const FORMAT: u32 = 1;
    const NAME: &'static str = ".discogs-extractor";
}

impl Jsonl {
    /// Opens a folder, which is made if it is missing.
    ///
    /// # Errors
    /// If it cannot be made or written, if another process writes to it, or if its marker is not
    /// this program's.
    pub fn open(folder: &Path) -> Result<Jsonl, SinkError> {
        let cannot = |what: &str, error: &io::Error| {
            SinkError::io(format!("the folder {} cannot be {what}", folder.display()), error)
        };
        fs::create_dir_all(folder).map_err(|error| cannot("made", &error))?;
        let lock = File::open(folder).map_err(|error| cannot("opened", &error))?;
        if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
            let what = format!("another process writes to the folder {}", folder.display());
            return Err(SinkError::new(what).hint("wait until it has ended, or use another folder"));
        }
        let marker = match fs::read(folder.join(Marker::NAME)) {
            Ok(bytes) => read_marker(folder, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let job = Uuid::new_v4().to_string();
                let marker = Marker { format: Marker::FORMAT, job, files: BTreeMap::new() };
                write_marker(folder, &marker)?;
                marker
            }
            Err(error) => return Err(cannot("read", &error)),
        };
        Ok(Jsonl {
            job: Job::new(format!("jsonl:{}", marker.job)),
            location: format!("jsonl:{}", folder.display()),
            folder: folder.to_owned(),
            marker: Mutex::new(marker),
            writers: Mutex::default(),
            _lock: lock,
        })
    }

    fn paths(&self, file: DumpName) -> Paths {
        let name = self.folder.join(file.version.to_string()).join(file.kind.name());
        Paths { part: name.with_extension("jsonl.part"), done: name.with_extension("jsonl") }
    }

    fn writing(&self, file: DumpName) -> Option<Writing> {
        let marker = self.marker.lock().unwrap_or_else(PoisonError::into_inner);
        marker.files.get(&marker_key(file)).copied()
    }

    fn note(&self, file: DumpName, writing: Writing) -> Result<(), SinkError> {
        let mut marker = self.marker.lock().unwrap_or_else(PoisonError::into_inner);
        if marker.files.insert(marker_key(file), writing) != Some(writing) {
            write_marker(&self.folder, &marker)?;
        }
        Ok(())
    }

    /// Waits until nothing is written to a file any more.
    fn settle(&self, file: DumpName) {
        let writer = self.writers.lock().unwrap_or_else(PoisonError::into_inner).remove(&file);
        // A panic of that thread has been that lane's end.
        let _ = writer.map(JoinHandle::join);
    }

    /// Opens the part as the checkpoint left it. Returns it with its length and the ordinal up to
    /// which it holds everything: none of it if the part is another run's or was cut short.
    fn take_up(&self, start: &LaneStart) -> io::Result<(File, u64, Ordinal)> {
        let paths = self.paths(start.file);
        let known = self.writing(start.file).filter(|writing| writing.run == start.run.0);
        if !paths.part.exists() && known.is_some_and(|known| known.is_at(&paths.done)) {
            fs::rename(&paths.done, &paths.part)?;
        }
        let mut options = OpenOptions::new();
        let mut part = options.write(true).create(true).truncate(false).open(&paths.part)?;
        let length = start.from.sink.unwrap_or(0);
        let whole = known.is_some() && part.metadata()?.len() >= length;
        let from = if whole { start.from.clone() } else { Checkpoint::BEGINNING };
        let length = if whole { length } else { 0 };
        part.set_len(length)?;
        part.seek(SeekFrom::Start(length))?;
        Ok((part, length, from.ordinal()))
    }
}

struct Paths {
    part: PathBuf,
    done: PathBuf,
}

impl Writing {
    fn is_at(self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| found.ino() == self.inode)
    }
}

fn marker_key(file: DumpName) -> String {
    format!("{}/{}", file.version, file.kind)
}

fn read_marker(folder: &Path, bytes: &[u8]) -> Result<Marker, SinkError> {
    let path = folder.join(Marker::NAME);
    let marker: Marker = serde_json::from_slice(bytes).map_err(|error| {
        SinkError::new(format!("{} cannot be understood: {error}", path.display()))
            .hint("move the folder aside, or give the sink another one")
    })?;
    if marker.format > Marker::FORMAT {
        let what = format!(
            "{} was written by a newer release (format {}, this one knows {})",
            path.display(),
            marker.format,
            Marker::FORMAT
        );
        return Err(SinkError::new(what).hint("use that release, or another folder"));
    }
    Ok(marker)
}

fn write_marker(folder: &Path, marker: &Marker) -> Result<(), SinkError> {
    let path = folder.join(Marker::NAME);
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, marker)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| SinkError::io(format!("cannot write {}", path.display()), &error))
}

impl Sink for Jsonl {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError> {
        self.settle(start.file);
        let paths = self.paths(start.file);
        let cannot = |error: &io::Error| {
            SinkError::io(format!("cannot open {}", paths.part.display()), error)
        };
        let folder = self.folder.join(start.file.version.to_string());
        let opened = fs::create_dir_all(&folder).and_then(|()| self.take_up(start));
        let (part, length, holds) = opened.map_err(|error| cannot(&error))?;
        let sync_folders = || -> io::Result<(u64, File)> {
            File::open(&folder)?.sync_all()?;
            File::open(&self.folder)?.sync_all()?;
            Ok((part.metadata()?.ino(), part.try_clone()?))
        };
        let (inode, for_sync) = sync_folders().map_err(|error| cannot(&error))?;
        self.note(start.file, Writing { run: start.run.0, inode })?;

        let (lane, ends) = Lane::new(holds, start.depth);
        let (written, to_sync) = sync_channel(UNSYNCED);
        let outcomes = ends.outcomes.clone();
        let sync_path = paths.part.clone();
        spawn("jsonl-sync", move || sync(&for_sync, &sync_path, &to_sync, &outcomes))?;
        let writer = spawn("jsonl", move || write(ends, part, length, &paths.part, &written))?;
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).insert(start.file, writer);
        Ok(lane)
    }

    fn finish(&self, file: DumpName, run: Run) -> Result<(), SinkError> {
        self.settle(file);
        let paths = self.paths(file);
        let cannot = |error: &io::Error| {
            SinkError::io(format!("cannot finish {}", paths.part.display()), error)
        };
        let Some(known) = self.writing(file).filter(|writing| writing.run == run.0) else {
            let what = format!("{} is not what this run has written", paths.part.display());
            return Err(SinkError::new(what).hint("start the file over: state reset"));
        };
        if !known.is_at(&paths.done) {
            let part = File::open(&paths.part).map_err(|error| cannot(&error))?;
            part.sync_all().map_err(|error| cannot(&error))?;
            fault::place("jsonl.rename.before");
            fs::rename(&paths.part, &paths.done).map_err(|error| cannot(&error))?;
            fault::place("jsonl.rename.after");
        }
        let folder = self.folder.join(file.version.to_string());
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot(&error))
    }

    fn last_run(&self, file: DumpName) -> Result<Option<Run>, SinkError> {
        Ok(self.writing(file).map(|writing| Run(writing.run)))
    }

    fn still_holds(&self, file: DumpName, _run: Run, _last: Ordinal) -> Result<bool, SinkError> {
        Ok(self.paths(file).done.exists())
    }

    fn needs(&self, gzip_bytes: u64) -> Option<Need> {
        Some(need(&self.folder, gzip_bytes))
    }
}

/// What a folder of lines will roughly need.
pub(super) fn need(folder: &Path, gzip_bytes: u64) -> Need {
    Need { folder: folder.to_owned(), bytes: gzip_bytes.saturating_mul(LINES_PER_GZIP) }
}

/// What the writing thread tells the syncing one.
type Written = Result<Vec<Outcome>, SinkError>;

/// Writes batches as they come. What was written goes to the other thread.
fn write(
    mut ends: LaneEnds,
    mut part: File,
    length: u64,
    path: &Path,
    written: &SyncSender<Written>,
) {
    let mut position = length;
    let mut lines = Vec::new();
    while let Some(documents) = ends.batches.blocking_recv() {
        let outcomes = write_lines(&documents, Some(position), &mut lines);
        drop(documents);
        position += lines.len() as u64;
        let result = part
            .write_all(&lines)
            .map(|()| outcomes)
            .map_err(|error| SinkError::io(format!("cannot write {}", path.display()), &error));
        empty(&mut lines);
        let failed = result.is_err();
        if written.send(result).is_err() || failed {
            return;
        }
    }
}

/// Makes durable what was written, again and again as long as there is something, and says so.
fn sync(
    part: &File,
    path: &Path,
    written: &Receiver<Written>,
    outcomes: &Sender<Result<Outcome, SinkError>>,
) {
    while let Ok(first) = written.recv() {
        let mut durable = Vec::new();
        let mut failure = None;
        for result in std::iter::once(first).chain(written.try_iter()) {
            match result {
                Ok(batch) => batch.into_iter().for_each(|outcome| join(&mut durable, outcome)),
                Err(error) => failure = Some(error),
            }
        }
        fault::place("jsonl.sync.before");
        if let Err(error) = part.sync_data() {
            durable.clear();
            failure = Some(SinkError::io(format!("cannot sync {}", path.display()), &error));
        }
        fault::place("jsonl.sync.after");
        let all = durable.into_iter().map(Ok).chain(failure.map(Err));
        for outcome in all {
            if outcomes.blocking_send(outcome).is_err() {
                return;
            }
        }
    }
}
