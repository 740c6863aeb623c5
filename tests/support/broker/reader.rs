//! Consumes on a connection of its own and keeps everything, in the order in which it came.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use tokio::task::AbortHandle;

use super::runtime;

/// Messages that the broker may send ahead.
const PREFETCH: u16 = 2_000;

/// One delivery.
#[derive(Clone, Debug)]
pub struct Message {
    pub queue: String,
    pub exchange: String,
    pub routing_key: String,
    /// The broker had sent it before.
    pub redelivered: bool,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Message {
    /// `data`, `file_complete` or `extraction_complete`.
    pub fn what(&self) -> &str {
        self.properties.kind().as_ref().map_or("", ShortString::as_str)
    }

    pub fn id(&self) -> &str {
        self.properties.message_id().as_ref().map_or("", ShortString::as_str)
    }

    /// The type whose exchange it came by.
    pub fn kind(&self) -> Kind {
        let is_its = |kind: &Kind| self.exchange.ends_with(&format!("-{kind}"));
        Kind::ALL.into_iter().find(is_its).unwrap()
    }

    /// A header as JSON, null if it is missing.
    pub fn header(&self, name: &str) -> serde_json::Value {
        let headers = self.properties.headers().as_ref();
        headers.and_then(|headers| headers.inner().get(name)).map_or(serde_json::Value::Null, json)
    }

    /// The names of all headers.
    pub fn headers(&self) -> Vec<String> {
        let headers = self.properties.headers().as_ref();
        let names =
            headers.map(|headers| headers.inner().keys().map(ToString::to_string).collect());
        names.unwrap_or_default()
    }

    pub fn ordinal(&self) -> u64 {
        self.header("x-ordinal").as_u64().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn json(value: &AMQPValue) -> serde_json::Value {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into(),
        AMQPValue::ShortInt(number) => (*number).into(),
        AMQPValue::LongInt(number) => (*number).into(),
        AMQPValue::LongUInt(number) => (*number).into(),
        AMQPValue::LongLongInt(number) => (*number).into(),
        other => panic!("a header of an unexpected kind: {other:?}"),
    }
}

/// What of the bodies of data messages is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    Kept,
    Dropped,
}

#[derive(Default)]
struct Kept {
    messages: Mutex<Vec<Message>>,
    more: Condvar,
}

/// Reads queues until it is dropped, over as many connections as it takes.
pub struct Reader {
    kept: Arc<Kept>,
    tasks: Vec<AbortHandle>,
}

impl Reader {
    pub fn new(address: &str, queues: &[&str], bodies: Bodies) -> Reader {
        let kept = Arc::new(Kept::default());
        let read = |queue: &&str| {
            let reading = read(address.to_owned(), (*queue).to_owned(), bodies, kept.clone());
            runtime().spawn(reading).abort_handle()
        };
        let tasks = queues.iter().map(read).collect();
        Reader { kept, tasks }
    }

    /// All that came so far.
    pub fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        self.kept.messages.lock().unwrap()
    }

    /// Waits until enough has come, and says whether it did.
    pub fn try_wait(&self, time: Duration, mut enough: impl FnMut(&[Message]) -> bool) -> bool {
        let deadline = Instant::now() + time;
        let mut messages = self.messages();
        loop {
            if enough(&messages) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            messages = self.kept.more.wait_timeout(messages, left).unwrap().0;
        }
    }

    /// Waits until enough has come.
    #[track_caller]
    pub fn wait_until(&self, time: Duration, enough: impl FnMut(&[Message]) -> bool) {
        let came = self.try_wait(time, enough);
        assert!(came, "after {time:?} only {} messages came", self.messages().len());
    }

    #[track_caller]
    pub fn wait_for(&self, messages: usize, time: Duration) {
        self.wait_until(time, |came| came.len() >= messages);
    }

    /// Waits for the last message of a version.
    #[track_caller]
    pub fn wait_for_the_end(&self, time: Duration) {
        let mut seen = 0;
        let mut ended = [false; 4];
        self.wait_until(time, |came| {
            for message in &came[seen..] {
                if message.what() == "extraction_complete" {
                    ended[message.kind() as usize] = true;
                }
            }
            seen = came.len();
            ended == [true; 4]
        });
    }

    /// Waits until nothing comes any more: for what may come beyond the last message.
    pub fn wait_for_silence(&self) {
        const SILENCE: Duration = Duration::from_millis(500);
        let mut seen = self.messages().len();
        while self.try_wait(SILENCE, |came| came.len() > seen) {
            seen = self.messages().len();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn read(address: String, queue: String, bodies: Bodies, kept: Arc<Kept>) {
    loop {
        // A broker that is away, or a queue that is deleted, comes back.
        _ = read_once(&address, &queue, bodies, &kept).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn read_once(
    address: &str,
    queue: &str,
    bodies: Bodies,
    kept: &Kept,
) -> Result<(), lapin::Error> {
    let connection = Connection::connect(address, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    let consumer = channel.basic_consume(queue.into(), tag, options, FieldTable::default());
    let mut consumer = consumer.await?.ready_chunks(usize::from(PREFETCH) / 2);
    while let Some(deliveries) = consumer.next().await {
        let mut last = None;
        let mut error = None;
        for delivery in deliveries {
            match delivery {
                Ok(mut delivery) => {
                    keep(&mut delivery, queue, bodies, kept);
                    last = Some(delivery);
                }
                Err(failed) => error = Some(failed),
            }
        }
        kept.more.notify_all();
        if let Some(delivery) = last {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
        if let Some(error) = error {
            return Err(error);
        }
    }
    Ok(())
}

fn keep(delivery: &mut Delivery, queue: &str, bodies: Bodies, kept: &Kept) {
    let mut message = Message {
        queue: queue.to_owned(),
        exchange: delivery.exchange.to_string(),
        routing_key: delivery.routing_key.to_string(),
        redelivered: delivery.redelivered,
        properties: std::mem::take(&mut delivery.properties),
        body: std::mem::take(&mut delivery.data),
        at: Instant::now(),
    };
    if bodies == Bodies::Dropped && message.what() == "data" {
        message.body = Vec::new();
    }
    kept.messages.lock().unwrap().push(message);
}
