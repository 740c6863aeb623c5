//! A served place: the daemon's HTTP face within the test, with what the test lets it show.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use discogs_extractor::daemon::Trigger;
use discogs_extractor::daemon::http::{Http, Served};
use discogs_extractor::model::{
    Clock, DumpName, GzipOffset, Job, Kind, Live, Phase, SystemClock, Timestamp,
};
use discogs_extractor::observe::{FileNow, Metrics, Snapshot, Speed, Stage};
use discogs_extractor::state::Keeper;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::support::Place;

/// There is one recorder in a process.
static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::install(SystemClock::new().now()).unwrap());

pub const LOOPBACK: &str = "127.0.0.1:0";

/// A served place.
pub struct Server {
    pub place: Place,
    pub runtime: Runtime,
    pub address: SocketAddr,
    pub keeper: Keeper,
    pub picture: watch::Sender<Arc<Snapshot>>,
    pub triggers: mpsc::Receiver<Trigger>,
    pub serving: JoinHandle<()>,
}

impl Server {
    pub fn new() -> Server {
        Server::with(LOOPBACK, None)
    }

    pub fn with(listen: &str, token: Option<&str>) -> Server {
        let place = Place::new();
        let state = place.path("state");
        std::fs::create_dir(&state).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let keeper = runtime.block_on(Keeper::open(&state, Arc::clone(&clock))).unwrap();
        let (picture, shown) = watch::channel(Arc::default());
        let (trigger, triggers) = mpsc::channel(1);
        let served = Served {
            picture: shown,
            keeper: keeper.clone(),
            job: job(),
            clock,
            trigger,
            token: token.map(Into::into),
            metrics: METRICS.clone(),
        };
        let inside = runtime.enter();
        let http = Http::bind(listen.parse().unwrap()).unwrap();
        drop(inside);
        let address = SocketAddr::from(([127, 0, 0, 1], http.local_addr().port()));
        let serving = runtime.spawn(async { match http.serve(served).await {} });
        Server { place, runtime, address, keeper, picture, triggers, serving }
    }

    pub fn show(&self, stage: Stage, files: Vec<FileNow>) {
        self.picture.send_replace(Arc::new(Snapshot { stage, files }));
    }
}

pub fn job() -> Job {
    Job::new("null:")
}

pub fn now() -> Timestamp {
    SystemClock::new().now()
}

pub fn name(kind: Kind) -> DumpName {
    DumpName { version: "20260101".parse().unwrap(), kind }
}

/// A file that is being extracted.
pub fn extracting(kind: Kind, records: u64) -> FileNow {
    let live = Live {
        phase: Phase::Extracting,
        records,
        in_flight: 3,
        gzip: GzipOffset(40),
        last_activity: Some(now()),
        ..Live::PENDING
    };
    let (completed_at, speed) = (None, Speed::default());
    let (downloaded, stalled) = (None, false);
    FileNow { name: name(kind), size: 100, downloaded, live, completed_at, stalled, speed }
}

pub fn complete(kind: Kind, records: u64) -> FileNow {
    let file = extracting(kind, records);
    let live = Live { phase: Phase::Complete, in_flight: 0, ..file.live };
    FileNow { live, completed_at: Some(now()), ..file }
}
