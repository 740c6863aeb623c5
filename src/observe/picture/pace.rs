//! How fast things go, for whoever only sees one inspection after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Curve;
use crate::model::Kind;
use crate::observe::{Rate, Speed};
use crate::state::view::{FileEntry, TypeEntry};
use crate::state::{FileKey, Inspection, Status};

/// How fast each file goes that is extracted, and each type that is consumed.
#[derive(Clone, Debug, Default)]
pub struct Paces {
    files: BTreeMap<FileKey, Pace>,
    types: BTreeMap<Kind, Pace>,
}

#[derive(Clone, Debug, Default)]
struct Pace {
    rate: Rate,
    curve: Curve,
}

impl Pace {
    fn note(&mut self, at: Duration, records: u64, bytes: u64) {
        self.rate.note(at, records, bytes);
        self.curve.note(at, records);
    }

    fn get(&self) -> (Speed, Vec<f64>) {
        (self.rate.speed(), self.curve.points())
    }
}

impl Paces {
    /// Notes an inspection that was made at a monotonic time.
    pub fn note(&mut self, at: Duration, inspection: &Inspection) {
        let moves = |file: &&FileEntry| {
            inspection.owner.is_some() && file.state.status == Status::Extracting
        };
        let mut before = std::mem::take(&mut self.files);
        for file in inspection.files.iter().filter(moves) {
            let mut pace = before.remove(&file.key).unwrap_or_default();
            let stored = (file.state.checkpoint.records, file.state.gzip_offset);
            let (records, bytes) =
                file.live.as_ref().map_or(stored, |live| (live.records, live.gzip_offset));
            pace.note(at, records, bytes.0);
            self.files.insert(file.key.clone(), pace);
        }
        let types = inspection.doing.iter().flat_map(|doing| &doing.types);
        for TypeEntry { kind, records, .. } in types {
            self.types.entry(*kind).or_default().note(at, *records, 0);
        }
    }

    /// How fast a file goes, and went in the last half hour; none if it is not being extracted.
    pub fn of_file(&self, file: &FileKey) -> Option<(Speed, Vec<f64>)> {
        self.files.get(file).map(Pace::get)
    }

    /// The same of a type.
    pub fn of_type(&self, kind: Kind) -> (Speed, Vec<f64>) {
        self.types.get(&kind).map(Pace::get).unwrap_or_default()
    }
}
