//! Replicas whose clocks differ by hours, in this process, over whatever database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use discogs_extractor::amqp::Topology;
use discogs_extractor::consume::{Consumer, Settings};
use discogs_extractor::database::{Database, SweepLimits};
use discogs_extractor::model::agreement::Noter;
use discogs_extractor::model::{Clock, Kind, SystemClock, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rabbit::{Letter, PATIENCE, Rabbit, spawn, until, wait};

/// How long after completion the consumers are cancelled.
const DELAY: Duration = Duration::from_secs(2);

/// A clock that is wrong by so many hours.
struct Wrong(SystemClock, i64);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        let Timestamp(now) = self.0.now();
        Timestamp(now.strict_add_signed(self.1 * 3_600_000))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A consumer in this process.
struct Replica {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Replica {
    fn start<D: Database + 'static>(
        rabbit: &Rabbit,
        hours: i64,
        open: &impl Fn(Noter, Arc<dyn Clock>) -> D,
    ) -> Replica {
        let clock: Arc<dyn Clock> = Arc::new(Wrong(SystemClock::new(), hours));
        let noter = Noter::new(rabbit.consumer, Some(DELAY));
        let database = Arc::new(open(noter, Arc::clone(&clock)));
        let consumer = rabbit.consumer.to_owned();
        let settings = Settings {
            topology: Topology::new(rabbit.prefix.clone(), vec![consumer.clone()]).unwrap(),
            consumer,
            broker: rabbit.address.parse().unwrap(),
            cancel_after: Some(DELAY),
            check_interval: Duration::from_secs(1),
            sweep: SweepLimits { max_fraction: 0.1, anyway: false },
            say: |_| {},
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = spawn(async move {
            let consumer = Consumer::new(settings, database, clock, stopped);
            consumer.run().await.unwrap();
        });
        Replica { stop, running }
    }

    fn stops(self) {
        self.stop.cancel();
        wait(self.running).unwrap();
    }
}

/// The end of a type comes as late as was agreed on and no earlier, whatever the clocks of those who
/// read it say, and a straggler of an older run puts it off and never ends it. `noted` says how many
/// runs are complete, and how many cancelled.
pub fn cancellations_are_on_time<D: Database + 'static>(
    rabbit: &Rabbit,
    open: &impl Fn(Noter, Arc<dyn Clock>) -> D,
    noted: &impl Fn() -> (u64, u64),
) {
    let record = |run: i64, ordinal: i64| {
        let body = format!(r#"{{"type":"data","id":"{ordinal}","sha256":"{ordinal:064x}"}}"#);
        Letter::of(body, "20260101", &[("x-run", run), ("x-ordinal", ordinal)])
    };
    let end = |run: i64, last: i64| {
        let body = r#"{"type":"file_complete","data_type":"artists","total_processed":2}"#;
        let numbers = [("x-run", run), ("x-last-ordinal", last), ("x-bad-records", 0)];
        Letter::of(body, "20260101", &numbers)
    };
    let consumers = || rabbit.queue(Kind::Artists).consumers;
    // One that is behind notes that all is written; then one comes that is ahead.
    let behind = Replica::start(rabbit, -3, open);
    until("it is read", || consumers() == 1);
    rabbit.publish(Kind::Artists, [record(9, 1), record(9, 2), end(9, 2)]);
    until("it is complete", || noted() == (1, 0));
    let complete = Instant::now();
    let ahead = Replica::start(rabbit, 3, open);
    until("it is cancelled", || noted() == (1, 1));
    // What was seen is a moment old.
    let after = complete.elapsed() + Duration::from_millis(200);
    assert!(after >= DELAY, "cancelled after {after:?}");
    assert!(after < DELAY + PATIENCE / 4, "cancelled after {after:?}");
    until("nobody reads it", || consumers() == 0);

    // A straggler of the run before is read, and put off by no more than what was agreed on.
    rabbit.publish(Kind::Artists, [record(8, 1)]);
    until("it is read", || noted() == (1, 0));
    until("it is cancelled again", || noted() == (1, 1));
    until("nobody reads it", || consumers() == 0 && rabbit.queue(Kind::Artists).ready == 0);

    // One that is ahead notes it, and what is newer calls it off until its own end.
    behind.stops();
    rabbit.publish(Kind::Artists, [record(10, 1)]);
    until("it is read", || noted() == (1, 0));
    let right = Replica::start(rabbit, 0, open);
    rabbit.publish(Kind::Artists, [record(10, 2), end(10, 2)]);
    until("it is complete", || noted() == (2, 0));
    let complete = Instant::now();
    until("it is cancelled", || noted() == (2, 1));
    let after = complete.elapsed() + Duration::from_millis(200);
    assert!(after >= DELAY && after < DELAY + PATIENCE / 4, "cancelled after {after:?}");
    until("nobody reads it", || consumers() == 0);
    ahead.stops();
    right.stops();
}
