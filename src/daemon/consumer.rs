//! What a consumer shows of itself: its lines, its health, its metrics, its page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::http::{Http, stored};
use super::page::{self, Live, Source};
use crate::consume::TypeNow;
use crate::model::agreement::Note;
use crate::model::{Clock, Kind, Timestamp, Version};
use crate::observe::picture::{self, Picture};
use crate::observe::{Metrics, Snapshot, Speed, lines};
use crate::state::view::{Doing, TypeEntry};
use crate::state::{Inspection, Keeper};

/// How often it is looked whether the types move.
const LOOK: Duration = Duration::from_secs(1);

/// The lines come early three times, then at leisure.
const EARLY: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(30);

/// What part of the time after which a type is stalled nothing may come before it is said what is
/// missing of an announced run.
const QUIET: u32 = 4;

const MISSING: &str = "records of an announced run have not come: the type is not complete, and \
    nothing is removed, until they do";
const FOUND_WHERE: &str =
    "look into the dead letters; `discogs-extractor consume replay-dead-letters` puts them back";

/// What a consumer is at.
#[derive(Clone)]
pub struct Shown {
    /// The name of the service: `tableinator`.
    pub service: &'static str,
    /// What each type is at.
    pub types: Vec<watch::Receiver<TypeNow>>,
    /// The types that are stalled.
    pub stalled: watch::Receiver<Vec<Kind>>,
    /// The consumer's own store.
    pub keeper: Keeper,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Shown {
    fn now(&self) -> Vec<TypeNow> {
        self.types.iter().map(|now| now.borrow().clone()).collect()
    }

    /// What is shown of each type.
    fn types(&self) -> Vec<TypeEntry> {
        let stalled = self.stalled.borrow();
        let entry = |now: TypeNow| TypeEntry {
            kind: now.kind,
            reads: now.reads,
            cancelled: now.cancelled,
            stalled: stalled.contains(&now.kind),
            records: now.records,
            messages: now.messages,
            in_flight: now.in_flight as u64,
            dead_letters: now.poison,
            last_message: now.last_message,
            completed_at: completed_at(&now).filter(|_| is_complete(&now)),
        };
        self.now().into_iter().map(entry).collect()
    }

    /// Adds what the types are at to what the store holds.
    pub fn overlay(&self, inspection: &mut Inspection) {
        let service = self.service.to_owned();
        inspection.doing = Some(Doing { service, stage: None, types: self.types() });
    }
}

/// Serves health and metrics until it is dropped.
pub async fn serve(http: Http, shown: Shown, metrics: Metrics) -> Infallible {
    let counted = metrics.clone();
    let router = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route(
            "/api/state",
            get(async |State(shown): State<Shown>| stored(&shown.keeper, |_| ()).await),
        )
        .route(
            "/metrics",
            get(async move |State(shown): State<Shown>| {
                let text = counted.render(&Snapshot::default(), None, shown.clock.now());
                ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
            }),
        )
        .fallback(async || {
            (StatusCode::NOT_FOUND, Json(json!({ "error": "there is nothing here" })))
        })
        .with_state(shown.clone());
    let live = Live::new(shown, http.is_loopback());
    let router = router.merge(page::routes(Arc::clone(&live)));
    tokio::select! {
        never = http.answer(router, metrics) => match never {},
        never = live.run() => match never {},
    }
}

impl Source for Shown {
    async fn glance(&self, curves: &[Vec<f64>; 4]) -> Picture {
        let pace = |kind: Kind| {
            let curve = curves[kind as usize].clone();
            let now = Speed { records: curve.last().copied().unwrap_or_default(), bytes: 0.0 };
            (now.rounded(), curve)
        };
        picture::of_types(self.service, &self.types(), pace, self.clock.now())
    }

    fn urgent(&self) -> String {
        let types = self.now().into_iter().map(|now| (now.reads, now.cancelled, is_complete(&now)));
        format!("{:?} {:?}", types.collect::<Vec<_>>(), *self.stalled.borrow())
    }

