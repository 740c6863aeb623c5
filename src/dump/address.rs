//! From what a person calls a site to the site: a URL, or a folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::http::HttpSite;
use super::shelf::Shelf;
use super::{Site, SiteError, without_secrets};
use crate::model::Clock;

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
