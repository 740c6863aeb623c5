//! A look at a broker that leaves nothing behind: who gets in and what they may do, whether
//! messages are taken, and who reads them.

use std::net::Shutdown;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::AMQPSoftError;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, Error, Event, ExchangeKind};
use tokio::time::{sleep, timeout};
use url::Url;

use super::link::{Dialled, Failure, dial, goodbye};
use super::management::Management;
use super::topology::{is, text};
use super::{Broker, Topology, words};
use crate::model::{Finding, Kind};

/// What the broker shows of us.
const NAME: &str = "discogs-extractor doctor";

/// How long the broker may take to confirm a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take to tell of all queues.
const READERS: Duration = Duration::from_secs(20);

/// What should be there.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Whose queues are looked for.
    pub consumers: &'a [&'a str],
    /// Whether whoever starts makes missing queues.
    pub made: bool,
    /// Whether the store says that records were delivered to it.
    pub delivered: bool,
}

/// What became of a message that was published to try it.
enum Trial {
    Taken,
    Blocked(String),
    Silent,
}

/// Looks at a broker. `management` is where its management plugin answers, if not where it usually
/// does.
pub async fn checkup(
    broker: &Broker,
    topology: &Topology,
    expected: Expected<'_>,
    management: Option<&Url>,
) -> Vec<Finding> {
    // A broker with an alarm hears nothing more on a connection that published.
    let (looking, trying) = match (dial(broker, NAME).await, dial(broker, NAME).await) {
        (Ok(looking), Ok(trying)) => (looking, trying),
        (Err(failure), _) | (_, Err(failure)) => return vec![unreachable(broker, &failure)],
    };
    let management = Management::of(broker, management);
    let version = match &management {
        Some(management) => management.version().await,
        None => None,
    };
    let mut findings = vec![match &version {
        Some(version) => Finding::ok("broker", format!("{broker} answers, RabbitMQ {version}")),
        None => Finding::ok("broker", format!("{broker} answers")),
    }];
    findings.push(match trial(&trying.connection, topology).await {
        Ok(Trial::Taken) => Finding::ok(
            "rights",
            format!("{}-… may be declared, bound, written and read", topology.prefix()),
        ),
        Ok(Trial::Blocked(why)) => Finding::failure(
            "alarm",
            format!("the broker takes nothing: {why}"),
            "give it memory or disk (`rabbitmqctl status` shows which); what is sent waits until then",
        ),
        Ok(Trial::Silent) => Finding::failure(
            "alarm",
            format!("the broker confirms nothing within {} s", PATIENCE.as_secs()),
            "look at its log and its load",
        ),
        Err(error) => Finding::failure(
            "rights",
            format!("the broker refuses: {}", words(&error)),
            format!(
                "let the user configure, write and read {}-.* (`rabbitmqctl set_permissions`)",
                topology.prefix()
            ),
        ),
    });
    // What the plugin does not tell any more than its version is not asked for.
    let management = management.filter(|_| version.is_some());
    let reading = readers(&looking.connection, topology, expected, management.as_ref());
    let unseen = |why: String| {
        let hint = "look at the broker's log and its load";
        vec![Finding::failure("queues", format!("they cannot be looked at: {why}"), hint)]
    };
    findings.extend(match timeout(READERS, reading).await {
        Ok(seen) => seen.unwrap_or_else(|error| unseen(words(&error))),
        Err(_) => unseen(format!("no answer within {} s", READERS.as_secs())),
    });
    for Dialled { connection, socket } in [looking, trying] {
        goodbye(&connection).await;
        // Whether or not it answered, nothing more is wanted of it.
        _ = socket.shutdown(Shutdown::Both);
    }
    findings
}

fn unreachable(broker: &Broker, failure: &Failure) -> Finding {
    let (what, hint) = if failure.refused {
        ("does not let us in", "look at user, password and vhost in its URL or RABBITMQ_*")
    } else {
        ("cannot be reached", "start it, or correct host and port in its URL or RABBITMQ_*")
    };
    Finding::failure("broker", format!("{broker} {what}: {}", failure.why), hint)
}

/// Publishes a message to an exchange and a queue that go with the connection. Rights are given for
/// names that begin like ours.
async fn trial(connection: &Connection, topology: &Topology) -> Result<Trial, Error> {
    let blocked = blocked(connection.events_listener());
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let name = topology.trial();
    let exchange =
        ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    let (fanout, none) = (ExchangeKind::Fanout, FieldTable::default);
    channel.exchange_declare(name.clone(), fanout, exchange, none()).await?;
    // A vhost may make queues of another type, which cannot be exclusive.
    let mut classic = none();
    classic.insert("x-queue-type".into(), text("classic"));
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), exclusive, classic).await?;
    let bind = QueueBindOptions::default();
    channel.queue_bind(name.clone(), name.clone(), "".into(), bind, none()).await?;
    let publishing = async {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = BasicProperties::default();
        let sent =
            channel.basic_publish(name.clone(), "".into(), options, b"{}", properties).await?;
        sent.await
    };
    let trial = tokio::select! {
        why = blocked => return Ok(Trial::Blocked(why)),
        () = sleep(PATIENCE) => return Ok(Trial::Silent),
        confirmed = publishing => confirmed.map(|_| Trial::Taken)?,
    };
    channel.basic_get(name, BasicGetOptions { no_ack: true }).await?;
    Ok(trial)
}

