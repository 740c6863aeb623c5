//! The broker as a sink: a lane a file over one kept-up connection. What is in flight is `amqp/flight`,
//! what is published and confirmed `amqp/course`.

mod course;
mod flight;
mod lane;
mod post;
mod task;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use lapin::types::ShortString;
use lapin::{Channel, Confirmation, Connection, Error};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Lane, LaneStart, Opening, Sink, SinkError};
use crate::amqp::{Broker, Declared, Link, Standing, Topology, reach, words};
use crate::model::message::Announcement;
use crate::model::{Clock, DumpName, Job, Kind, Ordinal, Run};
use lane::emptied;

/// What the broker shows.
const NAME: &str = "discogs-extractor";

/// How long a broker that is away is still waited for after everything was told to stop.
const HOPE: Duration = Duration::from_secs(2);

/// How long an announcement may still take after that: what is not confirmed by then stays owed.
/// With the time that a goodbye takes it is inside Docker's 10 s.
const LAST_CHANCE: Duration = Duration::from_secs(8);

/// How long one try to announce may take before it is begun again.
const ANNOUNCE: Duration = Duration::from_secs(30);

/// Between two tries to announce.
const PAUSE: Duration = Duration::from_secs(1);

/// `amqp://…`: a message a record to a durable fanout exchange per type. One connection for all
/// files, a channel per file.
pub struct Amqp {
    job: Job,
    location: String,
    topology: Topology,
    link: Link,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    /// No broker that is away is waited for any more.
    hopeless: CancellationToken,
    /// Nothing is waited for any more.
    too_late: CancellationToken,
}

impl Amqp {
    /// Begins to connect.
    ///
    /// # Errors
    /// If a name or a file of the configuration cannot be used, or there is no connection within the
    /// time that is given.
    pub fn open(broker: &Broker, opening: &Opening) -> Result<Amqp, SinkError> {
        let topology = Topology::new(opening.prefix.clone(), opening.consumers.clone())
            .map_err(|error| SinkError::of(&error))?;
        broker.tls().map_err(|error| SinkError::of(&error))?;
        let runtime = opening.runtime.clone();
        let reached = opening.stop.run_until_cancelled(reach(broker, NAME, opening.first));
        match runtime.block_on(reached) {
            Some(reached) => reached.map_err(|error| SinkError::of(&error))?,
            None => return Err(SinkError::stopped()),
        }
        let (hopeless, too_late) = (CancellationToken::new(), CancellationToken::new());
        runtime.spawn(end(opening.stop.clone(), hopeless.clone(), too_late.clone()));
        Ok(Amqp {
            job: broker.job(topology.prefix()),
            location: broker.to_string(),
            link: Link::start(&runtime, broker.clone(), NAME),
            topology,
            clock: Arc::clone(&opening.clock),
            runtime,
            hopeless,
            too_late,
        })
    }

    /// Waits until the broker takes messages; nothing if that is not to be waited for any more.
    async fn connection(&self) -> Option<Arc<Connection>> {
        let mut standing = self.link.standing();
        loop {
            if let Standing::Up(connection) = &*standing.borrow_and_update() {
                return Some(Arc::clone(connection));
            }
            tokio::select! {
                () = self.hopeless.cancelled() => return None,
                changed = standing.changed() => changed.ok()?,
            }
        }
    }

