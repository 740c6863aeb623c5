use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use url::Url;

use super::answer::{Answer, Held};
use super::http::HttpSite;
use super::shelf::Shelf;
use super::{Checksums, RemoteVersion, Wanted};
use crate::model::Clock;

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

/// Opens a site by its name: a URL, or a folder. A site that says nothing for `silence` counts as
/// broken off, and a list is asked for so often before the site counts as away.
///
/// # Errors
/// If the name says neither.
pub fn open_site(
    name: &str,
    silence: Duration,
    tries: u32,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Site>, SiteError> {
    let no_site =
        |why: &str| SiteError::NoSite { given: without_secrets(name), why: why.to_owned() };
    if !name.contains("://") {
        return Ok(Arc::new(Shelf::open(Path::new(name))?));
    }
    let url: Url = name.parse().map_err(|error| no_site(&format!("{error}")))?;
    match url.scheme() {
        "http" | "https" => Ok(Arc::new(HttpSite::new(url, silence, tries, clock)?)),
        "file" => {
            let path = url.to_file_path().map_err(|()| no_site("it names no local folder"))?;
            Ok(Arc::new(Shelf::open(&path)?))
        }
        other => Err(no_site(&format!("{other} is not spoken here"))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SystemClock;

    fn open(name: &str) -> Result<Arc<dyn Site>, SiteError> {
        open_site(name, Duration::from_secs(1), 1, Arc::new(SystemClock::new()))
    }

    #[test]
    fn secrets_are_never_shown() {
        let rows = [
            ("https://me:secret@data.example/a/?token=secret#secret", "https://data.example/a"),
            ("http://h:8000", "http://h:8000"),
            ("http://secret@h/", "http://h"),
            ("dumps/2026", "dumps/2026"),
        ];
        for (name, shown) in rows {
            assert_eq!(without_secrets(name), shown);
        }
        let error = open("ftp://me:secret@host/?secret").err().unwrap().to_string();
        assert!(error.contains("ftp://host") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_said_so() {
        let error = open("/nowhere/at/all").err().unwrap().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("hint: "), "{error}");
    }
}
