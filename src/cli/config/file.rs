//! The configuration file as it is written.

use std::net::IpAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::cli::args::{LogFormat, LogLevel, Progress, Rate};
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
    pub(super) workers: Option<NonZero<usize>>,
    pub(super) threads: Option<NonZero<usize>>,
    pub(super) window: Option<NonZero<usize>>,
    pub(super) stall_after: Option<u64>,
    pub(super) max_bad_records: Option<u64>,
    pub(super) limit: Option<u64>,
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
    /// Reads it, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or holds something that is no option.
    pub fn read(path: Option<&Path>) -> Result<ConfigFile> {
        let Some(path) = path else { return Ok(ConfigFile::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let file: ConfigFile = toml::from_str(&text).with_context(|| {
            format!(
                "the configuration {} cannot be used\nhint: see data/config.example.toml",
                path.display()
            )
        })?;
        let fraction = file.purge_max_delete_fraction.unwrap_or_default();
        anyhow::ensure!(
            (0.0..=1.0).contains(&fraction),
            "purge-max-delete-fraction in {} is {fraction}, not between 0 and 1",
            path.display()
        );
        Ok(file)
    }
}
