use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use reqwest::{Certificate, Client, RequestBuilder, Response, header};
use tokio::sync::Mutex;
use url::Url;

use super::answer::{Answer, Held};
use super::backoff::{jitter, rest};
use super::listing::{self, Listing};
use super::remote::versions;
use super::seek::worth_reading;
use super::{Broken, Checksums, Opened, RemoteVersion, Site, SiteError, Wanted, without_secrets};
use crate::model::Clock;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(20);
/// The most bytes of a page: a year's is some kB, an object store's thousand keys half a MB.
const PAGE: usize = 8 << 20;
/// The most pages that are read for one question, whatever they link to.
const PAGES: usize = 200;
/// How deep folders may lie in each other: `data/2026/20260101/`.
const DEPTH: usize = 3;
/// How long a page is waited for, if the site asks for that; what asks for more is away.
const PATIENCE: Duration = Duration::from_mins(1);

/// A site over HTTP: the public one, a folder index, or an object store.
pub(super) struct HttpSite {
    client: Client,
    root: Url,
    shown: String,
    clock: Arc<dyn Clock>,
    /// How often a page is asked for before the site counts as away.
    tries: u32,
    /// Pages are asked for one after the other: nobody is flooded for a list.
    one_at_a_time: Mutex<()>,
}

impl HttpSite {
    /// The site at `root`, which breaks off after so much silence.
    ///
    /// # Errors
    /// If the system gives no client.
    pub(super) fn new(
        root: Url,
        silence: Duration,
        tries: u32,
        clock: Arc<dyn Clock>,
    ) -> Result<HttpSite, SiteError> {
        let shown = without_secrets(root.as_str());
        let native = rustls_native_certs::load_native_certs().certs;
        let certificates = native.iter().filter_map(|der| Certificate::from_der(der).ok());
        let client = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT.min(silence))
            .read_timeout(silence)
            // The address may hold a secret, and would be told to where it leads.
            .referer(false)
            .tls_certs_only(certificates)
            .build()
            .map_err(|error| SiteError::unreadable(&shown, words(&error)))?;
        Ok(HttpSite { client, root, shown, clock, tries, one_at_a_time: Mutex::new(()) })
    }

    /// A page and where it was in the end.
    async fn page(&self, url: &Url) -> Result<(String, Url), SiteError> {
        let _turn = self.one_at_a_time.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            let (why, asked_for) = match self.ask_once(url).await {
                Ok(page) => return Ok(page),
                Err(Failed::Finally(error)) => return Err(error),
                Err(Failed::ForNow { why, asked_for }) => (why, asked_for),
            };
            let wait = rest(tries, asked_for, jitter());
            if tries >= self.tries || wait > PATIENCE {
                let site = self.shown.clone();
                return Err(SiteError::Unreadable { site, why, come_back: asked_for });
            }
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(site = self.shown, why, wait_ms, "the list is asked for again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask_once(&self, url: &Url) -> Result<(String, Url), Failed> {
        let for_now =
            |error: reqwest::Error| Failed::ForNow { why: words(&error), asked_for: None };
        let response = self.client.get(url.clone()).send().await.map_err(for_now)?;
        let answer = self.answer(&response);
        let site = || self.shown.clone();
        match answer.status {
            200..=299 => {}
            408 | 425 | 429 | 500..=599 => {
                let why = format!("it answers {}", answer.status);
                return Err(Failed::ForNow { why, asked_for: answer.retry_after });
            }
            status => return Err(Failed::Finally(SiteError::Status { site: site(), status })),
        }
        let mut at = response.url().clone();
        if at.origin() == url.origin() {
            // The client keeps who we are out of the URL; what the page links to needs it again.
            _ = at.set_username(url.username());
            _ = at.set_password(url.password());
        }
        let mut text = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(bytes) = body.next().await {
            text.extend_from_slice(&bytes.map_err(for_now)?);
            if text.len() > PAGE {
                return Err(Failed::Finally(SiteError::TooLong { site: site(), limit: PAGE }));
            }
        }
        Ok((String::from_utf8_lossy(&text).into_owned(), at))
    }

    fn answer(&self, response: &Response) -> Answer {
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        Answer::read(response.status().as_u16(), header, self.clock.now())
    }

    async fn find(&self, wanted: Wanted) -> Result<Vec<RemoteVersion>, SiteError> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut ahead = VecDeque::from([(self.root.clone(), 0)]);
        let mut root = None;
        while let Some((url, depth)) = ahead.pop_front() {
            if seen.len() == PAGES {
                tracing::warn!(
                    site = self.shown,
                    pages = PAGES,
                    "the rest of its lists is left out"
                );
                break;
            }
            if !seen.insert(url.to_string()) {
                continue;
            }
            let (text, at) = self.page(&url).await?;
            // The site is where its first page is in the end.
            let root = root.get_or_insert_with(|| at.clone());
            let Listing { files, folders, more } = listing::read(&text, &at, root);
            found.extend(files);
            if let Some(more) = more {
                ahead.push_front((more, depth));
            }
            if depth < DEPTH {
                let folders = worth_reading(folders, wanted);
                ahead.extend(folders.into_iter().map(|folder| (folder.url, depth + 1)));
            }
        }
        Ok(versions(found))
    }

    fn request(&self, place: &str, held: &Held) -> RequestBuilder {
        let request = self.client.get(place);
        if held.bytes == 0 {
            return request;
        }
        let request = request.header(header::RANGE, format!("bytes={}-", held.bytes));
        match held.unless_changed() {
            Some(tag) => request.header(header::IF_RANGE, tag),
            None => request,
        }
    }
}

enum Failed {
    ForNow { why: String, asked_for: Option<Duration> },
    Finally(SiteError),
}

impl Site for HttpSite {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn publishes_checksums(&self) -> bool {
        true
    }

    fn versions(&self, wanted: Wanted) -> BoxFuture<'_, Result<Vec<RemoteVersion>, SiteError>> {
        self.find(wanted).boxed()
    }

    fn checksums(&self, place: &str) -> BoxFuture<'_, Result<Checksums, SiteError>> {
        let url = place.parse::<Url>();
        async move {
            let url = url.map_err(|error| SiteError::unreadable(&self.shown, error.to_string()))?;
            let (text, _) = self.page(&url).await?;
            Ok(Checksums::parse(&text))
        }
        .boxed()
    }

    fn open(&self, place: &str, held: &Held) -> BoxFuture<'_, Result<Opened, Broken>> {
        let request = self.request(place, held);
        async move {
            let response = request.send().await.map_err(|error| Broken(words(&error)))?;
            let answer = self.answer(&response);
            let broken =
                |bytes: reqwest::Result<Bytes>| bytes.map_err(|error| Broken(words(&error)));
            Ok(Opened { answer, body: response.bytes_stream().map(broken).boxed() })
        }
        .boxed()
    }
}

/// What went wrong, without the URL: the innermost cause says it best.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it says nothing".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if cause.is::<reqwest::Error>() {
        "the request cannot be made".to_owned()
    } else {
        cause.to_string()
    }
}
