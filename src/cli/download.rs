//! `download`: dumps from a site into a folder.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{StreamExt, stream};
use indicatif::MultiProgress;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::arrivals::{Arrival, Arrivals};
use super::config::{Download, Fetch};
use super::exit::Exit;
use super::owner::{self, Usage};
use super::progress::How;
use super::signals::Signals;
use super::{versions, words};
use crate::dump::{Checksums, Needs, RateLimit, RemoteDump, RemoteVersion, Site, Wanted, pick};
use crate::model::{Clock, Kind, SystemClock};
use crate::observe::grouped;
use crate::pipeline::download::{
    Arrived, DownloadError, DownloadLimits, Downloads, Fetched, TRIES,
};

const NO_FOLDER: &str =
    "where the dumps go is not said\nhint: add --into (DISCOGS_ROOT), for example
  discogs-extractor download --into dumps/";

type Ended = (RemoteDump, Result<Fetched, DownloadError>);

/// Runs the command.
pub fn run(config: &Download, state_dir: &Path, bars: &MultiProgress) -> Result<Exit> {
    let began = Instant::now();
    owner::check_environment()?;
    let Some(into) = &config.into else { bail!(Usage(NO_FOLDER.into())) };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let site = versions::open(&config.fetch.site, versions::TRIES, Arc::clone(&clock))?;
    let runtime = owner::runtime()?;
    let work = Work { config, into, state_dir, bars, clock, site };
    let (ended, signal) = runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = Signals::heed(stop.clone(), None)?;
        let ended = work.run(stop).await?;
        anyhow::Ok((ended, signals.first()))
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    let Some(ended) = ended else { return Ok(signal.unwrap_or(Exit::Incomplete)) };
    tell(&ended, began).context("cannot print")?;
    let exit = |(_, result): &Ended| match result {
        Ok(_) => Exit::Done,
        Err(DownloadError::Stopped) => signal.unwrap_or(Exit::Incomplete),
        Err(error) if error.may_go_on() => Exit::Incomplete,
        Err(_) => Exit::Failed,
    };
    Ok(ended.iter().map(exit).fold(Exit::Done, Exit::worst))
}

struct Work<'a> {
    config: &'a Download,
    into: &'a Path,
    state_dir: &'a Path,
    bars: &'a MultiProgress,
    clock: Arc<dyn Clock>,
    site: Arc<dyn Site>,
}

