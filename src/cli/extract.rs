//! `extract`: dumps into a sink, to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::MultiProgress;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::config::Extract;
use super::exit::Exit;
use super::progress::{Bars, How};
use super::{platform, summary, words};
use crate::daemon::Watch;
use crate::daemon::control::Control;
use crate::dump::{self, CatalogueError, Dump};
use crate::model::{Clock, DumpName, Kind, Live, Phase, SystemClock, Version};
use crate::observe::{FileNow, Snapshot, Speed, lines};
use crate::pipeline::{self, FileEnd, Finished, Pass, Settings};
use crate::sink::{Opening, Sink, Target};
use crate::state::view::OwedEntry;
use crate::state::{FileKey, FileState, ForceWord, Forced, Keeper, Status};

/// A usage error: told with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

const NO_SINK: &str = "where the records go is not said\nhint: add --to, for example
  discogs-extractor extract dumps/ --to sqlite:discogs.db
  discogs-extractor extract dumps/ --to jsonl:out
  discogs-extractor extract dumps/ --to null:";

/// Runs the command.
pub fn run(config: &Extract, state_dir: &Path, bars: &MultiProgress) -> Result<Exit> {
    let env = |name: &str| std::env::var(name).ok();
    if let Some(refusal) = platform::refusal(env) {
        bail!(Usage(refusal));
    }
    let meaningless = platform::meaningless(|name| std::env::var_os(name).is_some());
    if !meaningless.is_empty() {
        tracing::warn!(variables = meaningless.join(", "), "set, but without meaning here");
    }
    let Some(to) = &config.to else { bail!(Usage(NO_SINK.into())) };
    let target: Target = to.parse().map_err(|error| Usage(format!("{error}")))?;
    let force = force_word(config.force.as_deref());
    let dumps = find(config)?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // Standard output cannot be cut back to a checkpoint, so nothing is kept of it.
    let kept_nowhere = match target {
        Target::StandardOutput => Some(tempfile::tempdir().context("no temporary folder")?),
        _ => None,
    };
    let store = kept_nowhere.as_ref().map_or(state_dir, tempfile::TempDir::path);
    std::fs::create_dir_all(store)
        .with_context(|| format!("cannot make the state directory {}", store.display()))?;
    let keeper = runtime.block_on(Keeper::open(store, Arc::clone(&clock)))?;
    let stop = CancellationToken::new();
    let sink = target.open(&Opening {
        clock: Arc::clone(&clock),
        runtime: runtime.handle().clone(),
        stop: stop.clone(),
        prefix: config.exchange_prefix.clone(),
        consumers: config.consumers.clone(),
    })?;
    let command = Command {
        config,
        store,
        bad_records: state_dir.join("bad-records"),
        keeper,
        sink,
        clock,
        bars,
        to_standard_output: matches!(target, Target::StandardOutput),
        stop,
    };
    let exit = runtime.block_on(command.run(dumps, force));
    // A sink that hangs is left behind; what it confirmed is in the store.
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

struct Command<'a> {
    config: &'a Extract,
    store: &'a Path,
    bad_records: PathBuf,
    keeper: Keeper,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    bars: &'a MultiProgress,
    to_standard_output: bool,
    stop: CancellationToken,
}

