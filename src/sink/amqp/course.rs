//! What is under way on one channel: written, confirmed, come back.

use std::collections::BTreeSet;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::{Channel, Confirmation, Error, ErrorKind, PublisherConfirm};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::lane::{Ended, Lane};
use super::post;
use super::writing::{Burst, Message, Writing};
use crate::amqp::{Standing, words};
use crate::model::{Ordinal, WaitsFor, metric};

/// Bytes handed to the library and not yet written to the socket. More would only be one more
/// copy in memory of what waits; less leaves the socket idle between two looks.
const UNWRITTEN: usize = 1 << 20;

/// How long the broker may confirm nothing of what is on its way before it is sent again on a new
/// channel. The platform of today gives up after the same time.
const CONFIRM: Duration = Duration::from_secs(30);

/// How often the time without confirms is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long the library may take to report what became of the rest of a channel that is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One channel's deliveries.
pub struct Course {
    channel: Arc<Channel>,
    writing: Writing,
    confirming: FuturesUnordered<Confirming>,
    woken: Arc<Woken>,
    /// Acknowledged in the last round: durable if they do not turn out to have come back.
    acknowledged: Vec<Ordinal>,
    /// Came back because no queue took them, and are still to be acknowledged.
    unrouted: BTreeSet<Ordinal>,
    /// When the broker last confirmed something, or had nothing to confirm.
    heard: Instant,
    /// When what came back may be tried again.
    again_at: Option<Instant>,
    /// What the library reported of the channel, which is gone with the first.
    errors: Vec<Error>,
}

/// A message that the broker has yet to confirm.
struct Confirming {
    ordinal: Ordinal,
    since: Instant,
    confirm: PublisherConfirm,
}

/// What the broker said of a message, and when that was written.
type Confirmed = (Ordinal, Instant, Result<Confirmation, Error>);

