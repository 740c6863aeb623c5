//! What a place that dumps are fetched from can be asked, and how it fails.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::answer::{Answer, Held};
use super::{Checksums, RemoteVersion, Wanted};

/// A place that dumps are fetched from.
pub trait Site: Send + Sync {
    /// Its name for people and for records: without user, password and query.
    fn shown(&self) -> &str;

    /// Whether a version there is only whole with its checksums, since they are published last.
    fn publishes_checksums(&self) -> bool;

    /// The versions it has, oldest first, as far as they are looked for.
    ///
    /// # Errors
    /// If it cannot be read.
    fn versions(&self, wanted: Wanted) -> BoxFuture<'_, Result<Vec<RemoteVersion>, SiteError>>;

    /// Reads the checksums at a place that a listing named.
    ///
    /// # Errors
    /// If they cannot be read.
    fn checksums(&self, place: &str) -> BoxFuture<'_, Result<Checksums, SiteError>>;

    /// Asks for a file, without what is here of it.
    ///
    /// # Errors
    /// If there is no answer; asking again may help.
    fn open(&self, place: &str, held: &Held) -> BoxFuture<'_, Result<Opened, Broken>>;
}

/// A file that is being sent.
pub struct Opened {
    /// What the site says first.
    pub answer: Answer,
    /// The bytes; none come after an error.
    pub body: BoxStream<'static, Result<Bytes, Broken>>,
}

/// A connection that could not be made, or broke, or was silent for too long; in words without the
/// URL, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Why a site cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// What was given is no site.
    #[error(
        "{given:?} is no download site: {why}\nhint: a site is https://…, http://…, file://… or a \
         folder"
    )]
    NoSite {
        /// What was given, without secrets.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// It does not answer, or breaks off.
    #[error("cannot read {site}: {why}\nhint: check the address (--site) and the network")]
    Unreadable {
        /// The site.
        site: String,
        /// In words.
        why: String,
        /// When it wants to be asked again, if it said so.
        come_back: Option<Duration>,
    },
    /// It answers something else.
    #[error("{site} answers {status}\nhint: check the address (--site)")]
    Status {
        /// The site.
        site: String,
        /// HTTP's status.
        status: u16,
    },
    /// What should be a list is too long for one.
    #[error("{site} answers more than {limit} bytes where a list was expected")]
    TooLong {
        /// The site.
        site: String,
        /// The most that is read.
        limit: usize,
    },
}

impl SiteError {
    /// A site that does not answer.
    pub(super) fn unreadable(site: &str, why: String) -> SiteError {
        SiteError::Unreadable { site: site.to_owned(), why, come_back: None }
    }

    /// When the site wants to be asked again, if it said so.
    pub const fn come_back(&self) -> Option<Duration> {
        match self {
            SiteError::Unreadable { come_back, .. } => *come_back,
            SiteError::NoSite { .. } | SiteError::Status { .. } | SiteError::TooLong { .. } => None,
        }
    }
}

/// A URL as it may be shown: without user, password and query.
pub fn without_secrets(name: &str) -> String {
    let (scheme, rest) = match name.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => return name.to_owned(),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}{host}{path}").trim_end_matches('/').to_owned()
}
