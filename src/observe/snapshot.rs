use crate::model::{DumpName, Job, Kind, Live, Phase, Timestamp};
use crate::state::view::{Doing, Stage};
use crate::state::{Inspection, view};

use super::{Speed, lines};

/// One file at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct FileNow {
    /// Which.
    pub name: DumpName,
    /// Bytes of the compressed file; 0 if that is not known.
    pub size: u64,
    /// How many of them are downloaded, while they are.
    pub downloaded: Option<u64>,
    /// What its delivery knows. The counts are of the version, whichever process delivered.
    pub live: Live,
    /// When it was complete, if it is.
    pub completed_at: Option<Timestamp>,
    /// Whether it has not moved for too long.
    pub stalled: bool,
    /// How fast it goes.
    pub speed: Speed,
}

/// All files of a job's version at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What is going on.
    pub stage: Stage,
    /// The files, in no particular order.
    pub files: Vec<FileNow>,
}

impl FileNow {
    /// Whether it is being extracted.
    pub fn active(&self) -> bool {
        self.live.phase == Phase::Extracting
    }

    /// Whether it is being extracted and has not moved for too long.
    pub fn is_stalled(&self) -> bool {
        self.stalled && self.active()
    }

    /// When something last moved, as far as is known.
    pub fn last_activity(&self) -> Option<Timestamp> {
        self.live.last_activity.max(self.completed_at)
    }

    fn status(&self) -> String {
        let kind = self.name.kind;
        match self.live.phase {
            Phase::Pending => format!("{kind} pending"),
            Phase::Complete => format!("{kind} complete"),
            Phase::Failed => format!("{kind} failed"),
            Phase::Stopped => format!("{kind} stopped"),
            Phase::Extracting if self.stalled => format!("{kind} stalled"),
            Phase::Extracting => {
                format!("{kind} {} %", self.bytes_done() * 100 / self.size.max(1))
            }
        }
    }

    /// Compressed bytes that are done.
    pub fn bytes_done(&self) -> u64 {
        if self.live.phase == Phase::Complete { self.size } else { self.live.gzip.0 }
    }
}

impl Snapshot {
    /// The contract's progress lines for this moment: always the counts, then the completed and
    /// the active types where there are any.
    pub fn lines(&self) -> Vec<String> {
        let complete = |kind| self.of(kind).find_map(|file| Some((kind, file.completed_at?)));
        let active = |kind: &Kind| self.of(*kind).any(FileNow::active);
        let completed: Vec<_> = Kind::ALL.into_iter().filter_map(complete).collect();
        let active: Vec<_> = Kind::ALL.into_iter().filter(active).collect();
        [Some(lines::progress(self.records()))]
            .into_iter()
            .chain([lines::completed(&completed), lines::active(&active)])
            .flatten()
            .collect()
    }

    /// What is going on, in a few words: `extracting: artists complete, releases 43 %`.
    pub fn status(&self) -> String {
        match self.stage {
            Stage::Idle => "waiting for dumps".to_owned(),
            Stage::Running => {
                let of_kind = |kind| self.of(kind).map(FileNow::status);
                let files: Vec<_> = Kind::ALL.into_iter().flat_map(of_kind).collect();
                format!("extracting: {}", files.join(", "))
            }
            Stage::Waiting(next) => format!("waiting, the next look is at {next}"),
            Stage::Failed(next) => {
                let failed = self.files.iter().filter(|file| file.live.phase == Phase::Failed);
                let failed: Vec<_> = failed.map(|file| file.name.kind.name()).collect();
                let failed =
                    if failed.is_empty() { "the pass".to_owned() } else { failed.join(", ") };
                format!("failed: {failed}; the next try is at {next}")
            }
        }
    }

    /// Records delivered, by type in the usual order.
    pub fn records(&self) -> [u64; 4] {
        Kind::ALL.map(|kind| self.of(kind).map(|file| file.live.records).sum())
    }

    /// The files of one type.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &FileNow> {
        self.files.iter().filter(move |file| file.name.kind == kind)
    }

    /// Adds this moment's values to what the store holds of a job.
    pub fn overlay(&self, inspection: &mut Inspection, job: &Job) {
        let service = "discogs-extractor".to_owned();
        inspection.doing = Some(Doing { service, stage: Some(self.stage), types: Vec::new() });
        for entry in inspection.files.iter_mut().filter(|entry| entry.key.job == *job) {
            let name = DumpName { version: entry.key.version, kind: entry.key.kind };
            let found = self.files.iter().find(|file| file.name == name && file.active());
            let Some(FileNow { live, stalled, .. }) = found else { continue };
            entry.live = Some(view::Live {
                records: live.records,
                gzip_offset: live.gzip,
                last_activity: live.last_activity,
                stalled: stalled.then(|| live.waits_for.to_string()),
                waiting_for: Some(live.waits_for.to_string()),
                blocked: live.waits_for.is_blocked(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: Kind, records: u64, completed_at: Option<Timestamp>, phase: Phase) -> FileNow {
        let name = DumpName { version: "20260101".parse().unwrap(), kind };
        let live = Live { phase, records, ..Live::PENDING };
        let speed = Speed::default();
        FileNow { name, size: 0, downloaded: None, live, completed_at, stalled: false, speed }
    }

    #[test]
    fn the_status_says_what_each_file_is_at() {
        let artists = file(Kind::Artists, 20_000, Some(Timestamp(1)), Phase::Complete);
        let mut releases = file(Kind::Releases, 5_000, None, Phase::Extracting);
        releases.size = 1_000;
        releases.live.gzip.0 = 439;
        let mut now = Snapshot { stage: Stage::Running, files: vec![releases, artists] };
        assert_eq!(now.status(), "extracting: artists complete, releases 43 %");
        now.files[0].live.phase = Phase::Failed;
        now.stage = Stage::Failed(Timestamp(1_767_323_045_000));
        assert_eq!(now.status(), "failed: releases; the next try is at 2026-01-02T03:04:05Z");
        assert_eq!(Snapshot::default().status(), "waiting for dumps");
    }

    #[test]
    fn a_list_that_is_empty_is_left_out() {
        let files = vec![file(Kind::Labels, 5, None, Phase::Extracting)];
        assert_eq!(Snapshot { files, ..Snapshot::default() }.lines().len(), 2);
        let mixed = Snapshot {
            files: vec![
                file(Kind::Releases, 5_000, None, Phase::Extracting),
                file(Kind::Artists, 20_000, Some(Timestamp(1_767_323_045_000)), Phase::Complete),
                file(Kind::Masters, 1, None, Phase::Pending),
            ],
            ..Snapshot::default()
        };
        assert_eq!(
            mixed.lines(),
            [
                "📊 Extraction Progress: 25001 total records extracted \
                 (Artists: 20000, Labels: 0, Masters: 1, Releases: 5000)",
                "✅ Completed file types: ['artists'] (artists at 2026-01-02T03:04:05Z)",
                "✅ Active extractors: ['releases']",
            ]
        );
    }
}
