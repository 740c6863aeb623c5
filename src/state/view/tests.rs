use std::path::Path;

use super::*;
use crate::model::{
    Checkpoint, DumpName, GzipOffset, Identity, Job, Kind, Position, Run, Timestamp,
};
use crate::state::{Download, DownloadKey, FileKey, FileState, Holder, Status};

fn entry(job: &str, version: &str, kind: Kind, status: Status) -> FileEntry {
    let name = DumpName { version: version.parse().unwrap(), kind };
    let at = Timestamp(1_767_323_045_678);
    let state = FileState {
        status,
        run: Some(Run(1)),
        checkpoint: Checkpoint {
            position: Position::End,
            records: 7,
            bad_records: 1,
            ..Checkpoint::BEGINNING
        },
        gzip_offset: GzipOffset(333),
        attempts: 2,
        fruitless: 1,
        first_start: Some(at),
        last_activity: Some(at),
        completed_at: (status == Status::Complete).then_some(at),
        ..FileState::registered(Identity::Content { size: 1000, ends: [7; 32] })
    };
    FileEntry { key: FileKey::new(Job::new(job), name), state, points: 3, live: None }
}

fn inspection(files: Vec<FileEntry>) -> Inspection {
    let mut jobs: Vec<Job> = files.iter().map(|file| file.key.job.clone()).collect();
    jobs.dedup();
    let job = |job: Job| JobEntry {
        location: job.as_str().replace("uuid-", "file-"),
        job,
        first_seen: Timestamp(0),
    };
    let jobs = jobs.into_iter().map(job).collect();
    Inspection { format: 1, jobs, files, ..Inspection::default() }
}

fn owned(inspection: Inspection) -> Inspection {
    Inspection { owner: Some(Holder { pid: 12, host: "h".to_owned() }), ..inspection }
}

#[test]
fn the_list_is_what_the_contract_says() {
    let mut pending = entry("sqlite:uuid-1", "20260101", Kind::Labels, Status::Pending);
    pending.state = FileState::registered(pending.state.identity);
    let artists = entry("sqlite:uuid-1", "20260101", Kind::Artists, Status::Complete);
    let list = list(&inspection(vec![artists, pending]), &Filter::default());
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        concat!(
            r#"{"store":{"format":1,"owner":null},"files":["#,
            r#"{"job":"sqlite:uuid-1","version":"20260101","type":"artists","#,
            r#""file":"discogs_20260101_artists.xml.gz","status":"complete","records":7,"#,
            r#""bad_records":1,"percent":100.0,"gzip_offset":333,"gzip_size":1000,"attempts":2,"#,
            r#""started_at":"2026-01-02T03:04:05Z","last_activity_at":"2026-01-02T03:04:05Z","#,
            r#""completed_at":"2026-01-02T03:04:05Z","stalled":false,"error":null},"#,
            r#"{"job":"sqlite:uuid-1","version":"20260101","type":"labels","#,
            r#""file":"discogs_20260101_labels.xml.gz","status":"pending","records":0,"#,
            r#""bad_records":0,"percent":0.0,"gzip_offset":0,"gzip_size":1000,"attempts":0,"#,
            r#""started_at":null,"last_activity_at":null,"completed_at":null,"stalled":false,"#,
            r#""error":null}],"completed_types":["artists"],"active_types":[],"owed":0,"#,
            r#""downloads":[]}"#,
        )
    );
}

#[test]
fn a_download_is_listed_as_the_contract_says() {
    let name = DumpName { version: "20260101".parse().unwrap(), kind: Kind::Labels };
    let key = DownloadKey::new(name, Path::new("/dumps"));
    let begun = Download::begun(key, "https://data.example", None, Timestamp(1_767_323_045_000));
    let half = Download { synced: 500, length: Some(1000), etag: Some("e".to_owned()), ..begun };
    let inspection = Inspection { downloads: vec![half], ..inspection(Vec::new()) };
    let list = list(&inspection, &Filter::default());
    assert_eq!(
        serde_json::to_string(&list.downloads).unwrap(),
        concat!(
            r#"[{"file":"discogs_20260101_labels.xml.gz","version":"20260101","type":"labels","#,
            r#""site":"https://data.example","status":"downloading","bytes":500,"length":1000,"#,
            r#""percent":50.0,"verification":"pending","etag":"e","#,
            r#""started_at":"2026-01-02T03:04:05Z","last_activity_at":null,"completed_at":null,"#,
            r#""error":null}]"#,
        )
    );
}

