//! The rules of the order of runs and of remembered sweeps, without a database.

use std::collections::BTreeMap;

use discogs_extractor::model::{Run, Version};
use discogs_extractor::sink::LeftOut;
use proptest::prelude::*;

/// What may happen to a table.
#[derive(Clone, Debug)]
pub enum Step {
    /// Records of ids, ordinals and titles come in this order.
    Write(Option<(Version, Run)>, Vec<(u8, u64, u8)>),
    /// A row of an earlier release is there.
    Old(u8, Option<Version>, Option<i64>),
    Sweep(Version, Run),
}

#[derive(Debug, Default)]
pub struct Model {
    pub rows: BTreeMap<u8, ModelRow>,
    swept: Option<(Version, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRow {
    pub version: Option<Version>,
    pub run: Option<i64>,
    pub ordinal: Option<u64>,
    pub title: u8,
}

fn lowest(run: Option<i64>) -> i64 {
    run.unwrap_or(-1).max(-1)
}

impl Model {
    pub fn old(&mut self, id: u8, version: Option<Version>, run: Option<i64>) {
        self.rows.insert(id, ModelRow { version, run, ordinal: None, title: 9 });
    }

    pub fn write(&mut self, source: Option<(Version, Run)>, records: &[(u8, u64, u8)]) -> LeftOut {
        let mut left_out = LeftOut::default();
        for (id, ordinal, title) in records {
            let run = source.map(|(_, run)| run.0.cast_signed());
            let version = source.map(|(version, _)| version);
            let ordinal = source.map(|_| *ordinal);
            let new = ModelRow { version, run, ordinal, title: *title };
            match self.rows.get(id) {
                Some(row) if !row.gives_way_to(&new) => left_out.later += 1,
                None if version.zip(run) < self.swept && version.is_some() => left_out.swept += 1,
                _ => {
                    self.rows.insert(*id, new);
                }
            }
        }
        left_out
    }

    pub fn sweep(&mut self, version: Version, run: Run) {
        let run = run.0.cast_signed();
        self.swept = self.swept.max(Some((version, run)));
        let stays = |row: &ModelRow| {
            row.version > Some(version) || (row.version == Some(version) && lowest(row.run) >= run)
        };
        self.rows.retain(|_, row| stays(row));
    }
}

impl ModelRow {
    fn gives_way_to(&self, new: &ModelRow) -> bool {
        let (Some(mine), Some(other)) = (self.version, new.version) else {
            return self.version.is_none();
        };
        let mine = (mine, lowest(self.run));
        let other = (other, lowest(new.run));
        let ordinal = self.ordinal.zip(new.ordinal).is_none_or(|(mine, other)| mine <= other);
        mine < other || (mine == other && ordinal)
    }
}

pub fn step() -> impl Strategy<Value = Step> {
    let version = || {
        prop_oneof![Just("20260101"), Just("20260201"), Just("20260301")]
            .prop_map(|version| version.parse::<Version>().unwrap())
    };
    let run = || (0..3_u64).prop_map(Run);
    let records = prop::collection::vec((0..4_u8, 1..5_u64, 0..2_u8), 1..6);
    prop_oneof![
        6 => (prop::option::weighted(0.9, (version(), run())), records)
            .prop_map(|(source, records)| Step::Write(source, records)),
        1 => (0..4_u8, prop::option::of(version()), prop::option::of(-2..3_i64))
            .prop_map(|(id, version, run)| Step::Old(id, version, run)),
        2 => (version(), run()).prop_map(|(version, run)| Step::Sweep(version, run)),
    ]
}
