use lapin::options::{
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Error, ErrorKind, ExchangeKind};
use uuid::Uuid;

use crate::model::Kind;

/// Names on the wire have at most 255 bytes; the longest that is made of a prefix and a consumer
/// is `{prefix}-{consumer}-releases.dlx`.
const LONGEST_NAME: usize = 255;

/// How often a quorum queue delivers a message before it goes to the dead letters. The platform's
/// consumers declare the same; other arguments would be refused.
const DELIVERY_LIMIT: i32 = 20;

/// The exchanges, and the consumers whose queues are declared with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
    consumers: Vec<String>,
}

/// Names that the broker cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} is no name for exchanges and queues\nhint: letters, digits, `-`, `_`, `.` and `:`, \
     and no more than 100 of them"
)]
pub struct TopologyError {
    what: String,
}

/// How declaring ended, where it did not fail for a reason that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// All is there.
    Yes,
    /// The exchange should have been there, and is not.
    Gone(String),
    /// It is there and is something else, in the broker's words.
    Different(String),
}

/// What is in a consumer's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// So many messages, not counting those that somebody is handling.
    Messages(u32),
    /// It is there and is something else, in the broker's words.
    Different(String),
}

impl Topology {
    /// A topology of checked names.
    ///
    /// # Errors
    /// If a name is empty, too long, or has other characters than names commonly have.
    pub fn new(prefix: String, consumers: Vec<String>) -> Result<Topology, TopologyError> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        for name in consumers.iter().chain([&prefix]) {
            if name.is_empty() || name.len() > 100 || !name.chars().all(fine) {
                return Err(TopologyError { what: format!("{name:?}") });
            }
        }
        Ok(Topology { prefix, consumers })
    }

    /// The prefix of all names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The exchange of a type.
    pub fn exchange(&self, kind: Kind) -> ShortString {
        name(format!("{}-{kind}", self.prefix))
    }

    /// Makes a channel ready to publish records of a type: confirms, the exchange, the consumers'
    /// queues. An exchange that `must_exist` is only looked for.
    ///
    /// # Errors
    /// Those that pass: the channel or the connection is gone.
    pub async fn publisher(
        &self,
        channel: &Channel,
        kind: Kind,
        must_exist: bool,
    ) -> Result<Declared, Error> {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        if must_exist && !self.exists(channel, kind).await? {
            return Ok(Declared::Gone(self.exchange(kind).to_string()));
        }
        match self.declare(channel, kind).await {
            Ok(_) => Ok(Declared::Yes),
            Err(error) if is(&error, &AMQPSoftError::PRECONDITIONFAILED) => {
                Ok(Declared::Different(words(&error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes everything that a type's consumers read from, and says how many messages wait in the
    /// first consumer's queue.
    ///
    /// # Errors
    /// Those that pass: the channel or the connection is gone.
    pub async fn consumer(&self, channel: &Channel, kind: Kind) -> Result<Waiting, Error> {
        match self.declare(channel, kind).await {
            Ok(waiting) => Ok(Waiting::Messages(waiting)),
            Err(error) if is(&error, &AMQPSoftError::PRECONDITIONFAILED) => {
                Ok(Waiting::Different(words(&error)))
            }
            Err(error) => Err(error),
        }
    }

    /// The queue of a consumer.
    pub fn queue(&self, consumer: &str, kind: Kind) -> ShortString {
        name(format!("{}-{consumer}-{kind}", self.prefix))
    }

    /// The queue of what a consumer could not handle.
    pub fn dead_letters(&self, consumer: &str, kind: Kind) -> ShortString {
        name(format!("{}-{consumer}-{kind}.dlq", self.prefix))
    }

    /// Whether a type's exchange is there. The channel is of no more use if it is not.
    ///
    /// # Errors
    /// Those that pass.
    pub async fn exists(&self, channel: &Channel, kind: Kind) -> Result<bool, Error> {
        let options = ExchangeDeclareOptions { passive: true, ..durable_exchange() };
        let looked = channel
            .exchange_declare(
                self.exchange(kind),
                ExchangeKind::Fanout,
                options,
                FieldTable::default(),
            )
            .await;
        match looked {
            Ok(()) => Ok(true),
            Err(error) if is(&error, &AMQPSoftError::NOTFOUND) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn declare(&self, channel: &Channel, kind: Kind) -> Result<u32, Error> {
        self.fanout(channel, self.exchange(kind)).await?;
        let waiting = self.queues(channel, kind).await?;
        Ok(waiting.first().copied().unwrap_or(0))
    }

    /// How many messages wait in each queue.
    async fn queues(&self, channel: &Channel, kind: Kind) -> Result<Vec<u32>, Error> {
        let mut waiting = Vec::new();
        for consumer in &self.consumers {
            let queue = self.queue(consumer, kind);
            let dead_letters = name(format!("{queue}.dlx"));
            self.fanout(channel, dead_letters.clone()).await?;
            let mut classic = FieldTable::default();
            classic.insert("x-queue-type".into(), text("classic"));
            let dead = self.dead_letters(consumer, kind);
            queue_declare(channel, &dead, classic).await?;
            bind(channel, &dead, &dead_letters).await?;
            waiting.push(queue_declare(channel, &queue, quorum(&dead_letters)).await?);
            bind(channel, &queue, &self.exchange(kind)).await?;
        }
        Ok(waiting)
    }

    /// How many messages wait in a queue and how many read it, if it is there; the channel is of no
    /// more use if it is not.
    ///
    /// # Errors
    /// Those that pass, and `PRECONDITION_FAILED` if it is something else.
    pub(super) async fn look(
        &self,
        channel: &Channel,
        consumer: &str,
        kind: Kind,
    ) -> Result<Option<(u32, u32)>, Error> {
        let queue = self.queue(consumer, kind);
        let Some(seen) = passive(channel, &queue).await? else { return Ok(None) };
        let dead_letters = name(format!("{queue}.dlx"));
        queue_declare(channel, &queue, quorum(&dead_letters)).await?;
        Ok(Some(seen))
    }

    /// How many dead letters of a consumer there are, if there is a queue for them; the channel is
    /// of no more use if there is not.
    ///
    /// # Errors
    /// Those that pass.
    pub(super) async fn dead(
        &self,
        channel: &Channel,
        consumer: &str,
        kind: Kind,
    ) -> Result<u32, Error> {
        let seen = passive(channel, &self.dead_letters(consumer, kind)).await?;
        Ok(seen.map_or(0, |(messages, _)| messages))
    }

    /// A name for something that is only tried, under the same rights as the others.
    pub(super) fn trial(&self) -> ShortString {
        name(format!("{}-doctor-{}", self.prefix, Uuid::new_v4()))
    }

    async fn fanout(&self, channel: &Channel, exchange: ShortString) -> Result<(), Error> {
        let (kind, options) = (ExchangeKind::Fanout, durable_exchange());
        channel.exchange_declare(exchange, kind, options, FieldTable::default()).await
    }
}

/// The arguments of a consumer's queue.
fn quorum(dead_letters: &ShortString) -> FieldTable {
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), text("quorum"));
    quorum.insert("x-dead-letter-exchange".into(), text(dead_letters.as_str()));
    quorum.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    quorum
}

/// A queue's messages and consumers, if it is there.
async fn passive(channel: &Channel, queue: &ShortString) -> Result<Option<(u32, u32)>, Error> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(queue.clone(), options, FieldTable::default()).await {
        Ok(queue) => Ok(Some((queue.message_count(), queue.consumer_count()))),
        Err(error) if is(&error, &AMQPSoftError::NOTFOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

fn durable_exchange() -> ExchangeDeclareOptions {
    ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() }
}

async fn queue_declare(
    channel: &Channel,
    queue: &ShortString,
    arguments: FieldTable,
) -> Result<u32, Error> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(queue.clone(), options, arguments).await?;
    Ok(queue.message_count())
}

async fn bind(channel: &Channel, queue: &ShortString, exchange: &ShortString) -> Result<(), Error> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.clone(), exchange.clone(), "".into(), options, arguments).await
}

/// A name of this topology; checked when the topology was made, so that it is never cut.
fn name(name: String) -> ShortString {
    debug_assert!(name.len() <= LONGEST_NAME, "{name}");
    ShortString::try_new(name).unwrap_or_default()
}

pub(super) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// Whether the broker closed the channel for this reason.
pub(super) fn is(error: &Error, reason: &AMQPSoftError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(soft) if soft == reason)
        }
        _ => false,
    }
}

/// The broker's or the system's own words, without the library's around them.
pub fn words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        ErrorKind::IOError(error) | ErrorKind::RuntimeShutdownError(error) => error.to_string(),
        ErrorKind::MissingHeartbeatError => "the broker sends no heartbeats any more".into(),
        ErrorKind::InvalidConnectionState(_) => "the connection is closed".into(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) => {
            "the channel is closed".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_the_library_would_panic_over_them() {
        let topology = |prefix: &str, consumer: &str| {
            Topology::new(prefix.into(), vec![consumer.into()]).map(|t| t.exchange(Kind::Labels))
        };
        assert_eq!(
            topology("discogsography-discogs", "tableinator").unwrap().as_str(),
            "discogsography-discogs-labels"
        );
        for (prefix, consumer) in [("", "t"), ("p", ""), ("p q", "t"), ("p", &"x".repeat(300))] {
            let words = topology(prefix, consumer).unwrap_err().to_string();
            assert!(words.contains("hint:"), "{words}");
        }
    }
}
