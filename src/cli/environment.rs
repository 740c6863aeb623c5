//! The platform's environment variables that have no option of their own: where the broker is,
//! and secrets, which may stand in files.

use anyhow::{Context, Result, anyhow};
use secrecy::{ExposeSecret, SecretString};

use super::owner::Usage;

/// What a variable is set to, if it is.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of the process; what is set to nothing is not set.
pub fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// A secret: what the file named by `NAME_FILE` holds, without white space around it, else `NAME`.
///
/// # Errors
/// If the file cannot be read.
pub fn secret(variables: Variables<'_>, name: &str) -> Result<Option<SecretString>> {
    let variable = format!("{name}_FILE");
    let Some(path) = variables(&variable) else {
        return Ok(variables(name).map(SecretString::from));
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the secret in {path}, which {variable} names"))?;
    Ok(Some(SecretString::from(text.trim())))
}

/// The broker of `RABBITMQ_HOST`, `_PORT`, `_USERNAME` and `_PASSWORD`, as a sink is named.
///
/// # Errors
/// If a variable cannot be used.
pub fn broker(variables: Variables<'_>) -> Result<SecretString> {
    let host = variables("RABBITMQ_HOST").unwrap_or_else(|| "rabbitmq".to_owned());
    let port = port(variables, "RABBITMQ_PORT", 5_672)?;
    let secret = |name| {
        let secret = secret(variables, name)?;
        let secret = secret.unwrap_or_else(|| SecretString::from("discogsography"));
        anyhow::Ok(percent_encoded(secret.expose_secret()))
    };
    let (user, password) = (secret("RABBITMQ_USERNAME")?, secret("RABBITMQ_PASSWORD")?);
    let host = host_part(&host).ok_or_else(|| {
        let words = format!("RABBITMQ_HOST is {host:?}, which is no host name or address");
        anyhow!(Usage(words + "\nhint: the port goes into RABBITMQ_PORT"))
    })?;
    Ok(format!("amqp://{user}:{password}@{host}:{port}/%2F").into())
}

/// The database of `POSTGRES_HOST` (which may hold a port), `_PORT`, `_USERNAME`, `_PASSWORD` and
/// `_DATABASE`, as a URL; none if there is no host.
///
/// # Errors
/// If a variable is missing or cannot be used.
pub fn database(variables: Variables<'_>) -> Result<Option<SecretString>> {
    let Some(place) = variables("POSTGRES_HOST") else { return Ok(None) };
    let place = place.trim();
    let (host, port) = match place.rsplit_once(':') {
        // An address of IPv6 has more than one.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, self::port(&|_| Some(port.to_owned()), "POSTGRES_HOST", 5_432)?)
        }
        _ => (place, self::port(variables, "POSTGRES_PORT", 5_432)?),
    };
    let host = host_part(host).ok_or_else(|| {
        anyhow!(Usage(format!("POSTGRES_HOST is {place:?}, which is no host name or address")))
    })?;
    let secret = |name| needed(name, secret(variables, name)?, "POSTGRES_HOST");
    let (user, password) = (secret("POSTGRES_USERNAME")?, secret("POSTGRES_PASSWORD")?);
    let database = variables("POSTGRES_DATABASE").map(SecretString::from);
    let database = needed("POSTGRES_DATABASE", database, "POSTGRES_HOST")?;
    Ok(Some(format!("postgres://{user}:{password}@{host}:{port}/{database}").into()))
}

