//! Runs after which this process could not sweep, and why: that is its exit code, unless somebody did
//! since.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::model::agreement::{Announced, Note};
use crate::model::{Kind, Run, Version};

/// What names a run that is swept after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    kind: Kind,
    version: Option<Version>,
    run: Option<Run>,
    /// What was sent again is swept again.
    pass: u64,
}

impl Name {
    /// That of a note.
    pub fn of(note: &Note) -> Name {
        let Announced { kind, version, proof, unproven } = note.announced;
        Name { kind, version, run: proof.map(|(run, ..)| run), pass: unproven.pass }
    }
}

/// Those runs, with the reasons.
#[derive(Debug, Default)]
pub struct Unswept(Mutex<BTreeMap<Name, String>>);

impl Unswept {
    /// A sweep was refused.
    pub fn refused(&self, run: Name, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(run, why);
    }

    /// Somebody has swept after it.
    pub fn swept(&self, run: Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }

    /// The reasons.
    pub fn reasons(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
