//! The picture of whoever has only an inspection: from an owner, or of a store that nobody has.

use super::{Paces, Picture, Row, State, Table, consumer, extractor, files, kept};
use crate::model::{Job, Timestamp};
use crate::observe::PROGRAM_VERSION;
use crate::state::view::{self, Doing, FileEntry, Filter};
use crate::state::{DownloadStatus, Inspection, Status};

/// What is shown of the selected files, and of what their owner says of itself.
pub fn of_store(store: &Inspection, filter: &Filter, paces: &Paces, at: Timestamp) -> Picture {
    let selected = view::select(store, filter);
    let (state, words) = stage(store, &selected);
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
    let version = PROGRAM_VERSION;
    Picture { service, version, at, state, stage: words, alerts, tables }
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
            let (state, words) = consumer::stage(types);
            (state, words.to_owned())
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
    let FileEntry { key, live, .. } = entry;
    if let Some(why) = view::stalled(entry, owned(store)) {
        return Some(format!("{} is stalled: {why}", key.file));
    }
    let blocked = live.as_ref().filter(|live| live.blocked);
    let waits_for = blocked.and_then(|live| live.waiting_for.as_deref());
    let why = waits_for.or_else(|| view::last_error(entry))?;
    Some(format!("{}: {why}", key.file))
}

fn table(caption: String, rows: Vec<Row>) -> Table {
    Table { caption, columns: files::COLUMNS, rows, empty: files::EMPTY }
}

/// The files of one job.
fn of_files(store: &Inspection, entries: &[&FileEntry], paces: &Paces) -> Table {
    let caption = entries.first().map_or("Files".to_owned(), |FileEntry { key, .. }| {
        let location = store.jobs.iter().find(|entry| entry.job == key.job);
        let location = location.map_or(key.job.as_str(), |entry| &entry.location);
        format!("Files of {} to {location}", key.version)
    });
    table(caption, entries.iter().map(|entry| row(store, entry, paces)).collect())
}

