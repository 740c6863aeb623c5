use serde::Serialize;

/// What a look at something found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `broker`, `disk`.
    pub check: &'static str,
    /// How it is.
    pub status: Level,
    /// The same in words.
    pub message: String,
    /// What to do next, where something is to be done.
    pub hint: Option<String>,
}

/// How something is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is to be done.
    Ok,
    /// It works, and will not for ever, or not as it should.
    Warning,
    /// It does not work.
    Failure,
}

impl Level {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Failure => "failure",
        }
    }
}

impl Finding {
    /// Nothing is to be done.
    pub fn ok(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, status: Level::Ok, message: message.into(), hint: None }
    }

    /// Somebody should do something.
    pub fn warning(
        check: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        let (message, hint) = (message.into(), Some(hint.into()));
        Finding { check, status: Level::Warning, message, hint }
    }

    /// Somebody must.
    pub fn failure(
        check: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding { status: Level::Failure, ..Finding::warning(check, message, hint) }
    }

    /// The same, where it may pass by itself.
    #[must_use]
    pub fn as_warning(self) -> Finding {
        Finding { status: Level::Warning, ..self }
    }

    /// An error that says its own hint behind `hint:`, as ours do.
    pub fn of_error(check: &'static str, error: &dyn std::error::Error) -> Finding {
        let words = error.to_string();
        let (message, hint) = parted(&words);
        let (status, hint) = (Level::Failure, hint.map(str::to_owned));
        Finding { check, status, message: message.to_owned(), hint }
    }
}

/// What an error of ours says is wrong, and what to do next: its hint stands on a line of its own.
pub fn parted(words: &str) -> (&str, Option<&str>) {
    match words.split_once("\nhint: ") {
        Some((wrong, hint)) => (wrong, Some(hint)),
        None => (words, None),
    }
}
