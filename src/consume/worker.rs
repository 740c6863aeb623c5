//! One type's consumer for as long as the process lives: it reads, rests, and reads again.

use std::sync::Arc;
use std::time::Duration;

use lapin::types::ShortString;
use metrics::counter;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::cancel::{Act, Event, State, next};
use super::line::{Line, up};
use super::outage::Outage;
use super::round::in_time;
use super::session::{Ended, Session};
use super::target::{Away, Target};
use super::{Said, TypeNow};
use crate::amqp::{Topology, Waiting, words};
use crate::model::complete::{Due, Note, Sweep, dropped_for, due};
use crate::model::{Clock, DumpName, Kind, Run, Version, metric};

/// How often a type looks at what is agreed in the database.
pub const LOOK: Duration = Duration::from_millis(500);

/// How long looking into a queue may take.
const CHECK: Duration = Duration::from_secs(20);

/// Pauses before the queue is read again double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What all types have in common.
pub struct Shared {
    /// The database.
    pub target: Arc<dyn Target>,
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
    /// Whether the database is away.
    pub outage: Outage,
    /// How often a cancelled queue is looked into.
    pub check_interval: Duration,
    /// Tells people.
    pub say: fn(Said),
    /// Takes the runs of which rows may be left to remove.
    pub sweeps: mpsc::Sender<Note>,
}

/// What is to be done after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    GoOn,
    /// Stop reading.
    Cancel,
    /// Read.
    Read,
}

/// One type's consumer.
pub struct Worker {
    pub(super) kind: Kind,
    pub(super) shared: Arc<Shared>,
    state: State,
    notes: Vec<Note>,
    /// Where the last record came from.
    source: Option<(Version, Run)>,
    now: watch::Sender<TypeNow>,
}

