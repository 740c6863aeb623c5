//! One type's consumer for as long as the process lives: it reads, rests, and reads again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::line::up;
use super::member::{LOOK, Member};
use super::session::{Ended, Session};
use super::shared::Shared;
use crate::amqp::{Waiting, words};

/// How often a cancelled queue is looked into over a connection that is there for other types anyhow.
const NEAR: Duration = Duration::from_secs(3);

/// How long looking into a queue may take.
const CHECK: Duration = Duration::from_secs(20);

/// Pauses before the queue is read again double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Works until it is told to stop.
///
/// # Errors
/// What will not get better by itself.
pub async fn run(mut member: Member) -> Result<(), String> {
    let stop = member.shared.stop.clone();
    let begun = stop.run_until_cancelled(member.begin()).await;
    if begun.is_none() {
        return Ok(());
    }
    // What came while nobody read is looked for at once.
    let mut looked = None;
    while !stop.is_cancelled() {
        if member.is_to_read() {
            read(&mut member).await?;
            looked = Some(Instant::now());
        } else if stop.run_until_cancelled(rest(&mut member, &mut looked)).await.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads the queue until the type is cancelled, or everything stops.
async fn read(member: &mut Member) -> Result<(), String> {
    let link = member.shared.line.hold();
    let stop = member.shared.stop.clone();
    let mut pause = FIRST_PAUSE;
    while member.is_to_read() {
        let ready = async {
            member.wait_for_database().await;
            up(&link).await
        };
        let Some(Some(connection)) = stop.run_until_cancelled(ready).await else {
            return Ok(());
        };
        let began = Instant::now();
        let ended = match Session::open(member, &connection).await {
            Ok(session) => session.run().await,
            Err(ended) => ended,
        };
        match ended {
            Ended::Stopped => return Ok(()),
            Ended::Cancelled | Ended::Overflowed => {}
            Ended::Outage => tracing::debug!(r#type = %member.kind, "messages were given back"),
            Ended::Wrong(why) => return Err(why),
            Ended::Lost(why) => {
                tracing::debug!(r#type = %member.kind, why, "the channel is gone");
                if began.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                stop.run_until_cancelled(sleep(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    Ok(())
}

/// Waits, and looks into the queue when that is due.
async fn rest(member: &mut Member, looked: &mut Option<Instant>) {
    sleep(LOOK).await;
    match member.look().await {
        Ok(_) => member.well(),
        Err(away) => member.held_up(&away),
    }
    let Shared { line, check_interval, .. } = &*member.shared;
    let every = if line.is_held() { NEAR.min(*check_interval) } else { *check_interval };
    if member.is_to_read() || looked.is_some_and(|looked| looked.elapsed() < every) {
        return;
    }
    *looked = Some(Instant::now());
    match timeout(CHECK, messages_waiting(member)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(messages)) => {
            tracing::info!(r#type = %member.kind, messages, "there are messages for it again");
            member.found().await;
        }
        Ok(Err(why)) => tracing::debug!(r#type = %member.kind, why, "cannot look into the queue"),
        Err(_) => tracing::debug!(r#type = %member.kind, "the broker does not answer"),
    }
}

async fn messages_waiting(member: &Member) -> Result<u32, String> {
    let link = member.shared.line.hold();
    let connection = up(&link).await.ok_or("the connection is closed")?;
    let channel = connection.create_channel().await.map_err(|error| words(&error))?;
    let waiting = member.shared.topology.consumer(&channel, member.kind).await;
    match waiting.map_err(|error| words(&error))? {
        Waiting::Messages(messages) => {
            // It is closed with the connection otherwise.
            _ = channel.close(200, "done".into()).await;
            Ok(messages)
        }
        Waiting::Different(why) => Err(why),
    }
}
