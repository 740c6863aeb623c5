//! A dump, a state directory and a sink; passes over them that end in every way there is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use discogs_extractor::dump::Dump;
use discogs_extractor::model::{Checkpoint, Clock, SystemClock, Timestamp, fault};
use discogs_extractor::pipeline::{self, Context, FileEnd, Input, Settings, Sizes, Told};
use discogs_extractor::sink::Sink;
use discogs_extractor::state::{Inspection, Keeper, Memory as Store, Status, open_for_inspection};
use rand::Rng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::support::copy_folder;

/// Where a run happens: memory, if there is such a disk.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

/// How a pass is made to work, with everything tiny.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub window: usize,
    pub max_bad_records: u64,
    pub sizes: Sizes,
}

impl Scale {
    pub fn random(random: &mut StdRng) -> Scale {
        let sizes = Sizes {
            record: random.random_range(1_200..3_000),
            chunk: random.random_range(200..1_500),
            cuts: random.random_range(1..20),
            points_every: random.random_range(50..600),
            checkpoint_every: Duration::ZERO,
        };
        let max_bad_records = if random.random_bool(0.1) { 3 } else { 10_000 };
        Scale { window: random.random_range(1..12), max_bad_records, sizes }
    }
}

/// How a pass over the dump ended, as far as a user can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    Limited,
    Stopped,
    Failed(String),
}

/// What the state says of the file, and what was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub status: Status,
    pub checkpoint: Checkpoint,
    pub error: Option<String>,
    /// The notes of bad records, by name.
    pub set_aside: BTreeMap<String, Vec<u8>>,
}

/// A state directory, with the dump beside it.
pub struct World {
    pub folder: TempDir,
    pub scale: Scale,
    /// The store, if it lies in memory and not in the state directory.
    pub store: Option<Store>,
}

impl World {
    /// One with its store in memory.
    pub fn new(gzip: &[u8], scale: Scale) -> World {
        World { store: Some(Store::default()), ..World::on_disk(gzip, scale) }
    }

    pub fn on_disk(gzip: &[u8], scale: Scale) -> World {
        let world = World { folder: folder(), scale, store: None };
        fs::write(world.dump(), gzip).unwrap();
        world
    }

    /// Another one, where nothing is known yet.
    pub fn anew(&self) -> World {
        let world = World { folder: folder(), scale: self.scale, store: Some(Store::default()) };
        fs::hard_link(self.dump(), world.dump()).unwrap();
        world
    }

    /// Another one with the state of a moment.
    pub fn at(&self, moment: &Moment) -> World {
        let world = World { store: Some(moment.store.after_crash()), ..self.anew() };
        if let Some(set_aside) = &moment.set_aside {
            copy_folder(set_aside.path(), &world.bad_records());
        }
        world
    }

    pub fn dump(&self) -> PathBuf {
        self.folder.path().join("discogs_20260101_labels.xml.gz")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// One pass.
    pub async fn pass(
        &self,
        sink: Arc<dyn Sink>,
        limit: Option<u64>,
        stop: CancellationToken,
    ) -> End {
        let keeper = self.open().await;
        let end = self.pass_in(&keeper, sink, limit, stop).await;
        keeper.close().await.unwrap();
        end
    }

    /// Where bad records are set aside.
    pub fn bad_records(&self) -> PathBuf {
        self.state().join("bad-records")
    }

    /// The store, owned.
    pub async fn open(&self) -> Keeper {
        let (state, clock) = (self.state(), Arc::new(SystemClock::new()));
        let opened = match &self.store {
            Some(store) => Keeper::in_memory(&state, store.clone(), clock).await,
            None => Keeper::open(&state, clock).await,
        };
        opened.unwrap()
    }

    fn inspect(&self) -> Inspection {
        match &self.store {
            Some(store) => store.inspect().unwrap(),
            None => open_for_inspection(&self.state()).unwrap(),
        }
    }

    /// One pass, of several with one owner of the store.
    pub async fn pass_in(
        &self,
        keeper: &Keeper,
        sink: Arc<dyn Sink>,
        limit: Option<u64>,
        stop: CancellationToken,
    ) -> End {
        let how = How { limit, ..How::default() };
        pass(&self.scale, keeper, sink, &self.dump(), &self.state(), how, stop).await
    }

    /// What is known after it.
    pub fn known(&self) -> Option<Known> {
        let file = self.inspect().files.into_iter().next()?;
        let mut set_aside = BTreeMap::new();
        gather(&self.bad_records(), &mut set_aside);
        Some(Known {
            status: file.state.status,
            checkpoint: file.state.checkpoint,
            error: file.state.error.as_deref().map(without_place),
            set_aside,
        })
    }
}

/// How a pass is told to work.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    pub limit: Option<u64>,
    pub sweep_anyway: bool,
    /// What time it is there.
    pub clock: Skewed,
}

