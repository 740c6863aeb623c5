//! What the four types of a consumer share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Said;
use super::line::Line;
use super::unswept::Unswept;
use crate::amqp::Topology;
use crate::database::{Database, Outage};
use crate::model::Clock;
use crate::model::agreement::Note;

/// What all types have in common.
pub struct Shared {
    /// The database.
    pub database: Arc<dyn Database>,
    /// The consumer's name.
    pub consumer: String,
    /// Names and declarations.
    pub topology: Topology,
    /// The connection.
    pub line: Line,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Says that everything is to stop.
    pub stop: CancellationToken,
    /// Whether the database is away, for any of them.
    pub outage: Arc<Outage>,
    /// How often a cancelled queue is looked into.
    pub check_interval: Duration,
    /// Tells people.
    pub say: fn(Said),
    /// How long after completion a type's consumers are cancelled; none for never.
    pub cancel_after: Option<Duration>,
    /// After which runs this process could not sweep.
    pub unswept: Unswept,
    /// Takes the runs of which rows may be left to remove.
    pub sweeps: mpsc::Sender<Note>,
}
