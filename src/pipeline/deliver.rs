//! The task between parse threads and sink: puts batches in order, sends them as far as the window
//! allows, sets bad records aside, and hands the mark to the store as it moves.
//!
//! INVARIANT: what is sent to the store was confirmed by the sink, and a bad record is kept on disk
//! before the mark passes it; the one that is too many it never passes. Each file has one such task.
//! Where batches come from: `reader`, `workers`; where they go: `sink`.

mod set_aside;
mod unsaved;

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::set_aside::SetAside;
use self::unsaved::{Save, Unsaved};
use super::budget::Share;
use super::context::FileContext;
use super::error::FileError;
use super::reading::Reading;
use super::reorder::InOrder;
use super::workers::Done;
use crate::model::{
    BadRecord, Body, Confirmed, Delivery, Documents, Item, Ordinal, Phase, WaitsFor, Window,
    WindowError, metric,
};
use crate::sink::{Lane, Outcome};
use crate::state::StateError;

/// How often this second's state is told, and a mark that moved is made durable, at the latest.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// How long deliveries in flight may take to settle after a stop: inside Docker's 10 s.
const DRAIN: Duration = Duration::from_secs(7);

/// How long they may take where the sink has said that it takes nothing now.
const DRAIN_BLOCKED: Duration = Duration::from_secs(2);

/// Batches in order that wait for room in the window. The budget bounds them in bytes as well.
const READY: usize = 8;

type Advancing = Pin<Box<dyn Future<Output = Result<(), StateError>> + Send>>;

/// Delivers what comes out of the parse threads until there is no more or it is stopped, and keeps
/// the store at the mark. Gives back the window, with nothing in flight unless the drain after a
/// stop took too long.
///
/// # Errors
/// If sink or store cannot go on, or there are too many bad records. What is confirmed by then is
/// in the store.
pub async fn deliver(
    file: &FileContext<'_>,
    reading: &Reading,
    window: Window,
    lane: Lane,
    done: mpsc::Receiver<Done>,
) -> Result<Window, FileError> {
    let mark = window.mark();
    // More may have been allowed when they were met.
    let set_aside = SetAside::before(file, mark.bad_records, mark.ordinal())?;
    let mut delivery = DeliveryLoop {
        file,
        reading,
        unsaved: Unsaved::new(mark.records),
        window,
        order: InOrder::default(),
        ready: VecDeque::new(),
        shares: VecDeque::new(),
        blocked: None,
        set_aside,
        failed: None,
    };
    let ended = delivery.run(lane, done).await;
    let saved = delivery.save().await;
    ended.and(saved)?;
    match delivery.failed {
        Some(error) => Err(error),
        None => Ok(delivery.window),
    }
}

struct DeliveryLoop<'a> {
    file: &'a FileContext<'a>,
    reading: &'a Reading,
    window: Window,
    order: InOrder<Done>,
    ready: VecDeque<Done>,
    /// Parts of the budget, each with the last record of its chunk: given back when the mark has
    /// passed that.
    shares: VecDeque<(Ordinal, Share)>,
    /// What the mark has passed since the last checkpoint was sent off.
    unsaved: Unsaved,
    /// Why the sink takes nothing now, if it has said so.
    blocked: Option<WaitsFor>,
    set_aside: SetAside<'a>,
    /// Why nothing more is taken, while what was sent is settled.
    failed: Option<FileError>,
}

