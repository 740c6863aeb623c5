//! The other end of the broker: reads the queues of the four types and fills a database.

pub mod cancel;
mod intake;
pub mod ledger;
mod line;
mod lost;
mod member;
mod portion;
mod quiet;
mod replay;
mod rests;
mod round;
mod session;
mod shared;
mod sweeper;
mod tell;
mod unswept;
mod worker;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::amqp::{Broker, Topology};
use crate::database::{Database, Outage, SweepLimits};
use crate::model::agreement::Note;
use crate::model::{Clock, Kind};

use line::Line;
use member::Member;
use shared::Shared;
use unswept::Unswept;

pub use replay::{ReplayError, replay};
pub use tell::{Said, TypeNow};

/// Runs of which rows may be left to remove, and that wait for it: a few a type.
const SWEEPS: usize = 16;

/// What a consumer needs.
pub struct Settings {
    /// Its name, which is part of its queues': `tableinator`.
    pub consumer: String,
    /// Where the messages are.
    pub broker: Broker,
    /// The names of exchanges and queues; the consumer is the only one in it.
    pub topology: Topology,
    /// How long after completion a type's consumers are cancelled; none for never.
    pub cancel_after: Option<Duration>,
    /// How often a cancelled queue is looked into.
    pub check_interval: Duration,
    /// How far removing what a version no longer has may go.
    pub sweep: SweepLimits,
    /// Tells people.
    pub say: fn(Said),
}

/// A consumer of all four types.
pub struct Consumer {
    shared: Arc<Shared>,
    members: Vec<Member>,
    sweeps: mpsc::Receiver<Note>,
    sweep: SweepLimits,
    now: Vec<watch::Receiver<TypeNow>>,
}

/// How a consumer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Why rows that a version no longer has stay.
    pub refused: Vec<String>,
}

impl Consumer {
    /// A consumer that does nothing yet. Within a runtime only.
    pub fn new(
        settings: Settings,
        database: Arc<dyn Database>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Consumer {
        let (to_sweeper, sweeps) = mpsc::channel(SWEEPS);
        let Settings { consumer, broker, topology, cancel_after, check_interval, sweep, say } =
            settings;
        let shared = Arc::new(Shared {
            outage: Outage::of(database.noun(), database.location()),
            database,
            line: Line::new(broker, format!("discogs-extractor {consumer}"), Handle::current()),
            consumer,
            topology,
            clock,
            stop,
            check_interval,
            say,
            cancel_after,
            unswept: Unswept::default(),
            sweeps: to_sweeper,
        });
        let (members, now) = Kind::ALL
            .into_iter()
            .map(|kind| {
                let (tell, now) = watch::channel(TypeNow::new(kind));
                (Member::new(kind, Arc::clone(&shared), tell), now)
            })
            .unzip();
        Consumer { shared, members, sweeps, sweep, now }
    }

    /// What each type is at, now and from now on.
    pub fn now(&self) -> Vec<watch::Receiver<TypeNow>> {
        self.now.clone()
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// What will not get better by itself.
    pub async fn run(self) -> Result<Consumed, String> {
        let Consumer { shared, members, sweeps, sweep, now: _ } = self;
        let mut running = JoinSet::new();
        for member in members {
            running.spawn(worker::run(member));
        }
        let sweeper = sweeper::run(Arc::clone(&shared), sweeps, sweep);
        let working = async {
            while let Some(ended) = running.join_next().await {
                ended.map_err(|died| format!("a consumer died: {died}"))??;
            }
            Ok(())
        };
        let quiet = quiet::run(Arc::clone(&shared));
        let (ended, (), ()) = tokio::join!(
            async {
                let ended: Result<(), String> = working.await;
                if ended.is_err() {
                    shared.stop.cancel();
                }
                ended
            },
            sweeper,
            quiet
        );
        shared.line.close().await;
        ended.map(|()| Consumed { refused: shared.unswept.reasons() })
    }
}
