//! The picture of whoever has only an inspection: from an owner, or of a store that nobody has.

use super::{Paces, Picture, Row, State, Table, consumer, extractor, files, kept};
use crate::model::{Job, Timestamp};
use crate::observe::PROGRAM_VERSION;
use crate::state::view::{self, Doing, FileEntry, Filter};
use crate::state::{DownloadStatus, Inspection, Status};

/// What is shown of the selected files, and of what their owner says of itself.
pub fn of_store(store: &Inspection, filter: &Filter, paces: &Paces, at: Timestamp) -> Picture {
    let selected = view::select(store, filter);
    let (state, stage) = stage(store, &selected);
    let doing = store.doing.as_ref();
    let types = doing.map(|doing| doing.types.as_slice()).unwrap_or_default();
    let mut alerts: Vec<_> = consumer::alerts(types).collect();
    alerts.extend(selected.iter().filter_map(|entry| alert(store, entry)));
    let mut tables = Vec::new();
    if !types.is_empty() {
        let pace = |kind| {
            let (speed, curve) = paces.of_type(kind);
            (speed.rounded(), curve)
        };
        tables.push(consumer::table(types, pace));
    }
    for of_job in selected.chunk_by(|a, b| a.key.job == b.key.job) {
        tables.push(of_files(store, of_job, paces));
    }
    if tables.is_empty() {
        tables.push(table("Files".to_owned(), Vec::new()));
    }
    let of = |job: &Job| view::selects(store, filter, job);
    tables.push(kept::owed(store, of));
    if types.is_empty() {
        tables.push(kept::downloads(store, filter));
    }
    tables.push(kept::runs(store, of));
    let service = doing.map_or("discogs-extractor", |doing| &doing.service).to_owned();
    Picture { service, version: PROGRAM_VERSION, at, state, stage, alerts, tables }
}

/// What goes on: in the owner's words if there is one, else how the store was left.
fn stage(store: &Inspection, selected: &[&FileEntry]) -> (State, String) {
    let stalled = selected.iter().any(|entry| view::stalled(entry, owned(store)).is_some());
    match (&store.owner, &store.doing) {
        (None, _) => {
            let all = |status| selected.iter().all(|entry| entry.state.status == status);
            let (state, left) = match () {
                () if selected.is_empty() => (State::Calm, "nothing is known yet"),
                () if all(Status::Complete) => (State::Done, "all complete"),
                () if stalled => (State::Stalled, "stalled"),
                () if selected.iter().any(|entry| entry.state.status == Status::Failed) => {
                    (State::Failed, "failed")
                }
                () => (State::Calm, "incomplete, can go on"),
            };
            (state, format!("not running, {left}"))
        }
        (Some(_), Some(Doing { stage: Some(stage), .. })) => extractor::stage(*stage, stalled),
        (Some(_), Some(Doing { types, .. })) if !types.is_empty() => {
            let (state, stage) = consumer::stage(types);
            (state, stage.to_owned())
        }
        (Some(_), _) if stalled => (State::Stalled, "at work, stalled".to_owned()),
        (Some(_), _) => (State::Busy, "at work".to_owned()),
    }
}

fn owned(store: &Inspection) -> bool {
    store.owner.is_some()
}

/// What stands in a file's way.
fn alert(store: &Inspection, entry: &FileEntry) -> Option<String> {
    let FileEntry { key, state, live, .. } = entry;
    if let Some(why) = view::stalled(entry, owned(store)) {
        return Some(format!("{} is stalled: {why}", key.file));
    }
    let blocked = live.as_ref().filter(|live| live.blocked);
    let why = blocked.and_then(|live| live.waiting_for.as_ref()).or(state.error.as_ref())?;
    Some(format!("{}: {why}", key.file))
}

fn table(caption: String, rows: Vec<Row>) -> Table {
    Table { caption, columns: files::COLUMNS, rows, empty: files::EMPTY }
}

/// The files of one job.
fn of_files(store: &Inspection, entries: &[&FileEntry], paces: &Paces) -> Table {
    let job = entries.first().map(|entry| &entry.key.job);
    let location = store.jobs.iter().find(|entry| Some(&entry.job) == job);
    let caption = match (location, job) {
        (Some(entry), _) => format!("Files to {}", entry.location),
        (None, Some(job)) => format!("Files to {job}"),
        (None, None) => "Files".to_owned(),
    };
    table(caption, entries.iter().map(|entry| row(store, entry, paces)).collect())
}

fn row(store: &Inspection, entry: &FileEntry, paces: &Paces) -> Row {
    let FileEntry { key, state, live, .. } = entry;
    let consumed = store.doing.as_ref().is_some_and(|doing| !doing.types.is_empty());
    let (is, word) = match state.status {
        Status::Extracting if view::stalled(entry, owned(store)).is_some() => {
            (State::Stalled, "stalled")
        }
        Status::Extracting if !owned(store) => (State::Calm, "interrupted"),
        Status::Extracting if consumed => (State::Busy, "arriving"),
        Status::Extracting => (State::Busy, "extracting"),
        Status::Pending => (State::Calm, "pending"),
        Status::Complete => (State::Done, "complete"),
        Status::Failed => (State::Failed, "failed"),
    };
    let arrives = store.downloads.iter().any(|download| {
        download.status == DownloadStatus::Downloading && download.key.file == key.file
    });
    let word = match state.status {
        Status::Extracting if arrives && owned(store) => format!("{word}, downloading"),
        _ => word.to_owned(),
    };
    let of = state.identity.size();
    let stored = (state.checkpoint.records, state.gzip_offset, state.last_activity);
    let (records, done, last_activity) = live.as_ref().map_or(stored, |live| {
        (live.records, live.gzip_offset, live.last_activity.max(state.last_activity))
    });
    let pace = paces.of_file(key);
    let shown = files::Shown {
        name: key.file.clone(),
        state: is,
        word,
        done: if state.status == Status::Complete { of } else { done.0 },
        of,
        records,
        pace: pace.as_ref().map(|(speed, curve)| (*speed, curve.as_slice())),
        last_activity: last_activity.max(state.completed_at),
        completed_at: state.completed_at,
    };
    shown.row()
}
