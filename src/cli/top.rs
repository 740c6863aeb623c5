//! `top`: how it goes, on a terminal, from whoever has the store or from the store.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::args::TopArgs;
use super::exit::Exit;
use super::logging;
use super::owner::{self, Usage};
use super::signals;
use super::store::Store;
use super::words;
use crate::model::{Clock, SystemClock};
use crate::observe::picture::{Paces, of_store};
use crate::state::Inspection;
use crate::state::view::Filter;
use crate::tui::{self, End, Look, News};

/// How long after an answer it is asked again.
const AGAIN: Duration = Duration::from_secs(1);

const NO_TERMINAL: &str = "standard output is no terminal\n\
    hint: `discogs-extractor state list --watch` prints a table every second";

/// Runs the command.
pub fn run(args: TopArgs, dir: &Path) -> Result<Exit> {
    if !io::stdout().is_terminal() {
        bail!(Usage(NO_TERMINAL.into()));
    }
    let filter = Filter { job: args.job, version: args.dump_version };
    let colour = !args.no_color && !logging::colour_refused();
    // What is not looked at yet keeps whoever asks waiting.
    let (tell, news) = mpsc::sync_channel(1);
    let signalled = Arc::new(OnceLock::new());
    let runtime = owner::runtime()?;
    runtime.spawn({
        let (tell, signalled) = (tell.clone(), Arc::clone(&signalled));
        async move {
            if let Ok(exit) = signals::first().await {
                // It is set here only.
                _ = signalled.set(exit);
                // Whoever is gone need not stop.
                _ = tokio::task::spawn_blocking(move || tell.send(News::Stop)).await;
            }
        }
    });
    let asking = Asking { dir: dir.to_owned(), filter, tell };
    let asking = std::thread::Builder::new().name("asking".into()).spawn(move || asking.run());
    // It may hang with whom it asks, so nobody waits for its end.
    drop(asking.context("cannot start a thread")?);
    let ended = tui::run(&news, colour, &SystemClock::new());
    runtime.shutdown_background();
    match ended.context("cannot use the terminal")? {
        End::Quit => Ok(Exit::Done),
        End::Stopped => Ok(signalled.get().copied().unwrap_or(Exit::Terminated)),
        End::Deserted => Err(anyhow!("the thread that asks for the state died")),
    }
}

/// Asks for the state again and again.
struct Asking {
    dir: PathBuf,
    filter: Filter,
    tell: SyncSender<News>,
}

impl Asking {
    /// Asks until nobody wants to know.
    fn run(self) {
        let clock = SystemClock::new();
        let mut paces = Paces::default();
        let mut wanted = true;
        while wanted {
            let asked = Store::new(&self.dir).and_then(|store| store.inspect());
            let news = match asked {
                Ok(inspection) => {
                    paces.note(clock.elapsed(), &inspection);
                    let picture = of_store(&inspection, &self.filter, &paces, clock.now());
                    let source = source(&self.dir, &inspection);
                    News::Look(Box::new(Look { picture, source }))
                }
                Err(error) => News::Trouble(words::error(&error)),
            };
            wanted = self.tell.send(news).is_ok();
            std::thread::sleep(AGAIN);
        }
    }
}

/// Where what is shown comes from.
fn source(dir: &Path, inspection: &Inspection) -> String {
    match &inspection.owner {
        Some(owner) => format!("state in {}, {owner} has it", dir.display()),
        None => format!("state in {}, nobody has it", dir.display()),
    }
}
