//! RabbitMQ for the tests: a client that declares and deletes, a reader that keeps all it gets, a
//! broker that can be killed, one that does as it is told, a relay that can be cut, and what must be
//! true of what arrived.

pub mod checks;
pub mod fake;
pub mod private;
pub mod reader;
pub mod relay;

use std::future::Future;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use discogs_extractor::model::Kind;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::Place;

/// The consumers whose queues `--for` declares.
pub const CONSUMERS: [&str; 2] = ["tableinator", "graphinator"];

/// What the broker says to a declaration that differs from what there is.
pub const PRECONDITION_FAILED: u16 = 406;

/// What a broker has to answer in.
const ANSWER: Duration = Duration::from_secs(10);

/// The runtime of all sockets of the tests.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

/// Waits for something asynchronous.
pub fn wait<F: Future>(something: F) -> F::Output {
    runtime().block_on(something)
}

/// The address of the machine's broker, from the environment.
pub fn shared(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} names no broker\nhint: run `bash tests/run`, which finds or starts one, or \
             set it, for example to amqp://guest:guest@127.0.0.1:5672/%2f"
        )
    })
}

/// A connection to declare, delete and look with.
pub struct Client {
    connection: Connection,
}

impl Client {
    pub fn connect(address: &str) -> Client {
        Client::try_connect(address).unwrap()
    }

