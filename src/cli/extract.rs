//! `extract`: dumps into a sink, to the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::MultiProgress;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::config::Extract;
use super::exit::Exit;
use super::owner::{self, Owner, Usage, Worked};
use super::{summary, words};
use crate::daemon::Session;
use crate::dump::{self, CatalogueError, Dump};
use crate::model::{DumpName, SystemClock};
use crate::pipeline::{FileEnd, Finished, Input, Told};
use crate::sink::Target;
use crate::state::ForceWord;
use crate::state::view::OwedEntry;

const NO_SINK: &str = "where the records go is not said\nhint: add --to, for example
  discogs-extractor extract dumps/ --to sqlite:discogs.db
  discogs-extractor extract dumps/ --to jsonl:out
  discogs-extractor extract dumps/ --to null:";

/// Runs the command.
pub fn run(config: &Extract, state_dir: &Path, bars: &MultiProgress) -> Result<Exit> {
    let began = Instant::now();
    owner::check_environment()?;
    let Some(to) = &config.delivery.to else { bail!(Usage(NO_SINK.into())) };
    let target: Target = to.parse().map_err(|error| Usage(format!("{error}")))?;
    let to_standard_output = matches!(target, Target::StandardOutput);
    let force = owner::force_word(config.delivery.force.as_deref());
    let dumps = find(config)?;
    let owner = Owner {
        config: &config.delivery,
        target,
        limit: config.limit,
        first: config.first,
        patience: None,
        bars,
        state_dir,
        clock: Arc::new(SystemClock::new()),
        stop: CancellationToken::new(),
        picture: watch::Sender::default(),
        forgotten: &Notify::new(),
    };
    let work = async |session: Session| extract(&session, dumps, force).await;
    let Worked { result, signals } = owner.run(owner::runtime()?, std::future::pending(), work)?;
    let Some(Extracted { finished, owed, location }) = result else {
        return Ok(signals.first().unwrap_or(Exit::Incomplete));
    };
    for file in &finished {
        match &file.end {
            // As with any program whose reader has seen enough.
            FileEnd::Failed(error) if error.reader_gone() => return Ok(Exit::Done),
            FileEnd::Failed(error) => words::tell(&anyhow!("{error}")),
            _ => {}
        }
    }
    let text = summary::text(&finished, &owed, &location, began.elapsed());
    summary::tell(&text, to_standard_output).context("cannot print the summary")?;
    Ok(exit(&finished, &owed, signals.first()))
}

struct Extracted {
    finished: Vec<Finished>,
    owed: Vec<OwedEntry>,
    location: String,
}

async fn extract(
    session: &Session,
    dumps: Vec<Dump>,
    force: Option<ForceWord>,
) -> Result<Extracted> {
    if let Some(word) = force {
        let names: Vec<_> = dumps.iter().map(|dump| dump.name).collect();
        session.force(&names, &word).await?;
    }
    session.show_known(dumps.iter().map(|dump| dump.name.version)).await?;
    let inputs = dumps.into_iter().map(Input::from).collect();
    let finished = session.pass(inputs, Told::new()).await?;
    let owed = session.keeper.owed(session.sink.job().clone()).await?;
    Ok(Extracted { finished, owed, location: session.sink.location().to_owned() })
}

/// How the whole ends: the worst of its files.
fn exit(finished: &[Finished], owed: &[OwedEntry], signal: Option<Exit>) -> Exit {
    let refused = owed.iter().any(|entry| entry.refused.is_some());
    let of_file = |file: &Finished| match file.end {
        FileEnd::AlreadyComplete | FileEnd::Complete => Exit::Done,
        FileEnd::Stopped { drained: true } => signal.unwrap_or(Exit::Incomplete),
        FileEnd::Limited | FileEnd::Stopped { drained: false } => Exit::Incomplete,
        FileEnd::Failed(_) => Exit::Failed,
    };
    let start = match (refused, owed.is_empty()) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Done,
        // What is owed was stopped before it could be paid.
        (false, false) => signal.unwrap_or(Exit::Incomplete),
    };
    let worst = finished.iter().map(of_file).fold(start, Exit::worst);
    let undrained = |file: &Finished| matches!(file.end, FileEnd::Stopped { drained: false });
    match worst {
        // A signal's own code says that the drain was clean.
        Exit::Interrupted | Exit::Terminated if finished.iter().any(undrained) => Exit::Incomplete,
        worst => worst,
    }
}

/// The dumps that the inputs hold, each once.
fn find(config: &Extract) -> Result<Vec<Dump>> {
    let mut found: BTreeMap<DumpName, Dump> = BTreeMap::new();
    for input in &config.inputs {
        let dumps = dump::find(input)?;
        let dumps = if input.is_dir() { chosen(input, &dumps, config)? } else { dumps };
        for dump in dumps {
            let wanted = config.delivery.kinds.contains(&dump.name.kind)
                && config.delivery.version.is_none_or(|version| version == dump.name.version);
            if !wanted {
                tracing::warn!(file = %dump.path.display(), "left out: another type or version");
                continue;
            }
            match found.get(&dump.name) {
                Some(first) if !same_file(&first.path, &dump.path) => {
                    bail!(CatalogueError::Twice { first: first.path.clone(), second: dump.path })
                }
                Some(_) => {}
                None => {
                    found.insert(dump.name, dump);
                }
            }
        }
    }
    if found.is_empty() {
        bail!("nothing to extract: the inputs hold no dump of the wanted types and version");
    }
    Ok(found.into_values().collect())
}

fn chosen(folder: &Path, dumps: &[Dump], config: &Extract) -> Result<Vec<Dump>> {
    let nothing = || CatalogueError::Nothing {
        path: folder.to_owned(),
        kinds: config.delivery.kinds.clone(),
    };
    let choice =
        dump::choose(dumps, &config.delivery.kinds, config.delivery.version).ok_or_else(nothing)?;
    let missing: Vec<_> = choice.missing.iter().map(|kind| kind.name()).collect();
    if missing.is_empty() {
        tracing::info!(version = %choice.version, folder = %folder.display(), "chosen");
    } else {
        tracing::warn!(
            version = %choice.version, folder = %folder.display(), missing = missing.join(", "),
            "chosen, although not all wanted types are there"
        );
    }
    Ok(choice.dumps)
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|path| real(other) == Some(path))
}
