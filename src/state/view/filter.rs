//! Which jobs, versions and files somebody wants to see.

use super::{FileEntry, Inspection};
use crate::model::{Job, Version};

/// Which files to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A job's identity or location, or what it begins with; every job if none.
    pub job: Option<String>,
    /// A version; the newest of each job if none.
    pub version: Option<Version>,
}

/// The files that `filter` selects: without a version, the newest of each job.
pub fn select<'a>(inspection: &'a Inspection, filter: &Filter) -> Vec<&'a FileEntry> {
    let jobs = selected_jobs(inspection, filter.job.as_deref());
    let of_jobs = inspection.files.iter().filter(|file| jobs.contains(&&file.key.job));
    let newest = |job: &Job| {
        let of_job = inspection.files.iter().filter(|file| file.key.job == *job);
        of_job.map(|file| file.key.version).max()
    };
    of_jobs
        .filter(|file| {
            let wanted = filter.version.or_else(|| newest(&file.key.job));
            wanted == Some(file.key.version)
        })
        .collect()
}

/// Whether `filter` selects what belongs to a job.
pub fn selects(inspection: &Inspection, filter: &Filter, job: &Job) -> bool {
    selected_jobs(inspection, filter.job.as_deref()).contains(&job)
}

/// An exact identity or location wins over those that merely begin with the word.
pub(super) fn selected_jobs<'a>(inspection: &'a Inspection, word: Option<&str>) -> Vec<&'a Job> {
    let location = |job: &Job| {
        let entry = inspection.jobs.iter().find(|entry| entry.job == *job);
        entry.map_or("", |entry| entry.location.as_str())
    };
    let listed = inspection.jobs.iter().map(|entry| &entry.job);
    let mut jobs: Vec<&Job> = listed.chain(inspection.files.iter().map(|f| &f.key.job)).collect();
    jobs.sort();
    jobs.dedup();
    let Some(word) = word else { return jobs };
    let exact: Vec<&Job> =
        jobs.iter().copied().filter(|job| job.as_str() == word || location(job) == word).collect();
    if !exact.is_empty() {
        return exact;
    }
    jobs.retain(|job| job.as_str().starts_with(word) || location(job).starts_with(word));
    jobs
}
