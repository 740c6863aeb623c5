//! The arguments of the doctor: those of the commands that it looks at.

use clap::{Args, Subcommand};
use url::Url;

use super::{ConsumerArgs, RunArgs};

/// Said after its help; the options of `run` bring their own.
pub(super) const EXAMPLES: &str = "\
Examples:
  discogs-extractor doctor --root dumps/ --to sqlite:discogs.db
  RABBITMQ_HOST=localhost discogs-extractor doctor --root dumps/ --for tableinator --json
  discogs-extractor doctor tables --from amqp://localhost --to postgres://me@localhost/discogs

It takes the options of `run`, or behind `tables` or `graph` those of `consume`, and reads the same
environment. It changes nothing. Exit code 0 if nothing fails, warnings or not, else 1.";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub how: HowArgs,

    #[command(subcommand)]
    pub command: Option<DoctorCommand>,
}

#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// What `consume tables` needs
    Tables(ConsumerDoctorArgs),
    /// What `consume graph` needs
    Graph(ConsumerDoctorArgs),
}

#[derive(Args, Debug)]
pub struct ConsumerDoctorArgs {
    #[command(flatten)]
    pub consumer: Box<ConsumerArgs>,

    #[command(flatten)]
    pub how: HowArgs,
}

#[derive(Args, Clone, Debug)]
pub struct HowArgs {
    /// JSON instead of lines
    #[arg(long)]
    pub json: bool,

    /// Where RabbitMQ's management plugin answers [default: http://, the broker's host, 15672]
    #[arg(long, value_name = "URL", env = "DISCOGS_MANAGEMENT")]
    pub management: Option<Url>,
}
