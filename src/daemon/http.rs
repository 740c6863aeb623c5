//! The face that the daemon shows over HTTP: how it is, what it knows, what it counts, and the
//! button that starts a pass.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::gate::{Refusal, admit};
use super::lease::Lease;
use super::page::{self, Live, Source};
use super::trigger::Trigger;
use crate::model::{Clock, Job};
use crate::observe::picture::{self, Picture};
use crate::observe::{Health, Metrics, Snapshot, Stage};
use crate::state::{Inspection, Keeper, view};

/// Clients served at the same time; more wait. A dashboard, a scraper and a few people need less.
const AT_ONCE: usize = 64;

/// How long a client may take from connecting to the last byte of its answer. A connection
/// carries one request. Whoever listens to the page's events has it anew with each that it reads.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long the store or the daemon may take to answer us: less than the client's deadline, so
/// that it still hears of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the page waits for the store before it shows the rest without it.
const GLANCE: Duration = Duration::from_secs(1);

/// How long to wait with the next client when the system cannot give us one.
const BREATH: Duration = Duration::from_secs(1);

/// How often what is counted is tidied up.
const UPKEEP: Duration = Duration::from_secs(5);

/// All that a trigger's body can mean fits many times.
const LONGEST_BODY: usize = 4 << 10;

/// The least that hyper's buffer for a request's head can be, and far more than ours need.
const LONGEST_HEAD: usize = 8 << 10;

/// A listening port.
pub struct Http {
    listener: TcpListener,
    address: SocketAddr,
}

/// What is served.
pub struct Served {
    /// What is going on.
    pub picture: watch::Receiver<Arc<Snapshot>>,
    /// The store.
    pub keeper: Keeper,
    /// The job that the picture is of.
    pub job: Job,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where passes are asked for.
    pub trigger: mpsc::Sender<Trigger>,
    /// What whoever asks for a pass must know; an empty one counts as none.
    pub token: Option<SecretString>,
    /// What this process counts.
    pub metrics: Metrics,
}

struct Face {
    served: Served,
    /// Whether only this machine can connect.
    loopback: bool,
}

impl Http {
    /// Listens; port 0 is any free one. To be called within the runtime.
    ///
    /// # Errors
    /// If the address cannot be had, as when the port is busy.
    pub fn bind(address: SocketAddr) -> io::Result<Http> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Http { address: listener.local_addr()?, listener })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped, and then all at once no longer.
    pub async fn serve(self, mut served: Served) -> Infallible {
        served.token = served.token.filter(|token| !token.expose_secret().is_empty());
        let metrics = served.metrics.clone();
        let loopback = self.is_loopback();
        let face = Arc::new(Face { served, loopback });
        let live = Live::new(Arc::clone(&face), loopback);
        let router = router(face).merge(page::routes(Arc::clone(&live)));
        tokio::select! {
            never = self.answer(router, metrics) => match never {},
            never = live.run() => match never {},
        }
    }

    /// Whether only this machine can connect.
    pub(super) fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// Answers with a router until it is dropped.
    pub(super) async fn answer(self, router: Router, metrics: Metrics) -> Infallible {
        let mut clients = JoinSet::new();
        let mut upkeep = interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                client = self.listener.accept(), if clients.len() < AT_ONCE => match client {
                    Ok((client, _)) => {
                        clients.spawn(converse(client, router.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot take an http client");
                        sleep(BREATH).await;
                    }
                },
                Some(ended) = clients.join_next(), if !clients.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "an http request died");
                    }
                }
                _ = upkeep.tick() => metrics.upkeep(),
            }
        }
    }
}

/// One request and its answer.
async fn converse(client: TcpStream, router: Router) {
    let lease = Lease::new(DEADLINE);
    let router = router.layer(Extension(lease.clone()));
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(client), TowerToHyperService::new(router));
    // A client that breaks off, or talks something else, is its own affair.
    tokio::select! {
        ended = conversation => if let Err(error) = ended {
            tracing::debug!(%error, "an http client went away");
        },
        () = lease.over() => tracing::debug!("an http client took too long"),
    }
}

