//! This process as one of those that consume a type: what all of them agree on, as it was last read
//! in the database, which step follows from it, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use lapin::types::ShortString;
use metrics::counter;
use tokio::sync::watch;
use tokio::time::sleep;

use super::cancel::{Act, Event, State, Time, next};
use super::lost::{LostEnd, lost_end};
use super::portion::{self, Portion};
use super::round::{Round, in_time};
use super::shared::Shared;
use super::unswept::Name;
use super::{Said, TypeNow};
use crate::database::{Noted, Obstacle, Passes, Patience};
use crate::model::agreement::{Announced, Completion, Due, Event as Told, Silence, Sweep};
use crate::model::{DumpName, Kind, Ordinal, Run, Version, metric};

/// How often a type looks at what is agreed in the database.
pub const LOOK: Duration = Duration::from_millis(500);

/// What to do about records that were refused.
/// How often it looks at all that was ever agreed, and not only at the newest runs.
const ALL_EVERY: Duration = Duration::from_secs(20);

/// How long nothing must have come until a queue that is read is empty, whoever else reads it.
const QUIET: Duration = Duration::from_mins(1);

const LOST: &str =
    "a version ended, and the end of this type's file never came: its messages are lost";
const SEND_AGAIN: &str = "the queue was emptied, or made anew: send that version again, with \
    --force-reprocess";

const REPLAY: &str = "when the cause is gone, `discogs-extractor consume replay-dead-letters` puts \
    them back, and what the version no longer has is removed then";

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

/// One of a type's consumers.
pub struct Member {
    /// The type.
    pub kind: Kind,
    /// What the types share.
    pub shared: Arc<Shared>,
    state: State,
    agreed: Completion,
    /// The end without proof that is waited for, and since when nobody wrote anything.
    silence: Option<(Silence, Duration)>,
    /// Where the last record came from.
    source: Option<(Version, Run)>,
    /// When all that is agreed was last looked at.
    all_at: Duration,
    /// When the last message came.
    came_at: Duration,
    /// An end that never came, of which that was said.
    lost: Option<LostEnd>,
    portion: Portion,
    patience: Patience,
    /// The batch that could not be written when its messages were given back.
    unwritten: Option<Arc<Round>>,
    now: watch::Sender<TypeNow>,
}

impl Member {
    /// A consumer that does nothing yet.
    pub fn new(kind: Kind, shared: Arc<Shared>, now: watch::Sender<TypeNow>) -> Member {
        let patience = Patience::with(&shared.outage);
        let portion = Portion::new(shared.database.batch());
        Member {
            kind,
            shared,
            state: State::Consuming,
            agreed: Completion::default(),
            silence: None,
            source: None,
            all_at: Duration::ZERO,
            came_at: Duration::ZERO,
            lost: None,
            portion,
            patience,
            unwritten: None,
            now,
        }
    }

    /// Learns what is agreed, however long the database takes.
    pub async fn begin(&mut self) {
        while let Err(away) = self.fetch(Noted::All).await {
            self.wait(&away).await;
        }
        self.well();
        self.state = State::begin(self.agreed.due(), self.time());
        self.picture();
    }

    /// Whether the queue is to be read.
    pub const fn is_to_read(&self) -> bool {
        self.state.reads()
    }

    /// Whether the database can be reached.
    pub async fn reach(&self) -> Result<(), Obstacle> {
        in_time(self.shared.database.answers()).await
    }

    /// How many messages are taken at once.
    pub const fn portion(&self) -> Portion {
        self.portion
    }

    /// From now on so many are.
    pub const fn portion_is(&mut self, portion: Portion) {
        self.portion = portion;
    }

    /// Something was learnt of how many may be.
    pub fn take(&mut self, event: portion::Event) {
        self.portion = portion::next(self.portion, event);
    }

    /// Keeps a batch that could not be written, after its messages were given back.
    pub fn keep(&mut self, round: Arc<Round>) {
        self.unwritten = Some(round);
    }

    /// Waits until the database takes what it did not take before, for as long as that lasts. One
    /// that answers may be full, or let us only read: that is found out by the write that failed,
    /// and not by messages, each of which the broker delivers 20 times at most.
    pub async fn wait_for_database(&mut self) {
        loop {
            let tried = match self.unwritten.clone() {
                // Its messages come again, and change nothing then.
                Some(round) => round.handle(&*self.shared.database).await.map(|_| ()),
                None => self.reach().await,
            };
            match tried {
                Ok(()) => break,
                Err(away) => self.wait(&away).await,
            }
        }
        self.unwritten = None;
        self.well();
    }

