//! What an extracting process knows beyond its store, for whoever inspects it.

use std::collections::BTreeMap;

use crate::model::{DumpName, Job, Phase};
use crate::pipeline::Watched;
use crate::state::{Inspection, view};

/// Why files are stalled, by dump; those that are not are not in it.
pub type Stalls = BTreeMap<DumpName, String>;

/// Adds this second's values to what the store holds.
pub fn overlay(inspection: &mut Inspection, job: &Job, watched: &[Watched], stalls: &Stalls) {
    for file in &mut inspection.files {
        let name = DumpName { version: file.key.version, kind: file.key.kind };
        let same = |watched: &&Watched| file.key.job == *job && watched.dump.name == name;
        let Some(watched) = watched.iter().find(same) else { continue };
        let live = watched.live.borrow();
        if live.phase == Phase::Extracting {
            file.live = Some(view::Live {
                records: live.records,
                gzip_offset: live.gzip,
                last_activity: live.last_activity,
                stalled: stalls.get(&name).cloned(),
                waiting_for: Some(live.waits_for.to_string()),
            });
        }
    }
}