impl Worker {
    /// A consumer that does nothing yet.
    pub fn new(kind: Kind, shared: Arc<Shared>, now: watch::Sender<TypeNow>) -> Worker {
        Worker { kind, shared, state: State::Consuming, notes: Vec::new(), source: None, now }
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// What will not get better by itself.
    pub async fn run(mut self) -> Result<(), String> {
        let stop = self.shared.stop.clone();
        let begun = stop.run_until_cancelled(self.begin()).await;
        if begun.is_none() {
            return Ok(());
        }
        // What came while nobody read is looked for at once.
        let mut check_at = Instant::now();
        while !stop.is_cancelled() {
            if self.state.reads() {
                self.read().await?;
                check_at = Instant::now() + self.shared.check_interval;
            } else if stop.run_until_cancelled(self.rest(&mut check_at)).await.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Learns what is agreed, however long the database takes.
    async fn begin(&mut self) {
        while let Err(away) = self.fetch().await {
            self.shared.outage.begins(&away);
            sleep(LOOK).await;
        }
        self.state = State::begin(due(&self.notes));
        self.picture();
    }

    /// Reads the queue until the type is cancelled, or everything stops.
    async fn read(&mut self) -> Result<(), String> {
        let link = self.shared.line.hold();
        let stop = self.shared.stop.clone();
        let mut pause = FIRST_PAUSE;
        while self.state.reads() {
            let ready = async {
                self.wait_for_database().await;
                up(&link).await
            };
            let Some(Some(connection)) = stop.run_until_cancelled(ready).await else {
                return Ok(());
            };
            let began = Instant::now();
            let ended = match Session::open(self, &connection).await {
                Ok(session) => session.run().await,
                Err(ended) => ended,
            };
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Cancelled => {}
                Ended::Outage => tracing::debug!(r#type = %self.kind, "messages were given back"),
                Ended::Wrong(why) => return Err(why),
                Ended::Lost(why) => {
                    tracing::debug!(r#type = %self.kind, why, "the channel is gone");
                    if began.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                    stop.run_until_cancelled(sleep(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        Ok(())
    }

    /// Waits until the database can be written to.
    async fn wait_for_database(&self) {
        while let Err(away) = self.reach().await {
            self.shared.outage.begins(&away);
            sleep(LOOK).await;
        }
        self.shared.outage.ends();
    }

    /// Whether the database can be written to.
    pub(super) async fn reach(&self) -> Result<(), Away> {
        in_time(self.shared.target.answers()).await
    }

    /// Waits, and looks into the queue when that is due.
    async fn rest(&mut self, check_at: &mut Instant) {
        sleep(LOOK).await;
        match self.look().await {
            Ok(_) => self.shared.outage.ends(),
            Err(away) => self.shared.outage.begins(&away),
        }
        if self.state.reads() || Instant::now() < *check_at {
            return;
        }
        *check_at = Instant::now() + self.shared.check_interval;
        match timeout(CHECK, self.messages_waiting()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(messages)) => {
                tracing::info!(r#type = %self.kind, messages, "there are messages for it again");
                self.step(Event::Found).await;
            }
            Ok(Err(why)) => tracing::debug!(r#type = %self.kind, why, "cannot look into the queue"),
            Err(_) => tracing::debug!(r#type = %self.kind, "the broker does not answer"),
        }
    }

    async fn messages_waiting(&self) -> Result<u32, String> {
        let link = self.shared.line.hold();
        let connection = up(&link).await.ok_or("the connection is closed")?;
        let channel = connection.create_channel().await.map_err(|error| words(&error))?;
        let waiting = self.shared.topology.consumer(&channel, self.kind).await;
        match waiting.map_err(|error| words(&error))? {
            Waiting::Messages(messages) => {
                // It is closed with the connection otherwise.
                _ = channel.close(200, "done".into()).await;
                Ok(messages)
            }
            Waiting::Different(why) => Err(why),
        }
    }

    /// Learns what is agreed, finds out whether something is complete, and takes the step that
    /// follows.
    ///
    /// # Errors
    /// If the database cannot be used now.
    pub(super) async fn look(&mut self) -> Result<Next, Away> {
        self.fetch().await?;
        for note in self.notes.clone() {
            if note.completed_at.is_none() && note.missing() == Some(0) {
                self.complete(note).await?;
            }
        }
        let mut next = self.step(Event::Agreed(due(&self.notes))).await;
        if next == Next::GoOn {
            next = self.step(Event::Now(self.shared.clock.now())).await;
        }
        for note in &self.notes {
            if matches!(note.sweep, Some(Sweep::Owed | Sweep::Refused)) {
                // If there is no room now it is found again.
                _ = self.shared.sweeps.try_send(*note);
            }
        }
        self.follow().await?;
        self.picture();
        Ok(next)
    }

    /// Counts what is written of the run that is being read, until its end is announced.
    async fn follow(&mut self) -> Result<(), Away> {
        let announced = |(version, run): &(Version, Run)| {
            self.notes.iter().any(|note| {
                note.announced.version == Some(*version)
                    && note.announced.proof.is_some_and(|(of, ..)| of == *run)
            })
        };
        let reading = match self.source.filter(|source| !announced(source)) {
            Some((version, run)) => {
                let file = DumpName { version, kind: self.kind };
                Some((version, run, in_time(self.shared.target.written(file, run)).await?))
            }
            None => None,
        };
        self.now.send_if_modified(|now| std::mem::replace(&mut now.reading, reading) != reading);
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), Away> {
        self.notes = in_time(self.shared.target.notes(self.kind)).await?;
        Ok(())
    }

    async fn complete(&mut self, note: Note) -> Result<(), Away> {
        if in_time(self.shared.target.complete(note.announced)).await? {
            (self.shared.say)(Said::Complete(self.kind));
            if let Some(higher) = dropped_for(&note, &self.notes) {
                let run = note.announced.proof.map_or(0, |(run, ..)| run.0);
                tracing::error!(
                    r#type = %self.kind, run, higher_run = higher.0,
                    hint = "a higher run of that version was complete before: look at the clock of \
                            the extractor that sent this one, then send it again with \
                            --force-reprocess",
                    "a whole run was dropped as older than what is here"
                );
            }
        }
        self.fetch().await
    }

    async fn step(&mut self, event: Event) -> Next {
        let (state, act) = next(self.state, event);
        let (kind, target) = (self.kind, Arc::clone(&self.shared.target));
        let result = match act {
            Act::Nothing => {
                self.state = state;
                return Next::GoOn;
            }
            Act::Cancel => {
                self.state = state;
                (self.shared.say)(Said::Canceling(kind));
                return Next::Cancel;
            }
            Act::Consume => {
                self.state = state;
                return Next::Read;
            }
            Act::Resume => in_time(target.resume(kind)).await.map(|()| Next::Read),
            Act::Settle => match in_time(target.cancel(kind)).await {
                Ok(()) => match self.fetch().await {
                    Ok(()) => {
                        let agreed = Event::Agreed(due(&self.notes));
                        return Box::pin(self.step(agreed)).await;
                    }
                    Err(away) => Err(away),
                },
                Err(away) => Err(away),
            },
        };
        match result {
            Ok(next) => {
                self.state = state;
                next
            }
            // It is tried again at the next look.
            Err(away) => {
                tracing::debug!(r#type = %kind, why = %away, "cannot note it now");
                Next::GoOn
            }
        }
    }

    /// Whether the end of a run was announced of which nothing says what belongs to it.
    pub(super) fn waits_for_silence(&self) -> bool {
        self.silent().is_some()
    }

    fn silent(&self) -> Option<Note> {
        let open = |note: &&Note| note.completed_at.is_none() && note.announced.proof.is_none();
        self.notes.iter().find(open).copied()
    }

    /// Notes that such a run is complete.
    ///
    /// # Errors
    /// If the database cannot be used now.
    pub(super) async fn complete_without_proof(&mut self) -> Result<(), Away> {
        match self.silent() {
            Some(note) => self.complete(note).await,
            None => Ok(()),
        }
    }

    /// The queue.
    pub(super) fn queue(&self) -> ShortString {
        self.shared.topology.queue(&self.shared.consumer, self.kind)
    }

    /// The consumer's name at the broker.
    pub(super) fn tag(&self) -> ShortString {
        let tag = format!("{}-{}", self.shared.consumer, self.kind);
        ShortString::try_new(tag).unwrap_or_default()
    }

    /// A message came, from a run if it says so.
    pub(super) fn message(&mut self, source: Option<(Version, Run)>) {
        self.source = source.or(self.source);
        let at = self.shared.clock.now();
        self.now.send_modify(|now| {
            now.messages += 1;
            now.last_message = Some(at);
        });
    }

    /// Messages were dealt with.
    pub(super) fn written(&self, records: u64, poison: u64) {
        counter!(metric::RECORDS, "type" => self.kind.name()).increment(records);
        self.now.send_modify(|now| {
            now.records += records;
            now.poison += poison;
        });
    }

    /// So many messages are not acknowledged.
    pub(super) fn in_flight(&self, messages: usize) {
        self.now.send_if_modified(|now| {
            let changed = now.in_flight != messages;
            now.in_flight = messages;
            changed
        });
    }

    /// Whether the queue is being read.
    pub(super) fn reads(&self, reads: bool) {
        self.now.send_modify(|now| now.reads = reads);
    }

    fn picture(&self) {
        self.now.send_if_modified(|now| {
            let cancelled = due(&self.notes) == Due::Cancelled;
            let changed = now.notes != self.notes || now.cancelled != cancelled;
            now.notes.clone_from(&self.notes);
            now.cancelled = cancelled;
            changed
        });
    }
}