/// Why the broker takes nothing, once it says so.
async fn blocked(events: impl Stream<Item = Event>) -> String {
    let mut events = Box::pin(events);
    while let Some(event) = events.next().await {
        if let Event::ConnectionBlocked(why) = event {
            return why;
        }
    }
    std::future::pending().await
}

/// What reads each type.
async fn readers(
    connection: &Connection,
    topology: &Topology,
    expected: Expected<'_>,
    management: Option<&Management<'_>>,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut nobody = Vec::new();
    let mut seen = vec![Seen::default(); expected.consumers.len()];
    for kind in Kind::ALL {
        let exchange = topology.exchange(kind);
        let there = topology.exists(&connection.create_channel().await?, kind).await?;
        if !there && expected.delivered {
            findings.push(Finding::failure(
                "queues",
                format!(
                    "the exchange {exchange} is gone, and the state says that records went there"
                ),
                "the broker was emptied, or is another one at the same address: look there first; \
                 `discogs-extractor state forget` forgets what was sent to it",
            ));
        }
        let bound = match management {
            Some(management) if there => management.bound(exchange.as_str()).await,
            _ => None,
        };
        let mut known = false;
        for (consumer, seen) in expected.consumers.iter().zip(&mut seen) {
            let channel = connection.create_channel().await?;
            let queue = topology.queue(consumer, kind);
            match topology.look(&channel, consumer, kind).await {
                Ok(None) => continue,
                Ok(Some((waiting, reading))) => seen.add(waiting, reading),
                Err(error) if is(&error, &AMQPSoftError::PRECONDITIONFAILED) => {
                    findings.push(Finding::failure(
                        "queues",
                        format!("{queue} is another than it should be: {}", words(&error)),
                        "empty it and delete it; its consumer makes it anew",
                    ));
                }
                Err(error) => return Err(error),
            }
            known = true;
            seen.dead += topology.dead(&fresh(connection, channel).await?, consumer, kind).await?;
            if bound.as_ref().is_some_and(|bound| !bound.contains(queue.as_str())) {
                findings.push(Finding::warning(
                    "queues",
                    format!("{queue} gets nothing: it is not bound to {exchange}"),
                    "start its consumer again, or name it with --for: either binds it",
                ));
            }
        }
        if bound.map_or(!known, |bound| bound.is_empty()) {
            nobody.push(kind.name());
        }
    }
    findings
        .extend(expected.consumers.iter().zip(seen).flat_map(|(name, seen)| seen.findings(name)));
    if !nobody.is_empty() {
        findings.push(unread(&nobody.join(", "), expected.made));
    }
    Ok(findings)
}

/// A channel that works: the same, unless the broker closed it over a question.
async fn fresh(connection: &Connection, channel: Channel) -> Result<Channel, Error> {
    if channel.status().connected() { Ok(channel) } else { connection.create_channel().await }
}

fn unread(kinds: &str, made: bool) -> Finding {
    if made {
        return Finding::ok("queues", format!("those of {kinds} are made at the start"));
    }
    Finding::warning(
        "queues",
        format!("no queue that is known here takes {kinds}"),
        "start the consumers first, or name them with --for tableinator,graphinator: what no queue \
         takes is not delivered",
    )
}

/// A consumer's queues, taken together.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    queues: u32,
    waiting: u32,
    unread: u32,
    dead: u32,
}

impl Seen {
    fn add(&mut self, waiting: u32, reading: u32) {
        self.queues += 1;
        self.waiting += waiting;
        if reading == 0 {
            self.unread += waiting;
        }
    }

    fn findings(self, consumer: &str) -> Vec<Finding> {
        let Seen { queues, waiting, unread, dead } = self;
        let mut findings = Vec::new();
        if unread > 0 {
            findings.push(Finding::warning(
                "queues",
                format!("{unread} messages wait for {consumer}, and nobody reads them"),
                "start it; one that was done cancelled its consumers and looks again every hour",
            ));
        } else if queues > 0 {
            let said = format!("{queues} of {consumer}, {waiting} messages wait");
            findings.push(Finding::ok("queues", said));
        }
        if dead > 0 {
            let which = if consumer == "graphinator" { "graph" } else { "tables" };
            findings.push(Finding::warning(
                "dead letters",
                format!("{dead} messages of {consumer} could not be handled"),
                format!(
                    "its log says why; then put them back: discogs-extractor consume \
                     replay-dead-letters {which}"
                ),
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;

    #[test]
    fn what_is_said_of_a_consumers_queues() {
        let said = |waiting, reading, dead| {
            let mut seen = Seen::default();
            seen.add(waiting, reading);
            seen.dead = dead;
            let findings = seen.findings("tableinator");
            findings.into_iter().map(|found| (found.check, found.status)).collect::<Vec<_>>()
        };
        assert_eq!(said(7, 1, 0), [("queues", Level::Ok)]);
        assert_eq!(said(0, 0, 0), [("queues", Level::Ok)]);
        assert_eq!(said(7, 0, 0), [("queues", Level::Warning)]);
        assert_eq!(said(0, 1, 3), [("queues", Level::Ok), ("dead letters", Level::Warning)]);
        assert!(Seen::default().findings("tableinator").is_empty(), "what is not there");
    }
}
