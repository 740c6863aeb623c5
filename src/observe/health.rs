use serde::Serialize;

use crate::model::{Kind, Timestamp};

use super::{FileNow, Snapshot, Stage};

/// This program's version.
pub const PROGRAM_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is going on, in the platform's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtractionStatus {
    /// Nothing was begun yet.
    Idle,
    /// A pass is under way.
    Running,
    /// The last pass ended, and every file is complete.
    Completed,
    /// The last pass ended, and not every file is there and complete.
    Waiting,
    /// The last pass failed.
    Failed,
}

/// What `/health` answers: the platform's keys first, ours after them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// `healthy` or `unhealthy`.
    pub status: &'static str,
    /// The name by which the platform knows the extractor.
    pub service: &'static str,
    /// What is going on.
    pub extraction_status: ExtractionStatus,
    /// Records of the version.
    pub extraction_progress: Progress,
    /// Seconds since something last moved.
    pub last_extraction_time: ByType<f64>,
    /// Now, RFC 3339.
    pub timestamp: String,
    /// Types that do not move although they should.
    pub stalled: Vec<Kind>,
    /// Types that are complete.
    pub completed_types: Vec<Kind>,
    /// Types that are being extracted.
    pub active_types: Vec<Kind>,
    /// When they were complete, RFC 3339.
    pub completed_at: ByType<String>,
    /// When the next pass begins by itself, RFC 3339.
    pub next_pass_at: Option<String>,
    /// The dumps' version, the newest if there are several.
    pub dump_version: Option<String>,
    /// The program's version.
    pub version: &'static str,
}

/// Records by type. Release groups are of a source that is not read here; the platform's readers
/// expect the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub artists: u64,
    pub labels: u64,
    pub masters: u64,
    pub release_groups: u64,
    pub releases: u64,
    pub total: u64,
}

/// A value for each type, or null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByType<T> {
    pub artists: Option<T>,
    pub labels: Option<T>,
    pub masters: Option<T>,
    pub releases: Option<T>,
}

impl<T> ByType<T> {
    fn of(value: impl FnMut(Kind) -> Option<T>) -> ByType<T> {
        let [artists, labels, masters, releases] = Kind::ALL.map(value);
        ByType { artists, labels, masters, releases }
    }
}

impl ExtractionStatus {
    /// All of them.
    pub const ALL: [ExtractionStatus; 5] = [
        ExtractionStatus::Idle,
        ExtractionStatus::Running,
        ExtractionStatus::Completed,
        ExtractionStatus::Waiting,
        ExtractionStatus::Failed,
    ];

    /// The platform's word.
    pub const fn name(self) -> &'static str {
        match self {
            ExtractionStatus::Idle => "idle",
            ExtractionStatus::Running => "running",
            ExtractionStatus::Completed => "completed",
            ExtractionStatus::Waiting => "waiting",
            ExtractionStatus::Failed => "failed",
        }
    }

    /// The platform says `completed` for a moment and `waiting` until the next pass, so that whoever
    /// asks every 10 s may miss how a pass ended. Here it stays `completed` as long as all there
    /// is, is complete.
    pub fn of(snapshot: &Snapshot) -> ExtractionStatus {
        let mut files = snapshot.files.iter().peekable();
        let complete = files.peek().is_some() && files.all(|file| file.completed_at.is_some());
        match snapshot.stage {
            Stage::Idle => ExtractionStatus::Idle,
            Stage::Running => ExtractionStatus::Running,
            Stage::Waiting(_) if complete => ExtractionStatus::Completed,
            Stage::Waiting(_) => ExtractionStatus::Waiting,
            Stage::Failed(_) => ExtractionStatus::Failed,
        }
    }
}

impl Health {
    /// How things are at this moment.
    pub fn of(snapshot: &Snapshot, now: Timestamp) -> Health {
        let kinds = |wanted: fn(&FileNow) -> bool| -> Vec<Kind> {
            Kind::ALL.into_iter().filter(|kind| snapshot.of(*kind).any(wanted)).collect()
        };
        let extraction_status = ExtractionStatus::of(snapshot);
        let stalled = kinds(FileNow::is_stalled);
        let healthy = stalled.is_empty() && extraction_status != ExtractionStatus::Failed;
        let records @ [artists, labels, masters, releases] = snapshot.records();
        Health {
            status: if healthy { "healthy" } else { "unhealthy" },
            service: "rust-extractor",
            extraction_status,
            extraction_progress: Progress {
                artists,
                labels,
                masters,
                release_groups: 0,
                releases,
                total: records.iter().sum(),
            },
            last_extraction_time: ByType::of(|kind| {
                let last = snapshot.of(kind).filter_map(FileNow::last_activity).max()?;
                Some(now.since(last).as_secs_f64())
            }),
            timestamp: format!("{now:.3}"),
            stalled,
            completed_types: kinds(|file| file.completed_at.is_some()),
            active_types: kinds(FileNow::active),
            completed_at: ByType::of(|kind| {
                snapshot
                    .of(kind)
                    .filter_map(|file| file.completed_at)
                    .max()
                    .map(|at| at.to_string())
            }),
            next_pass_at: match snapshot.stage {
                Stage::Idle | Stage::Running => None,
                Stage::Waiting(at) | Stage::Failed(at) => Some(at.to_string()),
            },
            dump_version: snapshot
                .files
                .iter()
                .map(|file| file.name.version)
                .max()
                .map(|v| v.to_string()),
            version: PROGRAM_VERSION,
        }
    }

