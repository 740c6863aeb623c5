//! `state`: what is known of every file, from its owner or from the store.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::args::{StateArgs, StateCommand};
use super::exit::Exit;
use super::state_downloads;
use super::state_tables as tables;
use super::store::Store;
use crate::daemon::control::Request;
use crate::model::{Clock, Job};
use crate::observe::grouped;
use crate::state::view::{self, FileEntry, Filter};
use crate::state::{self, Download, Inspection, Status};

/// How often `--watch` draws.
const REDRAW: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(args: &StateArgs, dir: &Path) -> Result<Exit> {
    let store = Store::new(dir)?;
    let filter = Filter { job: args.select.job.clone(), version: args.select.dump_version };
    let json = args.select.json;
    match &args.command {
        None => list(&store, &filter, json, args.list.watch),
        Some(StateCommand::List(list_args)) => {
            list(&store, &filter, json, list_args.watch || args.list.watch)
        }
        Some(StateCommand::Show { file }) => {
            let inspection = store.inspect()?;
            let now = store.clock.now();
            let downloads = view::select_downloads(&inspection, &filter);
            let named_here = |d: &&Download| d.key.kind.name() == file || d.key.file == *file;
            let downloads: Vec<_> = downloads.into_iter().filter(named_here).collect();
            let files = match named(&inspection, &filter, std::slice::from_ref(file)) {
                Err(_) if !downloads.is_empty() => Vec::new(),
                files => files?,
            };
            let text = if json {
                let files = files.into_iter().map(Shown::File);
                let shown = files.chain(downloads.into_iter().map(Shown::Download));
                json_text(&shown.collect::<Vec<_>>())?
            } else {
                tables::show(&files, &inspection, now) + &state_downloads::show(&downloads, now)
            };
            print(&text)
        }
        Some(StateCommand::History) => {
            let inspection = store.inspect()?;
            let text = if json {
                json_text(&tables::history_json(&inspection, &filter))?
            } else {
                tables::history(&inspection, &filter)
            };
            print(&text)
        }
        Some(StateCommand::Outbox) => {
            let inspection = store.inspect()?;
            let owed = tables::owed(&inspection, &filter);
            print(&if json { json_text(&owed)? } else { tables::outbox(&owed) })
        }
        Some(StateCommand::Check) => check(&store.inspect()?, &filter),
        Some(StateCommand::Reset { files, yes }) => reset(&store, &filter, files, *yes),
        Some(StateCommand::Forget { job, yes }) => forget(&store, job, *yes),
        Some(StateCommand::Export) => print(&state::export(&store.inspect()?)),
        Some(StateCommand::Import { file }) => {
            let text = match file.as_os_str().as_encoded_bytes() {
                b"-" => io::read_to_string(io::stdin()).context("cannot read standard input")?,
                _ => std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?,
            };
            make(dir)?;
            let files = state::import(dir, &text, false, store.clock.now())?;
            print(&format!("{files} files known now\n"))
        }
        Some(StateCommand::Compact) => {
            present(dir)?;
            let done = state::compact(dir, store.clock.now())?;
            let (before, after) = (grouped(done.before), grouped(done.after));
            print(&format!("{before} bytes before, {after} bytes now\n"))
        }
        Some(StateCommand::Repair { yes }) => {
            present(dir)?;
            let done = state::repair(dir, *yes, store.clock.now())?;
            let aside = done.aside.map_or(String::new(), |aside| {
                format!("the damaged store is in {} now\n", aside.display())
            });
            print(&format!("{aside}{} files known from the snapshot\n", done.files))
        }
    }
}

/// What `state show --json` prints a list of: a file has a job, a download has a site.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    File(&'a FileEntry),
    Download(&'a Download),
}

fn list(store: &Store<'_>, filter: &Filter, json: bool, watch: bool) -> Result<Exit> {
    loop {
        let inspection = store.inspect()?;
        let text = if json {
            json_text(&view::list(&inspection, filter))?
        } else {
            tables::list(&inspection, filter, store.clock.now())
        };
        if !watch {
            return print(&text);
        }
        let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        print(&format!("{clear}{text}"))?;
        std::thread::sleep(REDRAW);
    }
}