impl DeliveryLoop<'_> {
    /// Hands out, settles and saves until there is no more, or it is over for another reason. A stop
    /// comes first; then what the sink says, which frees the window, before more is handed to it.
    ///
    /// # Cancel safety
    /// A turn of the loop takes what one arm brings, and the others lose nothing: a channel gives up
    /// only what is received, a permit that is not used goes back, and the checkpoint under way is
    /// kept outside (`advancing`) and polled again.
    async fn run(&mut self, lane: Lane, done: mpsc::Receiver<Done>) -> Result<(), FileError> {
        let mut batches = Some(lane.batches);
        let mut outcomes = lane.outcomes;
        let mut done = Some(done);
        let mut advancing: Option<Advancing> = None;
        let mut deadline: Option<Instant> = None;
        // The lane takes no more batches; why, comes with its outcomes.
        let mut over = false;
        let mut tick = interval(TELL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Instant::now();
        loop {
            if done.is_none() && self.ready.is_empty() {
                batches = None;
            }
            let fits = self.next_fits();
            tokio::select! {
                biased;
                () = self.file.pass.stop.cancelled(), if deadline.is_none() => {
                    let patience = self.blocked.as_ref().map_or(DRAIN, |_| DRAIN_BLOCKED);
                    deadline = Some(Instant::now() + patience);
                    done = None;
                    self.give_up_the_rest();
                }
                () = at(deadline) => return Ok(()),
                outcome = outcomes.recv() => match outcome {
                    Some(outcome) => self.settle(outcome?).await?,
                    None if !over && batches.is_none() && self.window.in_flight() == 0 => break,
                    None => return Err(FileError::SinkEnded(self.window.in_flight())),
                },
                permit = room(batches.as_ref()), if fits && !over => match permit {
                    Some(permit) => {
                        let batch = self.take_ready().await?;
                        if let Some(batch) = batch {
                            permit.send(batch);
                        }
                        if self.failed.is_some() {
                            deadline.get_or_insert(Instant::now() + DRAIN);
                            done = None;
                            self.give_up_the_rest();
                        }
                    }
                    None => over = true,
                },
                chunk = next(done.as_mut()), if self.ready.len() < READY => match chunk {
                    Some(chunk) => self.arrived(chunk),
                    None => done = None,
                },
                saved = poll(advancing.as_mut()) => {
                    advancing = None;
                    saved?;
                }
                () = sleep_until(due), if advancing.is_none() && !self.unsaved.is_nothing() => {
                    due = Instant::now() + self.file.pass.settings.sizes.checkpoint_every;
                    advancing = self.advance();
                }
                _ = tick.tick() => self.tell(advancing.is_some()),
            }
        }
        match advancing {
            Some(advancing) => Ok(advancing.await?),
            None => Ok(()),
        }
    }

    /// Forgets what was not sent yet.
    fn give_up_the_rest(&mut self) {
        self.ready.clear();
        self.order = InOrder::default();
    }

    /// Whether the next batch is here and fits the window.
    fn next_fits(&self) -> bool {
        self.ready.front().is_some_and(|done| match &done.parsed {
            Ok(parsed) => self.window.has_room_for(parsed.items.len(), parsed.json.len()),
            Err(_) => true,
        })
    }

    fn arrived(&mut self, chunk: Done) {
        self.order.put(chunk.number, chunk);
        self.ready.extend(std::iter::from_fn(|| self.order.take()));
    }

    /// The next batch, noted in the window; its bad records are set aside. Nothing if there is
    /// nothing in it for the sink.
    async fn take_ready(&mut self) -> Result<Option<Documents>, FileError> {
        let Some(done) = self.ready.pop_front() else { return Ok(None) };
        let died = |words| FileError::died(self.file.name(), "parse", words);
        let mut parsed = done.parsed.map_err(died)?;
        self.unsaved.handed_out(done.points, done.gzip);
        // Before any of them is set aside: the mark may pass the last one right here, and gives back
        // what it finds.
        let last = parsed.items.last().map_or(self.window.mark().ordinal(), |i| i.place.ordinal);
        self.shares.push_back((last, done.share));
        for index in 0..parsed.items.len() {
            let Item { place, body } = &parsed.items[index];
            let bytes = match body {
                Body::Document(document) => document.json.len(),
                Body::Bad(bad) => {
                    self.set_aside.keep(place.ordinal, bad).await?;
                    if let Err(too_many) = self.set_aside.count(place.ordinal, &bad.reason) {
                        // What comes before it is delivered all the same.
                        self.failed = Some(too_many);
                        parsed.items.truncate(index);
                        break;
                    }
                    0
                }
            };
            self.window.sent(*place, bytes).map_err(|cause| self.window_error(cause))?;
            if let Body::Bad(_) = body {
                self.pass_over(place.ordinal)?;
            }
        }
        Ok(Some(parsed.documents()))
    }

    /// Lets the mark pass a bad record that is kept.
    fn pass_over(&mut self, ordinal: Ordinal) -> Result<(), FileError> {
        let step = self.window.set_aside(ordinal).map_err(|cause| self.window_error(cause))?;
        self.moved(step)?;
        counter!(metric::BAD_RECORDS, "type" => self.file.name().kind.name()).increment(1);
        Ok(())
    }

    /// Notes what the sink says of some deliveries.
    async fn settle(&mut self, outcome: Outcome) -> Result<(), FileError> {
        match outcome.delivery {
            Delivery::Durable => {
                self.blocked = None;
                self.confirmed(outcome.ordinals, outcome.position)
            }
            Delivery::Retry(why) => {
                self.blocked = Some(why);
                Ok(())
            }
            Delivery::Refused { why, document } => {
                let ordinal = *outcome.ordinals.start();
                let place = self.window.place(ordinal).map_err(|cause| self.window_error(cause))?;
                let bad = BadRecord {
                    reason: format!("refused by the sink: {why}"),
                    start: place.start,
                    length: document.len() as u64,
                    raw: document,
                };
                self.set_aside.keep(ordinal, &bad).await?;
                self.set_aside.count(ordinal, &bad.reason)?;
                self.pass_over(ordinal)
            }
        }
    }

    fn confirmed(
        &mut self,
        ordinals: RangeInclusive<Ordinal>,
        position: Option<u64>,
    ) -> Result<(), FileError> {
        let step = self.window.confirm(ordinals, position);
        let step = step.map_err(|cause| self.window_error(cause))?;
        self.moved(step)
    }

    fn moved(&mut self, step: Option<Confirmed>) -> Result<(), FileError> {
        let Some(step) = step else { return Ok(()) };
        let (records, bad_records) = (step.to().records, step.to().bad_records);
        let mark = step.to().ordinal();
        let passed = self.shares.partition_point(|(last, _)| *last <= mark);
        self.shares.drain(..passed);
        self.unsaved.moved(step).map_err(|cause| self.window_error(cause))?;
        let now = self.file.pass.clock.now();
        self.file.live.send_modify(|live| {
            live.records = records;
            live.bad_records = bad_records;
            live.last_activity = Some(now);
        });
        Ok(())
    }

    /// Sends the step since the last checkpoint to the store, with the points that it passed.
    fn advance(&mut self) -> Option<Advancing> {
        let Save { advance, records } = self.unsaved.take(self.file.pass.clock.now())?;
        counter!(metric::RECORDS, "type" => self.file.name().kind.name()).increment(records);
        let (keeper, key) = (self.file.pass.keeper.clone(), self.file.key.clone());
        Some(Box::pin(async move { keeper.advance(key, advance).await?.await }))
    }

    /// Makes what is confirmed durable, at the end.
    async fn save(&mut self) -> Result<(), FileError> {
        if let Some(advancing) = self.advance() {
            advancing.await?;
        }
        Ok(())
    }

    /// Tells this second's state.
    fn tell(&self, saving: bool) {
        let skipped = self.reading.skipped.load(Ordering::Relaxed);
        let now = self.file.pass.clock.now();
        let waits_for = match (&self.blocked, self.window.in_flight()) {
            (Some(why), _) => why.clone(),
            (None, 1..) => WaitsFor::SinkSlow,
            (None, 0) if saving => WaitsFor::Disk,
            (None, 0) if self.reading.waits_for_bytes.load(Ordering::Relaxed) => WaitsFor::Download,
            (None, 0) if self.reading.budget.is_whole() => WaitsFor::Reading,
            (None, 0) => WaitsFor::Parsing,
        };
        self.file.live.send_if_modified(|live| {
            let before = live.clone();
            if live.skipped != skipped {
                live.skipped = skipped;
                live.last_activity = Some(now);
            }
            live.phase = Phase::Extracting;
            live.gzip = live.gzip.max(self.unsaved.gzip());
            live.in_flight = self.window.in_flight();
            live.waits_for = waits_for;
            *live != before
        });
    }

    fn window_error(&self, cause: WindowError) -> FileError {
        FileError::Window { file: self.file.name().to_string(), cause }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

async fn room(batches: Option<&mpsc::Sender<Documents>>) -> Option<mpsc::Permit<'_, Documents>> {
    match batches {
        Some(batches) => batches.reserve().await.ok(),
        None => pending().await,
    }
}

async fn next(done: Option<&mut mpsc::Receiver<Done>>) -> Option<Done> {
    match done {
        Some(done) => done.recv().await,
        None => pending().await,
    }
}

async fn poll(advancing: Option<&mut Advancing>) -> Result<(), StateError> {
    match advancing {
        Some(advancing) => advancing.await,
        None => pending().await,
    }
}