    /// Whether it neither failed nor stalls.
    pub fn is_healthy(&self) -> bool {
        self.status == "healthy"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DumpName, Live, Phase};
    use crate::observe::Speed;

    const NOW: Timestamp = Timestamp(1_767_323_045_000);

    fn file(kind: Kind, phase: Phase, stalled: bool) -> FileNow {
        FileNow {
            name: DumpName { version: "20260101".parse().unwrap(), kind },
            size: 100,
            downloaded: None,
            live: Live {
                phase,
                records: 10,
                last_activity: Some(Timestamp(NOW.0 - 1_500)),
                ..Live::PENDING
            },
            completed_at: (phase == Phase::Complete).then_some(Timestamp(NOW.0 - 60_000)),
            stalled,
            speed: Speed::default(),
        }
    }

    #[test]
    fn what_is_said_in_every_stage_and_whether_that_is_healthy() {
        let complete = || vec![file(Kind::Artists, Phase::Complete, false)];
        let both = || {
            vec![
                file(Kind::Artists, Phase::Complete, false),
                file(Kind::Labels, Phase::Pending, false),
            ]
        };
        let extracting = |stalled| vec![file(Kind::Artists, Phase::Extracting, stalled)];
        // A file that ended while it was stalled is so no longer.
        let ended = |phase| vec![file(Kind::Artists, phase, true)];
        let (wait, fail) = (Stage::Waiting(NOW), Stage::Failed(NOW));
        let rows = [
            (Stage::Idle, vec![], "idle", true),
            (Stage::Idle, complete(), "idle", true),
            (Stage::Running, vec![], "running", true),
            (Stage::Running, complete(), "running", true),
            (Stage::Running, extracting(false), "running", true),
            (Stage::Running, extracting(true), "running", false),
            (Stage::Running, ended(Phase::Stopped), "running", true),
            (Stage::Running, ended(Phase::Complete), "running", true),
            (wait, vec![], "waiting", true),
            (wait, both(), "waiting", true),
            (wait, complete(), "completed", true),
            (wait, ended(Phase::Failed), "waiting", true),
            (fail, vec![], "failed", false),
            (fail, complete(), "failed", false),
        ];
        for (stage, files, status, healthy) in rows {
            let health = Health::of(&Snapshot { stage, files: files.clone() }, NOW);
            let said = serde_json::to_value(&health).unwrap();
            assert_eq!(said["extraction_status"], status, "{stage:?} {files:?}");
            assert_eq!(health.extraction_status.name(), status);
            assert_eq!(health.is_healthy(), healthy, "{stage:?} {files:?}");
            assert_eq!(said["status"], if healthy { "healthy" } else { "unhealthy" });
        }
    }

    #[test]
    fn every_value_is_of_its_type_and_null_where_nothing_is_known() {
        let files = vec![
            file(Kind::Releases, Phase::Extracting, true),
            file(Kind::Artists, Phase::Complete, false),
        ];
        let stage = Stage::Failed(Timestamp(NOW.0 + 5_000));
        let said = serde_json::to_value(Health::of(&Snapshot { stage, files }, NOW)).unwrap();
        let expected = serde_json::json!({
            "status": "unhealthy",
            "service": "rust-extractor",
            "extraction_status": "failed",
            "extraction_progress": {
                "artists": 10, "labels": 0, "masters": 0, "release_groups": 0, "releases": 10,
                "total": 20
            },
            "last_extraction_time": {
                "artists": 1.5, "labels": null, "masters": null, "releases": 1.5
            },
            "timestamp": "2026-01-02T03:04:05.000Z",
            "stalled": ["releases"],
            "completed_types": ["artists"],
            "active_types": ["releases"],
            "completed_at": {
                "artists": "2026-01-02T03:03:05Z", "labels": null, "masters": null, "releases": null
            },
            "next_pass_at": "2026-01-02T03:04:10Z",
            "dump_version": "20260101",
            "version": PROGRAM_VERSION,
        });
        assert_eq!(said, expected);
    }
}