impl Future for Confirming {
    type Output = Confirmed;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.confirm).poll(context);
        polled.map(|result| (self.ordinal, self.since, result))
    }
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Course {
    /// Nothing is under way yet.
    pub fn new(channel: Arc<Channel>) -> Course {
        Course {
            channel,
            writing: Writing::default(),
            confirming: FuturesUnordered::new(),
            woken: Arc::default(),
            acknowledged: Vec::new(),
            unrouted: BTreeSet::new(),
            heard: Instant::now(),
            again_at: None,
            errors: Vec::new(),
        }
    }

    /// Publishes what the lane has, until all of it is confirmed or the channel is gone.
    pub async fn run(mut self, lane: &mut Lane) -> Ended {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.settle(lane).await;
            if !self.errors.is_empty() {
                return self.last_words(lane).await;
            }
            if lane.ended && lane.flight.is_empty() {
                return Ended::Done;
            }
            if let Err(ended) = self.send(lane).await {
                return ended;
            }
            tokio::select! {
                () = lane.ends.outcomes.closed() => return Ended::Abandoned,
                () = poll_fn(|context| self.writing.poll(context)) => {}
                Some(confirmed) = self.confirming.next(), if !self.confirming.is_empty() => {
                    self.confirmed(lane, confirmed).await;
                }
                batch = lane.ends.batches.recv(), if !lane.ended => lane.take(batch),
                changed = lane.standing.changed() => {
                    let standing = lane.standing.borrow_and_update().clone();
                    self.heard = Instant::now();
                    match (changed, standing) {
                        (Ok(()), Standing::Up(_)) => {}
                        (Ok(()), Standing::Blocked(_, why)) => {
                            lane.held(WaitsFor::SinkBlocked(why)).await;
                        }
                        (Ok(()), Standing::Away(why)) => return Ended::Lost(why),
                        (Err(_), _) => return Ended::Abandoned,
                    }
                }
                _ = looks.tick() => {
                    let blocked = matches!(*lane.standing.borrow(), Standing::Blocked(..));
                    if blocked || lane.flight.on_their_way() == 0 {
                        self.heard = Instant::now();
                    } else if self.heard.elapsed() > CONFIRM {
                        let seconds = CONFIRM.as_secs();
                        let why = format!("no confirm within {seconds} s, sending again");
                        lane.held_alone(WaitsFor::SinkBlocked(why.clone())).await;
                        return Ended::Lost(why);
                    }
                }
                () = at(self.again_at) => {}
            }
        }
    }

    /// Hands to the library what may be sent now.
    async fn send(&mut self, lane: &mut Lane) -> Result<(), Ended> {
        if lane.flight.must_pause() {
            let now = Instant::now();
            let at = *self.again_at.get_or_insert_with(|| now + lane.next_pause());
            if now < at {
                return Ok(());
            }
            self.again_at = None;
            // A queue of ours that was removed is put back.
            lane.declare(&self.channel).await?;
        }
        let mut burst = Burst::default();
        let now = lane.clock.now();
        while self.writing.bytes() + burst.bodies.len() < UNWRITTEN {
            let Some((ordinal, letter)) = lane.flight.next() else { break };
            let message = lane.envelope.data(ordinal, &letter, now, &mut burst.bodies);
            let Some((body, properties)) = message else { continue };
            if letter.is_repeat() {
                metrics::counter!(metric::REPEATS, "type" => lane.file.kind.name()).increment(1);
            }
            burst.messages.push(Message { ordinal, body, properties });
        }
        if !burst.messages.is_empty() {
            self.writing.add(burst, &self.channel, &lane.topology.exchange(lane.file.kind));
        }
        Ok(())
    }

    /// Notes what the broker said of one message. The library hands a message that came back to
    /// whichever confirm it looks at next, so which one it was is read from the message itself.
    async fn confirmed(&mut self, lane: &mut Lane, (ordinal, _, result): Confirmed) {
        self.heard = Instant::now();
        let (returned, acknowledged) = match result {
            Ok(Confirmation::Ack(returned)) => (returned, true),
            Ok(Confirmation::Nack(returned)) => (returned, false),
            Ok(Confirmation::NotRequested) => (None, false),
            Err(error) => return self.errors.push(error),
        };
        if let Some(returned) = returned {
            self.unrouted.extend(post::ordinal_of(&returned.properties));
        }
        if acknowledged {
            self.acknowledged.push(ordinal);
        } else {
            lane.flight.back(ordinal);
            let why = "the broker refuses messages for now".to_owned();
            lane.held_alone(WaitsFor::SinkBlocked(why)).await;
        }
    }

    /// Gathers all that the broker has said by now, in rounds. What was acknowledged in one round
    /// is believed in the next.
    ///
    /// A message that came back was known to the library before its acknowledgement, and was handed
    /// over with one of the confirms that the same frame settled, or an earlier one. Which, cannot
    /// be known: each of them must have been seen before the acknowledgement is believed. Asking for
    /// the library's own list of confirms waits until it has settled all of the frame; all that was
    /// written by then is taken in, so that no confirm is out of sight; and all that are settled are
    /// gathered, whatever goes wrong with one of them.
    async fn settle(&mut self, lane: &mut Lane) {
        loop {
            let believed = std::mem::take(&mut self.acknowledged);
            if !believed.is_empty() {
                // Only its lock is wanted, not what it waits for.
                _ = self.channel.wait_for_confirms().now_or_never();
            }
            self.take_written();
            let mut first = true;
            while let Some(confirmed) = self.next_settled() {
                if std::mem::take(&mut first) {
                    let latency = metrics::histogram!(metric::CONFIRM_SECONDS, "type" => lane.file.kind.name());
                    latency.record(confirmed.1.elapsed().as_secs_f64());
                }
                self.confirmed(lane, confirmed).await;
            }
            self.believe(lane, believed).await;
            if self.acknowledged.is_empty() {
                return;
            }
        }
    }

    fn take_written(&mut self) {
        let since = Instant::now();
        for (ordinal, confirm) in self.writing.take_written() {
            match confirm {
                Ok(confirm) => self.confirming.push(Confirming { ordinal, since, confirm }),
                Err(error) => self.errors.push(error),
            }
        }
    }

    /// The next confirm that is settled by now. The set of them may stop early, with a promise to
    /// go on when it is woken: only without that there are no more.
    fn next_settled(&mut self) -> Option<Confirmed> {
        let waker = Waker::from(Arc::clone(&self.woken));
        loop {
            self.woken.0.store(false, Ordering::Release);
            match self.confirming.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Ready(confirmed) => return confirmed,
                Poll::Pending if self.woken.0.load(Ordering::Acquire) => {}
                Poll::Pending => return None,
            }
        }
    }

    async fn believe(&mut self, lane: &mut Lane, mut acknowledged: Vec<Ordinal>) {
        acknowledged.sort_unstable();
        let unrouted: Vec<_> =
            acknowledged.iter().copied().filter(|o| self.unrouted.remove(o)).collect();
        acknowledged.retain(|ordinal| unrouted.binary_search(ordinal).is_err());
        lane.durable(acknowledged).await;
        if unrouted.is_empty() {
            return;
        }
        for ordinal in unrouted {
            lane.flight.back(ordinal);
        }
        let exchange = lane.topology.exchange(lane.file.kind);
        lane.held_alone(WaitsFor::Unroutable(format!(
            "no queue is bound to the exchange {exchange}, so that messages come back (hint: start \
             the consumers, or let --for NAME declare their queues)"
        )))
        .await;
    }

    /// After the channel is gone: takes what the broker had still confirmed, and finds out why it
    /// closed the channel. What the library does not report in time is sent again.
    async fn last_words(mut self, lane: &mut Lane) -> Ended {
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            // Without the deadline: what is taken from the flight must reach whoever waits for it.
            self.settle(lane).await;
            if self.writing.is_empty() && self.confirming.is_empty() {
                break;
            }
            tokio::select! {
                () = sleep_until(deadline) => break,
                () = poll_fn(|context| self.writing.poll(context)) => {}
                Some(confirmed) = self.confirming.next(), if !self.confirming.is_empty() => {
                    self.confirmed(lane, confirmed).await;
                }
            }
        }
        let refused = self.errors.iter().find(|error| is_about_a_message(error));
        let closed = || self.errors.iter().find(|error| error.is_amqp_error());
        match (refused, closed().or(self.errors.first())) {
            (Some(error), _) => Ended::Refused(words(error)),
            (None, Some(error)) => Ended::lost(error),
            (None, None) => Ended::Lost("the channel is gone".to_owned()),
        }
    }
}

/// Whether the broker closed the channel because it will not take a message.
fn is_about_a_message(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => matches!(
            error.kind(),
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::CONTENTTOOLARGE)
        ),
        _ => false,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
