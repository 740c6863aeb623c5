//! The command line: arguments, configuration, what is printed, and how the program ends. The only
//! place with clap, environment variables and printing.

mod allocator;
mod args;
mod arrivals;
mod cells;
mod config;
mod consume;
mod doctor;
mod download;
mod environment;
mod exit;
mod extract;
mod logging;
mod owner;
mod panics;
mod platform;
mod progress;
mod reference;
mod run;
mod sample;
mod signals;
mod state;
mod state_downloads;
mod state_tables;
mod store;
mod summary;
mod top;
mod versions;
mod within;
mod words;

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use indicatif::MultiProgress;

use args::{Cli, Command, ConsumeCommand, ConsumerArgs, ConsumerName, GlobalArgs};
use config::{ConfigFile, Consume, Download, EXTRACTOR, Extract, Logging, Run, Versions};
use exit::Exit;
use owner::Usage;

/// Runs the program.
pub fn run() -> ExitCode {
    allocator::fix_thresholds();
    panics::hush();
    // Two of them in one process panic when either is first needed, and rustls takes none by itself.
    _ = rustls::crypto::ring::default_provider().install_default();
    let cli = args::parse().unwrap_or_else(|error| {
        // clap prints its own errors, with exit code 2; it does not say where a value was set.
        if let Some(variable) = args::variable_of(&error) {
            let error = error.to_string();
            words::tell(&anyhow!("{}\nhint: {variable} is set in the environment", first(&error)));
            std::process::exit(Exit::Usage.code().into());
        }
        error.exit()
    });
    let exit = command(cli).unwrap_or_else(|error| {
        words::tell(&error);
        if error.is::<Usage>() { Exit::Usage } else { Exit::Failed }
    });
    exit.into()
}

/// The first line of clap's words, without its own `error: `.
fn first(words: &str) -> &str {
    let line = words.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

fn command(cli: Cli) -> Result<Exit> {
    let file = ConfigFile::read(cli.global.config.as_deref())
        .map_err(|error| error.context(Usage("the configuration".into())))?;
    let bars = MultiProgress::new();
    // A line of the log would be written over what `top` draws.
    if !matches!(cli.command, Command::Top(_)) {
        logging::start(Logging::resolve(&cli.global, &file), &bars);
    }
    match cli.command {
        Command::Extract(args) => {
            let state_dir = config::state_dir(&cli.global, &file, EXTRACTOR)?;
            extract::run(&Extract::resolve(*args, file), &state_dir, &bars)
        }
        Command::Run(args) => {
            let state_dir = config::state_dir(&cli.global, &file, EXTRACTOR)?;
            run::run(&Run::resolve(*args, file), &state_dir, &bars)
        }
        Command::Consume(args) => match args.command {
            ConsumeCommand::Tables(args) => consume(ConsumerName::Tables, *args, &cli.global, file),
            ConsumeCommand::Graph(args) => consume(ConsumerName::Graph, *args, &cli.global, file),
            ConsumeCommand::ReplayDeadLetters(args) => {
                let first = config::first_connection(args.wait || file.waits());
                let prefix = config::exchange_prefix(args.exchange_prefix, file);
                consume::replay_dead_letters(args.consumer, args.from.as_deref(), first, prefix)
            }
        },
        Command::State(args) => {
            state::run(&args, &config::state_dir(&cli.global, &file, EXTRACTOR)?)
        }
        Command::Top(args) => top::run(args, &config::state_dir(&cli.global, &file, EXTRACTOR)?),
        Command::Versions(args) => {
            let state_dir = config::state_dir(&cli.global, &file, EXTRACTOR)?;
            versions::run(&Versions::resolve(args, file), &state_dir)
        }
        Command::Download(args) => {
            let state_dir = config::state_dir(&cli.global, &file, EXTRACTOR)?;
            download::run(&Download::resolve(args, file), &state_dir, &bars)
        }
        Command::Doctor(args) => doctor::run(*args, &cli.global, file),
        Command::Sample(args) => sample::run(&args),
        Command::Completions { shell } => reference::completions(shell),
        Command::Man { into } => reference::man(into.as_deref()),
    }
}

fn consume(
    consumer: ConsumerName,
    args: ConsumerArgs,
    global: &GlobalArgs,
    file: ConfigFile,
) -> Result<Exit> {
    let state_dir = config::state_dir(global, &file, consumer.name())?;
    consume::run(Consume::resolve(consumer, args, file), &state_dir)
}
