//! RabbitMQ for the tests of consumers: exchanges and queues of one test's own.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::future::Future;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::Place;

/// How long anything may take; more than that is a fault, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(40);

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

/// What a future gives.
pub fn wait<F: Future>(something: F) -> F::Output {
    runtime().block_on(something)
}

/// Lets a future go on beside the test.
pub fn spawn<F: Future<Output: Send> + Send + 'static>(something: F) -> JoinHandle<F::Output> {
    runtime().spawn(something)
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Exchanges and queues under a prefix of their own; deleted when it is dropped.
pub struct Rabbit {
    pub address: String,
    pub prefix: String,
    pub consumer: &'static str,
    connection: Connection,
}

/// How a queue stands; one that is not there has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueNow {
    /// Messages that nobody handles.
    pub ready: u32,
    pub consumers: u32,
}

/// One message to be published.
pub struct Letter {
    pub body: Vec<u8>,
    pub headers: FieldTable,
}

impl Rabbit {
    /// At the broker that a variable of the environment names, with the queues of tables.
    pub fn at(variable: &str) -> Rabbit {
        Rabbit::of("tableinator", variable)
    }

    /// With the queues of a consumer.
    pub fn of(consumer: &'static str, variable: &str) -> Rabbit {
        let address = std::env::var(variable).unwrap_or_else(|_| {
            panic!(
                "{variable} names no broker\nhint: run `bash tests/run`, which finds or starts \
                 one, or set it, for example to amqp://guest:guest@127.0.0.1:5672/%2f"
            )
        });
        Rabbit::on(consumer, address)
    }

    /// At the broker of an address.
    pub fn on(consumer: &'static str, address: String) -> Rabbit {
        let prefix = format!("consume-test-{}", uuid::Uuid::new_v4().simple());
        let connection = wait(Connection::connect(&address, ConnectionProperties::default()));
        Rabbit { address, prefix, consumer, connection: connection.unwrap() }
    }

    /// After the broker closed the connection.
    pub fn connect_anew(&mut self) {
        let connection = wait(Connection::connect(&self.address, ConnectionProperties::default()));
        self.connection = connection.unwrap();
    }

    /// A new one, as a refused operation closes the one it was tried on.
    fn channel(&self) -> Channel {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The library may give out the one before once more, which the broker is closing.
            match wait(self.connection.create_channel()) {
                Ok(channel) => return channel,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }

    /// The program at that place, with this prefix.
    pub fn program(&self, place: &Place) -> Command {
        let mut command = place.program();
        command.env("DISCOGS_EXCHANGE_PREFIX", &self.prefix).env("HEALTH_PORT", "0");
        command
    }

    /// `extract` of a folder to this broker.
    pub fn extract(&self, place: &Place, dumps: &str) -> Command {
        let mut command = self.program(place);
        command.args(["extract", dumps, "--to", &self.address, "--for", self.consumer]);
        command
    }

    /// `consume tables` into a SQLite database of that place.
    pub fn consume(&self, place: &Place, database: &str, replica: &str) -> Command {
        let to = format!("sqlite:{}", place.path(database).display());
        self.consume_into(place, &to, replica)
    }

    /// `consume tables` into a database, with a state directory of its own.
    pub fn consume_into(&self, place: &Place, to: &str, replica: &str) -> Command {
        let mut command = self.program(place);
        command.args(["consume", "tables", "--from", &self.address, "--to", to]);
        command.env("STATE_DIR", place.path(replica));
        command
    }

    /// `consume graph` into a graph, with a state directory of its own.
    pub fn consume_graph(&self, place: &Place, url: &str, replica: &str) -> Command {
        let mut command = self.program(place);
        command.args(["consume", "graph", "--from", &self.address, "--to", url]);
        command.env("STATE_DIR", place.path(replica));
        command
    }

    pub fn queue_name(&self, kind: Kind) -> String {
        format!("{}-{}-{kind}", self.prefix, self.consumer)
    }

    pub fn queue(&self, kind: Kind) -> QueueNow {
        self.look(&self.queue_name(kind))
    }

    pub fn dead_letters(&self, kind: Kind) -> QueueNow {
        self.look(&format!("{}.dlq", self.queue_name(kind)))
    }

    fn look(&self, name: &str) -> QueueNow {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let channel = self.channel();
        let queue = wait(channel.queue_declare(name.into(), options, FieldTable::default()));
        let Ok(queue) = queue else { return QueueNow { ready: 0, consumers: 0 } };
        let now = QueueNow { ready: queue.message_count(), consumers: queue.consumer_count() };
        wait(channel.close(200, "done".into())).unwrap();
        now
    }

    /// How often the message that was delivered most often had been delivered before.
    pub fn delivery_count(&self, kind: Kind) -> u64 {
        self.delivery_counts(kind).into_iter().max().unwrap_or(0)
    }

    /// Takes all messages out of a queue without acknowledging them, and gives them back: how
    /// often each had been delivered before.
    pub fn delivery_counts(&self, kind: Kind) -> Vec<u64> {
        let channel = self.channel();
        let name: ShortString = self.queue_name(kind).into();
        let get = || wait(channel.basic_get(name.clone(), BasicGetOptions::default())).unwrap();
        let counts = std::iter::from_fn(get).map(|message| {
            let headers = message.delivery.properties.headers().clone().unwrap_or_default();
            match headers.inner().get("x-delivery-count") {
                None => 0,
                Some(AMQPValue::LongLongInt(count)) => u64::try_from(*count).unwrap(),
                Some(other) => panic!("{other:?}"),
            }
        });
        let counts = counts.collect();
        wait(channel.close(200, "done".into())).unwrap();
        counts
    }

    /// Publishes to a type's exchange, and waits until the broker has everything.
    pub fn publish(&self, kind: Kind, letters: impl IntoIterator<Item = Letter>) {
        let channel = self.channel();
        wait(channel.confirm_select(ConfirmSelectOptions::default())).unwrap();
        let exchange: ShortString = format!("{}-{kind}", self.prefix).into();
        for Letter { body, headers } in letters {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
            let published = async {
                let confirm = channel
                    .basic_publish(exchange.clone(), "".into(), options, &body, properties)
                    .await?;
                confirm.await
            };
            let confirmed = wait(published).unwrap();
            assert!(matches!(confirmed, lapin::Confirmation::Ack(None)), "{confirmed:?}");
        }
        wait(channel.close(200, "done".into())).unwrap();
    }
}

impl Letter {
    /// As the platform sends it.
    pub fn plain(body: impl Into<Vec<u8>>) -> Letter {
        Letter { body: body.into(), headers: FieldTable::default() }
    }

    /// With headers as this program sends them.
    pub fn of(body: impl Into<Vec<u8>>, version: &str, numbers: &[(&str, i64)]) -> Letter {
        let mut headers = FieldTable::default();
        headers.insert("x-version".into(), AMQPValue::LongString(LongString::from(version)));
        for (name, number) in numbers {
            headers.insert((*name).into(), AMQPValue::LongLongInt(*number));
        }
        Letter { body: body.into(), headers }
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        for kind in Kind::ALL {
            let (channel, queue) = (self.channel(), self.queue_name(kind));
            let exchanges = [format!("{}-{kind}", self.prefix), format!("{queue}.dlx")];
            for exchange in exchanges {
                let deleted = wait(
                    channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()),
                );
                deleted.unwrap();
            }
            for queue in [format!("{queue}.dlq"), queue] {
                wait(channel.queue_delete(queue.into(), QueueDeleteOptions::default())).unwrap();
            }
        }
    }
}
