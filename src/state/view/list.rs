//! What `state list` shows.

use serde::Serialize;

use super::filter::{Filter, select, selected_jobs};
use super::{DownloadLine, FileLine, Inspection, line, select_downloads};
use crate::model::{Job, Kind};
use crate::state::{Holder, Status};

/// `state list --json`, key for key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct List {
    /// The store itself.
    pub store: StoreLine,
    /// The files.
    pub files: Vec<FileLine>,
    /// Types that are complete in all listed jobs.
    pub completed_types: Vec<Kind>,
    /// Types being extracted by a living owner.
    pub active_types: Vec<Kind>,
    /// How many messages and sweeps the listed jobs are owed.
    pub owed: usize,
    /// The files that are fetched or were: of the wanted version, or of the newest.
    pub downloads: Vec<DownloadLine>,
}

/// The store as `state list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreLine {
    /// Its format.
    pub format: u32,
    /// The living process that owns it.
    pub owner: Option<Holder>,
}

/// What `state list` shows.
pub fn list(inspection: &Inspection, filter: &Filter) -> List {
    let files = select(inspection, filter);
    let owned = inspection.owner.is_some();
    let mut jobs: Vec<&Job> = files.iter().map(|file| &file.key.job).collect();
    jobs.dedup();
    let complete_in = |job: &Job, kind: Kind| {
        let mut of_kind =
            files.iter().filter(|file| file.key.job == *job && file.key.kind == kind).peekable();
        of_kind.peek().is_some() && of_kind.all(|file| file.state.status == Status::Complete)
    };
    let kinds = |wanted: &dyn Fn(Kind) -> bool| {
        Kind::ALL.into_iter().filter(|kind| wanted(*kind)).collect::<Vec<Kind>>()
    };
    List {
        store: StoreLine { format: inspection.format, owner: inspection.owner.clone() },
        completed_types: kinds(&|kind| {
            !jobs.is_empty() && jobs.iter().all(|job| complete_in(job, kind))
        }),
        active_types: kinds(&|kind| {
            let mut of_kind = files.iter().filter(|file| file.key.kind == kind);
            owned && of_kind.any(|file| file.state.status == Status::Extracting)
        }),
        owed: {
            let listed = selected_jobs(inspection, filter.job.as_deref());
            inspection.owed.iter().filter(|entry| listed.contains(&&entry.job)).count()
        },
        files: files.into_iter().map(|file| line(file, owned)).collect(),
        downloads: select_downloads(inspection, filter).into_iter().map(Into::into).collect(),
    }
}