#[test]
fn an_inspection_travels_as_json() {
    let mut file = entry("j", "20260101", Kind::Artists, Status::Extracting);
    file.live = Some(Live {
        records: 9,
        gzip_offset: GzipOffset(500),
        last_activity: None,
        stalled: Some("sink blocked".to_owned()),
        waiting_for: None,
        blocked: true,
    });
    let doing = Doing {
        service: "x".to_owned(),
        stage: Some(Stage::Waiting(Timestamp(7))),
        types: Vec::new(),
    };
    let sent = Inspection { doing: Some(doing), ..owned(inspection(vec![file])) };
    let json = serde_json::to_string(&sent).unwrap();
    assert_eq!(serde_json::from_str::<Inspection>(&json).unwrap(), sent);
    let older = json.replace(",\"blocked\":true", "");
    let (older, _) = older.split_once(",\"doing\":").unwrap();
    let older: Inspection = serde_json::from_str(&format!("{older}}}")).unwrap();
    assert_eq!(older.doing, None, "an older release does not say it");
    assert_eq!(older.files[0].live.as_ref().map(|live| live.blocked), Some(false));
}

#[test]
fn without_a_version_the_newest_of_each_job_is_listed() {
    let all = inspection(vec![
        entry("amqp:a", "20250101", Kind::Artists, Status::Complete),
        entry("sqlite:uuid-1", "20250101", Kind::Artists, Status::Complete),
        entry("sqlite:uuid-1", "20260101", Kind::Artists, Status::Pending),
        entry("sqlite:uuid-12", "20260101", Kind::Artists, Status::Complete),
    ]);
    let files = |job: Option<&str>, version: Option<&str>| {
        let filter = Filter {
            job: job.map(str::to_owned),
            version: version.map(|version| version.parse().unwrap()),
        };
        let name = |file: &FileEntry| format!("{} {}", file.key.job, file.key.version);
        select(&all, &filter).into_iter().map(name).collect::<Vec<_>>()
    };
    let (a, one) = ("amqp:a 20250101", "sqlite:uuid-1 20260101");
    let twelve = "sqlite:uuid-12 20260101";
    assert_eq!(files(None, None), [a, one, twelve]);
    assert_eq!(files(None, Some("20250101")), [a, "sqlite:uuid-1 20250101"]);
    assert_eq!(files(Some("sqlite:"), None), [one, twelve], "a prefix");
    assert_eq!(files(Some("sqlite:uuid-1"), None), [one], "exactly this one");
    assert_eq!(files(Some("sqlite:file-12"), None), [twelve], "by its location");
    assert!(files(Some("postgres"), None).is_empty());
}

#[test]
fn a_type_is_complete_when_it_is_in_every_listed_job() {
    let all = inspection(vec![
        entry("a", "20260101", Kind::Artists, Status::Complete),
        entry("a", "20260101", Kind::Labels, Status::Complete),
        entry("b", "20260101", Kind::Artists, Status::Complete),
        entry("b", "20260101", Kind::Labels, Status::Failed),
    ]);
    let of = |job: Option<&str>| Filter { job: job.map(str::to_owned), version: None };
    assert_eq!(list(&all, &of(None)).completed_types, [Kind::Artists]);
    assert_eq!(list(&all, &of(Some("a"))).completed_types, [Kind::Artists, Kind::Labels]);
    assert!(list(&Inspection::default(), &of(None)).completed_types.is_empty());
}

#[test]
fn only_a_living_owner_is_active() {
    let dead = inspection(vec![entry("a", "20260101", Kind::Masters, Status::Extracting)]);
    let none = Filter::default();
    assert!(list(&dead, &none).active_types.is_empty());
    assert_eq!(list(&dead, &none).files[0].status, Status::Extracting);
    assert_eq!(list(&owned(dead), &none).active_types, [Kind::Masters]);
}

#[test]
fn what_the_owner_knows_goes_over_what_is_stored() {
    let mut file = entry("a", "20260101", Kind::Masters, Status::Extracting);
    let last_activity = Some(Timestamp(1_767_323_050_000));
    let (stalled, waiting_for) = (Some("sink blocked".to_owned()), None);
    let gzip_offset = GzipOffset(1000);
    file.live =
        Some(Live { records: 9, gzip_offset, last_activity, stalled, waiting_for, blocked: false });
    let line = list(&owned(inspection(vec![file])), &Filter::default()).files.remove(0);
    assert_eq!((line.records, line.gzip_offset, line.stalled), (9, 1000, true));
    assert_eq!(line.last_activity_at, last_activity);
    assert!(line.percent < 100.0, "all read is not complete");
}

#[test]
fn a_crash_loop_is_a_stall_and_nothing_that_is_done_or_waits_is() {
    let stalls = |status, fruitless, alive| {
        let mut file = entry("a", "20260101", Kind::Masters, status);
        file.state.fruitless = fruitless;
        stalled(&file, alive).is_some()
    };
    assert!(stalls(Status::Extracting, 3, false));
    assert!(!stalls(Status::Extracting, 2, false));
    assert!(!stalls(Status::Extracting, 3, true), "the third start is still under way");
    assert!(stalls(Status::Extracting, 4, true));
    for status in [Status::Pending, Status::Complete, Status::Failed] {
        assert!(!stalls(status, 9, false), "{status}");
    }
}
