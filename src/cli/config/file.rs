//! The configuration file as it is written.

use std::net::IpAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use serde::Deserialize;

use crate::cli::args::{LogFormat, LogLevel, Progress, Rate};
use crate::cli::within::{Seconds, Threads, Window};
use crate::model::{Kind, Version};

/// The configuration file: the long options' names, with the same values.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigFile {
    pub(super) log_format: Option<LogFormat>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) to: Option<String>,
    pub(super) types: Option<Vec<Kind>>,
    pub(super) dump_version: Option<Version>,
    pub(super) workers: Option<Threads>,
    pub(super) threads: Option<Threads>,
    pub(super) window: Option<Window>,
    pub(super) stall_after: Option<Seconds>,
    pub(super) max_bad_records: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) wait: Option<bool>,
    pub(super) progress: Option<Progress>,
    pub(super) purge_max_delete_fraction: Option<f64>,
    pub(super) sweep_anyway: Option<bool>,
    pub(super) exchange_prefix: Option<String>,
    #[serde(rename = "for")]
    pub(super) consumers: Option<Vec<String>>,
    pub(super) root: Option<PathBuf>,
    pub(super) periodic_check_days: Option<NonZero<u32>>,
    pub(super) retry_after: Option<NonZero<u32>>,
    pub(super) listen: Option<IpAddr>,
    pub(super) health_port: Option<u16>,
    pub(super) from: Option<String>,
    pub(super) consumer_cancel_delay: Option<u32>,
    pub(super) queue_check_interval: Option<NonZero<u32>>,
    pub(super) site: Option<String>,
    pub(super) read_timeout: Option<NonZero<u32>>,
    pub(super) limit_rate: Option<Rate>,
    pub(super) connections: Option<NonZero<u8>>,
    pub(super) require_checksum: Option<bool>,
    pub(super) newest_first: Option<bool>,
    pub(super) keep: Option<NonZero<u16>>,
}

impl ConfigFile {
    /// Whether the other end is waited for as long as it takes.
    pub fn waits(&self) -> bool {
        self.wait.unwrap_or(false)
    }

    /// Reads it, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or holds something that is no option.
    pub fn read(path: Option<&Path>) -> Result<ConfigFile> {
        let Some(path) = path else { return Ok(ConfigFile::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let file: ConfigFile =
            toml::from_str(&text).map_err(|error| unusable(path, &text, &error))?;
        let fraction = file.purge_max_delete_fraction.unwrap_or_default();
        anyhow::ensure!(
            (0.0..=1.0).contains(&fraction),
            "purge-max-delete-fraction in {} is {fraction}, not between 0 and 1",
            path.display()
        );
        Ok(file)
    }
}

/// What is wrong with it and where, without what stands there: that may be a password.
fn unusable(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let (key, value) = text.lines().nth(line).and_then(|it| it.split_once('=')).unwrap_or_default();
    let key = key.trim();
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let named = if is_key { format!(", {key}") } else { String::new() };
    let there = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    let mut why = error.message().to_owned();
    for shown in [value, there] {
        let shown = shown.trim().trim_matches(['"', '\'']);
        // A number is no secret, and may be one of the words.
        if !shown.is_empty() && shown != key && shown.parse::<f64>().is_err() {
            why = why.replace(shown, "(not shown)");
        }
    }
    anyhow!(
        "the configuration {} cannot be used: line {}, column {}{named}: {why}\nhint: see \
         data/config.example.toml",
        path.display(),
        line + 1,
        column + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_place_and_never_what_stands_there() {
        let rows = [
            ("to = \"postgres://u:s3cret@h/d", "line 1, column"),
            ("\nto = postgres://u:s3cret@h/d\n", "line 2, column"),
            ("workers = \"s3cret\"\n", "line 1, column 11, workers: "),
            ("workers = 0\n", "line 1, column 11, workers: not a whole number from 1 to 1000"),
            ("progress = \"s3cret\"\n", "line 1, column 12, progress: "),
            ("types = [\"artists\", \"s3cret\"]\n", "line 1, column"),
            ("to \"s3cret\"\n", "line 1, column"),
            ("tooo = \"s3cret\"\n", "line 1, column 1, tooo: unknown field `tooo`"),
            ("to = \"a\"\nto = \"s3cret\"\n", "line 2, column"),
        ];
        for (text, expected) in rows {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let words = format!("{:#}", ConfigFile::read(Some(file.path())).unwrap_err());
            assert!(words.contains(expected), "{text}: {words}");
            assert!(!words.contains("s3cret") && words.contains("hint: "), "{words}");
        }
    }
}
