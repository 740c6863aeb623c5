//! How a broker is named: the URL that is typed, which TLS it asks for, and the job that it is.
//! Shown, it has no user and no password; a URL that would put a part of one elsewhere is refused.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use url::Url;

use crate::model::Job;

/// Seconds between two heartbeats unless the URL says otherwise: a connection that has gone
/// silent is noticed after twice that, where the broker's own default takes two minutes.
const HEARTBEAT: u16 = 10;

/// Where a broker is and how to get in: `amqp://USER:PASSWORD@HOST:PORT/VHOST`. Its query may
/// hold what RabbitMQ's own clients take: `heartbeat`, `auth_mechanism` and, for `amqps`,
/// `cacertfile`, `certfile` and `keyfile` (PEM). Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    uri: AMQPUri,
    authority: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

/// A URL that names no broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be read; what it holds is not repeated, as there may be a password in it.
    #[error(
        "the broker's URL cannot be read: {0}\nhint: write amqp://USER:PASSWORD@HOST:PORT/VHOST, \
         with %2F for the vhost /, and what is special in a password percent-encoded"
    )]
    Url(String),
    /// Only one of two that belong together.
    #[error("the broker's URL has only one of certfile and keyfile\nhint: give both, as PEM files")]
    HalfIdentity,
    /// A file for TLS cannot be read.
    #[error("cannot read {}: {why}\nhint: the broker's URL names it for TLS", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
}

impl Broker {
    /// What identifies the broker as a place where records are: host, port, vhost and the
    /// exchanges' prefix.
    pub fn job(&self, prefix: &str) -> Job {
        let shown = self.to_string();
        let place = shown.split_once("://").map_or(shown.as_str(), |(_, place)| place);
        Job::new(format!("amqp:{place}/{prefix}"))
    }

    /// For the library.
    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    /// The virtual host.
    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// User and password.
    pub(super) fn credentials(&self) -> (&str, &str) {
        let user = &self.uri.authority.userinfo;
        (&user.username, &user.password)
    }

    /// A URL of another service on the broker's host, without TLS; none where the broker itself is
    /// only spoken to with TLS.
    pub(super) fn beside(&self, port: u16) -> Option<Url> {
        let AMQPUri { scheme: AMQPScheme::AMQP, authority, .. } = &self.uri else { return None };
        let host = &authority.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("http://{host}:{port}/").parse().ok()
    }

    /// Reads what TLS needs; read at every connection, so that renewed certificates are taken up.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn tls(&self) -> Result<OwnedTLSConfig, BrokerError> {
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|why| BrokerError::File { path: path.clone(), why: why.to_string() })
        };
        let cert_chain = match &self.authority {
            Some(path) => {
                let bytes = read(path)?;
                let text = String::from_utf8(bytes).map_err(|_| BrokerError::File {
                    path: path.clone(),
                    why: "it is no PEM file".into(),
                })?;
                Some(text)
            }
            None => None,
        };
        let identity = match &self.identity {
            Some((pem, key)) => Some(OwnedIdentity::PKCS8 { pem: read(pem)?, key: read(key)? }),
            None => None,
        };
        Ok(OwnedTLSConfig { identity, cert_chain })
    }
}

impl FromStr for Broker {
    type Err = BrokerError;

    fn from_str(text: &str) -> Result<Broker, BrokerError> {
        let url = Url::parse(text).map_err(|error| BrokerError::Url(error.to_string()))?;
        if url.path().contains('@') {
            // A password with a slash ends there, and what follows it would be taken for the vhost.
            let why = "there is an @ behind the host: write what is special in a password as %XX";
            return Err(BrokerError::Url(why.into()));
        }
        let mut uri: AMQPUri = text.parse().map_err(|_| {
            BrokerError::Url("it is no amqp:// or amqps:// URL that can be understood".into())
        })?;
        // The library takes an address in brackets for no host at all.
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| BrokerError::Url("it has no host".into()))?;
        host.trim_matches(['[', ']']).clone_into(&mut uri.authority.host);
        // `amqp://host/` is what many write for the vhost that every broker has.
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        uri.query.heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT));
        let file = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| PathBuf::from(value.into_owned()))
        };
        let identity = match (file("certfile"), file("keyfile")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(BrokerError::HalfIdentity),
        };
        Ok(Broker { uri, authority: file("cacertfile"), identity })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        let scheme = match scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let vhost = if vhost == "/" { "%2F" } else { vhost };
        let host = &authority.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "{scheme}://{host}:{}/{vhost}", authority.port)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_shown_without_its_secrets() {
        let rows = [
            ("amqp://u:s3cret@rabbit:5673/%2F", "amqp://rabbit:5673/%2F", "amqp:rabbit:5673/%2F/p"),
            ("amqp://u:s3cret@rabbit", "amqp://rabbit:5672/%2F", "amqp:rabbit:5672/%2F/p"),
            ("amqp://rabbit/", "amqp://rabbit:5672/%2F", "amqp:rabbit:5672/%2F/p"),
            ("amqps://rabbit/music", "amqps://rabbit:5671/music", "amqp:rabbit:5671/music/p"),
            ("amqp://u:s3cret@[::1]:5672/%2f", "amqp://[::1]:5672/%2F", "amqp:[::1]:5672/%2F/p"),
        ];
        for (text, shown, job) in rows {
            let broker: Broker = text.parse().unwrap();
            assert_eq!(broker.to_string(), shown);
            assert_eq!(broker.job("p").as_str(), job);
            assert!(!format!("{broker:?}").contains("s3cret"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        for text in ["amqp://u:s3cret@", "amqp://u:s3cret@host:port/", "http://u:s3cret@host"] {
            let words = text.parse::<Broker>().unwrap_err().to_string();
            assert!(!words.contains("s3cret") && words.contains("hint: write amqp://"), "{words}");
        }
        let half = "amqps://host?certfile=/c.pem".parse::<Broker>();
        assert_eq!(half, Err(BrokerError::HalfIdentity));
        let broker: Broker = "amqps://host?cacertfile=/nowhere/ca.pem".parse().unwrap();
        assert!(broker.tls().unwrap_err().to_string().contains("/nowhere/ca.pem"));
    }

    #[test]
    fn heartbeats_are_on_unless_they_are_turned_off() {
        let heartbeat = |text: &str| text.parse::<Broker>().unwrap().uri.query.heartbeat;
        assert_eq!(heartbeat("amqp://host"), Some(HEARTBEAT));
        assert_eq!(heartbeat("amqp://host?heartbeat=0"), Some(0));
    }
}
