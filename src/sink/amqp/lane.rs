//! One file on its way to its exchange: what is in flight, what its messages need to arrive, and
//! what is said of it. `task` publishes it.

use std::sync::Arc;
use std::time::Duration;

use lapin::{Channel, Error};
use tokio::sync::watch;

use super::flight::{Flight, Letter};
use super::post;
use crate::amqp::{Declared, Link, Standing, Topology, words};
use crate::model::{Clock, Delivery, Documents, DumpName, Ordinal, WaitsFor};
use crate::sink::{LaneEnds, LaneStart, Outcome, SinkError, join};

/// Pauses before what came back is tried again, and before a channel is opened again, double from
/// the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A lane of the broker's.
pub struct Lane {
    pub(super) file: DumpName,
    pub(super) envelope: post::Envelope,
    pub(super) topology: Topology,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) link: Link,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ends: LaneEnds,
    pub(super) flight: Flight,
    /// No more batches come.
    pub(super) ended: bool,
    /// Whether the broker has confirmed anything of this run: then its exchange must be there.
    pub(super) confirmed: bool,
    /// What was last said to hold the file up.
    held_by: Option<WaitsFor>,
    /// Whether something is wrong with this file's messages and not with the connection.
    alone: bool,
    pause: Duration,
}

/// How a channel came to its end.
pub enum Ended {
    /// Everything is confirmed.
    Done,
    /// Nobody wants to know any more.
    Abandoned,
    /// It was closed, or gave no answer.
    Lost(String),
    /// The broker closed it over a message, in its own words.
    Refused(String),
    /// It will not get better by itself.
    Fatal(SinkError),
}

impl Ended {
    pub(super) fn lost(error: &Error) -> Ended {
        Ended::Lost(words(error))
    }
}

impl Lane {
    /// A lane that has sent nothing yet.
    pub fn new(
        link: Link,
        topology: Topology,
        clock: Arc<dyn Clock>,
        start: &LaneStart,
        ends: LaneEnds,
    ) -> Lane {
        Lane {
            file: start.file,
            envelope: post::Envelope::new(start.file, start.run),
            topology,
            standing: link.standing(),
            link,
            clock,
            ends,
            flight: Flight::new(start.window),
            ended: false,
            confirmed: start.from.records > 0,
            held_by: None,
            alone: false,
            pause: FIRST_PAUSE,
        }
    }

    pub(super) fn take(&mut self, batch: Option<Documents>) {
        match batch {
            Some(batch) => self.flight.add(batch),
            None => self.ended = true,
        }
    }

    /// Declares what the messages need to arrive.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), Ended> {
        let declared = self.topology.publisher(channel, self.file.kind, self.confirmed).await;
        match declared.map_err(|error| Ended::lost(&error))? {
            Declared::Yes => Ok(()),
            Declared::Gone(exchange) => Err(Ended::Fatal(emptied(&exchange))),
            Declared::Different(why) => Err(Ended::Fatal(
                SinkError::new(format!("what is to be declared is there and different: {why}"))
                    .hint("remove it from the broker, or use another exchange prefix"),
            )),
        }
    }

    /// Notes what holds the file up where it is not the connection, which speaks for itself, and
    /// logs it once.
    pub(super) async fn held_alone(&mut self, by: WaitsFor) {
        if !std::mem::replace(&mut self.alone, true) {
            tracing::warn!(file = %self.file, why = %by, "the broker holds records back");
        }
        self.held(by).await;
    }

    /// Shows what holds the file up.
    pub(super) async fn held(&mut self, by: WaitsFor) {
        if self.held_by.as_ref() == Some(&by) {
            return;
        }
        self.held_by = Some(by.clone());
        let first = self.flight.first().unwrap_or(Ordinal(0));
        let delivery = Delivery::Retry(by);
        self.tell([Outcome { ordinals: first..=first, delivery, position: None }]).await;
    }

    /// How long to wait before the next try.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// Sets a message aside with the broker's words; the rest goes out at once.
    pub(super) async fn refuse(&mut self, ordinal: Ordinal, letter: &Letter, why: String) {
        self.pause = FIRST_PAUSE;
        let delivery = Delivery::Refused { why, document: letter.json() };
        self.tell([Outcome { ordinals: ordinal..=ordinal, delivery, position: None }]).await;
    }

    /// Notes what the broker has for good, and hands it on.
    pub(super) async fn durable(&mut self, ordinals: impl IntoIterator<Item = Ordinal>) {
        let mut outcomes = Vec::new();
        for ordinal in ordinals {
            if self.flight.confirmed(ordinal) {
                join(&mut outcomes, Outcome::durable(ordinal, None));
            }
        }
        if outcomes.is_empty() {
            return;
        }
        self.confirmed = true;
        self.pause = FIRST_PAUSE;
        self.held_by = None;
        if std::mem::take(&mut self.alone) {
            tracing::info!(file = %self.file, "the broker takes records again");
        }
        self.tell(outcomes).await;
        // A blocked broker still confirms what it had read before.
        let standing = self.standing.borrow().clone();
        if let Standing::Blocked(_, why) = standing {
            self.held(WaitsFor::SinkBlocked(why)).await;
        }
    }

    async fn tell(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        for outcome in outcomes {
            // Whoever dropped the receiver has given up; the lane sees it close.
            _ = self.ends.outcomes.send(Ok(outcome)).await;
        }
    }
}

/// The state claims deliveries, and the exchange they went to is not there.
pub(super) fn emptied(exchange: &str) -> SinkError {
    SinkError::new(format!(
        "records were delivered to the exchange {exchange}, and the broker no longer has it: it was \
         emptied, or is another one at the same address"
    ))
    .hint(
        "`state forget JOB` makes the next run send everything again (`state` shows the job), as \
         does --force-reprocess",
    )
}