    /// Whether a type's exchange is there; nothing if that could not be found out in time.
    async fn looks_for(&self, kind: Kind) -> Option<bool> {
        loop {
            let connection = self.connection().await?;
            let looked = async {
                let channel = connection.create_channel().await?;
                self.topology.exists(&channel, kind).await
            };
            match timeout(ANNOUNCE, looked).await {
                Ok(Ok(there)) => return Some(there),
                Ok(Err(error)) => tracing::debug!(why = words(&error), "cannot ask the broker"),
                Err(_) => {
                    tracing::debug!("the broker gives no answer");
                    self.link.complain(&connection);
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Sends an announcement to one type's exchange until the broker has it; false if there was
    /// no time left for that.
    async fn announce_to(&self, what: &Announcement, kind: Kind) -> Result<bool, SinkError> {
        let mut said = None;
        loop {
            let Some(connection) = self.connection().await else { return Ok(false) };
            let tried = timeout(ANNOUNCE, self.try_announce(&connection, what, kind)).await;
            let why = match tried {
                Ok(Ok(Tried::Confirmed)) => return Ok(true),
                Ok(Ok(Tried::Gone(exchange))) => return Err(emptied(&exchange)),
                Ok(Ok(Tried::NotNow(why))) => why,
                Ok(Err(error)) => words(&error),
                Err(_) => {
                    self.link.complain(&connection);
                    format!("no confirm within {} s", ANNOUNCE.as_secs())
                }
            };
            if said.as_ref() != Some(&why) {
                tracing::warn!(announcement = what.name(), r#type = %kind, why, "not confirmed yet, trying again");
                said = Some(why);
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_announce(
        &self,
        connection: &Connection,
        what: &Announcement,
        kind: Kind,
    ) -> Result<Tried, Error> {
        let channel = connection.create_channel().await?;
        match self.topology.publisher(&channel, kind, true).await? {
            Declared::Yes => {}
            Declared::Gone(exchange) => return Ok(Tried::Gone(exchange)),
            Declared::Different(why) => return Ok(Tried::NotNow(why)),
        }
        let tried = self.publish(&channel, what, kind).await;
        // What the broker said of the message is known; the channel has no other use.
        _ = channel.close(200, "done".into()).await;
        tried
    }

    async fn publish(
        &self,
        channel: &Channel,
        what: &Announcement,
        kind: Kind,
    ) -> Result<Tried, Error> {
        let Ok(body) = what.body() else {
            return Ok(Tried::NotNow("it cannot be written as JSON".into()));
        };
        let (exchange, key) = (self.topology.exchange(kind), ShortString::default());
        let properties = post::announcement(what, kind);
        let sent = channel.basic_publish(exchange.clone(), key, post::OPTIONS, &body, properties);
        // With one message on the channel, what came back is this one.
        Ok(match sent.await?.await? {
            Confirmation::Ack(None) => Tried::Confirmed,
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Tried::NotNow(format!("no queue is bound to the exchange {exchange}"))
            }
            Confirmation::Nack(None) | Confirmation::NotRequested => {
                Tried::NotNow("the broker refuses messages for now".into())
            }
        })
    }
}

/// After a stop, says in two steps that waiting is over.
async fn end(stop: CancellationToken, hopeless: CancellationToken, too_late: CancellationToken) {
    stop.cancelled().await;
    sleep(HOPE).await;
    hopeless.cancel();
    sleep(LAST_CHANCE.saturating_sub(HOPE)).await;
    too_late.cancel();
}

enum Tried {
    Confirmed,
    NotNow(String),
    Gone(String),
}

impl Sink for Amqp {
    fn job(&self) -> &Job {
        &self.job
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn open(&self, start: &LaneStart) -> Result<Lane, SinkError> {
        let (lane, ends) = Lane::new(start.from.ordinal(), start.depth);
        let (link, topology) = (self.link.clone(), self.topology.clone());
        let lane_of_file = lane::Lane::new(link, topology, Arc::clone(&self.clock), start, ends);
        self.runtime.spawn(task::run(lane_of_file));
        Ok(lane)
    }

    fn still_holds(&self, file: DumpName, _run: Run, _last: Ordinal) -> Result<bool, SinkError> {
        let looked = self.too_late.run_until_cancelled(self.looks_for(file.kind));
        match self.runtime.block_on(looked).flatten() {
            Some(true) => Ok(true),
            Some(false) => Err(emptied(self.topology.exchange(file.kind).as_str())),
            None => Err(SinkError::stopped()),
        }
    }

    fn reads_ahead(&self) -> bool {
        true
    }

    fn announces(&self) -> bool {
        true
    }

    fn announce(&self, what: &Announcement) -> Result<bool, SinkError> {
        let to_all = async {
            for kind in what.kinds() {
                if !self.announce_to(what, kind).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let announced = self.runtime.block_on(self.too_late.run_until_cancelled(to_all));
        announced.unwrap_or(Ok(false))
    }

    fn close(&self) {
        self.runtime.block_on(self.link.close());
    }
}
