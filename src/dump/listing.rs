//! What a page that lists files says: HTML with links, or the XML of an object store. Pure: from
//! text to files and folders. Whatever leads elsewhere is left out.

use url::Url;

use super::remote::Found;

/// A page's files and folders, and where it goes on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) files: Vec<Found>,
    pub(super) folders: Vec<Folder>,
    /// The page after this one, of a listing in several.
    pub(super) more: Option<Url>,
}

/// A folder that a page names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// Its last part: `2026`.
    pub(super) name: String,
    pub(super) url: Url,
}

/// Reads the page at `page` of the site at `root`.
pub(super) fn read(text: &str, page: &Url, root: &Url) -> Listing {
    if text.contains("<ListBucketResult") { bucket(text, page, root) } else { links(text, page) }
}

/// Where the listing's own links lead to.
const PREFIX: &str = "prefix";
const DOWNLOAD: &str = "download";

fn links(text: &str, page: &Url) -> Listing {
    let mut listing = Listing::default();
    let prefix = query(page, PREFIX).unwrap_or_default();
    for href in hrefs(text) {
        let Ok(mut url) = page.join(&href) else { continue };
        if url.origin() != page.origin() {
            continue;
        }
        url.set_fragment(None);
        // A link never names the user, who is the same.
        _ = url.set_username(page.username());
        _ = url.set_password(page.password());
        let below = |value: String| {
            let here = [page.path(), directory(page)].contains(&url.path());
            let deeper = value.len() > prefix.len() && value.starts_with(&prefix);
            (here && deeper && safe(&value)).then_some(value)
        };
        if let Some(path) = query(&url, DOWNLOAD).and_then(below) {
            listing.files.push(file(&path, &url, None));
        } else if let Some(path) = query(&url, PREFIX).and_then(below) {
            listing.folders.extend(folder(&path, url));
        } else if let Some(path) = url.path().strip_prefix(directory(page)) {
            let path = path.to_owned();
            if path.ends_with('/') {
                listing.folders.extend(folder(&path, url));
            } else if !path.is_empty() && safe(&path) {
                listing.files.push(file(&path, &url, None));
            }
        }
    }
    listing
}

fn bucket(text: &str, page: &Url, root: &Url) -> Listing {
    let mut listing = Listing::default();
    let mut last = None;
    for entry in elements(text, "Contents") {
        let Some(key) = element(entry, "Key") else { continue };
        last = Some(key.clone());
        let size = element(entry, "Size").and_then(|size| size.parse().ok());
        let mut url = bare(root);
        let added = url.path_segments_mut().map(|mut path| {
            path.pop_if_empty().extend(key.split('/'));
        });
        if added.is_ok() && safe(&key) {
            listing.files.push(file(&key, &url, size));
        }
    }
    for entry in elements(text, "CommonPrefixes") {
        let Some(prefix) = element(entry, "Prefix").filter(|prefix| safe(prefix)) else { continue };
        let mut url = bare(root);
        url.query_pairs_mut().append_pair(PREFIX, &prefix).append_pair("delimiter", "/");
        listing.folders.extend(folder(&prefix, url));
    }
    if element(text, "IsTruncated").as_deref() == Some("true") {
        let token = element(text, "NextContinuationToken");
        let next = match token {
            Some(token) => Some(("continuation-token", token)),
            None => element(text, "NextMarker").or(last).map(|marker| ("marker", marker)),
        };
        listing.more = next.map(|(name, value)| with(page, name, &value));
    }
    listing
}

/// The page's URL with one parameter set anew.
fn with(page: &Url, name: &str, value: &str) -> Url {
    let kept: Vec<_> =
        page.query_pairs().filter(|(key, _)| key != name && key != "list-type").collect();
    let mut url = bare(page);
    let mut pairs = url.query_pairs_mut();
    pairs.extend_pairs(kept).append_pair(name, value);
    if name == "continuation-token" {
        // Only the second version of the listing knows tokens.
        pairs.append_pair("list-type", "2");
    }
    drop(pairs);
    url
}

fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn file(path: &str, url: &Url, size: Option<u64>) -> Found {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    Found { name, place: url.to_string(), size }
}

fn folder(path: &str, url: Url) -> Option<Folder> {
    let name = path.trim_end_matches('/').rsplit('/').next()?.to_owned();
    (!name.is_empty() && safe(path)).then_some(Folder { name, url })
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The path up to its last slash.
fn directory(url: &Url) -> &str {
    let path = url.path();
    &path[..path.rfind('/').map_or(0, |slash| slash + 1)]
}

/// Whether a path stays where it is: no step up, no step to the root.
fn safe(path: &str) -> bool {
    let mut parts = path.strip_suffix('/').unwrap_or(path).split('/');
    parts.all(|part| !["", ".", ".."].contains(&part) && !part.contains(['\\', '\0']))
}

/// What the links of a page say.
fn hrefs(text: &str) -> impl Iterator<Item = String> {
    text.split('<').skip(1).filter_map(|tag| {
        let tag = tag.split('>').next()?;
        let (name, attributes) = tag.split_once(char::is_whitespace)?;
        if !name.eq_ignore_ascii_case("a") {
            return None;
        }
        let at = attributes.to_ascii_lowercase().find("href")?;
        let value = attributes[at + "href".len()..].trim_start().strip_prefix('=')?.trim_start();
        let quoted = ['"', '\'']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote).and_then(|rest| rest.split(quote).next()));
        Some(unescaped(quoted.or_else(|| value.split_whitespace().next())?))
    })
}

/// The insides of all elements of a name, of which none holds another.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let pieces: Vec<&str> = text.split(&open).skip(1).collect();
    pieces.into_iter().filter_map(move |piece| Some(piece.split_once(&close)?.0))
}

fn element(text: &str, name: &str) -> Option<String> {
    elements(text, name).next().map(unescaped)
}

/// Text with the entities resolved that stand in paths.
fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, &str); 9] = [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&#47;", "/"),
        ("&#x2F;", "/"),
        ("&#38;", "&"),
        ("&#x26;", "&"),
        // The last one: what it makes is no entity again.
        ("&amp;", "&"),
    ];
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, is)| text.replace(entity, is))
}

#[cfg(test)]
mod tests;
