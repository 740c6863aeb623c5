//! What is made from the arguments themselves: completions and manual pages.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use super::exit::Exit;

/// Prints the completions of a shell.
pub fn completions(shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "discogs-extractor", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// Prints the manual page, or writes one for every command into a folder.
pub fn man(into: Option<&Path>) -> Result<Exit> {
    match into {
        None => clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?,
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
                .with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
        }
    }
    Ok(Exit::Done)
}
