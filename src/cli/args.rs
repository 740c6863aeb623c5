//! Arguments as they are typed, before the configuration file and the defaults are joined to them.

mod consume;
mod delivery;
mod doctor;
mod download;
mod global;
mod top;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::model::{Kind, Version};

pub use consume::{ConsumeArgs, ConsumeCommand, ConsumerArgs, ConsumerName};
pub use delivery::{DeliveryArgs, ExtractArgs, RunArgs};
pub use doctor::{DoctorArgs, DoctorCommand};
pub use download::{DownloadArgs, FetchArgs, Rate, SiteArgs, VersionsArgs};
pub use global::{GlobalArgs, LogFormat, LogLevel, Progress};
pub use top::TopArgs;

const EXAMPLES: &str = "\
Examples:
  discogs-extractor download --into dumps/
  discogs-extractor extract dumps/ --to sqlite:discogs.db
  discogs-extractor extract dumps/discogs_20260101_labels.xml.gz --to jsonl:out
  discogs-extractor extract dumps/ --to jsonl:- --types artists | head
  discogs-extractor run --root dumps/ --to sqlite:discogs.db
  discogs-extractor consume tables --from amqp://localhost --to sqlite:discogs.db
  discogs-extractor state
  discogs-extractor top
  discogs-extractor doctor --root dumps/ --to sqlite:discogs.db
  discogs-extractor sample --records 10000 --seed 1 --into dumps/

Every option can be set in the environment (shown as [env: …]) and in a TOML file (--config);
a flag wins over the environment, the environment over the file.

Exit codes: 0 done, 1 failed, 2 usage, 3 incomplete but resumable, 4 stalled,
130/143 stopped by a signal after a clean drain (`run`, `consume`: 0).";

/// Reads the monthly Discogs dumps and delivers every record as canonical JSON.
///
/// It knows at every moment how far each file has got: kill it, reboot the machine, and it goes
/// on inside the file.
#[derive(Debug, Parser)]
#[command(name = "discogs-extractor", version, after_help = EXAMPLES, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Extract dumps into a sink; runs to the end
    Extract(Box<ExtractArgs>),
    /// Extract every new version that appears in a folder; runs until it is stopped
    Run(Box<RunArgs>),
    /// Read the broker's queues and fill a database; runs until it is stopped
    Consume(ConsumeArgs),
    /// Show and change what is known of every file
    State(StateArgs),
    /// Show how it goes, on a terminal, until `q` is pressed
    Top(TopArgs),
    /// Show which versions a download site has, and what of them is here
    Versions(VersionsArgs),
    /// Download a version's dumps and verify them; goes on where it was
    Download(DownloadArgs),
    /// Look whether all that `run` or `consume` needs is there and in order
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(Box<DoctorArgs>),
    /// Make a dump set of any size to try things with
    Sample(SampleArgs),
    /// Print shell completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for every command into a folder
    Man {
        /// The folder
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = false)]
pub struct StateArgs {
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub list: ListArgs,
    #[command(subcommand)]
    pub command: Option<StateCommand>,
}

#[derive(Args, Clone, Debug)]
pub struct SelectArgs {
    /// Only this job, by its identity or the beginning of it [default: all]
    #[arg(long, global = true, value_name = "JOB", env = "DISCOGS_JOB")]
    pub job: Option<String>,

    /// Only this version [default: the newest of each job]
    #[arg(long, global = true, value_name = "YYYYMMDD", env = "DISCOGS_DUMP_VERSION")]
    pub dump_version: Option<Version>,

    /// JSON instead of a table
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Args, Clone, Copy, Debug)]
pub struct ListArgs {
    /// Draw again every second until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// A table of files (the default)
    List(ListArgs),
    /// Everything about one file
    Show {
        /// A type or a file name
        file: String,
    },
    /// Runs and events
    History,
    /// What is owed
    Outbox,
    /// Exit 0 if all is complete, 3 incomplete or empty, 4 stalled, 1 failed
    Check,
    /// Forget files, so that they are extracted again
    Reset {
        /// Types or file names [default: all of the version]
        files: Vec<String>,
        /// Do it, rather than show what would be forgotten
        #[arg(long)]
        yes: bool,
    },
    /// Forget a whole job
    Forget {
        /// The job's identity
        job: String,
        /// Do it, rather than show what would be forgotten
        #[arg(long)]
        yes: bool,
    },
    /// Print the state as JSON lines
    Export,
    /// Read JSON lines into an empty store
    Import {
        /// As `state export` prints them; `-` is standard input
        file: PathBuf,
    },
    /// Rewrite the store so that it takes less space
    Compact,
    /// Move a damaged store aside and rebuild it from the last snapshot
    Repair {
        /// Begin with an empty store if there is no snapshot
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args, Debug)]
pub struct SampleArgs {
    /// How many releases; the other types are made in proportion
    #[arg(long, value_name = "N")]
    pub records: u64,

    /// The same seed makes the same set
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// The folder
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,

    /// The version in the file names
    #[arg(long, value_name = "YYYYMMDD", default_value = "20260101")]
    pub dump_version: Version,

    /// Only these types
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    pub types: Option<Vec<Kind>>,
}

/// Reads what was typed and set. What is set to nothing is not set: `KEY=` in an environment file and
/// `${KEY:-}` in a compose file say so.
///
/// # Errors
/// What is wrong with it, or that help is asked for.
pub fn parse() -> Result<Cli, clap::Error> {
    let matches = without_what_is_empty(Cli::command()).try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

fn without_what_is_empty(command: clap::Command) -> clap::Command {
    let is_empty = |argument: &clap::Arg| {
        let value = argument.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|argument| if is_empty(&argument) { argument.env(None) } else { argument })
        .mut_subcommands(without_what_is_empty)
}

/// The environment variable that a refused value came from, if it came from one.
pub fn variable_of(error: &clap::Error) -> Option<String> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg)?;
    let value = context(ContextKind::InvalidValue)?;
    let flag = argument.split([' ', '[', '=']).next()?.strip_prefix("--")?;
    let typed = std::env::args().any(|word| word.trim_start_matches('-').starts_with(flag));
    let command = Cli::command();
    let commands = command.get_subcommands().chain([&command]);
    let mut found = commands.flat_map(clap::Command::get_arguments);
    let argument = found.find(|known| known.get_long() == Some(flag))?;
    let variable = argument.get_env()?.to_str()?.to_owned();
    (!typed && std::env::var(&variable).is_ok_and(|set| set == value)).then_some(variable)
}
