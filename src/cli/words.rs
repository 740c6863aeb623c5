//! Everything the program says in the end: errors, and nothing twice.

use std::io::Write;

/// Prints an error to standard error.
pub fn tell(error: &anyhow::Error) {
    // There is nowhere to say that standard error is gone.
    _ = writeln!(std::io::stderr(), "{}", self::error(error));
}

/// An error and its causes on one line, each cause once, then the hints.
pub fn error(error: &anyhow::Error) -> String {
    let mut said = String::new();
    let mut hints = Vec::new();
    for cause in error.chain() {
        let words = cause.to_string();
        let (what, hint) = match words.split_once("\nhint: ") {
            Some((what, hint)) => (what, Some(hint)),
            None => (words.as_str(), None),
        };
        if !said.contains(what) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(what);
        }
        hints.extend(hint.map(str::to_owned).filter(|hint| !hints.contains(hint)));
    }
    hints.iter().fold(format!("error: {said}"), |text, hint| text + "\nhint: " + hint)
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
