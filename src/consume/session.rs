//! Reading one type's queue over one channel, until that ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, Consumer, Error};
use metrics::{counter, histogram};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::member::{LOOK, Member, Next};
use super::round::{Handled, Item, Round};
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

/// Between two tries to write.
const PAUSE: Duration = Duration::from_millis(100);

/// How long what was read may take to be written after a stop; inside Docker's 10 s.
const DRAIN: Duration = Duration::from_secs(6);

/// Where a quorum queue says how often it has delivered a message before.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// From so many earlier deliveries on a message is worth a warning: at 20 it is a dead letter.
const MANY_DELIVERIES: u64 = 15;

/// Messages of one transaction until it is known that the queue's head does not kill whoever reads
/// it. The broker counts a death against every message that was handed out, 20 of them make a dead
/// letter, and a consumer that is killed over and over must get through meanwhile.
const CAREFUL: usize = 100;

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
    /// The channel or the connection is gone.
    Lost(String),
    /// It will not get better by itself.
    Wrong(String),
}

/// A task of its own: while it waits for the database, so may a look.
type Handling = AbortOnDropHandle<(Round, Result<Handled, Obstacle>)>;

/// One channel and what came over it.
pub struct Session<'a> {
    member: &'a mut Member,
    channel: Channel,
    consumer: Consumer,
    /// Messages of one transaction at most.
    batch: usize,
    /// Whether the consumer was cancelled to be given more at once.
    widening: bool,
    gathered: Vec<Item>,
    bytes: usize,
    /// Whether one that was gathered was handed out often before, and one of those in the round.
    troubled: (bool, bool),
    /// Whether a batch without such went through.
    proven: bool,
    round: Option<Handling>,
    round_began: Instant,
    /// Messages of the round.
    handling: usize,
    /// Since when the database has said no.
    failing_since: Option<Instant>,
    /// Why the consumer was cancelled, if it was.
    ending: Option<Ended>,
    /// Nothing more comes from the broker.
    drained: bool,
    /// In how many looks in a row there was nothing to do.
    quiet: u32,
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
        let batch = member.shared.database.batch().min(CAREFUL);
        let opening = async {
            let channel = connection.create_channel().await?;
            match member.shared.topology.consumer(&channel, member.kind).await? {
                Waiting::Messages(_) => {}
                Waiting::Different(why) => return Ok(Err(Ended::Wrong(why))),
            }
            let tag = format!("{}-careful", member.tag()).into();
            let consumer = consume(member, &channel, batch, tag).await?;
            Ok(Ok((channel, consumer)))
        };
        let opened: Result<Result<_, Ended>, Error> = match timeout(OPEN, opening).await {
            Ok(opened) => opened,
            Err(_) => return Err(Ended::Lost("the broker opens no channel".into())),
        };
        let (channel, consumer) = opened.map_err(|error| Ended::Lost(words(&error)))??;
        member.reads(true);
        Ok(Session {
            member,
            channel,
            consumer,
            batch,
            widening: false,
            gathered: Vec::new(),
            bytes: 0,
            troubled: (false, false),
            proven: false,
            round: None,
            round_began: Instant::now(),
            handling: 0,
            failing_since: None,
            ending: None,
            drained: false,
            quiet: 0,
        })
    }

    /// Reads until there is a reason not to.
    pub async fn run(mut self) -> Ended {
        let ended = self.read().await.unwrap_or_else(|ended| ended);
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
            self.begin_round();
            self.widen_if_proven().await?;
            self.member.in_flight(self.gathered.len() + self.handling);
            if self.drained && self.round.is_none() {
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
                Some(ended) = OptionFuture::from(self.round.as_mut()) => {
                    self.round = None;
                    match ended {
                        Ok((_, Ok(handled))) => self.settle(handled).await?,
                        Ok((round, Err(away))) => self.failed(round, &away).await?,
                        Err(died) => return Err(Ended::Lost(died.to_string())),
                    }
                }
                delivery = self.consumer.next(), if !self.drained && self.has_room() => {
                    match delivery {
                        Some(Ok(delivery)) => self.gather(&delivery),
                        Some(Err(error)) => return Err(Ended::Lost(words(&error))),
                        None if self.widening && self.ending.is_none() => self.widen().await?,
                        None => self.drained = true,
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
        self.gathered.len() < self.batch && self.bytes < BATCH_BYTES
    }

    fn gather(&mut self, delivery: &lapin::message::Delivery) {
        let deliveries = delivery_count(&delivery.properties);
        let kind = self.member.kind;
        if deliveries >= MANY_DELIVERIES {
            counter!(metric::MANY_DELIVERIES, "type" => kind.name()).increment(1);
            let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
            tracing::warn!(r#type = %kind, deliveries, id, "a message comes again and again");
        }
        self.troubled.0 |= deliveries >= TROUBLED;
        let message = read(|name| header(&delivery.properties, name), &delivery.data);
        self.bytes += delivery.data.len();
        self.quiet = 0;
        let source = match &message {
            Message::Data(record) => record.source.map(|source| (source.version, source.run)),
            Message::FileComplete(_) | Message::ExtractionComplete(_) | Message::Poison(_) => None,
        };
        self.member.message(source);
        self.gathered.push(Item { tag: delivery.delivery_tag, message });
    }

    /// Begins to handle what was gathered, if nothing is being handled.
    fn begin_round(&mut self) {
        if self.round.is_some() || self.gathered.is_empty() {
            return;
        }
        self.handling = self.gathered.len();
        self.troubled = (false, self.troubled.0);
        self.bytes = 0;
        self.round_began = Instant::now();
        let round = Round::new(self.member.kind, std::mem::take(&mut self.gathered));
        self.handle(round, Duration::ZERO);
    }

    fn handle(&mut self, round: Round, after: Duration) {
        let database = Arc::clone(&self.member.shared.database);
        self.round = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            sleep(after).await;
            let handled = round.handle(&*database).await;
            (round, handled)
        })));
    }

    /// Tells the broker what became of a batch.
    async fn settle(&mut self, handled: Handled) -> Result<(), Ended> {
        let lost = |error: Error| Ended::Lost(words(&error));
        let kind = self.member.kind;
        self.failing_since = None;
        self.member.shared.outage.ends();
        histogram!(metric::BATCH_SECONDS, "type" => kind.name()).record(self.round_began.elapsed());
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
        self.handling = 0;
        if handled.has_end {
            self.look().await?;
        }
        self.proven |= !self.troubled.1;
        Ok(())
    }

    /// Cancels the consumer to be given more at once, when a batch went through and as much waits
    /// as may. Then nothing is on its way here: what is, when a consumer is cancelled, a quorum
    /// queue takes back and counts as a delivery.
    async fn widen_if_proven(&mut self) -> Result<(), Ended> {
        let careful = self.batch < self.member.shared.database.batch();
        let full = self.gathered.len() == self.batch && self.handling == self.batch;
        let untroubled = self.proven && self.troubled == (false, false);
        if careful && full && untroubled && !self.widening && self.ending.is_none() {
            self.widening = true;
            self.cancel_consumer().await?;
        }
        Ok(())
    }

    /// Consumes again, as much at once as goes fastest.
    async fn widen(&mut self) -> Result<(), Ended> {
        self.widening = false;
        self.batch = self.member.shared.database.batch();
        // With the tag of one that still has messages a quorum queue mistakes it for that.
        let consuming = consume(self.member, &self.channel, self.batch, self.member.tag());
        self.consumer = in_time(consuming).await?;
        Ok(())
    }

    /// The database said no: wait, then stop consuming, then give everything back.
    async fn failed(&mut self, round: Round, away: &Obstacle) -> Result<(), Ended> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= GRACE {
            self.outage(away).await?;
        }
        if since.elapsed() >= HOLD {
            return Err(Ended::Outage);
        }
        self.handle(round, PAUSE);
        Ok(())
    }

    async fn outage(&mut self, away: &Obstacle) -> Result<(), Ended> {
        self.member.shared.outage.begins(away);
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
        let tag = self.consumer.tag();
        in_time(self.channel.basic_cancel(tag, BasicCancelOptions::default())).await
    }

    /// Looks at what is agreed in the database.
    async fn look(&mut self) -> Result<(), Ended> {
        let idle = self.round.is_none() && self.gathered.is_empty();
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
            self.member.shared.outage.ends();
        }
        // What is written next says so too if it cannot be looked now.
        let Ok(next) = self.member.look().await else { return Ok(()) };
        if next == Next::Cancel {
            return self.cancel(Ended::Cancelled).await;
        }
        self.look_for_the_end(idle).await
    }

    /// Without proof a type is complete when nothing is left, here and in the queue.
    async fn look_for_the_end(&mut self, idle: bool) -> Result<(), Ended> {
        if !idle || !self.member.waits_for_silence() {
            self.quiet = 0;
            return Ok(());
        }
        let waiting = self.member.shared.topology.consumer(&self.channel, self.member.kind);
        let waiting = in_time(waiting).await?;
        self.quiet = if waiting == Waiting::Messages(0) { self.quiet + 1 } else { 0 };
        // Another replica may still have had some of them a moment ago.
        if self.quiet >= 2 {
            self.quiet = 0;
            // What cannot be noted now is found again.
            _ = self.member.complete_without_proof().await;
        }
        Ok(())
    }
}

/// Begins to consume, with two batches at most: the one that is being written, and the one that is
/// being gathered.
async fn consume(
    member: &Member,
    channel: &Channel,
    batch: usize,
    tag: ShortString,
) -> Result<Consumer, Error> {
    let prefetch = u16::try_from(2 * batch).unwrap_or(u16::MAX);
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    channel.basic_consume(member.queue(), tag, options, arguments).await
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
