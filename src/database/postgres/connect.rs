//! How a PostgreSQL server is named, and one connection to it. Shown, it has no user and no password;
//! a URL of which the host cannot be told from a password is refused without repeating it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use super::fault::words;
use super::tls::{Tls, Trust};
use super::unusable::ServerError;

/// How long one try to reach the server's host may take, unless the URL says otherwise.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection on which nothing happens is asked after so long whether its other end is still
/// there, a few times; one whose words are not taken is given up after as long.
const IDLE: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_secs(10);
const ASKED: u32 = 3;

/// Where a database is and how to get in: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, as libpq
/// reads it, with `sslmode`, `sslrootcert`, `sslcert` and `sslkey` (PEM files) among its
/// parameters. Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    config: Config,
    tls: Tls,
}

/// An open connection: what asks, and what does the talking, which must be polled for as long as
/// anything is asked.
pub struct Connected {
    /// Asks.
    pub client: Client,
    /// Talks, until the client is dropped or the connection is lost.
    pub talking: BoxFuture<'static, ()>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server said so, or could not be reached.
    #[error("{}", words(.0))]
    Server(#[from] tokio_postgres::Error),
    /// A file of the configuration is no good.
    #[error(transparent)]
    Configuration(#[from] ServerError),
}

impl Server {
    /// Connects once. TLS files are read each time, so that renewed ones are taken up.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn connect(&self) -> Result<Connected, ConnectError> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await?;
            return Ok(Connected { client, talking: connection.map(drop).boxed() });
        }
        let (client, connection) = self.config.connect(self.tls.connector()?).await?;
        Ok(Connected { client, talking: connection.map(drop).boxed() })
    }

    /// Asks the server to leave off what a client is waiting for.
    pub async fn cancel(&self, client: &Client) {
        let token = client.cancel_token();
        // A server that cannot be asked notices in the end that nobody waits.
        if self.config.get_ssl_mode() == SslMode::Disable {
            _ = token.cancel_query(NoTls).await;
        } else if let Ok(tls) = self.tls.connector() {
            _ = token.cancel_query(tls).await;
        }
    }

    /// The server's words without the user's name; a password it never repeats.
    pub fn without_user(&self, words: &str) -> String {
        match self.config.get_user() {
            Some(user) => words.replace(&format!("\"{user}\""), "(not shown)"),
            None => words.to_owned(),
        }
    }

    /// Tries what of the configuration can be tried without a server.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn check(&self) -> Result<(), ServerError> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            return Ok(());
        }
        self.tls.connector().map(drop)
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Server, ServerError> {
        // The password may hold anything but an @.
        let after_user = text.find('@').unwrap_or(0);
        let (place, parameters) = match text[after_user..].split_once('?') {
            Some((place, parameters)) => (&text[..after_user + place.len()], parameters),
            None => (text, ""),
        };
        if place[after_user..].chars().filter(|c| *c == '@').count() > 1 {
            // What follows the first would be taken for the host, and be shown.
            return Err(ServerError::Url(
                "there is more than one @: write those of a user or password as %40",
            ));
        }
        let mut tls = Tls::default();
        let mut mode = "prefer".to_owned();
        let mut identity = (None, None);
        let mut rest: Vec<&str> = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let pair = url::form_urlencoded::parse(parameter.as_bytes()).next();
            let (name, value) = pair.ok_or(ServerError::Url("a parameter has no name"))?;
            match &*name {
                "sslmode" => mode = value.into_owned(),
                "sslrootcert" => tls.authority = Some(PathBuf::from(&*value)),
                "sslcert" => identity.0 = Some(PathBuf::from(&*value)),
                "sslkey" => identity.1 = Some(PathBuf::from(&*value)),
                _ => rest.push(parameter),
            }
        }
        tls.identity = match identity {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(ServerError::HalfIdentity),
        };
        let (needed, trust) = match mode.as_str() {
            "disable" => (SslMode::Disable, Trust::Anyone),
            "allow" | "prefer" => (SslMode::Prefer, Trust::Anyone),
            // As libpq has it: where an authority is given it is asked.
            "require" if tls.authority.is_some() => (SslMode::Require, Trust::Authority),
            "require" => (SslMode::Require, Trust::Anyone),
            "verify-ca" => (SslMode::Require, Trust::Authority),
            "verify-full" => (SslMode::Require, Trust::AuthorityAndName),
            _ => {
                return Err(ServerError::Url(
                    "sslmode is none of disable, allow, prefer, require, verify-ca and verify-full",
                ));
            }
        };
        tls.trust = trust;
        let joint = if rest.is_empty() { "" } else { "?" };
        let mut config: Config = format!("{place}{joint}{}", rest.join("&"))
            .parse()
            .map_err(|_| ServerError::Url("it is no postgres:// URL that can be understood"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(ServerError::Url("it has no host"));
        }
        config.ssl_mode(needed);
        if config.get_application_name().is_none() {
            config.application_name("discogs-extractor");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(IDLE);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_idle(IDLE).keepalives_interval(ASK_AGAIN).keepalives_retries(ASKED);
        }
        Ok(Server { config, tls })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]"),
            Host::Tcp(host) => host.clone(),
            Host::Unix(folder) => folder.display().to_string().replace('/', "%2F"),
        });
        let addresses = self.config.get_hostaddrs().iter().map(ToString::to_string);
        let mut places: Vec<String> = hosts.collect();
        if places.is_empty() {
            places = addresses.collect();
        }
        for (index, place) in places.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5_432);
            write!(f, "{comma}{place}:{port}")?;
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_shown_without_its_secrets() {
        let rows = [
            ("postgres://u:s3cret@db:5433/discogs", "postgres://db:5433/discogs"),
            ("postgresql://u:s3cret@db/discogs", "postgres://db:5432/discogs"),
            ("postgres://u:s3c%40ret?@[::1]/d?sslmode=require", "postgres://[::1]:5432/d"),
            (
                "postgres://u:s3cret@a:1,b:2/d?target_session_attrs=read-write",
                "postgres://a:1,b:2/d",
            ),
            ("postgres://u@%2Frun%2Fpg/d?password=s3cret", "postgres://%2Frun%2Fpg:5432/d"),
            ("postgres:///d?host=db&user=u&password=s3cret&port=77", "postgres://db:77/d"),
        ];
        for (text, shown) in rows {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.to_string(), shown);
            assert_eq!(format!("{server:?}"), format!("Server({shown})"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let rows = [
            "postgres://u:s3cret@host:port/d",
            "postgres://u:s3cret@",
            "postgres://u:s3cret@host/d?s3cret=1",
            "postgres://u:s3cret@host/d?sslmode=s3cret",
            "postgres://u:x@host/d?s3cret",
        ];
        for text in rows {
            let words = text.parse::<Server>().unwrap_err().to_string();
            assert!(
                !words.contains("s3cret") && words.contains("hint: write postgres://"),
                "{words}"
            );
        }
        let half = "postgres://host/d?sslcert=/c.pem".parse::<Server>();
        assert_eq!(half, Err(ServerError::HalfIdentity));
    }

    #[test]
    fn what_tls_needs_is_looked_for() {
        let text = "postgres://host/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem";
        let words = text.parse::<Server>().unwrap().check().unwrap_err().to_string();
        assert!(words.contains("/nowhere/ca.pem"), "{words}");
        for mode in ["disable", "allow", "prefer", "require"] {
            let server: Server = format!("postgres://host/d?sslmode={mode}").parse().unwrap();
            assert_eq!(server.check(), Ok(()), "{mode}");
        }
    }
}
