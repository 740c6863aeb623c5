//! The broker's own ceiling: the lines of a file published to a quorum queue as fast as the broker
//! confirms them, by plain code with the same window.
//!
//! `cargo bench --profile dist --bench bare_publisher -- ADDRESS QUEUE LINES` prints seconds and messages.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::collections::VecDeque;
use std::time::Instant;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};

/// As the program's own, unless it is told another.
const WINDOW: usize = 5_000;

/// Messages handed to the library at once, so that it can write them together.
const TOGETHER: usize = 256;

fn main() {
    let arguments: Vec<String> =
        std::env::args().filter(|argument| argument != "--bench").collect();
    let [_, address, queue, lines] = &arguments[..] else {
        panic!("usage: bare_publisher ADDRESS QUEUE LINES");
    };
    let text = std::fs::read_to_string(lines).unwrap();
    let bodies: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let seconds = runtime.block_on(publish(address, queue, &bodies));
    println!("{seconds:.3} {}", bodies.len());
}

async fn publish(address: &str, queue: &str, bodies: &[&[u8]]) -> f64 {
    let connection = Connection::connect(address, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), quorum).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let began = Instant::now();
    let mut under_way = VecDeque::with_capacity(WINDOW);
    for bodies in bodies.chunks(TOGETHER) {
        while under_way.len() + bodies.len() > WINDOW {
            confirmed(under_way.pop_front().unwrap()).await;
        }
        let sent = bodies.iter().map(|body| {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            channel.basic_publish("".into(), queue.into(), options, body, properties.clone())
        });
        for confirm in futures_util::future::join_all(sent).await {
            under_way.push_back(confirm.unwrap());
        }
    }
    for confirm in under_way {
        confirmed(confirm).await;
    }
    began.elapsed().as_secs_f64()
}

async fn confirmed(confirm: lapin::PublisherConfirm) {
    assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
}
