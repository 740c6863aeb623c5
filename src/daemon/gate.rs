//! Who may look at the page, and who may start a pass, over HTTP. Functions of what a request says of itself.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A name that leads to this machine by somebody else's word (DNS rebinding).
    #[error("the Host is not this machine\nhint: ask for 127.0.0.1, localhost or [::1]")]
    Host,
    /// A page of another site.
    #[error("the Origin is another site")]
    Origin,
    /// Anybody could ask, and nobody can prove to be allowed to.
    #[error("without a token a pass is started from this machine only\nhint: set TRIGGER_TOKEN")]
    NoToken,
    /// It does not say who it is.
    #[error("a bearer token is needed\nhint: send Authorization: Bearer, with TRIGGER_TOKEN")]
    Unproven,
    /// What it says is not true.
    #[error("this is not the token")]
    Wrong,
}

/// Lets a request pass that was made here and not by another site's page, or says why not.
/// `loopback` is whether only this machine can ask.
pub fn from_here(headers: &HeaderMap, loopback: bool) -> Result<(), Refusal> {
    let host = only(headers, &HOST).ok_or(Refusal::Host)?;
    if loopback && !is_this_machine(host) {
        return Err(Refusal::Host);
    }
    if headers.contains_key(ORIGIN) && only(headers, &ORIGIN).and_then(authority) != Some(host) {
        return Err(Refusal::Origin);
    }
    Ok(())
}

/// Lets whoever asks for a pass have it, or says why not.
pub fn admit(
    headers: &HeaderMap,
    loopback: bool,
    token: Option<&SecretString>,
) -> Result<(), Refusal> {
    from_here(headers, loopback)?;
    match token {
        None if loopback => Ok(()),
        None => Err(Refusal::NoToken),
        Some(token) => {
            let sent = only(headers, &AUTHORIZATION).and_then(bearer).ok_or(Refusal::Unproven)?;
            if same(sent, token.expose_secret()) { Ok(()) } else { Err(Refusal::Wrong) }
        }
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// An address, or the one name, that nobody can make lead here from elsewhere.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Host and port of an origin. `null` has none.
fn authority(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// Compares two secrets in a time that tells nothing of either, their lengths included.
fn same(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    let differ = one.iter().zip(other).fold(0, |differ, (a, b)| black_box(differ | (a ^ b)));
    differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Option<&str> = None;
    const SECRET: Option<&str> = Some("s3cret");

    /// Asks with these headers, `Host: localhost:8000` before them unless one is given.
    fn ask(
        loopback: bool,
        token: Option<&str>,
        headers: &[(HeaderName, &str)],
    ) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        if !map.contains_key(HOST) {
            map.append(HOST, "localhost:8000".parse().unwrap());
        }
        admit(&map, loopback, token.map(SecretString::from).as_ref())
    }

    /// Whether on loopback, the token, what is sent, what comes of it.
    type Row = (bool, Option<&'static str>, Option<&'static str>, Result<(), Refusal>);

    #[test]
    fn a_token_is_needed_where_one_is_set_or_others_can_ask() {
        let sent = |value| [(AUTHORIZATION, value)];
        let rows: [Row; 15] = [
            (true, OPEN, None, Ok(())),
            (true, OPEN, Some("Bearer anything"), Ok(())),
            (true, SECRET, None, Err(Refusal::Unproven)),
            (true, SECRET, Some("Bearer s3cret"), Ok(())),
            (false, OPEN, None, Err(Refusal::NoToken)),
            (false, OPEN, Some("Bearer "), Err(Refusal::NoToken)),
            (false, SECRET, None, Err(Refusal::Unproven)),
            (false, SECRET, Some("Bearer s3cret"), Ok(())),
            (false, SECRET, Some("bearer  s3cret"), Ok(())),
            (false, SECRET, Some("Bearer S3cret"), Err(Refusal::Wrong)),
            (false, SECRET, Some("Bearer s3cre"), Err(Refusal::Wrong)),
            (false, SECRET, Some("Bearer s3cretx"), Err(Refusal::Wrong)),
            (false, SECRET, Some("Bearer "), Err(Refusal::Wrong)),
            (false, SECRET, Some("Bearer"), Err(Refusal::Unproven)),
            (false, SECRET, Some("Basic s3cret"), Err(Refusal::Unproven)),
        ];
        for (loopback, token, header, expected) in rows {
            let headers: Vec<_> = header.into_iter().flat_map(sent).collect();
            assert_eq!(ask(loopback, token, &headers), expected, "{loopback} {token:?} {header:?}");
        }
        let twice = [sent("Bearer s3cret"), sent("Bearer s3cret")].concat();
        assert_eq!(ask(true, SECRET, &twice), Err(Refusal::Unproven));
    }

    #[test]
    fn on_loopback_only_this_machines_own_names_are_asked_for() {
        for host in [
            "localhost",
            "LocalHost:1",
            "127.0.0.1",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:80",
            "127.1.2.3",
        ] {
            assert_eq!(ask(true, OPEN, &[(HOST, host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "localhost:8000.evil.example",
            "127.0.0.1.x",
            "10.0.0.1:8000",
            "[::2]",
            "::1",
            "127.1",
            "evil@localhost",
            "",
            ":80",
        ] {
            assert_eq!(ask(true, OPEN, &[(HOST, host)]), Err(Refusal::Host), "{host}");
        }
        let twice = [(HOST, "localhost"), (HOST, "evil.example")];
        assert_eq!(ask(true, OPEN, &twice), Err(Refusal::Host));
        assert_eq!(admit(&HeaderMap::new(), true, None), Err(Refusal::Host));
    }

    #[test]
    fn a_page_of_another_site_is_turned_away_whatever_it_knows() {
        let ask = |host: &str, origin: &str| {
            ask(false, SECRET, &[(HOST, host), (ORIGIN, origin), (AUTHORIZATION, "Bearer s3cret")])
        };
        assert_eq!(ask("music.example:8000", "http://music.example:8000"), Ok(()));
        assert_eq!(ask("music.example", "https://music.example"), Ok(()));
        for foreign in [
            "http://evil.example",
            "http://music.example",
            "http://music.example:8001",
            "null",
            "",
            "music.example:8000",
            "file://music.example:8000",
        ] {
            assert_eq!(ask("music.example:8000", foreign), Err(Refusal::Origin), "{foreign}");
        }
    }
}