impl Work<'_> {
    /// How each file ended; nothing if the end came before they began.
    async fn run(&self, stop: CancellationToken) -> Result<Option<Vec<Ended>>> {
        let choosing = stop.run_until_cancelled(self.choose()).await;
        let Some(dumps) = choosing.transpose()? else { return Ok(None) };
        let folder = self.folder()?;
        let opening =
            stop.run_until_cancelled(owner::open_store(self.state_dir, &self.clock)).await;
        let Some((keeper, control)) = opening.transpose()? else { return Ok(None) };
        let limits = limits(&self.config.fetch, &self.clock, Some(TRIES));
        let downloads = Downloads::new(
            keeper.clone(),
            Arc::clone(&self.site),
            folder.clone(),
            limits,
            Arc::clone(&self.clock),
            stop,
        );
        downloads.make_sure_of_room(&dumps).await?;
        let ready = dumps.into_iter().map(|dump| {
            let (tell, arrived) = watch::channel(Arrived::nothing(&dump, &folder));
            ((dump.clone(), tell), Arrival { name: dump.name, arrived })
        });
        let (queued, seen): (Vec<_>, Vec<_>) = ready.unzip();
        let how = How::resolve(self.config.progress, io::stderr().is_terminal());
        let mut arrivals = Arrivals::new(seen, how, self.bars, &*self.clock);
        let fetching = stream::iter(queued)
            .map(|(dump, tell)| {
                let downloads = &downloads;
                async move {
                    let fetched = downloads.fetch(&dump, tell).await;
                    (dump, fetched)
                }
            })
            .buffer_unordered(self.config.fetch.connections)
            .collect::<Vec<Ended>>();
        // Nothing that is extracted can be forgotten here.
        let forgotten = Notify::new();
        let mut ended = tokio::select! {
            ended = fetching => ended,
            never = arrivals.show() => match never {},
            never = control.serve(&keeper, &*self.clock, |_| (), &forgotten) => match never {},
        };
        arrivals.finish();
        drop(control);
        keeper.close().await?;
        ended.sort_by_key(|(dump, _)| dump.name);
        Ok(Some(ended))
    }

    /// The dumps to fetch, with their checksums.
    async fn choose(&self) -> Result<Vec<RemoteDump>> {
        let Download { version, kinds, .. } = self.config;
        let wanted = version.map_or(Wanted::Newest, Wanted::Version);
        let found = self.site.versions(wanted).await?;
        let published = self.site.publishes_checksums();
        // Of a version that nobody named, all types must be there: what lacks one may lack more.
        let all = published && version.is_none();
        let needs = Needs { kinds: if all { &Kind::ALL } else { kinds }, checksums: published };
        let site = self.site.shown();
        let chosen = pick(&found, *version, needs).map_err(|why| anyhow!("{site}: {why}"))?;
        say_chosen(chosen, &found, needs, site);
        let checksums = match &chosen.checksums {
            Some(place) => self.site.checksums(place).await?,
            None => Checksums::default(),
        };
        let dumps = chosen.dumps.iter().filter(|dump| kinds.contains(&dump.name.kind)).cloned();
        Ok(dumps
            .map(|dump| RemoteDump { checksum: checksums.of(&dump.name.to_string()), ..dump })
            .collect())
    }

    /// The folder, made if it is not there, by its absolute name.
    fn folder(&self) -> Result<PathBuf> {
        let made = std::fs::create_dir_all(self.into).and_then(|()| self.into.canonicalize());
        let folder = made.with_context(|| {
            format!(
                "cannot make the folder {}\nhint: choose another with --into",
                self.into.display()
            )
        })?;
        if folder.as_os_str() == self.site.shown() {
            bail!(Usage("the site is the folder that the dumps go to".into()));
        }
        Ok(folder)
    }
}

fn say_chosen(chosen: &RemoteVersion, found: &[RemoteVersion], needs: Needs<'_>, site: &str) {
    let version = chosen.version;
    for newer in found.iter().filter(|newer| newer.version > version) {
        let missing = newer.missing(needs);
        if !missing.is_empty() {
            let missing = missing.join(", ");
            tracing::info!(version = %newer.version, missing, "is not completely published yet");
        }
    }
    tracing::info!(%version, site, "chosen");
}

/// How downloads may go about it; each gives up after so many tries that bring nothing.
pub fn limits(config: &Fetch, clock: &Arc<dyn Clock>, tries: Option<u32>) -> DownloadLimits {
    let rate = config.rate.map(|rate| Arc::new(RateLimit::new(rate, Arc::clone(clock))));
    DownloadLimits { rate, tries, require_checksum: config.require_checksum }
}

/// Paths to standard output, the rest to standard error.
fn tell(ended: &[Ended], began: Instant) -> io::Result<()> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut new_bytes = 0;
    for (dump, result) in ended {
        let name = dump.name.to_string();
        match result {
            Ok(fetched) => {
                new_bytes += fetched.new_bytes;
                let (bytes, how) = (grouped(fetched.bytes), fetched.verification);
                let already = if fetched.new_bytes == 0 { ", here already" } else { "" };
                writeln!(err, "{name:34} {bytes:>16} bytes, {how}{already}")?;
                writeln!(out, "{}", fetched.dump.path.display())?;
            }
            Err(DownloadError::Stopped) => writeln!(err, "{name:34} stopped, can go on")?,
            Err(error) => words::tell(&anyhow!("{error}")),
        }
    }
    writeln!(
        err,
        "{} bytes downloaded in {:.2} s",
        grouped(new_bytes),
        began.elapsed().as_secs_f64()
    )?;
    out.flush()
}