    /// Says that the database does not do what it is asked, if nobody has. A lock that somebody
    /// holds for so long that this is called is no better than one that is away.
    pub fn held_up(&mut self, obstacle: &Obstacle) {
        let passes = match obstacle.passes {
            Passes::Locked => Passes::Away,
            passes @ (Passes::Away | Passes::Refusing | Passes::Never) => passes,
        };
        self.patience.held_up(&Obstacle { passes, ..obstacle.clone() });
        self.now.send_if_modified(|now| now.held_up.replace(obstacle.why.clone()).is_none());
    }

    /// How long to rest before it is asked again.
    pub fn rest(&mut self, away: &Obstacle) -> Duration {
        self.patience.rest(away)
    }

    async fn wait(&mut self, away: &Obstacle) {
        self.held_up(away);
        sleep(self.rest(away)).await;
    }

    /// The database did what it was asked.
    pub fn well(&mut self) {
        self.patience.well();
        self.now.send_if_modified(|now| now.held_up.take().is_some());
    }

    /// There are messages for a type whose consumers are cancelled.
    pub async fn found(&mut self) {
        self.step(Event::Found).await;
    }

    /// Learns what is agreed, finds out whether something is complete, and takes the step that
    /// follows.
    ///
    /// # Errors
    /// If the database cannot be used now.
    pub async fn look(&mut self) -> Result<Next, Obstacle> {
        let is_due = self.shared.clock.elapsed().saturating_sub(self.all_at) >= ALL_EVERY;
        self.fetch(if is_due { Noted::All } else { Noted::Newest }).await?;
        if is_due {
            self.look_for_a_lost_end().await?;
        }
        for note in self.agreed.notes.clone() {
            if note.completed_at.is_none() && note.missing() == Some(0) {
                let complete = Told::Complete(note.announced);
                if self.complete(note.announced, complete).await? && note.refused > 0 {
                    let version = note.announced.version.map(|version| version.to_string());
                    tracing::warn!(
                        r#type = %self.kind, version, records = note.refused, hint = REPLAY,
                        "complete without records that were refused: nothing is removed"
                    );
                }
            }
        }
        let mut next = self.step(Event::Agreed(self.agreed.due())).await;
        if next == Next::GoOn {
            next = self.step(Event::Tick).await;
        }
        for note in &self.agreed.notes {
            match note.sweep {
                // If there is no room now it is found again.
                Some(Sweep::Owed | Sweep::Refused) => {
                    _ = self.shared.sweeps.try_send(note.clone());
                }
                Some(Sweep::Done) => self.shared.unswept.swept(Name::of(note)),
                None => {}
            }
        }
        self.follow().await?;
        self.picture();
        Ok(next)
    }

