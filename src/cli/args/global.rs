//! What every command takes, and the words that several of them know.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

#[derive(Args, Debug)]
pub struct GlobalArgs {
    /// A TOML file with defaults for the options; see data/config.example.toml
    #[arg(long, global = true, value_name = "FILE", env = "DISCOGS_CONFIG")]
    pub config: Option<PathBuf>,

    /// How log lines look
    #[arg(long, global = true, value_name = "FORMAT", env = "DISCOGS_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,

    /// DEBUG, INFO, WARNING, ERROR or CRITICAL
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "LOG_LEVEL",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub log_level: Option<LogLevel>,

    /// Where state is kept [default: discogs-extractor/extractor in the XDG state folder]
    #[arg(long, global = true, value_name = "DIR", env = "STATE_DIR")]
    pub state_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    Debug,
    Info,
    #[value(alias = "warn")]
    Warning,
    Error,
    Critical,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// A bar per file
    Bar,
    /// Lines
    Log,
    /// Neither
    None,
}
