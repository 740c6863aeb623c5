//! The tables of what the store keeps beyond its files.

use super::{Cell, Row, State, Table};
use crate::model::{Job, Kind};
use crate::state::view::{self, Filter};
use crate::state::{DownloadStatus, Inspection, Owed};

/// So many runs are the last ones.
const RUNS: usize = 8;

/// What is owed to some jobs.
pub(super) fn owed(store: &Inspection, of: impl Fn(&Job) -> bool) -> Table {
    let owed = store.owed.iter().filter(|entry| of(&entry.job));
    let rows = owed.map(|entry| {
        let what = match entry.owed {
            Owed::FileComplete { .. } => "completion message",
            Owed::Sweep { .. } => "removal of what is gone",
            Owed::ExtractionComplete { .. } => "end of the version",
        };
        let of = entry.owed.kind().map_or("all types", Kind::name);
        Row {
            state: if entry.refused.is_some() { State::Failed } else { State::Busy },
            cells: vec![
                Cell::Text(what.to_owned()),
                Cell::Text(format!("{of} of {}", entry.owed.version())),
                Cell::Time(entry.since),
                entry.refused.clone().into(),
            ],
        }
    });
    let columns = &["What", "Of", "Since", "Refused because"];
    Table { caption: "Owed".to_owned(), columns, rows: rows.collect(), empty: "Nothing is owed." }
}

/// What is fetched or was.
pub(super) fn downloads(store: &Inspection, filter: &Filter) -> Table {
    let rows = view::select_downloads(store, filter).into_iter().map(|download| {
        let state = match download.status {
            DownloadStatus::Downloading => State::Busy,
            DownloadStatus::Complete => State::Done,
            DownloadStatus::Failed => State::Failed,
        };
        let (done, of) = (download.synced, download.length.unwrap_or_default());
        Row {
            state,
            cells: vec![
                Cell::Text(download.key.file.clone()),
                Cell::Text(download.status.name().to_owned()),
                Cell::Progress { done, of },
                download.last_activity.into(),
                download.error.clone().into(),
            ],
        }
    });
    let columns = &["File", "State", "Progress", "Last activity", "Error"];
    Table {
        caption: "Downloads".to_owned(),
        columns,
        rows: rows.collect(),
        empty: "There are none.",
    }
}

/// The last attempts of some jobs.
pub(super) fn runs(store: &Inspection, of: impl Fn(&Job) -> bool) -> Table {
    let runs = store.runs.iter().rev().filter(|run| of(&run.key.job)).take(RUNS);
    let rows = runs.map(|run| Row {
        state: if run.ended_at.is_some() { State::Calm } else { State::Busy },
        cells: vec![
            Cell::Text(run.key.file.clone()),
            run.reason.clone().into(),
            Cell::Time(run.started_at),
            run.ended_at.into(),
            if run.ended_at.is_some() { Cell::Number(run.records) } else { Cell::None },
            if run.ended_at.is_some() { Cell::Number(run.bad_records) } else { Cell::None },
        ],
    });
    let columns = &["File", "End", "Began", "Ended", "Records", "Bad"];
    Table {
        caption: "Last runs".to_owned(),
        columns,
        rows: rows.collect(),
        empty: "There were none.",
    }
}