/// A clock that goes before or after the right one.
#[derive(Clone, Copy, Debug)]
pub struct Skewed {
    pub clock: SystemClock,
    pub by_millis: i64,
}

impl Default for Skewed {
    fn default() -> Skewed {
        Skewed { clock: SystemClock::new(), by_millis: 0 }
    }
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0.saturating_add_signed(self.by_millis))
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

/// One pass over one dump.
pub async fn pass(
    scale: &Scale,
    keeper: &Keeper,
    sink: Arc<dyn Sink>,
    dump: &Path,
    state: &Path,
    how: How,
    stop: CancellationToken,
) -> End {
    let context = Context {
        sink,
        keeper: keeper.clone(),
        clock: Arc::new(how.clock),
        settings: Settings {
            workers: 1,
            threads: 1,
            window: scale.window,
            max_bad_records: scale.max_bad_records,
            limit: how.limit,
            bad_records: state.join("bad-records"),
            max_delete_fraction: 0.1,
            sweep_anyway: how.sweep_anyway,
            sizes: scale.sizes,
        },
        told: Told::new(),
        stop,
        announced: |_| {},
        paying: Arc::default(),
    };
    let name = dump.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let input = Input::from(Dump { name, path: dump.to_owned() });
    let (queued, _watched) = pipeline::queue(vec![input], |_| 0);
    let mut finished = pipeline::run(&context, queued).await.unwrap();
    match finished.remove(0).end {
        FileEnd::Complete | FileEnd::AlreadyComplete => End::Complete,
        FileEnd::Limited => End::Limited,
        FileEnd::Stopped { .. } => End::Stopped,
        FileEnd::Failed(error) => End::Failed(without_place(&error.to_string())),
    }
}

/// The folder is another one in every world.
fn without_place(words: &str) -> String {
    let kept = words.split(' ').filter(|word| !word.contains("/state") && !word.contains(".gz"));
    kept.collect::<Vec<_>>().join(" ")
}

fn gather(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            gather(&path, into);
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            into.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// The state as it was after a durable step, and how far the sink was then.
pub struct Moment {
    pub store: Store,
    /// The bad records, if there were any.
    pub set_aside: Option<TempDir>,
    pub sink_steps: usize,
}

/// Takes a copy of the state at every durable step while it lives.
pub struct Moments {
    state: PathBuf,
    taken: Arc<Mutex<Vec<Moment>>>,
}

impl Moments {
    pub fn of(
        state: &Path,
        store: &Store,
        sink_steps: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Moments {
        let taken: Arc<Mutex<Vec<Moment>>> = Arc::default();
        let (store, into) = (store.clone(), Arc::clone(&taken));
        let bad_records = state.join("bad-records");
        let take_one = move || {
            let set_aside = bad_records.is_dir().then(|| {
                let copy = folder();
                copy_folder(&bad_records, copy.path());
                copy
            });
            let (store, sink_steps) = (store.after_crash(), sink_steps());
            into.lock().unwrap().push(Moment { store, set_aside, sink_steps });
        };
        fault::watch(state, Some(Arc::new(take_one)));
        Moments { state: state.to_owned(), taken }
    }

    pub fn take(&self) -> Vec<Moment> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }
}

impl Drop for Moments {
    fn drop(&mut self) {
        fault::watch(&self.state, None);
    }
}
