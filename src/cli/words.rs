//! Everything the program says in the end: errors, and nothing twice.

use std::io::Write;

use super::logging;
use crate::model::parted;

/// Prints an error to standard error; where lines are JSON, as one.
pub fn tell(error: &anyhow::Error) {
    if logging::as_json() {
        let (said, hints) = parts(error);
        let hint = (!hints.is_empty()).then(|| hints.join("; "));
        tracing::error!(hint, "{said}");
        return;
    }
    // There is nowhere to say that standard error is gone.
    _ = writeln!(std::io::stderr(), "{}", self::error(error));
}

/// An error and its causes on one line, each cause once, then the hints.
pub fn error(error: &anyhow::Error) -> String {
    let (said, hints) = parts(error);
    text(&said, &hints)
}

/// An error on one line, then the hints.
fn text(said: &str, hints: &[String]) -> String {
    hints.iter().fold(format!("error: {said}"), |text, hint| text + "\nhint: " + hint)
}

/// An error and its causes, each cause once, and the hints.
fn parts(error: &anyhow::Error) -> (String, Vec<String>) {
    let mut said = String::new();
    let mut hints = Vec::new();
    for cause in error.chain() {
        let words = cause.to_string();
        let (what, hint) = parted(&words);
        if !said.contains(what) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(what);
        }
        hints.extend(hint.map(str::to_owned).filter(|hint| !hints.contains(hint)));
    }
    (said, hints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_chained_once_and_hints_stand_at_the_end() {
        let cause = anyhow!("no space left\nhint: make room");
        let chained = Err::<(), _>(cause).context("cannot write a.db: no space left").unwrap_err();
        let chained = Err::<(), _>(chained).context("artists failed").unwrap_err();
        assert_eq!(
            error(&chained),
            "error: artists failed: cannot write a.db: no space left\nhint: make room"
        );
        let long = anyhow!("no sink\nhint: add --to, for example\n  --to null:");
        assert_eq!(error(&long), "error: no sink\nhint: add --to, for example\n  --to null:");
    }
}
