//! The tables that `state` prints for people.

use std::fmt::Write;

use comfy_table::CellAlignment;
use serde::Serialize;

use super::cells::{moment, table};
use super::state_downloads;
use crate::model::{Job, Timestamp};
use crate::observe::grouped;
use crate::state::view::{
    self, EventEntry, FileEntry, FileLine, Filter, Inspection, OwedEntry, RunEntry,
};
use crate::state::{Owed, Status};

/// `state list`.
pub fn list(inspection: &Inspection, filter: &Filter, now: Timestamp) -> String {
    let listed = view::list(inspection, filter);
    let mut text = String::new();
    if listed.files.is_empty() && listed.downloads.is_empty() {
        text.push_str("nothing is known yet\n");
    }
    let mut jobs: Vec<&Job> = listed.files.iter().map(|line| &line.job).collect();
    jobs.dedup();
    for job in jobs {
        _ = writeln!(text, "{}", heading(inspection, job));
        let mut table = table(&[
            "VERSION",
            "TYPE",
            "STATUS",
            "RECORDS",
            "BAD",
            "DONE",
            "RATE",
            "LAST ACTIVITY",
            "NOTE",
        ]);
        for line in listed.files.iter().filter(|line| line.job == *job) {
            let entry = inspection.files.iter().find(|entry| {
                entry.key.job == line.job
                    && entry.key.version == line.version
                    && entry.key.file == line.file
            });
            let Some(entry) = entry else { continue };
            table.add_row([
                line.version.to_string(),
                line.kind.to_string(),
                status(line),
                grouped(line.records),
                grouped(line.bad_records),
                format!("{:.1} %", line.percent),
                rate(entry, line, inspection, now),
                line.last_activity_at.map_or_else(String::new, |at| moment(at, now)),
                note(entry, line, inspection),
            ]);
        }
        for column in [3, 4, 5, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        _ = writeln!(text, "{table}");
    }
    if !listed.files.is_empty() && !listed.downloads.is_empty() {
        text.push('\n');
    }
    text.push_str(&state_downloads::list(inspection, filter, now));
    if let Some(owner) = &listed.store.owner {
        _ = writeln!(text, "{owner} is at work");
    }
    if listed.owed > 0 {
        _ = writeln!(text, "{} owed: see `discogs-extractor state outbox`", listed.owed);
    }
    text
}

/// `state show`.
pub fn show(files: &[&FileEntry], inspection: &Inspection, now: Timestamp) -> String {
    let listed = view::list(inspection, &Filter::default());
    let owned = listed.store.owner.is_some();
    let mut text = String::new();
    for entry in files {
        let FileEntry { key, state, live, .. } = entry;
        let at =
            |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| moment(at, now));
        let checkpoint = &state.checkpoint;
        let mut rows = vec![
            ("file", key.file.clone()),
            ("job", heading(inspection, &key.job)),
            ("status", state.status.to_string()),
            ("run", state.run.map_or_else(|| "none".to_owned(), |run| run.to_string())),
            ("records", grouped(live.as_ref().map_or(checkpoint.records, |live| live.records))),
            ("bad records", grouped(checkpoint.bad_records)),
            ("checkpoint", position(checkpoint.position)),
            ("size", format!("{} bytes", grouped(state.identity.size()))),
            (
                "read",
                format!(
                    "{} bytes",
                    grouped(live.as_ref().map_or(state.gzip_offset, |live| live.gzip_offset).0,)
                ),
            ),
            ("resume points", grouped(entry.points)),
            ("attempts", state.attempts.to_string()),
            ("first start", at(state.first_start)),
            ("last start", at(state.last_start)),
            (
                "last activity",
                at(live.as_ref().and_then(|l| l.last_activity).or(state.last_activity)),
            ),
            ("completed", at(state.completed_at)),
        ];
        let waiting = live.as_ref().and_then(|live| live.waiting_for.clone());
        rows.extend(waiting.map(|waiting| ("waits for", waiting)));
        rows.extend(view::stalled(entry, owned).map(|why| ("stalled", why)));
        rows.extend(state.error.clone().map(|error| ("error", error)));
        for (name, value) in rows {
            _ = writeln!(text, "{name:14} {value}");
        }
        text.push('\n');
    }
    text
}

/// What `state history --json` prints.
#[derive(Serialize)]
pub struct History<'a> {
    runs: Vec<&'a RunEntry>,
    events: Vec<&'a EventEntry>,
}

/// The runs and events of the selected jobs.
pub fn history_json<'a>(inspection: &'a Inspection, filter: &Filter) -> History<'a> {
    let wanted = |job: &Job| view::selects(inspection, filter, job);
    let of_version = |run: &&RunEntry| filter.version.is_none_or(|v| v == run.key.version);
    History {
        runs: inspection
            .runs
            .iter()
            .filter(|run| wanted(&run.key.job))
            .filter(of_version)
            .collect(),
        events: inspection
            .events
            .iter()
            .filter(|event| event.job.as_ref().is_none_or(&wanted))
            .collect(),
    }
}

