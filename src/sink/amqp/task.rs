//! The task that publishes a lane over one channel after the other, until the broker has confirmed
//! everything.

use std::sync::Arc;
use std::time::Duration;

use lapin::{Channel, Connection};
use tokio::time::{sleep, timeout};

use super::course::Course;
use super::lane::{Ended, Lane};
use crate::amqp::Standing;
use crate::model::WaitsFor;

/// How long opening a channel and declaring may take.
const OPEN: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Delivers until everything is confirmed or nobody wants it any more.
pub async fn run(mut lane: Lane) {
    loop {
        let Some(connection) = connection(&mut lane).await else { return };
        match session(&mut lane, &connection).await {
            Ended::Done | Ended::Abandoned => return,
            Ended::Lost(why) => {
                tracing::debug!(file = %lane.file, why, "the channel is gone");
                lane.flight.channel_lost();
                let by = WaitsFor::SinkBlocked(why);
                // With the connection gone it is not this file's channel that is wrong.
                if connection.status().connected() {
                    lane.held_alone(by).await;
                } else {
                    lane.held(by).await;
                }
            }
            Ended::Refused(why) => {
                tracing::debug!(file = %lane.file, why, "the broker closed the channel");
                if let Some((ordinal, letter)) = lane.flight.channel_refused() {
                    lane.refuse(ordinal, &letter, why).await;
                }
                continue;
            }
            Ended::Fatal(error) => {
                // Whoever dropped the receiver has given up already.
                _ = lane.ends.outcomes.send(Err(error)).await;
                return;
            }
        }
        let pause = lane.next_pause();
        tokio::select! {
            () = lane.ends.outcomes.closed() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Waits for a connection that takes messages; nothing if there is no need of one any more.
async fn connection(lane: &mut Lane) -> Option<Arc<Connection>> {
    loop {
        if lane.ended && lane.flight.is_empty() {
            return None;
        }
        let standing = lane.standing.borrow_and_update().clone();
        match standing {
            Standing::Up(connection) => return Some(connection),
            Standing::Away(why) | Standing::Blocked(_, why) => {
                lane.held(WaitsFor::SinkBlocked(why)).await;
            }
        }
        tokio::select! {
            () = lane.ends.outcomes.closed() => return None,
            // The sink holds the link for as long as it has lanes.
            changed = lane.standing.changed() => changed.ok()?,
            batch = lane.ends.batches.recv(), if !lane.ended => lane.take(batch),
        }
    }
}

/// Publishes over one channel until that ends.
async fn session(lane: &mut Lane, connection: &Arc<Connection>) -> Ended {
    let channel = match timeout(OPEN, open(lane, connection)).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(ended)) => return ended,
        Err(_) => {
            lane.link.complain(connection);
            return Ended::Lost("the broker opens no channel".into());
        }
    };
    let channel = Arc::new(channel);
    let ended = Course::new(Arc::clone(&channel)).run(lane).await;
    if let Ended::Done | Ended::Abandoned | Ended::Lost(_) = ended {
        // A channel that is gone already, or a broker that does not answer, is no matter.
        _ = timeout(GOODBYE, channel.close(200, "done".into())).await;
    }
    ended
}

async fn open(lane: &Lane, connection: &Connection) -> Result<Channel, Ended> {
    let channel = connection.create_channel().await.map_err(|error| Ended::lost(&error))?;
    lane.declare(&channel).await?;
    Ok(channel)
}
