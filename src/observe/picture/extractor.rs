//! The daemon's picture. A function of what goes on and what the store holds.

use super::{Picture, Row, State, Table, files, kept};
use crate::model::{Job, Phase, Timestamp};
use crate::observe::{FileNow, PROGRAM_VERSION, Snapshot, Stage};
use crate::state::Inspection;
use crate::state::view::{self, FileEntry, Filter};

/// What is shown of a snapshot, and of a job's store if it answers.
pub fn of_files(
    now: &Snapshot,
    store: Option<&Inspection>,
    job: &Job,
    curves: &[Vec<f64>; 4],
    at: Timestamp,
) -> Picture {
    let (overall, stage) = stage(now.stage, now.files.iter().any(FileNow::is_stalled));
    let mut shown: Vec<_> = now.files.iter().collect();
    shown.sort_by_key(|file| (std::cmp::Reverse(file.name.version), file.name.kind));
    let mut alerts: Vec<_> = shown.iter().filter_map(|file| alert(file)).collect();
    let mut tables = vec![Table {
        caption: "Files".to_owned(),
        columns: files::COLUMNS,
        rows: shown.iter().map(|file| self::file(file, &curves[file.name.kind as usize])).collect(),
        empty: files::EMPTY,
    }];
    match store {
        Some(store) => {
            let newest = now.files.iter().map(|file| file.name.version).max();
            let shown = store.files.iter().filter(|FileEntry { key, .. }| {
                key.job == *job && newest.is_none_or(|newest| key.version == newest)
            });
            alerts.extend(shown.filter_map(|entry| {
                let error = view::last_error(entry)?;
                Some(format!("{}: {error}", entry.key.file))
            }));
            let of_job = |of: &Job| of == job;
            tables.extend([
                kept::owed(store, of_job),
                kept::downloads(store, &Filter::default()),
                kept::runs(store, of_job),
            ]);
        }
        None => alerts.push("the store does not answer".to_owned()),
    }
    let (service, version) = ("discogs-extractor".to_owned(), PROGRAM_VERSION);
    Picture { service, version, at, state: overall, stage, alerts, tables }
}

/// What whoever extracts is at, in words.
pub(super) fn stage(stage: Stage, stalled: bool) -> (State, String) {
    match stage {
        Stage::Idle => (State::Calm, "idle, waiting for dumps".to_owned()),
        Stage::Running if stalled => (State::Stalled, "running, stalled".to_owned()),
        Stage::Running => (State::Busy, "running".to_owned()),
        Stage::Waiting(next) => (State::Done, format!("waiting until {}", moment(next))),
        Stage::Failed(next) => (State::Failed, format!("failed, tried again at {}", moment(next))),
    }
}

fn moment(at: Timestamp) -> String {
    let (day, hour) = at.day_and_hour();
    format!("{day} {hour} UTC")
}

/// What stands in a file's way.
fn alert(file: &FileNow) -> Option<String> {
    let why = &file.live.waits_for;
    match file.active() {
        true if file.stalled => Some(format!("{} is stalled: {why}", file.name)),
        true if why.is_blocked() => Some(format!("{}: {why}", file.name)),
        _ => None,
    }
}

