//! The page's routes: the page itself, its two files, and the pictures as they come.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::render;
use crate::daemon::gate::from_here;
use crate::daemon::lease::Lease;
use crate::model::{Clock, Kind};
use crate::observe::picture::{Curve, Picture};

/// How often it is looked whether something changed that nobody wants to wait for.
const LOOK: Duration = Duration::from_millis(250);

/// After so many looks a picture comes anyway.
const LOOKS: u32 = 4;

/// Listeners at the same time: fewer than clients are served, so that they starve nobody.
const LISTENERS: usize = 16;

/// What every answer says: nothing from elsewhere is loaded, nobody frames or reads it, and nobody
/// keeps it.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("referrer-policy"), "no-referrer"),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
];

/// What a page is about.
pub trait Source: Clone + Send + Sync + 'static {
    /// The picture of this moment.
    fn glance(&self, curves: &[Vec<f64>; 4]) -> impl Future<Output = Picture> + Send;

    /// What is shown at once when it changes.
    fn urgent(&self) -> String;

    /// Records by type.
    fn records(&self) -> [u64; 4];

    /// Time.
    fn clock(&self) -> &dyn Clock;
}

/// A page that lives.
pub struct Live<S> {
    source: S,
    /// Whether only this machine can ask.
    loopback: bool,
    curves: Mutex<[Curve; 4]>,
    listeners: Arc<Semaphore>,
    /// The latest event: whoever is late gets no older one.
    event: watch::Sender<Bytes>,
}

impl<S: Source> Live<S> {
    /// A page that nobody looks at yet.
    pub fn new(source: S, loopback: bool) -> Arc<Live<S>> {
        Arc::new(Live {
            source,
            loopback,
            curves: Mutex::default(),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            event: watch::Sender::default(),
        })
    }

    /// Draws the curves, and a picture for those who listen, until it is dropped.
    pub async fn run(&self) -> Infallible {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut looks, mut before) = (0, String::new());
        loop {
            tick.tick().await;
            self.note();
            looks += 1;
            let urgent = self.source.urgent();
            if looks < LOOKS && urgent == before {
                continue;
            }
            (looks, before) = (0, urgent);
            if self.event.receiver_count() > 0 {
                let event = self.draw().await;
                self.event.send_replace(event);
            }
        }
    }

    fn note(&self) {
        let now = self.source.clock().elapsed();
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        for (curve, records) in curves.iter_mut().zip(self.source.records()) {
            curve.note(now, records);
        }
    }

    async fn picture(&self) -> Picture {
        let curves = {
            let curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
            Kind::ALL.map(|kind| curves[kind as usize].points())
        };
        self.source.glance(&curves).await
    }

    async fn draw(&self) -> Bytes {
        let picture = self.picture().await;
        let (title, html) = (render::title(&picture), render::main(&picture));
        let data = json!({ "picture": picture, "title": title, "html": html });
        format!("data: {data}\n\n").into()
    }
}

/// The routes of a page.
pub fn routes<S: Source>(live: Arc<Live<S>>) -> Router {
    Router::new()
        .route("/", get(page::<S>))
        .route("/events", get(events::<S>))
        .route("/page.css", get(async || file("text/css", include_str!("page.css"))))
        .route("/page.js", get(async || file("text/javascript", include_str!("page.js"))))
        .with_state(live)
}

fn file(kind: &str, text: impl Into<Body>) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    (HEADERS, [(CONTENT_TYPE, kind)], text.into()).into_response()
}

fn told(status: StatusCode, error: &str) -> Response {
    (status, HEADERS, Json(json!({ "error": error }))).into_response()
}

async fn page<S: Source>(State(live): State<Arc<Live<S>>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = from_here(&headers, live.loopback) {
        return told(StatusCode::FORBIDDEN, &refusal.to_string());
    }
    file("text/html", render::page(&live.picture().await))
}

/// A client that does not read is asked for nothing more, its lease is not renewed, and it is let
/// go; what waits for it is one picture.
async fn events<S: Source>(
    State(live): State<Arc<Live<S>>>,
    Extension(lease): Extension<Lease>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = from_here(&headers, live.loopback) {
        return told(StatusCode::FORBIDDEN, &refusal.to_string());
    }
    let Ok(seat) = Arc::clone(&live.listeners).try_acquire_owned() else {
        return told(StatusCode::SERVICE_UNAVAILABLE, "too many listen already");
    };
    let latest = live.event.subscribe();
    let first = Some(live.draw().await);
    let pictures =
        unfold((first, latest, lease, seat), async |(first, mut latest, lease, seat)| {
            lease.renew();
            let event = if let Some(event) = first {
                event
            } else {
                latest.changed().await.ok()?;
                latest.borrow_and_update().clone()
            };
            Some((Ok::<_, Infallible>(event), (None, latest, lease, seat)))
        });
    file("text/event-stream", Body::from_stream(pictures))
}