fn row(store: &Inspection, entry: &FileEntry, paces: &Paces) -> Row {
    let line = view::line(entry, owned(store));
    let consumed = store.doing.as_ref().is_some_and(|doing| !doing.types.is_empty());
    let (state, word) = match line.status {
        Status::Extracting if line.stalled => (State::Stalled, "stalled"),
        Status::Extracting if !owned(store) => (State::Calm, "interrupted"),
        Status::Extracting if consumed => (State::Busy, "arriving"),
        Status::Extracting => (State::Busy, "extracting"),
        Status::Pending => (State::Calm, "pending"),
        Status::Complete => (State::Done, "complete"),
        Status::Failed => (State::Failed, "failed"),
    };
    let arrives = store.downloads.iter().any(|download| {
        download.status == DownloadStatus::Downloading && download.key.file == line.file
    });
    let word = match line.status {
        Status::Extracting if arrives && owned(store) => format!("{word}, downloading"),
        _ => word.to_owned(),
    };
    let is_complete = line.status == Status::Complete;
    let pace = paces.of_file(&entry.key);
    let shown = files::Shown {
        name: line.file,
        state,
        word,
        done: if is_complete { line.gzip_size } else { line.gzip_offset },
        of: line.gzip_size,
        records: line.records,
        pace: pace.as_ref().map(|(speed, curve)| (*speed, curve.as_slice())),
        last_activity: line.last_activity_at.max(line.completed_at),
        completed_at: line.completed_at,
    };
    shown.row()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{GzipOffset, Identity, Kind};
    use crate::observe::picture::Cell;
    use crate::state::view::{Live, Stage, TypeEntry};
    use crate::state::{FileKey, FileState, Holder};

    const AT: Timestamp = Timestamp(1_767_323_045_000);

    fn entry(kind: Kind, status: Status) -> FileEntry {
        let version = "20260101".parse().unwrap();
        let file = format!("discogs_20260101_{kind}.xml.gz");
        let key = FileKey { job: Job::new("sqlite:1"), version, kind, file };
        let identity = Identity::Content { size: 1_000, ends: [0; 32] };
        let state = FileState { status, ..FileState::registered(identity) };
        FileEntry { key, state, points: 0, live: None }
    }

    fn live(records: u64) -> Live {
        Live {
            records,
            gzip_offset: GzipOffset(records),
            last_activity: None,
            stalled: None,
            waiting_for: Some("sink blocked: no disk".to_owned()),
            blocked: false,
        }
    }

    fn owned(files: Vec<FileEntry>, doing: Option<Doing>) -> Inspection {
        let owner = Some(Holder { pid: 7, host: "here".to_owned() });
        Inspection { owner, files, doing, ..Inspection::default() }
    }

    fn extracting(stage: Stage) -> Doing {
        Doing { service: "discogs-extractor".to_owned(), stage: Some(stage), types: vec![] }
    }

    fn picture(store: &Inspection) -> Picture {
        of_store(store, &Filter::default(), &Paces::default(), AT)
    }

    fn word(picture: &Picture) -> &Cell {
        &picture.tables[0].rows[0].cells[1]
    }

    #[test]
    fn a_store_that_nobody_has_says_so_and_how_it_was_left() {
        let left = |status: &[Status]| {
            let files = status.iter().zip(Kind::ALL).map(|(status, kind)| entry(kind, *status));
            let picture = picture(&Inspection { files: files.collect(), ..Inspection::default() });
            (picture.state, picture.stage)
        };
        let told = |state, words: &str| (state, format!("not running, {words}"));
        assert_eq!(left(&[]), told(State::Calm, "nothing is known yet"));
        assert_eq!(left(&[Status::Complete]), told(State::Done, "all complete"));
        let (complete, extracting) = (Status::Complete, Status::Extracting);
        assert_eq!(left(&[complete, extracting]), told(State::Calm, "incomplete, can go on"));
        assert_eq!(left(&[complete, Status::Failed]), told(State::Failed, "failed"));
        let dead =
            Inspection { files: vec![entry(Kind::Labels, extracting)], ..Inspection::default() };
        assert_eq!(*word(&picture(&dead)), Cell::Text("interrupted".to_owned()));
    }

    #[test]
    fn an_owner_s_words_are_believed_and_one_that_says_nothing_is_at_work() {
        let files = || vec![entry(Kind::Labels, Status::Extracting)];
        assert_eq!(picture(&owned(files(), None)).stage, "at work");
        assert_eq!(picture(&owned(files(), Some(extracting(Stage::Running)))).stage, "running");
        let waiting = picture(&owned(files(), Some(extracting(Stage::Waiting(AT)))));
        assert_eq!(waiting.stage, "waiting until 2026-01-02 03:04:05 UTC");
    }

    #[test]
    fn a_stall_and_a_block_are_told_with_their_reason() {
        let told = |live: Live| {
            let file = FileEntry { live: Some(live), ..entry(Kind::Labels, Status::Extracting) };
            let picture = picture(&owned(vec![file], Some(extracting(Stage::Running))));
            (picture.stage, picture.alerts)
        };
        assert_eq!(told(live(1)), ("running".to_owned(), vec![]));
        let (stage, alerts) = told(Live { blocked: true, ..live(1) });
        assert_eq!(stage, "running");
        assert_eq!(alerts, ["discogs_20260101_labels.xml.gz: sink blocked: no disk"]);
        let (stage, alerts) = told(Live { stalled: Some("disk".to_owned()), ..live(1) });
        assert_eq!(stage, "running, stalled");
        assert_eq!(alerts, ["discogs_20260101_labels.xml.gz is stalled: disk"]);
    }

    #[test]
    fn how_fast_it_goes_is_seen_from_one_inspection_to_the_next() {
        let mut paces = Paces::default();
        let mut last = Inspection::default();
        for second in 0..60 {
            let live = Some(live(second * 10));
            let file = FileEntry { live, ..entry(Kind::Labels, Status::Extracting) };
            last = owned(vec![file], Some(extracting(Stage::Running)));
            paces.note(Duration::from_secs(second), &last);
        }
        let picture = of_store(&last, &Filter::default(), &paces, AT);
        let cells = &picture.tables[0].rows[0].cells;
        assert_eq!(cells[2], Cell::Progress { done: 590, of: 1_000 });
        assert_eq!(cells[4], Cell::Rate { now: 10, curve: vec![10.0; 5] });
        assert_eq!(cells[5], Cell::Text("41s".to_owned()));
        let dead = Inspection { owner: None, doing: None, ..last };
        paces.note(Duration::from_mins(1), &dead);
        let picture = of_store(&dead, &Filter::default(), &paces, AT);
        assert_eq!(picture.tables[0].rows[0].cells[4], Cell::None);
    }

    #[test]
    fn a_consumer_s_types_are_shown_as_its_page_shows_them() {
        let entry = |kind, cancelled: bool| TypeEntry {
            kind,
            reads: !cancelled,
            cancelled,
            stalled: false,
            records: 5,
            messages: 6,
            in_flight: 1,
            dead_letters: u64::from(cancelled),
            last_message: Some(AT),
            completed_at: cancelled.then_some(AT),
        };
        let types = vec![entry(Kind::Artists, true), entry(Kind::Labels, false)];
        let doing = Doing { service: "tableinator".to_owned(), stage: None, types };
        let file = self::entry(Kind::Labels, Status::Extracting);
        let picture = picture(&owned(vec![file], Some(doing)));
        assert_eq!((picture.service.as_str(), picture.stage.as_str()), ("tableinator", "reading"));
        assert_eq!(picture.alerts, ["artists: 1 messages are in the dead letters"]);
        let words = picture.tables[0].rows.iter().map(|row| row.cells[1].clone());
        let words: Vec<_> = words.collect();
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(words, [text("cancelled, complete"), text("active")]);
        assert_eq!(picture.tables[1].rows[0].cells[1], text("arriving"));
    }
}
