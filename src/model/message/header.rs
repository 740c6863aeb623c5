//! What stands beside a message's body: of which version, run and record it is.

use crate::model::{Run, Version};

/// The dump's version.
pub(super) const VERSION: &str = "x-version";
/// The run.
pub(super) const RUN: &str = "x-run";
/// A record's place in its dump.
pub const ORDINAL: &str = "x-ordinal";
/// The ordinal of a run's last record.
pub(super) const LAST_ORDINAL: &str = "x-last-ordinal";
/// How many ordinals up to there never come.
pub(super) const BAD_RECORDS: &str = "x-bad-records";

/// What a header holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// The headers of a message of ours.
pub(super) fn headers(
    version: Version,
    run: Option<Run>,
    numbers: &[(&'static str, u64)],
) -> Vec<(&'static str, Value)> {
    let run = run.map(|run| (RUN, run.0));
    let numbers = run.into_iter().chain(numbers.iter().copied());
    let number = |number| Value::Number(i64::try_from(number).unwrap_or(i64::MAX));
    let numbers = numbers.map(|(name, value)| (name, number(value)));
    std::iter::once((VERSION, Value::Text(version.to_string()))).chain(numbers).collect()
}

/// The headers of a message, whoever sent it: what stands under a name.
pub(super) struct Headers<F>(pub(super) F);

impl<F: Fn(&str) -> Option<Value>> Headers<F> {
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match (self.0)(name)? {
            Value::Number(number) => u64::try_from(number).ok(),
            Value::Text(_) => None,
        }
    }

    /// The run, if there is one. A number that can be none would win over every run to come.
    pub(super) fn run(&self) -> Result<Option<Run>, String> {
        match (self.0)(RUN) {
            Some(Value::Number(number)) => {
                let run = u64::try_from(number).ok().and_then(Run::checked);
                run.map(Some).ok_or_else(|| format!("its {RUN} is no run: that is 0 to 2^62"))
            }
            Some(Value::Text(_)) | None => Ok(None),
        }
    }

    pub(super) fn version(&self) -> Option<Version> {
        match (self.0)(VERSION)? {
            Value::Text(text) => text.parse().ok(),
            Value::Number(_) => None,
        }
    }
}