    fn records(&self) -> [u64; 4] {
        let types = self.now();
        Kind::ALL.map(|kind| types.iter().filter(|t| t.kind == kind).map(|t| t.records).sum())
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}

async fn health(State(shown): State<Shown>) -> Response {
    let stalled = shown.stalled.borrow().clone();
    let healthy = stalled.is_empty();
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let now = shown.clock.now();
    (status, Json(told(shown.service, &shown.now(), &stalled, now))).into_response()
}

/// Ready as soon as a queue is read, or all of them are done with.
async fn ready(State(shown): State<Shown>) -> Response {
    let is_ready = shown.now().iter().all(|now| now.reads || now.cancelled);
    if is_ready {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        let body = Json(json!({ "status": "not_ready" }));
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}

/// The platform's keys, and ours beside them.
fn told(service: &str, types: &[TypeNow], stalled: &[Kind], now: Timestamp) -> Value {
    let each = |value: fn(&TypeNow) -> Value| {
        let pairs = types.iter().map(|now| (now.kind.name().to_owned(), value(now)));
        Value::Object(pairs.collect::<Map<String, Value>>())
    };
    let kinds = |wanted: fn(&TypeNow) -> bool| -> Vec<Kind> {
        types.iter().filter(|now| wanted(now)).map(|now| now.kind).collect()
    };
    let seen = types.iter().any(|now| now.reads || now.cancelled);
    let status = match (stalled, seen) {
        ([], true) => "healthy",
        ([], false) => "starting",
        _ => "unhealthy",
    };
    json!({
        "status": status,
        "service": service,
        "message_counts": each(|now| now.messages.into()),
        "last_message_time": each(|now| match now.last_message {
            // The platform has seconds.
            Some(at) => (at.0 / 1_000).into(),
            None => Value::Null,
        }),
        "active_consumers": kinds(|now| now.reads),
        "completed_files": kinds(is_complete),
        "timestamp": format!("{now:.3}"),
        "cancelled_consumers": kinds(|now| now.cancelled),
        "records_written": each(|now| now.records.into()),
        "dead_letters": each(|now| now.poison.into()),
        "in_flight": each(|now| now.in_flight.into()),
        "held_up": each(|now| now.held_up.clone().into()),
        "stalled": stalled,
    })
}

fn is_complete(now: &TypeNow) -> bool {
    now.reading.is_none() && completed_at(now).is_some()
}

fn completed_at(now: &TypeNow) -> Option<Timestamp> {
    now.notes.iter().filter_map(|note| note.completed_at).max()
}

/// The latest run of a type of which the end was announced and not all has come, and how many
/// records are missing, if no message has come for some time.
fn missing(now: &TypeNow, at: Timestamp, quiet: Duration) -> Option<(Option<Version>, u64)> {
    let since_last =
        now.last_message.map(|last| Duration::from_millis(at.0.saturating_sub(last.0)));
    if now.in_flight > 0 || since_last.is_some_and(|since| since < quiet) {
        return None;
    }
    let run = |note: &&Note| (note.announced.version, note.announced.proof.map(|(run, ..)| run.0));
    let latest = now.notes.iter().max_by_key(run)?;
    let missing = latest.missing().filter(|missing| *missing > 0 && latest.completed_at.is_none());
    Some((latest.announced.version, missing?))
}

/// Since when one type has not moved.
#[derive(Clone, Copy)]
struct Still {
    done: u64,
    since: Duration,
}

/// Logs the lines when they are due, and looks for types that do not move.
pub async fn watch(
    shown: Shown,
    stalled: watch::Sender<Vec<Kind>>,
    stall_after: Duration,
    says: bool,
) -> Infallible {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut still = [Still { done: 0, since: shown.clock.elapsed() }; 4];
    let mut due = shown.clock.elapsed() + EARLY;
    let mut times = 0_u32;
    let quiet = stall_after / QUIET;
    let mut told_missing = [None; 4];
    loop {
        tick.tick().await;
        let (types, now) = (shown.now(), shown.clock.elapsed());
        for (told, of_type) in told_missing.iter_mut().zip(&types) {
            let missing = missing(of_type, shown.clock.now(), quiet).filter(|_| now >= quiet);
            if missing != *told {
                if let Some((version, records)) = missing {
                    let version = version.map(|version| version.to_string());
                    tracing::warn!(r#type = %of_type.kind, version, records, hint = FOUND_WHERE, "{MISSING}");
                }
                *told = missing;
            }
        }
        let mut found = Vec::new();
        for (still, of_type) in still.iter_mut().zip(&types) {
            let done = of_type.records + of_type.poison;
            let is_idle = of_type.in_flight == 0 && of_type.held_up.is_none();
            if done != still.done || is_idle {
                *still = Still { done, since: now };
            } else if now.saturating_sub(still.since) >= stall_after {
                found.push(of_type.kind);
            }
        }
        let before = stalled.borrow().clone();
        if found != before {
            if found.is_empty() {
                tracing::info!("the consumers move again");
            } else {
                tracing::warn!("{}", lines::stalled_consumers(&found));
            }
            stalled.send_replace(found);
        }
        if now >= due {
            times += 1;
            due = now + if times < 3 { EARLY } else { LATER };
            if says {
                say(&types);
            }
        }
    }
}

fn say(types: &[TypeNow]) {
    let written = |kind| types.iter().filter(|now| now.kind == kind).map(|now| now.records).sum();
    tracing::info!("{}", lines::consumer_progress(Kind::ALL.map(written)));
    let complete = types.iter().filter(|now| is_complete(now));
    let complete: Vec<_> =
        complete.filter_map(|now| Some((now.kind, completed_at(now)?))).collect();
    let active: Vec<_> = types.iter().filter(|now| now.reads).map(|now| now.kind).collect();
    let said = [lines::completed(&complete), lines::active_consumers(&active)];
    for line in said.into_iter().flatten() {
        tracing::info!("{line}");
    }
}