    /// Says so if a version ended of which the end of this type never came, once the queue is empty:
    /// it was emptied.
    async fn look_for_a_lost_end(&mut self) -> Result<(), Obstacle> {
        let is_quiet = {
            let now = self.now.borrow();
            let quiet = self.shared.clock.elapsed().saturating_sub(self.came_at);
            now.reads && now.in_flight == 0 && quiet >= QUIET
        };
        if !is_quiet {
            return Ok(());
        }
        let end = in_time(self.shared.database.last_version_end(self.kind)).await?;
        let lost = end.and_then(|end| lost_end(self.kind, &end, &self.agreed));
        if let Some(LostEnd { version, records }) = lost.filter(|_| lost != self.lost) {
            let version = version.to_string();
            tracing::error!(r#type = %self.kind, version, records, hint = SEND_AGAIN, "{LOST}");
        }
        self.lost = lost;
        Ok(())
    }

    /// Counts what is written of the run that is being read, until its end is announced.
    async fn follow(&mut self) -> Result<(), Obstacle> {
        let announced = |(version, run): &(Version, Run)| {
            self.agreed.notes.iter().any(|note| {
                note.announced.version == Some(*version)
                    && note.announced.proof.is_some_and(|(of, ..)| of == *run)
            })
        };
        let reading = match self.source.filter(|source| !announced(source)) {
            Some((version, run)) => {
                let file = DumpName { version, kind: self.kind };
                let held = in_time(self.shared.database.held(file, run)).await?;
                Some((version, run, held.count_to(Ordinal(u64::MAX))))
            }
            None => None,
        };
        self.now.send_if_modified(|now| std::mem::replace(&mut now.reading, reading) != reading);
        Ok(())
    }

    async fn fetch(&mut self, which: Noted) -> Result<(), Obstacle> {
        let found = in_time(self.shared.database.notes(self.kind, which)).await?;
        let known = match which {
            Noted::Newest => self.agreed.looked_at(found),
            Noted::All => {
                self.all_at = self.shared.clock.elapsed();
                Some(found)
            }
        };
        let Some(known) = known else { return Box::pin(self.fetch(Noted::All)).await };
        self.agreed = known;
        let elapsed = self.shared.clock.elapsed();
        let since = |silence| match self.silence {
            Some((before, since)) if before == silence => since,
            Some(_) | None => elapsed,
        };
        self.silence = self.agreed.silence().map(|silence| (silence, since(silence)));
        Ok(())
    }

    /// Notes that a run is complete; whether that is news.
    async fn complete(&mut self, announced: Announced, told: Told) -> Result<bool, Obstacle> {
        let (_, is_new) = in_time(self.shared.database.agree(self.kind, told)).await?;
        if is_new {
            (self.shared.say)(Said::Complete(self.kind));
            if let Some(higher) = self.agreed.dropped_for(&announced) {
                let run = announced.proof.map_or(0, |(run, ..)| run.0);
                tracing::error!(
                    r#type = %self.kind, run, higher_run = higher.0,
                    hint = "a higher run of that version was complete before: look at the clock of \
                            the extractor that sent this one, then send it again with \
                            --force-reprocess",
                    "a whole run was dropped as older than what is here"
                );
            }
        }
        self.fetch(Noted::All).await?;
        Ok(is_new)
    }

    fn time(&self) -> Time {
        let Shared { clock, cancel_after, .. } = &*self.shared;
        Time { elapsed: clock.elapsed(), delay: *cancel_after }
    }

    async fn step(&mut self, event: Event) -> Next {
        let (state, act) = next(self.state, event, self.time());
        let (kind, database) = (self.kind, Arc::clone(&self.shared.database));
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
            Act::Resume => in_time(database.agree(kind, Told::Found)).await.map(|_| Next::Read),
            Act::Settle(cancellation) => {
                match in_time(database.agree(kind, Told::Time(cancellation))).await {
                    Ok(_) => match self.fetch(Noted::All).await {
                        Ok(()) => {
                            let agreed = Event::Agreed(self.agreed.due());
                            return Box::pin(self.step(agreed)).await;
                        }
                        Err(away) => Err(away),
                    },
                    Err(away) => Err(away),
                }
            }
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

    /// Whether an end without proof was announced, and nobody has written anything since for as long
    /// as that takes.
    pub fn is_silent(&self) -> bool {
        let elapsed = self.shared.clock.elapsed();
        self.silence.is_some_and(|(silence, since)| elapsed.saturating_sub(since) >= silence.lasts)
    }

    /// Notes that such a run is complete, unless something was written meanwhile.
    ///
    /// # Errors
    /// If the database cannot be used now.
    pub async fn complete_without_proof(&mut self) -> Result<(), Obstacle> {
        match self.silence {
            Some((silence, _)) => self.complete(silence.of, Told::Silent(silence)).await.map(drop),
            None => Ok(()),
        }
    }

    /// The queue.
    pub fn queue(&self) -> ShortString {
        self.shared.topology.queue(&self.shared.consumer, self.kind)
    }

    /// The consumer's name at the broker.
    pub fn tag(&self) -> ShortString {
        let tag = format!("{}-{}", self.shared.consumer, self.kind);
        ShortString::try_new(tag).unwrap_or_default()
    }

    /// A message came, from a run if it says so.
    pub fn message(&mut self, source: Option<(Version, Run)>) {
        self.source = source.or(self.source);
        self.came_at = self.shared.clock.elapsed();
        let at = self.shared.clock.now();
        self.now.send_modify(|now| {
            now.messages += 1;
            now.last_message = Some(at);
        });
    }

    /// Messages were dealt with.
    pub fn written(&self, records: u64, poison: u64) {
        counter!(metric::RECORDS, "type" => self.kind.name()).increment(records);
        self.now.send_modify(|now| {
            now.records += records;
            now.poison += poison;
        });
    }

    /// So many messages are not acknowledged.
    pub fn in_flight(&self, messages: usize) {
        self.now.send_if_modified(|now| {
            let changed = now.in_flight != messages;
            now.in_flight = messages;
            changed
        });
    }

    /// Whether the queue is being read.
    pub fn reads(&self, reads: bool) {
        self.now.send_modify(|now| now.reads = reads);
    }

    fn picture(&self) {
        self.now.send_if_modified(|now| {
            let cancelled = self.agreed.due() == Due::Cancelled;
            let changed = now.notes != self.agreed.notes || now.cancelled != cancelled;
            now.notes.clone_from(&self.agreed.notes);
            now.cancelled = cancelled;
            changed
        });
    }
}