    /// A broker that is coming up may let go of a connection without a word, for which lapin would
    /// wait for ever.
    pub fn try_connect(address: &str) -> Result<Client, String> {
        let connecting = Connection::connect(address, ConnectionProperties::default());
        let answered = wait(async { timeout(ANSWER, connecting).await });
        match answered.map_err(|_| format!("no answer in {ANSWER:?}"))? {
            Ok(connection) => Ok(Client { connection }),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A new one, as a refused operation closes the one it was tried on.
    fn channel(&self) -> Channel {
        wait(self.connection.create_channel()).unwrap()
    }

    pub fn declare_exchange(&self, name: &str, kind: ExchangeKind, durable: bool) -> Declared<()> {
        let options = ExchangeDeclareOptions { durable, ..Default::default() };
        let channel = self.channel();
        let done = channel.exchange_declare(name.into(), kind, options, FieldTable::default());
        wait(done).map_err(|error| code_of(&error))
    }

    /// Whether there is an exchange of that name.
    pub fn has_exchange(&self, name: &str) -> bool {
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let channel = self.channel();
        let kind = ExchangeKind::Fanout;
        wait(channel.exchange_declare(name.into(), kind, options, FieldTable::default())).is_ok()
    }

    pub fn delete_exchange(&self, name: &str) {
        let channel = self.channel();
        wait(channel.exchange_delete(name.into(), ExchangeDeleteOptions::default())).unwrap();
    }

    /// Declares a queue and gives back how many messages wait in it.
    pub fn declare_queue(&self, name: &str, durable: bool, arguments: FieldTable) -> Declared<u32> {
        let options = QueueDeclareOptions { durable, ..Default::default() };
        let channel = self.channel();
        let queue = wait(channel.queue_declare(name.into(), options, arguments));
        queue.map(|queue| queue.message_count()).map_err(|error| code_of(&error))
    }

    /// Deletes a queue, if there is one, and gives back how many messages were ready in it.
    pub fn delete_queue(&self, name: &str) -> u32 {
        let channel = self.channel();
        wait(channel.queue_delete(name.into(), QueueDeleteOptions::default())).unwrap()
    }

    pub fn unbind(&self, queue: &str, exchange: &str) {
        let (channel, key) = (self.channel(), ShortString::default());
        let arguments = FieldTable::default();
        wait(channel.queue_unbind(queue.into(), exchange.into(), key, arguments)).unwrap();
    }

    pub fn bind(&self, queue: &str, exchange: &str) {
        let (channel, key) = (self.channel(), ShortString::default());
        let options = QueueBindOptions::default();
        let arguments = FieldTable::default();
        wait(channel.queue_bind(queue.into(), exchange.into(), key, options, arguments)).unwrap();
    }

    pub fn publish(&self, exchange: &str, body: &[u8]) {
        let (channel, key) = (self.channel(), ShortString::default());
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        wait(channel.basic_publish(exchange.into(), key, options, body, properties)).unwrap();
        wait(channel.close(200, "done".into())).unwrap();
    }

    /// Takes one message out of a queue.
    pub fn take(&self, queue: &str) -> Option<Vec<u8>> {
        let channel = self.channel();
        let options = BasicGetOptions { no_ack: true };
        let message = wait(channel.basic_get(queue.into(), options)).unwrap();
        message.map(|message| message.delivery.data)
    }
}

/// What a declaration came to, or the broker's code of refusal.
pub type Declared<T> = Result<T, u16>;

fn code_of(error: &lapin::Error) -> u16 {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => error.get_id(),
        _ => panic!("{error}"),
    }
}

/// Exchanges of one test's own. They and their queues are deleted at its end.
pub struct Exchanges {
    address: String,
    pub prefix: String,
    client: Client,
    queues: Mutex<Vec<String>>,
}

impl Exchanges {
    /// Under a random prefix; none is declared yet.
    pub fn new(address: &str) -> Exchanges {
        let prefix = format!("discogs-test-{}", uuid::Uuid::new_v4().simple());
        let client = Client::connect(address);
        Exchanges { address: address.to_owned(), prefix, client, queues: Mutex::default() }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Connects anew, after the broker was away.
    pub fn reconnect(&mut self) {
        self.client = Client::connect(&self.address);
    }

    pub fn name(&self, kind: Kind) -> String {
        format!("{}-{kind}", self.prefix)
    }

    pub fn declare(&self) {
        for kind in Kind::ALL {
            self.client.declare_exchange(&self.name(kind), ExchangeKind::Fanout, true).unwrap();
        }
    }

    /// A quorum queue that is bound to all four exchanges, so that the order of its messages is
    /// the broker's.
    pub fn queue(&self, suffix: &str) -> String {
        self.queue_with(suffix, &Kind::ALL, quorum())
    }

    /// A durable queue on these types' exchanges, which are declared if need be.
    pub fn queue_with(&self, suffix: &str, kinds: &[Kind], arguments: FieldTable) -> String {
        self.declare();
        let name = format!("{}-{suffix}", self.prefix);
        self.client.declare_queue(&name, true, arguments).unwrap();
        for kind in kinds {
            self.client.bind(&name, &self.name(*kind));
        }
        self.queues.lock().unwrap().push(name.clone());
        name
    }

    pub fn consumer_queue(&self, consumer: &str, kind: Kind) -> String {
        format!("{}-{consumer}-{kind}", self.prefix)
    }

    /// The program at that place, with this prefix.
    pub fn program(&self, place: &Place) -> Command {
        let mut command = place.program();
        command.env("DISCOGS_EXCHANGE_PREFIX", &self.prefix);
        command
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        // A broker of the test's own may be gone by now, and its exchanges with it.
        let Ok(client) = Client::try_connect(&self.address) else { return };
        for queue in self.queues.lock().unwrap().iter() {
            client.delete_queue(queue);
        }
        for kind in Kind::ALL {
            client.delete_exchange(&self.name(kind));
            for consumer in CONSUMERS {
                let queue = self.consumer_queue(consumer, kind);
                client.delete_queue(&queue);
                client.delete_queue(&format!("{queue}.dlq"));
                client.delete_exchange(&format!("{queue}.dlx"));
            }
        }
    }
}

/// The arguments of a quorum queue.
pub fn quorum() -> FieldTable {
    arguments([("x-queue-type", text("quorum"))])
}

/// Exactly the arguments of a consumer's queue.
pub fn of_a_consumer(queue: &str) -> FieldTable {
    arguments([
        ("x-queue-type", text("quorum")),
        ("x-dead-letter-exchange", text(&format!("{queue}.dlx"))),
        ("x-delivery-limit", AMQPValue::LongInt(20)),
    ])
}

pub fn arguments<const N: usize>(pairs: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert(name.into(), value);
    }
    table
}

pub fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
