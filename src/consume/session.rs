//! Reading one type's queue over one channel, until that ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, Error};
use metrics::{counter, histogram};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::intake::Intake;
use super::member::{LOOK, Member, Next};
use super::portion::{self, Portion};
use super::round::{Handled, Item, Round};
use super::writing::{Gathered, Writing};
use crate::amqp::{Waiting, header, words};
use crate::database::Obstacle;
use crate::model::message::{Message, Value, read};
use crate::model::metric;

/// Bytes of one transaction: releases are small, but a few are not.
const BATCH_BYTES: usize = 8 << 20;

/// How long opening a channel and declaring may take, and how long a goodbye.
const OPEN: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a database that says no is asked again before it counts as away: another writer's
/// transaction is no outage.
const GRACE: Duration = Duration::from_secs(2);

/// How long messages are kept while the database is away, before they are given back. The broker
/// allows 30 minutes.
const HOLD: Duration = Duration::from_secs(10);

/// How long what was read may take to be written after a stop; inside Docker's 10 s.
const DRAIN: Duration = Duration::from_secs(6);

/// Where a quorum queue says how often it has delivered a message before.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// From so many earlier deliveries on a message is worth a warning: at 20 it is a dead letter.
const MANY_DELIVERIES: u64 = 15;

/// Messages that were handed out so often before are written in small company.
const TROUBLED: u64 = 2;

/// How reading ended.
pub enum Ended {
    /// The type's consumers are cancelled; everything that was read is done with.
    Cancelled,
    /// Everything was told to stop.
    Stopped,
    /// The database is away, and everything was given back or done.
    Outage,
    /// More bytes came than may wait: what found no room was given back.
    Overflowed,
    /// The channel or the connection is gone.
    Lost(String),
    /// It will not get better by itself.
    Wrong(String),
}

/// One channel and what came over it.
pub struct Session<'a> {
    member: &'a mut Member,
    channel: Channel,
    intake: Intake,
    /// The consumer's name at the broker, and how many there were on this channel.
    tag: ShortString,
    consumers: u32,
    /// What is taken at once once the consumer that was cancelled for it is.
    next_portion: Option<Portion>,
    gathered: Gathered,
    writing: Option<Writing>,
    /// Since when the database has said no.
    failing_since: Option<Instant>,
    /// The batch that it did not take.
    failed: Option<Arc<Round>>,
    /// Why the consumer was cancelled, if it was.
    ending: Option<Ended>,
    /// Nothing more comes from the broker.
    drained: bool,
}

