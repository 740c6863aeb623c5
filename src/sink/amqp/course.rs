//! What is under way on one channel: written, confirmed, come back.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, maybe_done};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Error, ErrorKind, PublisherConfirm};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::lane::{Ended, Lane};
use super::post;
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
    writing: FuturesUnordered<BoxFuture<'static, Written>>,
    unwritten: usize,
    confirming: FuturesUnordered<Confirming>,
    /// Acknowledged in the last round: durable if they do not turn out to have come back.
    acknowledged: Vec<Ordinal>,
    /// Came back because no queue took them, and are still to be acknowledged.
    unrouted: BTreeSet<Ordinal>,
    /// When the broker last confirmed something, or had nothing to confirm.
    heard: Instant,
    /// When what came back may be tried again.
    again_at: Option<Instant>,
}

/// Messages handed to the library together.
#[derive(Default)]
struct Burst {
    /// All bodies in one piece: one for each would be allocated here and freed by another thread.
    bodies: Vec<u8>,
    messages: Vec<Message>,
}

struct Message {
    ordinal: Ordinal,
    body: Range<usize>,
    properties: BasicProperties,
}

/// A burst that is written to the socket, as far as it could be.
struct Written {
    bytes: usize,
    confirms: Vec<(Ordinal, Result<PublisherConfirm, Error>)>,
}

impl Burst {
    /// Publishes all of it. The library takes each message over when its future is first looked
    /// at, and writes them in order, so that only the first unwritten one is waited for: one
    /// wake-up for what was written together instead of one a message.
    async fn write(self, channel: Arc<Channel>, exchange: ShortString) -> Written {
        let sent = self.messages.into_iter().map(|message| {
            let key = ShortString::default();
            let (body, properties) = (&self.bodies[message.body], message.properties);
            let publish =
                channel.basic_publish(exchange.clone(), key, post::OPTIONS, body, properties);
            let mut publish = maybe_done(Box::pin(publish));
            _ = (&mut publish).now_or_never();
            (message.ordinal, publish)
        });
        let mut confirms = Vec::with_capacity(sent.len());
        for (ordinal, mut publish) in sent.collect::<Vec<_>>() {
            (&mut publish).await;
            confirms.extend(Pin::new(&mut publish).take_output().map(|confirm| (ordinal, confirm)));
        }
        Written { bytes: self.bodies.len(), confirms }
    }
}

/// A message that the broker has yet to confirm.
struct Confirming {
    ordinal: Ordinal,
    since: Instant,
    confirm: PublisherConfirm,
}

impl Future for Confirming {
    type Output = (Ordinal, Instant, Result<Confirmation, Error>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.confirm).poll(context);
        polled.map(|result| (self.ordinal, self.since, result))
    }
}

impl Course {
    /// Nothing is under way yet.
    pub fn new(channel: Arc<Channel>) -> Course {
        Course {
            channel,
            writing: FuturesUnordered::new(),
            unwritten: 0,
            confirming: FuturesUnordered::new(),
            acknowledged: Vec::new(),
            unrouted: BTreeSet::new(),
            heard: Instant::now(),
            again_at: None,
        }
    }

