//! The store as JSON lines, without the resume points: `state export`, and the snapshot beside
//! the store. The first line says what the store is, every other one is a row; `kind` says which.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::Run;
use crate::model::fault::place;

use super::folder::{rename, sync_folder};
use super::layout::{FORMAT, PLACES_PROVEN};
use super::view::{EventEntry, FileEntry, Inspection, JobEntry, OwedEntry, RunEntry};
use super::{Download, ForcedPass, StateError, Token};

/// The snapshot's name.
pub(super) const NAME: &str = "state.jsonl";

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Store { format: u32, sequence: u64, last_run: u64 },
    Job(JobEntry),
    File(FileEntry),
    Owed(OwedEntry),
    Run(RunEntry),
    Event(EventEntry),
    Forced(ForcedPass),
    Token(Token),
    Download(Download),
}

/// The store as JSON lines.
pub fn export(inspection: &Inspection) -> String {
    let Inspection {
        format: _,
        owner: _,
        sequence,
        last_run,
        jobs,
        files,
        owed,
        runs,
        events,
        forced,
        tokens,
        downloads,
        doing: _,
    } = inspection;
    // whatever format the store has on disk, its rows are written as those of this release
    let head = [Line::Store { format: FORMAT, sequence: *sequence, last_run: *last_run }];
    let lines = head
        .into_iter()
        .chain(jobs.iter().cloned().map(Line::Job))
        .chain(
            files
                .iter()
                .cloned()
                .map(|file| Line::File(FileEntry { points: 0, live: None, ..file })),
        )
        .chain(owed.iter().cloned().map(Line::Owed))
        .chain(runs.iter().cloned().map(Line::Run))
        .chain(events.iter().cloned().map(Line::Event))
        .chain(forced.iter().cloned().map(Line::Forced))
        .chain(tokens.iter().cloned().map(Line::Token))
        .chain(downloads.iter().cloned().map(Line::Download));
    let mut text = String::new();
    for line in lines {
        // neither serialising our own rows nor writing to a string can fail
        let _ = writeln!(text, "{}", serde_json::to_string(&line).unwrap_or_default());
    }
    text
}

/// What an export says.
///
/// # Errors
/// Naming the line that cannot be read, or if a newer release wrote it.
pub(super) fn parse(dir: &Path, text: &str) -> Result<Inspection, StateError> {
    let mut inspection = Inspection { format: FORMAT, ..Inspection::default() };
    let mut begun = false;
    let mut proven = true;
    for (number, line) in (1..).zip(text.lines()) {
        let bad = |words: String| StateError::Export { line: number, words };
        let line: Line = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        if !begun && !matches!(line, Line::Store { .. }) {
            return Err(bad("the first line does not say what store it is".to_owned()));
        }
        begun = true;
        match line {
            Line::Store { format, .. } if format > FORMAT => {
                return Err(StateError::Newer { dir: dir.to_owned(), format, knows: FORMAT });
            }
            Line::Store { last_run, .. } if last_run > Run::MAX.0 => {
                return Err(bad("its last run is none: it is above 2^62".to_owned()));
            }
            Line::Store { format, sequence, last_run } => {
                inspection.sequence = sequence;
                inspection.last_run = last_run;
                proven = format >= PLACES_PROVEN;
            }
            Line::Job(entry) => inspection.jobs.push(entry),
            Line::File(entry) if entry.state.run.is_some_and(|run| run > Run::MAX) => {
                return Err(bad("its run is none: it is above 2^62".to_owned()));
            }
            Line::File(entry) => {
                inspection.files.push(FileEntry { state: entry.state.of_sender(), ..entry });
            }
            Line::Owed(entry) => inspection.owed.push(entry),
            Line::Run(entry) => inspection.runs.push(entry),
            Line::Event(entry) => inspection.events.push(entry),
            Line::Forced(pass) => inspection.forced.push(pass),
            Line::Token(token) => inspection.tokens.push(token),
            Line::Download(download) => inspection.downloads.push(download),
        }
    }
    if !proven {
        inspection.files.iter_mut().for_each(|file| file.state.checkpoint.check = None);
    }
    if !begun {
        return Err(StateError::Export { line: 1, words: "there is nothing in it".to_owned() });
    }
    Ok(inspection)
}

/// Writes the snapshot: the old one stays until the new one is durable.
///
/// # Errors
/// What the disk says.
pub(super) fn write(dir: &Path, inspection: &Inspection) -> Result<(), StateError> {
    let (path, part) = (dir.join(NAME), dir.join("state.jsonl.part"));
    File::create(&part)
        .and_then(|mut file| {
            file.write_all(export(inspection).as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| StateError::disk("write", &part, &error))?;
    place("state.snapshot.written");
    rename(&part, &path)?;
    place("state.snapshot.renamed");
    sync_folder(dir)
}

/// The snapshot, if there is one.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(dir: &Path) -> Result<Option<Inspection>, StateError> {
    let path = dir.join(NAME);
    match fs::read_to_string(&path) {
        Ok(text) => parse(dir, &text).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::disk("read", &path, &error)),
    }
}

/// The last number the store had given out when the snapshot was written, if that can be told.
pub(super) fn sequence(dir: &Path) -> Option<u64> {
    let mut line = String::new();
    BufReader::new(File::open(dir.join(NAME)).ok()?).read_line(&mut line).ok()?;
    match serde_json::from_str(&line).ok()? {
        Line::Store { sequence, .. } => Some(sequence),
        _ => None,
    }
}
