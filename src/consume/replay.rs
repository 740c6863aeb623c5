//! Puts dead letters back into the queue that they came from.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::line::up;
use crate::amqp::{Broker, Link, Topology, Unreachable, Waiting, reach, words};
use crate::model::{FirstConnection, Kind};

/// What the broker shows.
const NAME: &str = "discogs-extractor replay";

/// How long the broker may take for one message.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the broker writes into dead letters; a message that is put back is as it was.
const OF_THE_BROKER: [&str; 5] = [
    "x-death",
    "x-delivery-count",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
];

/// Messages that cannot be moved.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no broker.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The broker was lost, or does not take a message.
    #[error(
        "cannot put the dead letters of {kind} back: {why}\nhint: those that were not moved are where they were"
    )]
    Stuck {
        /// Of this type.
        kind: Kind,
        /// For this reason.
        why: String,
    },
}

/// Moves what is in a consumer's dead-letter queues at the beginning back to its queues; says how
/// many messages of each type. A message is taken off only after the broker has confirmed it
/// where it belongs.
///
/// # Errors
/// If the broker is not there, or does not take a message.
pub async fn replay(
    broker: Broker,
    first: FirstConnection,
    topology: &Topology,
    consumer: &str,
) -> Result<[(Kind, u64); 4], ReplayError> {
    reach(&broker, NAME, first).await?;
    let link = Link::start(&Handle::current(), broker, NAME);
    let mut moved = Kind::ALL.map(|kind| (kind, 0));
    for (kind, moved) in &mut moved {
        let error = |why| ReplayError::Stuck { kind: *kind, why };
        let connection = match first {
            FirstConnection::Whenever => up(&link).await,
            FirstConnection::Within(limit) => timeout(limit, up(&link)).await.ok().flatten(),
        };
        let connection = connection.ok_or_else(|| error("the broker is away".into()))?;
        *moved = replay_type(&connection, topology, consumer, *kind).await.map_err(error)?;
    }
    link.close().await;
    Ok(moved)
}

async fn replay_type(
    connection: &Arc<Connection>,
    topology: &Topology,
    consumer: &str,
    kind: Kind,
) -> Result<u64, String> {
    let channel = connection.create_channel().await.map_err(|error| words(&error))?;
    let declared = topology.consumer(&channel, kind).await.map_err(|error| words(&error))?;
    if let Waiting::Different(why) = declared {
        return Err(why);
    }
    let confirms = ConfirmSelectOptions::default();
    channel.confirm_select(confirms).await.map_err(|error| words(&error))?;
    let (dead, queue) = (topology.dead_letters(consumer, kind), topology.queue(consumer, kind));
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let looked = channel.queue_declare(dead.clone(), passive, FieldTable::default()).await;
    let waiting = looked.map_err(|error| words(&error))?.message_count();
    let mut moved = 0;
    while moved < u64::from(waiting) {
        let once = timeout(PATIENCE, move_one(&channel, &dead, &queue)).await;
        if !once.map_err(|_| "the broker does not answer")?? {
            break;
        }
        moved += 1;
    }
    Ok(moved)
}

/// Moves one message; false if there is none.
async fn move_one(
    channel: &Channel,
    dead: &ShortString,
    queue: &ShortString,
) -> Result<bool, String> {
    let got = channel.basic_get(dead.clone(), BasicGetOptions::default()).await;
    let Some(message) = got.map_err(|error| words(&error))? else { return Ok(false) };
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let properties = as_it_was(message.delivery.properties.clone());
    let published = channel
        .basic_publish("".into(), queue.clone(), options, &message.delivery.data, properties)
        .await;
    let confirmed = match published {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    if let Confirmation::Ack(None) = confirmed.map_err(|error| words(&error))? {
        let acked = channel.basic_ack(message.delivery.delivery_tag, BasicAckOptions::default());
        acked.await.map_err(|error| words(&error))?;
        return Ok(true);
    }
    let back = BasicNackOptions { requeue: true, multiple: false };
    let back = channel.basic_nack(message.delivery.delivery_tag, back).await;
    back.map_err(|error| words(&error))?;
    Err(format!("{queue} does not take it"))
}

fn as_it_was(properties: BasicProperties) -> BasicProperties {
    let Some(headers) = properties.headers() else { return properties };
    let ours = headers.inner().iter().filter(|(name, _)| {
        let name = name.as_str();
        !OF_THE_BROKER.contains(&name) && !name.starts_with("x-last-death")
    });
    let mut kept = FieldTable::default();
    for (name, value) in ours {
        kept.insert(name.clone(), value.clone());
    }
    properties.with_headers(kept)
}
