//! What the commands that look at a download site are to do.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigFile;
use crate::cli::args::{DownloadArgs, FetchArgs, Progress, SiteArgs, VersionsArgs};
use crate::model::{Kind, Version};

/// Where dumps are downloaded from, unless it is said.
const SITE: &str = "https://data.discogs.com";
/// How long a site may say nothing, in seconds.
const READ_TIMEOUT: u32 = 60;
/// Files at once: more only divide the line, and trouble the site.
const CONNECTIONS: u8 = 2;

/// A site as it was named.
#[derive(Clone, Debug)]
pub struct SiteName {
    /// A URL or a folder.
    pub name: String,
    /// How long it may say nothing.
    pub silence: Duration,
}

/// How dumps are fetched.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// From where.
    pub site: SiteName,
    /// Bytes a second.
    pub rate: Option<u64>,
    /// Files at once.
    pub connections: usize,
    /// Whether a file without a published checksum is refused.
    pub require_checksum: bool,
}

/// What `download` is to do.
#[derive(Clone, Debug)]
pub struct Download {
    /// How.
    pub fetch: Fetch,
    /// The folder, if one was named.
    pub into: Option<PathBuf>,
    /// The version.
    pub version: Option<Version>,
    /// The wanted types, in the usual order.
    pub kinds: Vec<Kind>,
    /// How progress is shown.
    pub progress: Progress,
}

/// What `versions` is to do.
#[derive(Clone, Debug)]
pub struct Versions {
    /// Of where.
    pub site: SiteName,
    /// The folder with what is here, if one was named.
    pub into: Option<PathBuf>,
    /// Whether JSON is printed.
    pub json: bool,
    /// Whether all versions are.
    pub all: bool,
}

impl SiteName {
    fn resolve(args: SiteArgs, file: &mut ConfigFile) -> SiteName {
        let seconds = args.read_timeout.or(file.read_timeout.map(NonZero::get));
        SiteName {
            name: args.site.or(file.site.take()).unwrap_or_else(|| SITE.to_owned()),
            silence: Duration::from_secs(seconds.unwrap_or(READ_TIMEOUT).into()),
        }
    }
}

impl Fetch {
    /// Joins what was typed with the file and the defaults.
    pub fn resolve(args: FetchArgs, file: &mut ConfigFile) -> Fetch {
        let connections = args.connections.or(file.connections.map(NonZero::get));
        Fetch {
            site: SiteName::resolve(args.site, file),
            rate: args.limit_rate.or(file.limit_rate).map(|rate| rate.0),
            connections: connections.unwrap_or(CONNECTIONS).into(),
            require_checksum: args.require_checksum || file.require_checksum.unwrap_or(false),
        }
    }
}

impl Download {
    /// Joins what was typed with the file and the defaults.
    pub fn resolve(args: DownloadArgs, mut file: ConfigFile) -> Download {
        let wanted = args.types.or(file.types.take()).unwrap_or_else(|| Kind::ALL.to_vec());
        Download {
            fetch: Fetch::resolve(args.fetch, &mut file),
            into: args.into.or(file.root),
            version: args.version.or(file.dump_version),
            kinds: Kind::ALL.into_iter().filter(|kind| wanted.contains(kind)).collect(),
            progress: args.progress.or(file.progress).unwrap_or(Progress::Auto),
        }
    }
}

impl Versions {
    /// Joins what was typed with the file and the defaults.
    pub fn resolve(args: VersionsArgs, mut file: ConfigFile) -> Versions {
        Versions {
            site: SiteName::resolve(args.site, &mut file),
            into: args.into.or(file.root),
            json: args.json,
            all: args.all,
        }
    }
}
