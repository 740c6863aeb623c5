//! The arguments of the commands that look at a download site.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::Deserialize;

use super::Progress;
use crate::model::{Kind, Version};

const DOWNLOAD_EXAMPLES: &str = "\
Examples:
  discogs-extractor download --into dumps/
  discogs-extractor download 20260101 --types artists,labels --into dumps/
  discogs-extractor download --into dumps/ --limit-rate 2M --connections 1
  discogs-extractor download --into dumps/ --site https://mirror.example/discogs/

A site is the public one, a folder index over HTTP, an object store that lists itself, or a folder.
Stop it at any time, by any means: the same command goes on where it was. A file has its own name
only when all of it is here and its published SHA-256 is right.";

#[derive(Args, Debug)]
#[command(after_help = DOWNLOAD_EXAMPLES)]
pub struct DownloadArgs {
    /// The version [default: the newest that is completely published]
    #[arg(value_name = "VERSION", env = "DISCOGS_DUMP_VERSION")]
    pub version: Option<Version>,

    /// The folder to put the dumps in
    #[arg(long, value_name = "DIR", env = "DISCOGS_ROOT")]
    pub into: Option<PathBuf>,

    #[command(flatten)]
    pub fetch: FetchArgs,

    /// Only these types: artists, labels, masters, releases [default: all]
    #[arg(long, value_name = "TYPES", value_delimiter = ',', env = "DISCOGS_TYPES")]
    pub types: Option<Vec<Kind>>,

    /// How progress is shown on standard error [default: auto]
    #[arg(long, value_name = "HOW", env = "DISCOGS_PROGRESS")]
    pub progress: Option<Progress>,
}

/// What `download` and `run` have in common.
#[derive(Args, Debug)]
pub struct FetchArgs {
    #[command(flatten)]
    pub site: SiteArgs,

    /// At most so many bytes a second over all connections; k, M and G are 1024 of each other
    #[arg(long, value_name = "RATE", env = "DISCOGS_LIMIT_RATE")]
    pub limit_rate: Option<Rate>,

    /// Files at once [default: 2]
    #[arg(
        long, value_name = "N", env = "DISCOGS_CONNECTIONS",
        value_parser = clap::value_parser!(u8).range(1..)
    )]
    pub connections: Option<u8>,

    /// Refuse a file that has no published checksum
    #[arg(
        long, env = "DISCOGS_REQUIRE_CHECKSUM",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub require_checksum: bool,
}

#[derive(Args, Debug)]
pub struct VersionsArgs {
    #[command(flatten)]
    pub site: SiteArgs,

    /// The folder in which to look for what is here already
    #[arg(long, value_name = "DIR", env = "DISCOGS_ROOT")]
    pub into: Option<PathBuf>,

    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// All there ever were, not only the newest
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
pub struct SiteArgs {
    /// Where dumps are downloaded from: a URL or a folder [default: the public site]
    #[arg(long, value_name = "SITE", env = "DISCOGS_SITE", hide_env_values = true)]
    pub site: Option<String>,

    /// A connection that says nothing for so many seconds counts as broken [default: 60]
    #[arg(
        long, value_name = "SECONDS", env = "DISCOGS_READ_TIMEOUT",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub read_timeout: Option<u32>,
}

/// Bytes a second: `500k`, `2M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate(pub u64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let times = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => return Err("the suffix is none of k, M and G".to_owned()),
        };
        let number: Option<u64> = digits.parse().ok();
        let rate = number.and_then(|number| number.checked_mul(times)).filter(|rate| *rate > 0);
        rate.map(Rate).ok_or_else(|| "not a whole number of bytes, with or without k, M, G".into())
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Rate, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_with_a_suffix() {
        let rows =
            [("1", Some(1)), ("500k", Some(512_000)), ("2M", Some(2 << 20)), ("1g", Some(1 << 30))];
        let wrong =
            ["", "0", "k", "2T", "2MB", "-1", "1.5M", "99999999999G"].map(|text| (text, None));
        for (text, rate) in rows.into_iter().chain(wrong) {
            assert_eq!(text.parse().ok(), rate.map(Rate), "{text}");
        }
    }
}
