//! Configuration as resolved: what was typed or set in the environment, else the file, else the
//! default.

mod download;
mod file;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::args::{
    ConsumerArgs, ConsumerName, DeliveryArgs, ExtractArgs, GlobalArgs, LogFormat, LogLevel,
    Progress, RunArgs,
};
use super::within::{Seconds, Threads, Window};
use crate::model::{FirstConnection, Kind, Version};

pub use download::{Download, Fetch, SiteName, Versions};
pub use file::ConfigFile;

/// How the program logs.
#[derive(Clone, Copy, Debug)]
pub struct Logging {
    /// Text or JSON.
    pub format: LogFormat,
    /// The least level that is logged.
    pub level: LogLevel,
}

impl Logging {
    /// Joins what was typed with the file and the defaults.
    pub fn resolve(args: &GlobalArgs, file: &ConfigFile) -> Logging {
        Logging {
            format: args.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            level: args.log_level.or(file.log_level).unwrap_or(LogLevel::Info),
        }
    }
}

/// The folder of the extractor's state among those of the consumers.
pub const EXTRACTOR: &str = "extractor";

/// The state directory: what was typed or set, else systemd's `STATE_DIRECTORY`, else
/// the folder of that name in `discogs-extractor` in the XDG state folder.
///
/// # Errors
/// If there is neither `XDG_STATE_HOME` nor `HOME`.
pub fn state_dir(args: &GlobalArgs, file: &ConfigFile, name: &str) -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let systemd = || {
        let folders = set("STATE_DIRECTORY")?;
        std::env::split_paths(&folders).next()
    };
    let xdg = || {
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        // "If an implementation encounters a relative path in any of these variables it should
        // consider the path invalid and ignore it" (XDG Base Directory Specification).
        let state = set("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let state = state.or_else(home)?;
        Some(state.join("discogs-extractor").join(name))
    };
    let typed = args.state_dir.clone().or_else(|| file.state_dir.clone());
    typed.or_else(systemd).or_else(xdg).context(
        "there is no place for the state: neither XDG_STATE_HOME nor HOME is set\nhint: say where \
         with --state-dir",
    )
}

/// How records are to be delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The sink, as typed.
    pub to: Option<String>,
    /// The wanted types, in the usual order.
    pub kinds: Vec<Kind>,
    /// The version to take from folders.
    pub version: Option<Version>,
    /// The word given with `--force-reprocess`.
    pub force: Option<String>,
    /// What the names of exchanges and queues begin with.
    pub exchange_prefix: String,
    /// Consumers whose queues are declared.
    pub consumers: Vec<String>,
    /// Files at once.
    pub workers: usize,
    /// Parse threads.
    pub threads: usize,
    /// Deliveries in flight, per file.
    pub window: usize,
    /// When a file is called stalled.
    pub stall_after: Duration,
    /// Bad records a file may have.
    pub max_bad_records: u64,
    /// How progress is shown.
    pub progress: Progress,
    /// The highest part of a table that a sweep may remove.
    pub purge_max_delete_fraction: f64,
    /// Whether to sweep without proof.
    pub sweep_anyway: bool,
}

/// What `extract` is to do.
#[derive(Clone, Debug)]
pub struct Extract {
    /// Files and folders.
    pub inputs: Vec<PathBuf>,
    /// Records to deliver of each file.
    pub limit: Option<u64>,
    /// How long a first connection to the sink may take.
    pub first: FirstConnection,
    /// How.
    pub delivery: Delivery,
}

/// What `run` is to do.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder of dumps.
    pub root: PathBuf,
    /// Where dumps are fetched from, if they are.
    pub fetch: Option<Fetch>,
    /// Whether a newer version begins although an older one is unfinished.
    pub newest_first: bool,
    /// Whether only dumps are taken of which the published checksum was compared.
    pub require_checksum: bool,
    /// So many versions of files are kept; all, if none is given.
    pub keep: Option<usize>,
    /// When to look again, even if nothing happened.
    pub check_every: Duration,
    /// When to try again what failed for the first time.
    pub retry_after: Duration,
    /// Where health and metrics are served, if they are.
    pub listen: Option<SocketAddr>,
    /// How records are delivered.
    pub delivery: Delivery,
}

/// What `consume tables` or `consume graph` is to do.
#[derive(Clone, Debug)]
pub struct Consume {
    /// Which of them.
    pub consumer: ConsumerName,
    /// The broker, as typed.
    pub from: Option<String>,
    /// The database, as typed.
    pub to: Option<String>,
    /// Whether only the schema is brought up to date.
    pub migrate_only: bool,
    /// What the names of exchanges and queues begin with.
    pub exchange_prefix: String,
    /// How long after completion a type's consumers are cancelled; none for never.
    pub cancel_after: Option<Duration>,
    /// How often a cancelled queue is looked into.
    pub check_interval: Duration,
    /// When a type is called stalled.
    pub stall_after: Duration,
    /// How progress is shown.
    pub progress: Progress,
    /// The highest part of a table that a sweep may remove.
    pub purge_max_delete_fraction: f64,
    /// Whether to sweep in spite of bad records and above that part.
    pub sweep_anyway: bool,
    /// Where health and metrics are served, if they are.
    pub listen: Option<SocketAddr>,
}

/// The prefix as typed, in the file, or the platform's.
pub fn exchange_prefix(typed: Option<String>, file: ConfigFile) -> String {
    typed.or(file.exchange_prefix).unwrap_or_else(|| EXCHANGE_PREFIX.to_owned())
}