fn file(file: &FileNow, curve: &[f64]) -> Row {
    let active = file.active();
    let (state, word) = match file.live.phase {
        Phase::Extracting if file.stalled => (State::Stalled, "stalled"),
        Phase::Extracting => (State::Busy, "extracting"),
        Phase::Pending => (State::Calm, "pending"),
        Phase::Complete => (State::Done, "complete"),
        Phase::Failed => (State::Failed, "failed"),
        Phase::Stopped => (State::Calm, "stopped"),
    };
    let word = match file.downloaded {
        Some(_) if active => format!("{word}, downloading"),
        _ => word.to_owned(),
    };
    let shown = files::Shown {
        name: file.name.to_string(),
        state,
        word,
        done: file.bytes_done(),
        of: file.size,
        records: file.live.records,
        pace: active.then_some((file.speed, curve)),
        last_activity: file.last_activity(),
        completed_at: file.completed_at,
    };
    shown.row()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DumpName, GzipOffset, Identity, Kind, Live, WaitsFor};
    use crate::observe::Speed;
    use crate::observe::picture::Cell;
    use crate::state::{FileKey, FileState, Status};

    const AT: Timestamp = Timestamp(1_767_323_045_000);

    fn shown(stage: Stage, phase: Phase, stalled: bool) -> Picture {
        let name = DumpName { version: "20260101".parse().unwrap(), kind: Kind::Artists };
        let live = Live {
            phase,
            gzip: GzipOffset(40),
            waits_for: WaitsFor::SinkBlocked("no disk".to_owned()),
            ..Live::PENDING
        };
        let speed = Speed { records: 2.4, bytes: 10.0 };
        let (downloaded, completed_at) = (None, None);
        let file = FileNow { name, size: 100, downloaded, live, completed_at, stalled, speed };
        let now = Snapshot { stage, files: vec![file] };
        of_files(&now, Some(&Inspection::default()), &Job::new("null:"), &Default::default(), AT)
    }

    #[test]
    fn each_stage_has_its_words() {
        let of = |stage| {
            let picture = shown(stage, Phase::Pending, false);
            (picture.state, picture.stage)
        };
        assert_eq!(of(Stage::Idle), (State::Calm, "idle, waiting for dumps".to_owned()));
        assert_eq!(of(Stage::Running), (State::Busy, "running".to_owned()));
        let at = "2026-01-02 03:04:05 UTC";
        assert_eq!(of(Stage::Waiting(AT)), (State::Done, format!("waiting until {at}")));
        assert_eq!(of(Stage::Failed(AT)), (State::Failed, format!("failed, tried again at {at}")));
    }

    #[test]
    fn each_phase_has_its_state_and_a_stall_its_reason() {
        for (phase, stalled, state, word) in [
            (Phase::Pending, false, State::Calm, "pending"),
            (Phase::Extracting, false, State::Busy, "extracting"),
            (Phase::Extracting, true, State::Stalled, "stalled"),
            (Phase::Complete, false, State::Done, "complete"),
            (Phase::Failed, false, State::Failed, "failed"),
            (Phase::Stopped, false, State::Calm, "stopped"),
        ] {
            let picture = shown(Stage::Running, phase, stalled);
            let row = &picture.tables[0].rows[0];
            assert_eq!((row.state, &row.cells[1]), (state, &Cell::Text(word.to_owned())));
            let told = picture.alerts.iter().any(|alert| alert.contains("sink blocked: no disk"));
            assert_eq!(told, phase == Phase::Extracting, "{word}");
        }
        let picture = shown(Stage::Running, Phase::Extracting, false);
        let cells = &picture.tables[0].rows[0].cells;
        assert_eq!(cells[4], Cell::Rate { now: 2, curve: Vec::new() });
        assert_eq!(cells[5], Cell::Text("6s".to_owned()));
    }

    #[test]
    fn the_last_error_of_a_file_is_told_of_unless_it_is_tried_again() {
        let job = Job::new("null:");
        let name = DumpName { version: "20260101".parse().unwrap(), kind: Kind::Artists };
        let known = FileState::registered(Identity::Content { size: 100, ends: [7; 32] });
        let state = FileState { error: Some("garbage".to_owned()), ..known };
        let key = FileKey::new(job.clone(), name);
        for (phase, status, told) in [
            (Phase::Failed, Status::Failed, true),
            (Phase::Pending, Status::Pending, true),
            (Phase::Extracting, Status::Extracting, false),
        ] {
            let state = FileState { status, ..state.clone() };
            let entry = FileEntry { key: key.clone(), state, points: 0, live: None };
            let store = Inspection { files: vec![entry], ..Inspection::default() };
            let live = Live { phase, ..Live::PENDING };
            let (downloaded, completed_at, stalled) = (None, None, false);
            let speed = Speed::default();
            let file = FileNow { name, size: 100, downloaded, live, completed_at, stalled, speed };
            let now = Snapshot { stage: Stage::Running, files: vec![file] };
            let picture = of_files(&now, Some(&store), &job, &Default::default(), AT);
            let is_told = picture.alerts.iter().any(|alert| alert.ends_with(": garbage"));
            assert_eq!(is_told, told, "{phase:?}");
        }
    }

    #[test]
    fn a_store_that_is_silent_is_told_of() {
        let now = Snapshot::default();
        let picture = of_files(&now, None, &Job::new("null:"), &Default::default(), AT);
        assert_eq!(picture.alerts, ["the store does not answer"]);
    }
}
