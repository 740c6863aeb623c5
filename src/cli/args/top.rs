use clap::Args;

use crate::model::Version;

#[derive(Args, Debug)]
pub struct TopArgs {
    /// Only this job, by its identity or the beginning of it [default: all]
    #[arg(long, value_name = "JOB", env = "DISCOGS_JOB")]
    pub job: Option<String>,

    /// Only this version [default: the newest of each job]
    #[arg(long, value_name = "YYYYMMDD", env = "DISCOGS_DUMP_VERSION")]
    pub dump_version: Option<Version>,

    /// No colour, as with `NO_COLOR` in the environment
    #[arg(long)]
    pub no_color: bool,
}