    /// Publishes what the lane has, until all of it is confirmed or the channel is gone.
    pub async fn run(mut self, lane: &mut Lane) -> Ended {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(error) = self.settle(lane).await {
                return self.last_words(lane, error).await;
            }
            if lane.ended && lane.flight.is_empty() {
                return Ended::Done;
            }
            if let Err(ended) = self.send(lane).await {
                return ended;
            }
            tokio::select! {
                () = lane.ends.outcomes.closed() => return Ended::Abandoned,
                Some(written) = self.writing.next(), if !self.writing.is_empty() => {
                    if let Err(error) = self.written(written) {
                        return self.last_words(lane, error).await;
                    }
                }
                Some(confirmed) = self.confirming.next(), if !self.confirming.is_empty() => {
                    if let Err(error) = self.confirmed(lane, confirmed).await {
                        return self.last_words(lane, error).await;
                    }
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
        while self.unwritten + burst.bodies.len() < UNWRITTEN {
            let Some((ordinal, letter)) = lane.flight.next() else { break };
            let message = lane.envelope.data(ordinal, &letter, now, &mut burst.bodies);
            let Some((body, properties)) = message else { continue };
            if letter.is_repeat() {
                metrics::counter!(metric::REPEATS, "type" => lane.file.kind.name()).increment(1);
            }
            burst.messages.push(Message { ordinal, body, properties });
        }
        if !burst.messages.is_empty() {
            self.unwritten += burst.bodies.len();
            let exchange = lane.topology.exchange(lane.file.kind).clone();
            self.writing.push(Box::pin(burst.write(Arc::clone(&self.channel), exchange)));
        }
        Ok(())
    }

    fn written(&mut self, written: Written) -> Result<(), Error> {
        self.unwritten -= written.bytes;
        let since = Instant::now();
        let mut first_error = Ok(());
        for (ordinal, confirm) in written.confirms {
            match confirm {
                Ok(confirm) => self.confirming.push(Confirming { ordinal, since, confirm }),
                Err(error) => first_error = first_error.and(Err(error)),
            }
        }
        first_error
    }

    /// Notes what the broker said of one message. The library hands a message that came back to
    /// whichever confirm it looks at next, so which one it was is read from the message itself.
    async fn confirmed(
        &mut self,
        lane: &mut Lane,
        (ordinal, _, result): (Ordinal, Instant, Result<Confirmation, Error>),
    ) -> Result<(), Error> {
        self.heard = Instant::now();
        let (returned, acknowledged) = match result? {
            Confirmation::Ack(returned) => (returned, true),
            Confirmation::Nack(returned) => (returned, false),
            Confirmation::NotRequested => (None, false),
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
        Ok(())
    }

    /// Gathers all that the broker has said by now, in rounds. What was acknowledged in one round
    /// is believed in the next: a message that came back was known to the library before its
    /// acknowledgement, but may be handed over with that of another. Asking for the library's own
    /// list of confirms in between waits until it has handed over all of the same frame.
    async fn settle(&mut self, lane: &mut Lane) -> Result<(), Error> {
        while let Some(Some(written)) = self.writing.next().now_or_never() {
            self.written(written)?;
        }
        loop {
            let believed = std::mem::take(&mut self.acknowledged);
            if !believed.is_empty() {
                // Only its lock is wanted, not what it waits for.
                _ = self.channel.wait_for_confirms().now_or_never();
            }
            let mut first = true;
            let mut gathered = Ok(());
            while let Some(Some(confirmed)) = self.confirming.next().now_or_never() {
                if std::mem::take(&mut first) {
                    let latency = metrics::histogram!(metric::CONFIRM_SECONDS, "type" => lane.file.kind.name());
                    latency.record(confirmed.1.elapsed().as_secs_f64());
                }
                gathered = self.confirmed(lane, confirmed).await;
                if gathered.is_err() {
                    break;
                }
            }
            self.believe(lane, believed).await;
            gathered?;
            if self.acknowledged.is_empty() {
                return Ok(());
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
    /// closed the channel.
    async fn last_words(mut self, lane: &mut Lane, first: Error) -> Ended {
        let mut errors = vec![first];
        let rest = async {
            loop {
                if let Err(error) = self.settle(lane).await {
                    errors.push(error);
                    continue;
                }
                match self.writing.next().await {
                    Some(written) => errors.extend(self.written(written).err()),
                    None if self.confirming.is_empty() => return,
                    None => match self.confirming.next().await {
                        Some((_, _, Err(error))) => errors.push(error),
                        Some(confirmed) => {
                            errors.extend(self.confirmed(lane, confirmed).await.err());
                        }
                        None => return,
                    },
                }
            }
        };
        // What the library does not report by then is sent again.
        _ = timeout(LAST_WORDS, rest).await;
        let refused = errors.iter().find(|error| is_about_a_message(error));
        match refused {
            Some(error) => Ended::Refused(words(error)),
            None => Ended::lost(errors.iter().find(|e| e.is_amqp_error()).unwrap_or(&errors[0])),
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
