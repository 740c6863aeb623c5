//! Why a database cannot even be asked.

use std::path::PathBuf;

/// A URL that names no database, or a file that it names and that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// It cannot be read; what it holds is not repeated, as there may be a password in it.
    #[error(
        "the database's URL cannot be read: {0}\nhint: write \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE, with what is special in a password \
         percent-encoded, and parameters as ?sslmode=verify-full&connect_timeout=5"
    )]
    Url(&'static str),
    /// Only one of two that belong together.
    #[error("the database's URL has only one of sslcert and sslkey\nhint: give both, as PEM files")]
    HalfIdentity,
    /// A file for TLS cannot be read or used.
    #[error("cannot use {}: {why}\nhint: the database's URL names it for TLS", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// What is to be trusted, or the key, does not do.
    #[error("cannot set up TLS for the database: {0}")]
    Tls(String),
}