impl<'a> Session<'a> {
    /// Declares what is needed and begins to consume.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn open(
        member: &'a mut Member,
        connection: &Connection,
    ) -> Result<Session<'a>, Ended> {
        member.take(portion::Event::Opened);
        let opening = async {
            let channel = connection.create_channel().await?;
            match member.shared.topology.consumer(&channel, member.kind).await? {
                Waiting::Messages(_) => {}
                Waiting::Different(why) => return Ok(Err(Ended::Wrong(why))),
            }
            let tag = member.tag();
            let intake = consume(member, &channel, tag.clone()).await?;
            Ok(Ok((channel, intake, tag)))
        };
        let opened: Result<Result<_, Ended>, Error> = match timeout(OPEN, opening).await {
            Ok(opened) => opened,
            Err(_) => return Err(Ended::Lost("the broker opens no channel".into())),
        };
        let (channel, intake, tag) = opened.map_err(|error| Ended::Lost(words(&error)))??;
        member.reads(true);
        Ok(Session {
            member,
            channel,
            intake,
            tag,
            consumers: 1,
            next_portion: None,
            gathered: Gathered::default(),
            writing: None,
            failing_since: None,
            failed: None,
            ending: None,
            drained: false,
        })
    }

    /// Reads until there is a reason not to.
    pub async fn run(mut self) -> Ended {
        let ended = self.read().await.unwrap_or_else(|ended| ended);
        if let Some(round) = self.failed.take() {
            self.member.keep(round);
        }
        // A channel that is gone already, or a broker that does not answer, is no matter. What is
        // not acknowledged goes back to the queue.
        _ = timeout(GOODBYE, self.channel.close(200, "done".into())).await;
        self.member.in_flight(0);
        self.member.reads(false);
        ended
    }

    async fn read(&mut self) -> Result<Ended, Ended> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.member.shared.stop.clone();
        let mut deadline = None;
        loop {
            self.begin_to_write();
            self.member.in_flight(self.messages());
            if self.drained && self.writing.is_none() {
                let ended = self.ending.take();
                return Err(ended.unwrap_or_else(|| Ended::Lost("the consumer is gone".into())));
            }
            let too_late = OptionFuture::from(deadline.map(sleep_until));
            tokio::select! {
                () = stop.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + DRAIN);
                    self.cancel(Ended::Stopped).await?;
                }
                Some(()) = too_late => return Ok(Ended::Stopped),
                Some(answer) = OptionFuture::from(self.writing.as_mut().map(Writing::answer)) => {
                    match answer {
                        Ok(Ok(handled)) => self.settle(handled).await?,
                        Ok(Err(away)) => self.failed(&away).await?,
                        Err(died) => return Err(Ended::Lost(died)),
                    }
                }
                delivery = self.intake.next(), if !self.drained && self.has_room() => {
                    match delivery {
                        Some(Ok(delivery)) => self.gather(&delivery),
                        Some(Err(error)) => return Err(Ended::Lost(words(&error))),
                        None => self.nothing_more_comes().await?,
                    }
                }
                _ = looks.tick() => {
                    if let Some(looked) = stop.run_until_cancelled(self.look()).await {
                        looked?;
                    }
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.gathered.items.len() < self.member.portion().batch()
            && self.gathered.held.bytes() < BATCH_BYTES
    }

    /// Messages that are not done with.
    fn messages(&self) -> usize {
        let writing = self.writing.as_ref().map_or(0, |writing| writing.messages);
        self.intake.waiting() + self.gathered.items.len() + writing
    }

    fn gather(&mut self, delivery: &Delivery) {
        let deliveries = delivery_count(&delivery.properties);
        let kind = self.member.kind;
        if deliveries >= MANY_DELIVERIES {
            counter!(metric::MANY_DELIVERIES, "type" => kind.name()).increment(1);
            let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
            tracing::warn!(r#type = %kind, deliveries, id, "a message comes again and again");
        }
        let message = read(|name| header(&delivery.properties, name), &delivery.data);
        let source = match &message {
            Message::Data(record) => record.source.map(|source| (source.version, source.run)),
            Message::FileComplete(_) | Message::ExtractionComplete(_) | Message::Poison(_) => None,
        };
        self.member.message(source);
        self.gathered.is_troubled |= deliveries >= TROUBLED;
        self.intake.hold(&mut self.gathered.held, delivery);
        self.gathered.items.push(Item { tag: delivery.delivery_tag, message });
    }

    /// The consumer is cancelled: to be given more or less at once, to end, or by itself since too
    /// much came.
    async fn nothing_more_comes(&mut self) -> Result<(), Ended> {
        let overflowed = self.intake.overflowed();
        if let Some(largest) = overflowed {
            self.member.take(portion::Event::Overflowed { largest });
            let batch = self.member.portion().batch();
            tracing::debug!(r#type = %self.member.kind, largest, batch, "too much at once");
            self.ending.get_or_insert(Ended::Overflowed);
        }
        match self.next_portion.take() {
            Some(next) if self.ending.is_none() => self.consume_anew(next).await?,
            Some(_) | None => self.drained = true,
        }
        Ok(())
    }

    /// Begins to write what was gathered, if nothing is being written.
    fn begin_to_write(&mut self) {
        if self.writing.is_some() || self.gathered.items.is_empty() {
            return;
        }
        let gathered = std::mem::take(&mut self.gathered);
        let database = Arc::clone(&self.member.shared.database);
        self.writing = Some(Writing::begin(self.member.kind, gathered, database));
    }

    /// Tells the broker what became of a batch.
    async fn settle(&mut self, handled: Handled) -> Result<(), Ended> {
        let lost = |error: Error| Ended::Lost(words(&error));
        let kind = self.member.kind;
        self.failing_since = None;
        self.failed = None;
        self.member.well();
        self.change_portion().await?;
        let Some(writing) = self.writing.take() else { return Ok(()) };
        histogram!(metric::BATCH_SECONDS, "type" => kind.name()).record(writing.began.elapsed());
        for (tag, why) in &handled.poison {
            tracing::error!(r#type = %kind, why, "a message cannot be handled: it goes to the dead letters");
            counter!(metric::POISON, "type" => kind.name()).increment(1);
            let options = BasicRejectOptions { requeue: false };
            self.channel.basic_reject(*tag, options).await.map_err(lost)?;
        }
        if let Some(tag) = handled.last {
            let options = BasicAckOptions { multiple: true };
            self.channel.basic_ack(tag, options).await.map_err(lost)?;
        }
        self.member.written(handled.records, handled.poison.len() as u64);
        drop(writing);
        if handled.has_end {
            self.look().await?;
        }
        Ok(())
    }

    /// Cancels the consumer to be given more or less at once, if that is due and all that may be
    /// handed out is here. Then nothing is on its way: what is, when a consumer is cancelled, a
    /// quorum queue takes back and counts as a delivery.
    async fn change_portion(&mut self) -> Result<(), Ended> {
        let Some(writing) = &self.writing else { return Ok(()) };
        let portion = self.member.portion();
        let all_is_here = self.messages() == usize::from(portion.prefetch());
        if !all_is_here || self.next_portion.is_some() || self.ending.is_some() {
            return Ok(());
        }
        let next = portion::next(
            portion,
            portion::Event::Wrote {
                messages: writing.messages + self.gathered.items.len(),
                bytes: writing.held.bytes() + self.gathered.held.bytes(),
                may_widen: !writing.is_troubled && !self.gathered.is_troubled,
            },
        );
        if next != portion {
            self.next_portion = Some(next);
            self.cancel_consumer().await?;
        }
        Ok(())
    }

    /// Consumes again, with another portion.
    async fn consume_anew(&mut self, portion: Portion) -> Result<(), Ended> {
        self.member.portion_is(portion);
        self.consumers += 1;
        // With the tag of one that still has messages a quorum queue mistakes it for that.
        let tag = ShortString::try_new(format!("{}-{}", self.member.tag(), self.consumers));
        self.tag = tag.unwrap_or_default();
        self.intake = in_time(consume(self.member, &self.channel, self.tag.clone())).await?;
        Ok(())
    }

    /// The database said no: wait, then stop consuming, then give everything back.
    async fn failed(&mut self, away: &Obstacle) -> Result<(), Ended> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        self.failed = self.writing.as_ref().map(|writing| Arc::clone(&writing.round));
        if since.elapsed() >= GRACE {
            self.outage(away).await?;
        }
        if since.elapsed() >= HOLD {
            return Err(Ended::Outage);
        }
        let rest = self.member.rest(away);
        if let Some(writing) = &mut self.writing {
            writing.again(Arc::clone(&self.member.shared.database), rest);
        }
        Ok(())
    }

    async fn outage(&mut self, away: &Obstacle) -> Result<(), Ended> {
        self.member.held_up(away);
        self.cancel(Ended::Outage).await
    }

    /// Stops consuming; what has come is still handled.
    async fn cancel(&mut self, why: Ended) -> Result<(), Ended> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.ending = Some(why);
        self.member.reads(false);
        self.cancel_consumer().await
    }

    async fn cancel_consumer(&self) -> Result<(), Ended> {
        let options = BasicCancelOptions::default();
        in_time(self.channel.basic_cancel(self.tag.clone(), options)).await
    }

    /// Looks at what is agreed in the database.
    async fn look(&mut self) -> Result<(), Ended> {
        let idle = self.writing.is_none() && self.gathered.items.is_empty();
        if idle {
            // Whoever has nothing to write notices too that he could not.
            if let Err(away) = self.member.reach().await {
                let since = *self.failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= GRACE {
                    self.outage(&away).await?;
                }
                return Ok(());
            }
            self.failing_since = None;
            self.member.well();
        }
        // What is written next says so too if it cannot be looked now.
        let Ok(next) = self.member.look().await else { return Ok(()) };
        if next == Next::Cancel {
            return self.cancel(Ended::Cancelled).await;
        }
        self.look_for_the_end(idle).await
    }

    /// Without proof a type is complete when nothing is left, here and in the queue, and nobody else
    /// has written anything of it for longer than that takes.
    async fn look_for_the_end(&mut self, idle: bool) -> Result<(), Ended> {
        if !idle || !self.member.is_silent() {
            return Ok(());
        }
        let waiting = self.member.shared.topology.consumer(&self.channel, self.member.kind);
        if in_time(waiting).await? == Waiting::Messages(0) {
            // What cannot be noted now is found again.
            _ = self.member.complete_without_proof().await;
        }
        Ok(())
    }
}

/// Begins to consume, as much at once as the member takes.
async fn consume(member: &Member, channel: &Channel, tag: ShortString) -> Result<Intake, Error> {
    let prefetch = member.portion().prefetch();
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = channel.basic_consume(member.queue(), tag, options, arguments).await?;
    Ok(Intake::new(channel.clone(), consumer, prefetch))
}

/// What the broker answers, which must not take for ever.
async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Ended> {
    match timeout(OPEN, answer).await {
        Ok(answer) => answer.map_err(|error| Ended::Lost(words(&error))),
        Err(_) => Err(Ended::Lost("the broker does not answer".into())),
    }
}

/// How often the broker has delivered a message before.
fn delivery_count(properties: &BasicProperties) -> u64 {
    match header(properties, DELIVERY_COUNT) {
        Some(Value::Number(number)) => u64::try_from(number).unwrap_or(0),
        Some(Value::Text(_)) | None => 0,
    }
}