/// The graph of `NEO4J_HOST` (which may be a whole URL), `_PORT`, `_USERNAME` and `_PASSWORD`, over
/// TLS with `NEO4J_TLS_ENABLED` and with any certificate without `NEO4J_TLS_VERIFY`, as a URL; none
/// if there is no host.
///
/// # Errors
/// If a variable is missing or cannot be used.
pub fn graph(variables: Variables<'_>) -> Result<Option<SecretString>> {
    let Some(place) = variables("NEO4J_HOST") else { return Ok(None) };
    let place = place.trim();
    let secret = |name| needed(name, secret(variables, name)?, "NEO4J_HOST");
    let (user, password) = (secret("NEO4J_USERNAME")?, secret("NEO4J_PASSWORD")?);
    if let Some((scheme, rest)) = place.split_once("://") {
        return Ok(Some(format!("{scheme}://{user}:{password}@{rest}").into()));
    }
    let port = port(variables, "NEO4J_PORT", 7_687)?;
    let host = host_part(place).ok_or_else(|| {
        let words = format!("NEO4J_HOST is {place:?}, which is no host name, address or URL");
        anyhow!(Usage(words))
    })?;
    let over_tls = switch(variables, "NEO4J_TLS_ENABLED", false)?;
    let scheme = match (over_tls, switch(variables, "NEO4J_TLS_VERIFY", true)?) {
        (false, _) => "bolt",
        (true, true) => "bolt+s",
        (true, false) => "bolt+ssc",
    };
    Ok(Some(format!("{scheme}://{user}:{password}@{host}:{port}").into()))
}

/// A value as it stands in a URL, which must be there since the host's variable is set.
fn needed(name: &str, value: Option<SecretString>, host: &str) -> Result<String> {
    let value = value.ok_or_else(|| {
        let words = format!("{name} is not set, and {host} is");
        anyhow!(Usage(words + "\nhint: set it, or say where to write with --to"))
    })?;
    Ok(percent_encoded(value.expose_secret()))
}

fn switch(variables: Variables<'_>, name: &str, default: bool) -> Result<bool> {
    let Some(text) = variables(name) else { return Ok(default) };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => {
            let words = format!("{name} is {text:?}, which is neither true nor false");
            Err(anyhow!(Usage(words)))
        }
    }
}

fn port(variables: Variables<'_>, name: &str, default: u16) -> Result<u16> {
    let Some(text) = variables(name) else { return Ok(default) };
    text.trim().parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        let words = format!("{name} is {text:?}, which is no port");
        anyhow!(Usage(words + "\nhint: a port is a number from 1 to 65535"))
    })
}

/// A host as it stands in a URL.
fn host_part(host: &str) -> Option<String> {
    let bare = host.trim().trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(format!("[{bare}]"));
    }
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!bare.is_empty() && bare.chars().all(usual)).then(|| bare.to_owned())
}

