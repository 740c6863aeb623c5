//! Numbered migrations, each applied once, in order, in a transaction of its own. The table
//! `extractor_migrations` says which, with the SHA-256 of the file that was applied. How they are
//! applied is each database's own: here is which.

use std::error::Error;

use sha2::Digest;

use crate::model::Sha256;

/// One file of `migrations/`; never edited after its release.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its name, which begins with its number.
    pub name: &'static str,
    /// What it says.
    pub sql: &'static str,
}

/// A migration as the database remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

/// A database that does not fit this release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It has migrations that this release does not know.
    #[error("it was made by a newer release (its schema is {found}, this release knows {known})")]
    Newer {
        /// The database's newest migration.
        found: u64,
        /// The newest of this release.
        known: u64,
    },
    /// What was applied is not what this release has under that number.
    #[error("its schema was made by another {0}, which is never edited after a release")]
    Changed(&'static str),
    /// The migrations in the database have a gap.
    #[error("its table extractor_migrations lacks number {0}")]
    Missing(u64),
}

/// A database that could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError<E: Error + 'static> {
    /// It does not fit this release.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The database's own words.
    #[error(transparent)]
    Database(E),
}

/// Which of `known` are still to be applied where `applied`, in order, have been.
///
/// # Errors
/// If `applied` is not the beginning of `known`.
pub fn pending<'a>(
    known: &'a [Migration],
    applied: &[Applied],
) -> Result<&'a [Migration], Mismatch> {
    for (number, row) in (1..).zip(applied) {
        if row.version != number {
            return Err(Mismatch::Missing(number));
        }
    }
    let Some(rest) = known.get(applied.len()..) else {
        let (found, known) = (applied.len() as u64, known.len() as u64);
        return Err(Mismatch::Newer { found, known });
    };
    match known.iter().zip(applied).find(|(known, row)| known.sha256() != row.sha256) {
        Some((changed, _)) => Err(Mismatch::Changed(changed.name)),
        None => Ok(rest),
    }
}

impl Migration {
    /// SHA-256 of the file, lower-case hex.
    pub fn sha256(&self) -> String {
        Sha256(sha2::Sha256::digest(self.sql).into()).to_string()
    }
}