fn check(inspection: &Inspection, filter: &Filter) -> Result<Exit> {
    let listed = view::list(inspection, filter);
    let any = |wanted: Status| listed.files.iter().any(|file| file.status == wanted);
    let (exit, words) = if listed.files.is_empty() {
        (Exit::Incomplete, "nothing is known".to_owned())
    } else if any(Status::Failed) {
        (Exit::Failed, "failed".to_owned())
    } else if listed.files.iter().any(|file| file.stalled) {
        (Exit::Stalled, "stalled".to_owned())
    } else if any(Status::Pending) || any(Status::Extracting) {
        (Exit::Incomplete, "incomplete".to_owned())
    } else {
        (Exit::Done, "all complete".to_owned())
    };
    print(&format!("{words}\n"))?;
    Ok(exit)
}

fn reset(store: &Store<'_>, filter: &Filter, files: &[String], yes: bool) -> Result<Exit> {
    let inspection = store.inspect()?;
    let files = named(&inspection, filter, files)?;
    ensure!(!files.is_empty(), "nothing is known that could be forgotten");
    print(&tables::to_forget(&files))?;
    if !yes {
        return print("nothing was changed; add --yes to forget these\n");
    }
    let keys: Vec<_> = files.iter().map(|file| file.key.clone()).collect();
    let request = Request::Reset { files: keys.clone() };
    let now = store.clock.now();
    let forgotten = store.forget(&request, async |keeper| keeper.reset(keys, now).await)?;
    print(&format!("{forgotten} files forgotten\n"))
}

fn forget(store: &Store<'_>, job: &str, yes: bool) -> Result<Exit> {
    let inspection = store.inspect()?;
    let known = inspection.jobs.iter().find(|entry| entry.job.as_str() == job);
    let by_location = || {
        let mut at = inspection.jobs.iter().filter(|entry| entry.location == job);
        at.next().filter(|_| at.next().is_none())
    };
    let Some(entry) = known.or_else(by_location) else {
        bail!("no job {job:?} is known\nhint: `discogs-extractor state` shows their identities");
    };
    let job = Job::new(entry.job.as_str());
    let files: Vec<_> = inspection.files.iter().filter(|file| file.key.job == job).collect();
    print(&tables::to_forget(&files))?;
    if !yes {
        return print("nothing was changed; add --yes to forget this job\n");
    }
    let now = store.clock.now();
    let request = Request::Forget { job: job.clone() };
    let forgotten = store.forget(&request, async |keeper| keeper.forget(job, now).await)?;
    print(&format!("{forgotten} files forgotten\n"))
}

/// The selected files that the words name, by type or by file name; all without a word.
fn named<'a>(
    inspection: &'a Inspection,
    filter: &Filter,
    words: &[String],
) -> Result<Vec<&'a FileEntry>> {
    let selected = view::select(inspection, filter);
    let named =
        |file: &FileEntry, word: &str| file.key.kind.name() == word || file.key.file == word;
    for word in words {
        ensure!(
            selected.iter().any(|file| named(file, word)),
            "nothing is known of {word:?}\nhint: name a type or a file that \
             `discogs-extractor state` shows; --job and --dump-version choose others"
        );
    }
    let wanted = |file: &&FileEntry| words.is_empty() || words.iter().any(|word| named(file, word));
    Ok(selected.into_iter().filter(wanted).collect())
}

fn present(dir: &Path) -> Result<()> {
    ensure!(
        dir.exists(),
        "there is no state in {}\nhint: say where it is with --state-dir",
        dir.display()
    );
    Ok(())
}

fn make(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the state directory {}", dir.display()))
}

fn json_text(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn print(text: &str) -> Result<Exit> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")?;
    Ok(Exit::Done)
}