fn router(face: Arc<Face>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/state", get(state))
        .route("/trigger", post(trigger))
        .fallback(async || told(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            told(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(face)
}

fn answer(status: StatusCode, body: impl Serialize) -> Response {
    (status, Json(body)).into_response()
}

/// An answer that only says why there is no other.
fn told(status: StatusCode, error: &str) -> Response {
    answer(status, json!({ "error": error }))
}

async fn health(State(face): State<Arc<Face>>) -> Response {
    let health = Health::of(&face.picture(), face.served.clock.now());
    let status = if health.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, health)
}

async fn ready(State(face): State<Arc<Face>>) -> Response {
    if face.picture().stage == Stage::Idle {
        answer(StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not_ready" }))
    } else {
        answer(StatusCode::OK, json!({ "status": "ready" }))
    }
}

async fn metrics(State(face): State<Arc<Face>>) -> Response {
    let Served { keeper, job, clock, metrics, .. } = &face.served;
    // What is counted is shown even when the store hangs.
    let owed = timeout(PATIENCE, keeper.owed(job.clone())).await;
    let owed = owed.ok().and_then(Result::ok).map(|owed| owed.len());
    let text = metrics.render(&face.picture(), owed, clock.now());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    ([(CONTENT_TYPE, kind)], text).into_response()
}

async fn state(State(face): State<Arc<Face>>) -> Response {
    let now = |inspection: &mut _| face.picture().overlay(inspection, &face.served.job);
    stored(&face.served.keeper, now).await
}

/// What a store holds, as `state list --json`, with what is known better.
pub(super) async fn stored(keeper: &Keeper, now: impl FnOnce(&mut Inspection)) -> Response {
    match timeout(PATIENCE, keeper.inspect()).await {
        Ok(Ok(mut inspection)) => {
            now(&mut inspection);
            answer(StatusCode::OK, view::list(&inspection, &view::Filter::default()))
        }
        Ok(Err(error)) => told(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => told(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
    }
}

/// Whether a trigger's body asks to begin anew, or why it is none.
fn wants_force(body: &[u8]) -> Result<bool, String> {
    const HINT: &str = "\nhint: send {\"force_reprocess\": false}, or nothing";
    if body.trim_ascii().is_empty() {
        return Ok(false);
    }
    let wanted: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| format!("{error}{HINT}"))?;
    match wanted.get("force_reprocess") {
        None => Ok(false),
        Some(Value::Bool(force)) => Ok(*force),
        Some(other) => Err(format!("force_reprocess is {other}, not true or false{HINT}")),
    }
}

async fn trigger(State(face): State<Arc<Face>>, request: Request) -> Response {
    if let Err(refusal) = admit(request.headers(), face.loopback, face.served.token.as_ref()) {
        tracing::warn!(why = %refusal, "a trigger was refused");
        return refused(refusal);
    }
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(error) => return told(error.status(), "the body is too long, or broke off"),
    };
    let force = match wants_force(&body) {
        Ok(force) => force,
        Err(why) => return told(StatusCode::BAD_REQUEST, &why),
    };
    match timeout(PATIENCE, face.ask(force)).await.ok().flatten() {
        Some(true) => {
            answer(StatusCode::ACCEPTED, json!({ "status": "started", "force_reprocess": force }))
        }
        Some(false) => answer(StatusCode::CONFLICT, json!({ "status": "already_running" })),
        None => told(StatusCode::SERVICE_UNAVAILABLE, "the daemon takes no requests now"),
    }
}

fn refused(refusal: Refusal) -> Response {
    let challenge = match refusal {
        Refusal::Host | Refusal::Origin | Refusal::NoToken => {
            return told(StatusCode::FORBIDDEN, &refusal.to_string());
        }
        Refusal::Unproven => "Bearer realm=\"discogs-extractor\"",
        Refusal::Wrong => "Bearer realm=\"discogs-extractor\", error=\"invalid_token\"",
    };
    let mut response = told(StatusCode::UNAUTHORIZED, &refusal.to_string());
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

impl Source for Arc<Face> {
    async fn glance(&self, curves: &[Vec<f64>; 4]) -> Picture {
        let Served { keeper, job, clock, .. } = &self.served;
        let store = timeout(GLANCE, keeper.inspect()).await.ok().and_then(Result::ok);
        picture::of_files(&self.picture(), store.as_ref(), job, curves, clock.now())
    }

    fn urgent(&self) -> String {
        let now = self.picture();
        let files = now.files.iter().map(|file| (file.name, file.live.phase, file.stalled));
        format!("{:?} {:?}", now.stage, files.collect::<Vec<_>>())
    }

    fn records(&self) -> [u64; 4] {
        self.picture().records()
    }

    fn clock(&self) -> &dyn Clock {
        &*self.served.clock
    }
}

impl Face {
    fn picture(&self) -> Arc<Snapshot> {
        Arc::clone(&self.served.picture.borrow())
    }

    /// Asks for a pass; whether it begins. Nothing if nobody listens any more.
    async fn ask(&self, force: bool) -> Option<bool> {
        let (answer, answered) = oneshot::channel();
        self.served.trigger.send(Trigger { force, answer }).await.ok()?;
        answered.await.ok()
    }
}