impl Command<'_> {
    async fn run(self, dumps: Vec<Dump>, force: Option<ForceWord>) -> Result<Exit> {
        let began = Instant::now();
        let job = self.sink.job().clone();
        let now = self.clock.now();
        self.keeper.register_job(job.clone(), self.sink.location().to_owned(), now).await?;
        if let Some(word) = force {
            self.force(&dumps, &word).await?;
        }
        let control = Control::listen(self.store).with_context(|| {
            format!("cannot listen in the state directory {}", self.store.display())
        })?;
        let stop = self.stop.clone();
        let mut signals = Signals::new()?;
        let pass = Pass {
            sink: Arc::clone(&self.sink),
            keeper: self.keeper.clone(),
            clock: Arc::clone(&self.clock),
            settings: self.settings(),
            stop: stop.clone(),
            announced: |what| tracing::info!("{}", lines::announced(what)),
            paying: Arc::default(),
        };
        let known = self.known(&dumps).await?;
        let (queued, watched) = pipeline::queue(dumps, |name| {
            known.iter().find(|known| known.name == name).map_or(0, |file| file.live.records)
        });
        let how = How::resolve(self.config.progress, std::io::stderr().is_terminal());
        let picture = watch::Sender::new(Arc::new(Snapshot::default()));
        let now_is = picture.subscribe();
        let bars = (how == How::Bars).then_some(self.bars);
        let mut bars = Bars::new(bars, picture.subscribe());
        let mut watch = Watch::new(
            Arc::clone(&self.clock),
            self.config.stall_after,
            how == How::Lines,
            watched,
            known,
            picture,
        );
        watch.say();
        let (finished, signal) = {
            let passing = pass.run(queued);
            let watching = watch.run();
            let drawing = bars.run();
            let serving = control.serve(&self.keeper, &*self.clock, |inspection| {
                now_is.borrow().overlay(inspection, self.sink.job());
            });
            tokio::pin!(passing, watching, drawing, serving);
            let mut stopped_by = None;
            loop {
                tokio::select! {
                    finished = &mut passing => break (finished?, stopped_by),
                    never = &mut watching => match never {},
                    never = &mut drawing => match never {},
                    never = &mut serving => match never {},
                    signal = signals.next() => {
                        if stopped_by.replace(signal).is_some() {
                            tracing::warn!("stopped at once");
                            std::process::exit(Exit::Incomplete.code().into());
                        }
                        tracing::info!("stopping: what is in flight is settled first");
                        stop.cancel();
                    }
                }
            }
        };
        watch.finish();
        bars.finish();
        drop(control);
        let sink = Arc::clone(&self.sink);
        // A goodbye that cannot be said is no failure.
        _ = spawn_blocking(move || sink.close()).await;
        let owed = self.keeper.owed(job).await?;
        self.keeper.close().await?;
        for file in &finished {
            match &file.end {
                // As with any program whose reader has seen enough.
                FileEnd::Failed(error) if error.reader_gone() => return Ok(Exit::Done),
                FileEnd::Failed(error) => words::tell(&anyhow!("{error}")),
                _ => {}
            }
        }
        let text = summary::text(&finished, &owed, self.sink.location(), began.elapsed());
        summary::tell(&text, self.to_standard_output).context("cannot print the summary")?;
        Ok(exit(&finished, &owed, signal))
    }

    fn settings(&self) -> Settings {
        let config = self.config;
        Settings {
            workers: config.workers,
            threads: config.threads,
            window: config.window,
            max_bad_records: config.max_bad_records,
            limit: config.limit,
            bad_records: self.bad_records.clone(),
            max_delete_fraction: config.purge_max_delete_fraction,
            sweep_anyway: config.sweep_anyway,
        }
    }

    /// Clears what a forced pass starts anew, version by version.
    async fn force(&self, dumps: &[Dump], word: &ForceWord) -> Result<()> {
        let mut versions: BTreeMap<Version, BTreeSet<Kind>> = BTreeMap::new();
        for dump in dumps {
            versions.entry(dump.name.version).or_default().insert(dump.name.kind);
        }
        for (version, kinds) in versions {
            let (job, kinds) = (self.sink.job().clone(), kinds.into_iter().collect());
            let files = self.keeper.files(job.clone(), version).await?;
            let failed = |kind: &Kind| {
                let of_kind = |(key, state): &(FileKey, FileState)| {
                    key.kind == *kind && state.status == Status::Failed
                };
                files.iter().any(of_kind)
            };
            let now = self.clock.now();
            let names =
                |kinds: &[Kind]| kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
            match self.keeper.force(job, version, kinds, word.clone(), now).await? {
                Forced::Cleared(kinds) => {
                    tracing::info!(%version, types = names(&kinds), "forced: starting over");
                }
                Forced::Resumed(kinds) if kinds.iter().all(failed) => {
                    let types = names(&kinds);
                    tracing::warn!(%version, types, "forced pass waits only for what failed");
                }
                Forced::Resumed(kinds) => {
                    tracing::info!(%version, types = names(&kinds), "forced pass goes on, these are left");
                }
                Forced::Honoured => {
                    tracing::info!(%version, word = word.as_str(), "forced once already");
                }
            }
        }
        Ok(())
    }

    /// What the store knows of the versions, for the counts that go on over restarts.
    async fn known(&self, dumps: &[Dump]) -> Result<Vec<FileNow>> {
        let versions: BTreeSet<Version> = dumps.iter().map(|dump| dump.name.version).collect();
        let mut known = Vec::new();
        for version in versions {
            let files = self.keeper.files(self.sink.job().clone(), version).await?;
            known.extend(files.into_iter().map(|(key, state)| {
                let complete = state.status == Status::Complete;
                FileNow {
                    name: DumpName { version: key.version, kind: key.kind },
                    size: 0,
                    live: Live {
                        phase: if complete { Phase::Complete } else { Phase::Pending },
                        records: state.checkpoint.records,
                        bad_records: state.checkpoint.bad_records,
                        last_activity: state.last_activity,
                        ..Live::PENDING
                    },
                    completed_at: state.completed_at.filter(|_| complete),
                    stalled: false,
                    speed: Speed::default(),
                }
            }));
        }
        Ok(known)
    }
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

/// What `--force-reprocess` asks for, if anything.
fn force_word(word: Option<&str>) -> Option<ForceWord> {
    let word = word?.trim();
    match word.to_ascii_lowercase().as_str() {
        "" | "false" | "0" | "no" => None,
        "true" | "1" | "yes" => Some(ForceWord::Once),
        "restart" => Some(ForceWord::Restart),
        _ => Some(ForceWord::Token(word.to_owned())),
    }
}

/// The dumps that the inputs hold, each once.
fn find(config: &Extract) -> Result<Vec<Dump>> {
    let mut found: BTreeMap<DumpName, Dump> = BTreeMap::new();
    for input in &config.inputs {
        let dumps = dump::find(input)?;
        let dumps = if input.is_dir() { chosen(input, &dumps, config)? } else { dumps };
        for dump in dumps {
            let wanted = config.kinds.contains(&dump.name.kind)
                && config.version.is_none_or(|version| version == dump.name.version);
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
    let nothing =
        || CatalogueError::Nothing { path: folder.to_owned(), kinds: config.kinds.clone() };
    let choice = dump::choose(dumps, &config.kinds, config.version).ok_or_else(nothing)?;
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

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// The next one, as the exit code that it leads to.
    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_force_reprocess() {
        for off in [None, Some(""), Some("false"), Some("0"), Some("No")] {
            assert_eq!(force_word(off), None, "{off:?}");
        }
        for on in ["true", "1", "YES"] {
            assert_eq!(force_word(Some(on)), Some(ForceWord::Once), "{on}");
        }
        assert_eq!(force_word(Some("restart")), Some(ForceWord::Restart));
        assert_eq!(force_word(Some("2026-11-24")), Some(ForceWord::Token("2026-11-24".into())));
    }
}
