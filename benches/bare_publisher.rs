//! What the broker can take: the lines of a file as messages to a quorum queue, from memory, by
//! plain lapin with 5,000 of them unconfirmed and nothing else to do.
//!
//! `cargo bench --bench bare_publisher -- AMQP_URL LINES` prints seconds and messages a second.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on fails")]

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties, PublisherConfirm};

/// As many as `extract` keeps in flight.
const WINDOW: usize = 5_000;

/// Messages handed to the library and not yet written: more than it writes at once.
const UNWRITTEN: usize = 256;

const QUEUE: &str = "discogs-bare-publisher";

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [url, lines] = arguments.as_slice() else {
        println!("usage: cargo bench --bench bare_publisher -- AMQP_URL LINES");
        return;
    };
    let text = std::fs::read(lines).unwrap();
    let bodies: Vec<&'static [u8]> =
        text.leak().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let seconds = runtime.block_on(publish(url, bodies.clone()));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = bodies.len() as f64 / seconds;
    println!("{seconds:.3} s, {rate:.0} messages/s");
}

/// Publishes all, and returns the seconds from the first to the last confirm.
async fn publish(url: &str, bodies: Vec<&'static [u8]>) -> f64 {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel: &'static _ = Box::leak(Box::new(connection.create_channel().await.unwrap()));
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await.unwrap();
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, quorum).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, immediate: false };

    let began = Instant::now();
    let mut writing = FuturesUnordered::<BoxFuture<'static, PublisherConfirm>>::new();
    let mut confirming = FuturesUnordered::<PublisherConfirm>::new();
    let (messages, mut left) = (bodies.len(), bodies.into_iter());
    let mut confirmed = 0;
    while confirmed < messages {
        while writing.len() < UNWRITTEN && writing.len() + confirming.len() < WINDOW {
            let Some(body) = left.next() else { break };
            let properties = properties.clone();
            writing.push(Box::pin(async move {
                let (nowhere, queue) = (ShortString::default(), QUEUE.into());
                channel.basic_publish(nowhere, queue, options, body, properties).await.unwrap()
            }));
        }
        tokio::select! {
            Some(written) = writing.next() => confirming.push(written),
            Some(confirm) = confirming.next() => {
                assert_eq!(confirm.unwrap(), Confirmation::Ack(None));
                confirmed += 1;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await.unwrap();
    seconds
}
