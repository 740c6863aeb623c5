//! What `extract` and `run` have around their work: the store, the sink, the control socket,
//! signals and bars.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::MultiProgress;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::config::Delivery;
use super::platform;
use super::progress::{Bars, How};
use super::signals::{Patience, Signals};
use crate::daemon::Session;
use crate::daemon::control::Control;
use crate::model::{Clock, FirstConnection, Job};
use crate::observe::Snapshot;
use crate::pipeline::{Settings, Sizes};
use crate::sink::{Opening, Sink, SinkEnd, SinkError, Target};
use crate::state::{ForceWord, Keeper};

/// How long the opening of a sink may take to hear that it is no longer wanted.
const OPENING: Duration = Duration::from_secs(1);

/// A usage error: told with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Whoever owns the store while it delivers.
pub struct Owner<'a> {
    /// How records are delivered.
    pub config: &'a Delivery,
    /// Where to.
    pub target: Target,
    /// Records to deliver of each file.
    pub limit: Option<u64>,
    /// How long a first connection to it may take.
    pub first: FirstConnection,
    /// How long a clean end may take.
    pub patience: Option<Patience>,
    /// Where the bars go.
    pub bars: &'a MultiProgress,
    /// The state directory.
    pub state_dir: &'a Path,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Says that it is to end.
    pub stop: CancellationToken,
    /// What is going on.
    pub picture: watch::Sender<Arc<Snapshot>>,
    /// Says that something was forgotten at somebody's request.
    pub forgotten: &'a Notify,
}

/// How the work ended.
pub struct Worked<T> {
    /// What it came to; nothing if the end came before it began.
    pub result: Option<T>,
    /// What signals there were.
    pub signals: Signals,
}

impl Owner<'_> {
    /// Opens the store and the sink, does the work, closes the store. `beside` runs as soon as
    /// the store is open.
    ///
    /// # Errors
    /// If either cannot be opened, or the store cannot be closed; and those of the work.
    pub fn run<T>(
        self,
        runtime: Runtime,
        beside: impl Future<Output = Infallible>,
        work: impl AsyncFnOnce(Session) -> Result<T>,
    ) -> Result<Worked<T>> {
        let worked = runtime.block_on(self.work(beside, work));
        // A sink that hangs is left behind; what it confirmed is in the store.
        runtime.shutdown_timeout(Duration::from_millis(100));
        worked
    }

    async fn work<T>(
        self,
        beside: impl Future<Output = Infallible>,
        work: impl AsyncFnOnce(Session) -> Result<T>,
    ) -> Result<Worked<T>> {
        let signals = Signals::heed(self.stop.clone(), self.patience)?;
        let clock = &self.clock;
        // Standard output cannot be cut back to a checkpoint, so nothing is kept of it.
        let kept_nowhere = match self.target {
            Target::StandardOutput => Some(tempfile::tempdir().context("no temporary folder")?),
            _ => None,
        };
        let store = kept_nowhere.as_ref().map_or(self.state_dir, tempfile::TempDir::path);
        let opening = self.stop.run_until_cancelled(open_store(store, clock)).await;
        let Some((keeper, control)) = opening.transpose()? else {
            return Ok(Worked { result: None, signals });
        };
        let how = How::resolve(self.config.progress, std::io::stderr().is_terminal());
        let mut bars = Bars::new((how == How::Bars).then_some(self.bars), self.picture.subscribe());
        let (now_is, job) = (self.picture.subscribe(), OnceLock::<Job>::new());
        let result = {
            let working = async {
                let Some(sink) = self.sink().await? else { return Ok(None) };
                // It is set here only.
                _ = job.set(sink.job().clone());
                let session = Session {
                    sink: Arc::clone(&sink),
                    keeper: keeper.clone(),
                    clock: Arc::clone(clock),
                    settings: self.settings(),
                    stall_after: self.config.stall_after,
                    lines: how == How::Lines,
                    stop: self.stop.clone(),
                    picture: self.picture.clone(),
                };
                let result = work(session).await;
                // A goodbye that cannot be said is no failure.
                _ = spawn_blocking(move || sink.close()).await;
                result.map(Some)
            };
            let overlay = |inspection: &mut _| {
                if let Some(job) = job.get() {
                    now_is.borrow().overlay(inspection, job);
                }
            };
            tokio::select! {
                result = working => result,
                never = bars.run() => match never {},
                never = control.serve(&keeper, &**clock, overlay, self.forgotten) => match never {},
                never = beside => match never {},
            }
        };
        bars.finish();
        drop(control);
        let closed = keeper.close().await;
        let result = result?;
        closed?;
        Ok(Worked { result, signals })
    }

    /// Opens the sink, unless the end comes first.
    async fn sink(&self) -> Result<Option<Arc<dyn Sink>>, SinkError> {
        let target = self.target.clone();
        let opening = Opening {
            clock: Arc::clone(&self.clock),
            runtime: Handle::current(),
            first: self.first,
            stop: self.stop.clone(),
            prefix: self.config.exchange_prefix.clone(),
            consumers: self.config.consumers.clone(),
        };
        let mut opening = spawn_blocking(move || target.open(&opening));
        tokio::select! {
            opened = &mut opening => match opened {
                Ok(Err(error)) if error.end == SinkEnd::Stopped => Ok(None),
                Ok(opened) => opened.map(Some),
                Err(died) => Err(SinkError::new(format!("the sink's opening died: {died}"))),
            },
            () = self.stop.cancelled() => {
                // It hears of the end itself, and would not survive the runtime's.
                _ = timeout(OPENING, opening).await;
                Ok(None)
            }
        }
    }

    fn settings(&self) -> Settings {
        let config = self.config;
        Settings {
            workers: config.workers,
            threads: config.threads,
            window: config.window,
            max_bad_records: config.max_bad_records,
            limit: self.limit,
            bad_records: self.bad_records(),
            max_delete_fraction: config.purge_max_delete_fraction,
            sweep_anyway: config.sweep_anyway,
            sizes: Sizes::default(),
        }
    }

    fn bad_records(&self) -> PathBuf {
        self.state_dir.join("bad-records")
    }
}

