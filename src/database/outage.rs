//! What is said while a database does not do what it is asked: once when it begins and once when it is
//! over, however many wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Obstacle, Passes};
use crate::model::metric;

/// Pauses between tries double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Between two tries to get at what somebody else holds locked; the database waits by itself too.
const LOCKED_PAUSE: Duration = Duration::from_millis(10);

/// What all who wait for one database know of it.
pub struct Outage {
    noun: &'static str,
    location: String,
    now: Mutex<Now>,
}

/// What is held up now, and what was said about it.
#[derive(Default)]
struct Now {
    waiting: usize,
    since: Option<Instant>,
    away: bool,
    refusing: bool,
    locked: bool,
}

impl Outage {
    /// Of a `database`, or a `graph`, at a place as a person names it.
    pub fn of(noun: &'static str, location: impl Into<String>) -> Arc<Outage> {
        Arc::new(Outage { noun, location: location.into(), now: Mutex::default() })
    }

    /// The place, under the name that it has in the log.
    fn places(&self) -> (Option<&str>, Option<&str>) {
        let place = Some(&*self.location);
        if self.noun == "graph" { (None, place) } else { (place, None) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begins(&self, Obstacle { why, hint, passes }: &Obstacle, is_first: bool) {
        let mut now = self.now();
        now.since.get_or_insert_with(Instant::now);
        now.waiting += usize::from(is_first);
        let ((database, graph), hint, noun) = (self.places(), hint.as_deref(), self.noun);
        match passes {
            Passes::Away | Passes::Never if !std::mem::replace(&mut now.away, true) => {
                tracing::warn!(
                    database,
                    graph,
                    why,
                    hint,
                    "the {noun} is away, trying until it is back"
                );
            }
            Passes::Refusing if !std::mem::replace(&mut now.refusing, true) => {
                tracing::warn!(
                    database,
                    graph,
                    why,
                    hint,
                    "the {noun} refuses, trying until it does not"
                );
            }
            Passes::Locked if !std::mem::replace(&mut now.locked, true) => {
                tracing::warn!(why, "the sink holds records back");
            }
            Passes::Away | Passes::Never | Passes::Refusing | Passes::Locked => {}
        }
    }

    /// One fewer waits. That it is over is said if that was the last.
    fn ends(&self, is_well: bool) {
        let ended = {
            let mut now = self.now();
            now.waiting = now.waiting.saturating_sub(1);
            if now.waiting > 0 { Now::default() } else { std::mem::take(&mut *now) }
        };
        let Some(since) = ended.since.filter(|_| is_well) else { return };
        if ended.away || ended.refusing {
            metrics::counter!(metric::RECONNECTS).increment(1);
            let ((database, graph), noun) = (self.places(), self.noun);
            let seconds = since.elapsed().as_secs();
            tracing::info!(database, graph, seconds, "the {noun} is back");
        } else {
            tracing::info!("the sink takes records again");
        }
    }
}

/// One who waits for a database, for as long as it takes.
pub struct Patience {
    outage: Arc<Outage>,
    waiting: bool,
    pause: Duration,
}

impl Patience {
    /// One who does not have to wait yet.
    pub fn with(outage: &Arc<Outage>) -> Patience {
        Patience { outage: Arc::clone(outage), waiting: false, pause: FIRST_PAUSE }
    }

    /// Says what is the matter, if nobody has, and rests before the next try.
    pub async fn wait(&mut self, obstacle: &Obstacle) {
        self.held_up(obstacle);
        sleep(self.rest(obstacle)).await;
    }

    /// Says what is the matter, if nobody has. From now on it is over when this one is well too.
    pub fn held_up(&mut self, obstacle: &Obstacle) {
        self.outage.begins(obstacle, !std::mem::replace(&mut self.waiting, true));
    }

    /// How long to rest before the next try.
    pub fn rest(&mut self, obstacle: &Obstacle) -> Duration {
        if obstacle.passes == Passes::Locked {
            return LOCKED_PAUSE;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// The database did what was asked.
    pub fn well(&mut self) {
        self.pause = FIRST_PAUSE;
        if std::mem::take(&mut self.waiting) {
            self.outage.ends(true);
        }
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if self.waiting {
            self.outage.ends(false);
        }
    }
}
