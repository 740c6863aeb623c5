//! One file on its way to its exchange: a task that publishes over one channel after the other,
//! until the broker has confirmed everything.

use std::sync::Arc;
use std::time::Duration;

use lapin::{Channel, Connection, Error};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::course::Course;
use super::flight::{Flight, Letter};
use super::{Amqp, post};
use crate::amqp::{Declared, Standing, Topology, words};
use crate::model::{Clock, Delivery, DumpName, Ordinal, Parsed, WaitsFor};
use crate::sink::{LaneEnds, Outcome, SinkError, join};

/// How long opening a channel and declaring may take.
const OPEN: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

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
    pub fn new(sink: &Amqp, start: &crate::sink::LaneStart, ends: LaneEnds) -> Lane {
        Lane {
            file: start.file,
            envelope: post::Envelope::new(start.file, start.run),
            topology: sink.topology.clone(),
            standing: sink.link.standing(),
            clock: Arc::clone(&sink.clock),
            ends,
            flight: Flight::new(start.window),
            ended: false,
            confirmed: start.from.records > 0,
            held_by: None,
            alone: false,
            pause: FIRST_PAUSE,
        }
    }

    /// Delivers until everything is confirmed or nobody wants it any more.
    pub async fn run(mut self) {
        loop {
            let Some(connection) = self.connection().await else { return };
            match self.session(&connection).await {
                Ended::Done | Ended::Abandoned => return,
                Ended::Lost(why) => {
                    tracing::debug!(file = %self.file, why, "the channel is gone");
                    self.flight.channel_lost();
                    let by = WaitsFor::SinkBlocked(why);
                    // With the connection gone it is not this file's channel that is wrong.
                    if connection.status().connected() {
                        self.held_alone(by).await;
                    } else {
                        self.held(by).await;
                    }
                }
                Ended::Refused(why) => {
                    tracing::debug!(file = %self.file, why, "the broker closed the channel");
                    if let Some((ordinal, letter)) = self.flight.channel_refused() {
                        self.pause = FIRST_PAUSE;
                        self.refuse(ordinal, &letter, why).await;
                    }
                    continue;
                }
                Ended::Fatal(error) => {
                    // Whoever dropped the receiver has given up already.
                    _ = self.ends.outcomes.send(Err(error)).await;
                    return;
                }
            }
            let pause = self.next_pause();
            tokio::select! {
                () = self.ends.outcomes.closed() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Waits for a connection that takes messages; nothing if there is no need of one any more.
    async fn connection(&mut self) -> Option<Arc<Connection>> {
        loop {
            if self.ended && self.flight.is_empty() {
                return None;
            }
            let standing = self.standing.borrow_and_update().clone();
            match standing {
                Standing::Up(connection) => return Some(connection),
                Standing::Away(why) | Standing::Blocked(_, why) => {
                    self.held(WaitsFor::SinkBlocked(why)).await;
                }
            }
            tokio::select! {
                () = self.ends.outcomes.closed() => return None,
                // The sink holds the link for as long as it has lanes.
                changed = self.standing.changed() => changed.ok()?,
                batch = self.ends.batches.recv(), if !self.ended => self.take(batch),
            }
        }
    }

    pub(super) fn take(&mut self, batch: Option<Parsed>) {
        match batch {
            Some(batch) => self.flight.add(batch),
            None => self.ended = true,
        }
    }

    /// Publishes over one channel until that ends.
    async fn session(&mut self, connection: &Connection) -> Ended {
        let channel = match timeout(OPEN, self.open(connection)).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(ended)) => return ended,
            Err(_) => return Ended::Lost("the broker opens no channel".into()),
        };
        let channel = Arc::new(channel);
        let ended = Course::new(Arc::clone(&channel)).run(self).await;
        if let Ended::Done | Ended::Abandoned | Ended::Lost(_) = ended {
            // A channel that is gone already, or a broker that does not answer, is no matter.
            _ = timeout(GOODBYE, channel.close(200, "done".into())).await;
        }
        ended
    }

    async fn open(&self, connection: &Connection) -> Result<Channel, Ended> {
        let channel = connection.create_channel().await.map_err(|error| Ended::lost(&error))?;
        self.declare(&channel).await?;
        Ok(channel)
    }

    /// Declares what the messages need to arrive.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), Ended> {
        let declared = self.topology.publisher(channel, self.file.kind, self.confirmed).await;
        match declared.map_err(|error| Ended::lost(&error))? {
            Declared::Yes => Ok(()),
            Declared::Gone(exchange) => Err(Ended::Fatal(super::emptied(&exchange))),
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

    async fn refuse(&self, ordinal: Ordinal, letter: &Letter, why: String) {
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