impl Consume {
    /// Joins what was typed with the file and the defaults.
    pub fn resolve(consumer: ConsumerName, args: ConsumerArgs, file: ConfigFile) -> Consume {
        let seconds = |typed: Option<u32>, filed: Option<u32>, default| {
            Duration::from_secs(typed.or(filed).unwrap_or(default).into())
        };
        let delay = seconds(args.consumer_cancel_delay, file.consumer_cancel_delay, 300);
        let filed = file.queue_check_interval.map(NonZero::get);
        let address = args.listen.or(file.listen).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = args.health_port.or(file.health_port).unwrap_or(consumer.health_port());
        let fraction = args.purge_max_delete_fraction.or(file.purge_max_delete_fraction);
        Consume {
            consumer,
            from: args.from.or(file.from),
            to: args.to.or(file.to),
            migrate_only: args.migrate_only,
            exchange_prefix: args
                .exchange_prefix
                .or(file.exchange_prefix)
                .unwrap_or_else(|| EXCHANGE_PREFIX.to_owned()),
            cancel_after: (!delay.is_zero()).then_some(delay),
            check_interval: seconds(args.queue_check_interval, filed, 3_600),
            stall_after: stall_after(args.stall_after.or(file.stall_after)),
            progress: args.progress.or(file.progress).unwrap_or(Progress::Auto),
            purge_max_delete_fraction: fraction.unwrap_or(0.10),
            sweep_anyway: args.sweep_anyway || file.sweep_anyway.unwrap_or(false),
            listen: (port != 0).then(|| SocketAddr::new(address, port)),
        }
    }
}

/// Instead of a site: only what lies in the folder is taken.
const NO_SITE: &str = "none";

/// The platform's.
const EXCHANGE_PREFIX: &str = "discogsography-discogs";

/// When a type is called stalled.
fn stall_after(seconds: Option<Seconds>) -> Duration {
    Duration::from_secs(seconds.map_or(120, Seconds::get))
}

impl Delivery {
    fn resolve(args: DeliveryArgs, file: &mut ConfigFile) -> Delivery {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let wanted = args.types.or(file.types.take()).unwrap_or_else(|| Kind::ALL.to_vec());
        let consumers = args.consumers.or(file.consumers.take()).unwrap_or_default();
        let exchange_prefix = args.exchange_prefix.or(file.exchange_prefix.take());
        Delivery {
            to: args.to.or(file.to.take()),
            kinds: Kind::ALL.into_iter().filter(|kind| wanted.contains(kind)).collect(),
            version: args.dump_version.or(file.dump_version),
            force: args.force_reprocess,
            exchange_prefix: exchange_prefix.unwrap_or_else(|| EXCHANGE_PREFIX.to_owned()),
            consumers: consumers.into_iter().filter(|name| !name.is_empty()).collect(),
            workers: args.workers.or(file.workers).map_or(cores, Threads::count),
            threads: args.threads.or(file.threads).map_or(cores, Threads::count),
            window: args.window.or(file.window).map_or(5_000, Window::count),
            stall_after: stall_after(args.stall_after.or(file.stall_after)),
            max_bad_records: args.max_bad_records.or(file.max_bad_records).unwrap_or(100),
            progress: args.progress.or(file.progress).unwrap_or(Progress::Auto),
            purge_max_delete_fraction: args
                .purge_max_delete_fraction
                .or(file.purge_max_delete_fraction)
                .unwrap_or(0.10),
            sweep_anyway: args.sweep_anyway || file.sweep_anyway.unwrap_or(false),
        }
    }
}

/// How long whoever typed a command waits for its other end.
pub const fn first_connection(waits: bool) -> FirstConnection {
    if waits { FirstConnection::Whenever } else { FirstConnection::TYPED }
}

impl Extract {
    /// Joins what was typed with the file and the defaults.
    pub fn resolve(args: ExtractArgs, mut file: ConfigFile) -> Extract {
        Extract {
            inputs: args.inputs,
            limit: args.limit.or(file.limit),
            first: first_connection(args.wait || file.waits()),
            delivery: Delivery::resolve(args.delivery, &mut file),
        }
    }
}

impl Run {
    /// Joins what was typed with the file and the defaults.
    pub fn resolve(args: RunArgs, mut file: ConfigFile) -> Run {
        let days = args.periodic_check_days.or(file.periodic_check_days.map(NonZero::get));
        let retry = args.retry_after.or(file.retry_after.map(NonZero::get)).unwrap_or(60);
        let address = args.listen.or(file.listen).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = args.health_port.or(file.health_port).unwrap_or(8_000);
        let root = args.root.or(file.root.take());
        let fetch = Fetch::resolve(args.fetch, &mut file);
        Run {
            root: root.unwrap_or_else(|| PathBuf::from("/discogs-data")),
            require_checksum: fetch.require_checksum,
            fetch: Some(fetch).filter(|fetch| fetch.site.name != NO_SITE),
            newest_first: args.newest_first || file.newest_first.unwrap_or(false),
            keep: args.keep.or(file.keep.map(NonZero::get)).map(usize::from),
            check_every: Duration::from_hours(24 * u64::from(days.unwrap_or(15))),
            retry_after: Duration::from_secs(retry.into()),
            listen: (port != 0).then(|| SocketAddr::new(address, port)),
            delivery: Delivery::resolve(args.delivery, &mut file),
        }
    }
}