/// `state history`.
pub fn history(inspection: &Inspection, filter: &Filter) -> String {
    let History { runs, events } = history_json(inspection, filter);
    let mut table = table(&["STARTED", "ENDED", "FILE", "AFTER", "RECORDS", "BAD", "END"]);
    for run in runs {
        table.add_row([
            run.started_at.to_string(),
            run.ended_at.map_or_else(String::new, |at| at.to_string()),
            run.key.file.clone(),
            grouped(run.from.0),
            grouped(run.records),
            grouped(run.bad_records),
            run.reason.clone().unwrap_or_default(),
        ]);
    }
    let mut text = format!("{table}\n\n");
    for event in events {
        let file = event.file.as_deref().unwrap_or_default();
        _ = writeln!(text, "{}  {file:36} {}", event.at, event.what);
    }
    text
}

/// What the selected jobs are owed.
pub fn owed<'a>(inspection: &'a Inspection, filter: &Filter) -> Vec<&'a OwedEntry> {
    let wanted = |entry: &&OwedEntry| view::selects(inspection, filter, &entry.job);
    inspection.owed.iter().filter(wanted).collect()
}

/// `state outbox`.
pub fn outbox(owed: &[&OwedEntry]) -> String {
    if owed.is_empty() {
        return "nothing is owed\n".to_owned();
    }
    let mut table = table(&["SINCE", "WHAT", "FOR", "REFUSED"]);
    for entry in owed {
        let (what, whom) = match &entry.owed {
            Owed::FileComplete { file, .. } => ("file_complete", file.clone()),
            Owed::Sweep { version, kind, .. } => ("sweep", format!("{kind} of {version}")),
            Owed::ExtractionComplete { version, .. } => {
                ("extraction_complete", version.to_string())
            }
        };
        let refused = entry.refused.clone().unwrap_or_default();
        table.add_row([entry.since.to_string(), what.to_owned(), whom, refused]);
    }
    format!("{table}\n")
}

/// What a reset would forget.
pub fn to_forget(files: &[&FileEntry]) -> String {
    let mut text = String::new();
    for file in files {
        let (status, records) = (file.state.status, grouped(file.state.checkpoint.records));
        _ = writeln!(text, "{}: {status}, {records} records ({})", file.key.file, file.key.job);
    }
    text
}

fn heading(inspection: &Inspection, job: &Job) -> String {
    let entry = inspection.jobs.iter().find(|entry| entry.job == *job);
    match entry.map(|entry| entry.location.as_str()) {
        Some(location) if location != job.as_str() => format!("{location}  ({job})"),
        Some(_) | None => job.to_string(),
    }
}

fn status(line: &FileLine) -> String {
    let stalled = if line.stalled { ", stalled" } else { "" };
    format!("{}{stalled}", line.status)
}

/// Records a second since the last start, or over the whole of a complete file's last attempt.
fn rate(entry: &FileEntry, line: &FileLine, inspection: &Inspection, now: Timestamp) -> String {
    let run = inspection.runs.iter().rev().find(|run| run.key == entry.key);
    let Some(run) = run else { return String::new() };
    let until = run.ended_at.unwrap_or(match line.status {
        Status::Extracting if inspection.owner.is_some() => now,
        _ => line.last_activity_at.unwrap_or(run.started_at),
    });
    let millis = u64::try_from(until.since(run.started_at).as_millis()).unwrap_or(u64::MAX);
    let delivered = line.records.saturating_sub(run.from.0);
    match (delivered * 1_000).checked_div(millis) {
        Some(rate) if delivered > 0 => format!("{}/s", grouped(rate)),
        Some(_) | None => String::new(),
    }
}

fn note(entry: &FileEntry, line: &FileLine, inspection: &Inspection) -> String {
    let owned = inspection.owner.is_some();
    let waits = || {
        entry
            .live
            .as_ref()
            .and_then(|live| live.waiting_for.as_ref())
            .map(|w| format!("waits for {w}"))
    };
    let interrupted = || {
        let lost = line.status == Status::Extracting && !owned;
        lost.then(|| "interrupted, goes on at the next start".to_owned())
    };
    let said = view::stalled(entry, owned).or_else(|| line.error.clone());
    said.or_else(waits).or_else(interrupted).unwrap_or_default()
}

fn position(position: crate::model::Position) -> String {
    use crate::model::{Position, XmlOffset};
    match position {
        Position::Beginning => "the beginning".to_owned(),
        // A consumer sees no bytes of the dump.
        Position::At(ordinal, XmlOffset(0)) => format!("record {}", grouped(ordinal.0)),
        Position::At(ordinal, xml) => {
            format!("record {}, byte {} of the XML", grouped(ordinal.0), grouped(xml.0))
        }
        Position::End => "the end".to_owned(),
    }
}