/// Opens the state directory as its owner, and the socket for those who ask what it knows.
///
/// # Errors
/// If another process owns it, it is damaged, or the disk says no.
pub async fn open_store(state_dir: &Path, clock: &Arc<dyn Clock>) -> Result<(Keeper, Control)> {
    std::fs::create_dir_all(state_dir)
        .with_context(|| format!("cannot make the state directory {}", state_dir.display()))?;
    let keeper = Keeper::open(state_dir, Arc::clone(clock)).await?;
    let control = Control::listen(state_dir)
        .with_context(|| format!("cannot listen in the state directory {}", state_dir.display()))?;
    Ok((keeper, control))
}

/// A runtime for sockets, timers and signals; what takes the processor has threads of its own.
///
/// # Errors
/// If the system gives no threads.
pub fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Refuses an environment that cannot be served, and names what means nothing here.
///
/// # Errors
/// Why it cannot be served.
pub fn check_environment() -> Result<()> {
    if let Some(refusal) = platform::refusal(|name| std::env::var(name).ok()) {
        bail!(Usage(refusal));
    }
    let meaningless = platform::meaningless(|name| std::env::var_os(name).is_some());
    if !meaningless.is_empty() {
        tracing::warn!(variables = meaningless.join(", "), "set, but without meaning here");
    }
    Ok(())
}

/// What `--force-reprocess` asks for, if anything. Quotes are none of the word: whoever writes
/// `KEY="false"` into a file that is no shell's does not mean them.
pub fn force_word(word: Option<&str>) -> Option<ForceWord> {
    let word = word?.trim();
    let quoted = |quote| word.strip_prefix(quote)?.strip_suffix(quote);
    let word = quoted('"').or_else(|| quoted('\'')).unwrap_or(word).trim();
    match word.to_ascii_lowercase().as_str() {
        "" | "false" | "0" | "no" | "n" | "f" | "off" | "none" | "disabled" => None,
        "true" | "1" | "yes" | "y" | "t" | "on" => Some(ForceWord::Once),
        "restart" => Some(ForceWord::Restart),
        _ => Some(ForceWord::Token(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_force_reprocess() {
        assert_eq!(force_word(None), None);
        let off = "0 n No f false FALSE off none Disabled \"false\" 'off' \"\"";
        for off in off.split(' ').chain(["", "  "]) {
            assert_eq!(force_word(Some(off)), None, "{off:?}");
        }
        for on in ["true", "1", "YES", "y", "T", "on", "\"true\"", " '1' "] {
            assert_eq!(force_word(Some(on)), Some(ForceWord::Once), "{on}");
        }
        assert_eq!(force_word(Some("restart")), Some(ForceWord::Restart));
        assert_eq!(force_word(Some("2026-11-24")), Some(ForceWord::Token("2026-11-24".into())));
    }
}
