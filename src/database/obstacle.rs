//! Why a database does not do what it is asked, and why it cannot be opened at all.

use std::borrow::Cow;

use crate::model::parted;

/// Why a database did not do what was asked. Nothing of it was done then, unless the connection was
/// lost at the very end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Obstacle {
    /// In the database's own words, without secrets.
    pub why: String,
    /// What to do next.
    pub hint: Option<Cow<'static, str>>,
    /// Whether it passes.
    pub passes: Passes,
}

/// Whether an obstacle passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// By itself: the database is away, stopping, full or a standby.
    Away,
    /// By itself: somebody else holds a lock.
    Locked,
    /// When somebody changes what this program may do there.
    Refusing,
    /// Not by waiting.
    Never,
}

impl Obstacle {
    /// Of a database that is away.
    pub fn away(why: impl Into<String>) -> Obstacle {
        Obstacle { why: why.into(), hint: None, passes: Passes::Away }
    }

    /// Of what does not get better by waiting.
    pub fn lasting(why: impl Into<String>) -> Obstacle {
        Obstacle { why: why.into(), hint: None, passes: Passes::Never }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> Obstacle {
        Obstacle { hint: Some(hint.into()), ..self }
    }
}

/// A database that cannot be opened, however long one waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", .hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub struct OpenError {
    /// What could not be done, where and why.
    pub what: String,
    /// What to do next.
    pub hint: Option<Cow<'static, str>>,
}

impl OpenError {
    /// An error without a hint.
    pub fn new(what: impl Into<String>) -> OpenError {
        OpenError { what: what.into(), hint: None }
    }

    /// An error of ours in a database's place.
    pub fn of(error: &dyn std::error::Error) -> OpenError {
        let words = error.to_string();
        let (what, hint) = parted(&words);
        OpenError { hint: hint.map(|hint| Cow::Owned(hint.to_owned())), ..OpenError::new(what) }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> OpenError {
        OpenError { hint: Some(hint.into()), ..self }
    }
}
