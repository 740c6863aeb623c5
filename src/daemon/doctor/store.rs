//! The state directory.

use std::path::Path;
use std::time::Duration;

use super::access::may_write;
use crate::model::{Finding, Timestamp};
use crate::state::{FORMAT, Inspection, StateError, Status, view};

/// How long something may be owed before it is told: a sink that is there takes it in seconds.
const OWED: Duration = Duration::from_hours(1);

/// What is to be said of a state directory, and of what was read of it.
pub fn store(dir: &Path, read: &anyhow::Result<Inspection>, now: Timestamp) -> Vec<Finding> {
    if !may_write(dir) {
        return vec![Finding::failure(
            "store",
            format!("{} may not be written", dir.display()),
            "let the user this runs as write there, or choose another place with --state-dir",
        )];
    }
    if !dir.exists() {
        return vec![Finding::ok("store", format!("{} is made at the start", dir.display()))];
    }
    let error = match read {
        Ok(inspection) => {
            let mut found = vec![known(dir, inspection)];
            found.extend(concerns(inspection, now));
            return found;
        }
        Err(error) => error,
    };
    vec![match error.downcast_ref::<StateError>() {
        Some(error @ StateError::Owned { .. }) => Finding::of_error("store", error).as_warning(),
        Some(error) => Finding::of_error("store", error),
        None => Finding::failure(
            "store",
            format!("{}: {error:#}", dir.display()),
            "look at the log of the process that has it; one of another release is to be stopped",
        ),
    }]
}

fn known(dir: &Path, inspection: &Inspection) -> Finding {
    let files = inspection.files.len();
    let owner = match &inspection.owner {
        Some(owner) => format!(", in use by {owner}, which answers"),
        None => String::new(),
    };
    let older = match inspection.format {
        format if format < FORMAT => {
            format!(", of format {format}, brought up to date at the start")
        }
        _ => String::new(),
    };
    Finding::ok("store", format!("{}: {files} files known{owner}{older}", dir.display()))
}

/// What of all it knows somebody should look at, in the newest version of each job.
fn concerns(inspection: &Inspection, now: Timestamp) -> Vec<Finding> {
    let files = view::select(inspection, &view::Filter::default());
    let files = files.into_iter().filter_map(|file| {
        let (name, state) = (&file.key.file, &file.state);
        match (state.status, &state.error) {
            (Status::Failed, why) => Some(Finding::warning(
                "files",
                format!("{name} failed: {}", first_line(why.as_deref().unwrap_or("no reason is known"))),
                "put the cause right; the next pass tries again, and `discogs-extractor state show` \
                 has everything about it",
            )),
            (Status::Extracting | Status::Pending, _) if state.fruitless >= view::CRASH_LOOP => {
                Some(Finding::warning(
                    "files",
                    format!("{name} was started {} times without getting on", state.fruitless),
                    "the log of the last starts says why they ended",
                ))
            }
            _ => None,
        }
    });
    let owed = inspection.owed.iter().filter_map(|entry| match &entry.refused {
        Some(why) => Some(Finding::warning(
            "owed",
            format!("a sweep was refused: {}", first_line(why)),
            "look whether so much is really gone; then run once with --sweep-anyway",
        )),
        None if now.since(entry.since) > OWED => Some(Finding::warning(
            "owed",
            format!("something is owed since {}", entry.since),
            "`discogs-extractor state outbox` says what; a running owner with its sink pays it",
        )),
        None => None,
    });
    files.chain(owed).collect()
}

fn first_line(words: &str) -> &str {
    words.lines().next().unwrap_or_default()
}