/// Every byte that could mean something in a URL is written as `%XX`.
fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(set: &[(&str, &str)]) -> Result<String> {
        let of = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Ok(super::broker(&of)?.expose_secret().to_owned())
    }

    #[test]
    fn the_broker_is_put_together_from_its_parts() {
        let rows: [(&[(&str, &str)], &str); 4] = [
            (&[], "amqp://discogsography:discogsography@rabbitmq:5672/%2F"),
            (
                &[("RABBITMQ_HOST", "10.0.0.7"), ("RABBITMQ_PORT", "5673")],
                "amqp://discogsography:discogsography@10.0.0.7:5673/%2F",
            ),
            (
                &[("RABBITMQ_USERNAME", "me@home"), ("RABBITMQ_PASSWORD", "p/%:ü")],
                "amqp://me%40home:p%2F%25%3A%C3%BC@rabbitmq:5672/%2F",
            ),
            (&[("RABBITMQ_HOST", "::1")], "amqp://discogsography:discogsography@[::1]:5672/%2F"),
        ];
        for (set, expected) in rows {
            assert_eq!(broker(set).unwrap(), expected);
        }
    }

    #[test]
    fn the_database_is_put_together_from_its_parts() {
        let of = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into());
            database(&find).map(|url| url.map(|url| url.expose_secret().to_owned()))
        };
        assert_eq!(of(&[("POSTGRES_USERNAME", "u")]).unwrap(), None);
        let rest =
            [("POSTGRES_USERNAME", "u"), ("POSTGRES_PASSWORD", "p@"), ("POSTGRES_DATABASE", "d")];
        let rows = [("db", "db:5432"), ("db:5433", "db:5433"), ("::1", "[::1]:5432")];
        for (host, place) in rows {
            let url = of(&[&[("POSTGRES_HOST", host)], &rest[..]].concat()).unwrap();
            assert_eq!(url.unwrap(), format!("postgres://u:p%40@{place}/d"));
        }
        let error = of(&[&[("POSTGRES_HOST", "db")], &rest[..2]].concat()).unwrap_err();
        assert!(error.to_string().contains("POSTGRES_DATABASE is not set"), "{error}");
        let error = of(&[("POSTGRES_HOST", "db:x")]).unwrap_err();
        assert!(error.to_string().contains("POSTGRES_HOST is \"x\""), "{error}");
    }

    #[test]
    fn the_graph_is_put_together_from_its_parts() {
        let of = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into());
            graph(&find).map(|url| url.map(|url| url.expose_secret().to_owned()))
        };
        let rest = [("NEO4J_USERNAME", "neo4j"), ("NEO4J_PASSWORD", "p@")];
        assert_eq!(of(&rest).unwrap(), None);
        let tls = ("NEO4J_TLS_ENABLED", "true");
        let rows: [(&[(&str, &str)], &str); 5] = [
            (&[("NEO4J_HOST", "graph")], "bolt://neo4j:p%40@graph:7687"),
            (&[("NEO4J_HOST", "::1"), ("NEO4J_PORT", "7688")], "bolt://neo4j:p%40@[::1]:7688"),
            (&[("NEO4J_HOST", "neo4j://graph:1/db")], "neo4j://neo4j:p%40@graph:1/db"),
            (&[("NEO4J_HOST", "graph"), tls], "bolt+s://neo4j:p%40@graph:7687"),
            (
                &[("NEO4J_HOST", "graph"), tls, ("NEO4J_TLS_VERIFY", "False")],
                "bolt+ssc://neo4j:p%40@graph:7687",
            ),
        ];
        for (set, expected) in rows {
            assert_eq!(of(&[set, &rest].concat()).unwrap().unwrap(), expected);
        }
        let wrong: [&[(&str, &str)]; 3] = [
            &[("NEO4J_HOST", "graph"), ("NEO4J_PASSWORD", "p")],
            &[("NEO4J_HOST", "a b"), rest[0], rest[1]],
            &[("NEO4J_HOST", "graph"), rest[0], rest[1], ("NEO4J_TLS_ENABLED", "on")],
        ];
        for (set, name) in wrong.iter().zip(["USERNAME", "HOST", "TLS_ENABLED"]) {
            let error = of(set).unwrap_err();
            assert!(error.to_string().contains(&format!("NEO4J_{name} is ")), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for port in ["http", "0", "65536", "-1"] {
            let error = broker(&[("RABBITMQ_PORT", port)]).unwrap_err();
            assert!(error.to_string().contains("RABBITMQ_PORT") && error.is::<Usage>(), "{error}");
        }
        let error = broker(&[("RABBITMQ_HOST", "rabbit:5672")]).unwrap_err();
        assert!(error.to_string().contains("hint: the port goes into RABBITMQ_PORT"), "{error}");
        let error = broker(&[("RABBITMQ_PASSWORD_FILE", "/nowhere/at/all")]).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("RABBITMQ_PASSWORD_FILE") && words.contains("/nowhere"), "{words}");
    }

    #[test]
    fn a_secret_in_a_file_wins_and_is_trimmed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "  from file \n").unwrap();
        let path = file.path().to_str().unwrap();
        let set = [("RABBITMQ_PASSWORD", "typed"), ("RABBITMQ_PASSWORD_FILE", path)];
        let url = broker(&set).unwrap();
        assert_eq!(url, "amqp://discogsography:from%20file@rabbitmq:5672/%2F");
    }
}
