//! Stores of earlier formats, as `migrations/state/` has them frozen.

use std::fs;
use std::io::Read;
use std::path::Path;

use discogs_extractor::model::{
    DumpName, Identity, Job, Kind, Ordinal, Position, Timestamp, XmlOffset,
};
use discogs_extractor::state::view::{Filter, list};
use discogs_extractor::state::{
    Beginning, FORMAT, FileKey, Inspection, Owed, Status, open_for_inspection,
};
use flate2::read::GzDecoder;

use crate::kill::die_at;
use crate::{at, open, try_open, wait};

fn unpack(dir: &Path) {
    let store = dir.join("store");
    fs::create_dir(&store).unwrap();
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/state/0");
    for name in ["conf", "db"] {
        let packed = fs::read(frozen.join(format!("{name}.gz"))).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        fs::write(store.join(name), bytes).unwrap();
    }
}

/// What was known, in the words of today.
fn check_files(inspection: &Inspection) {
    let [artists, labels, masters, releases] = &inspection.files[..] else { panic!() };
    assert_eq!(artists.state.status, Status::Complete);
    assert_eq!(artists.state.checkpoint.position, Position::End);
    assert_eq!(artists.state.checkpoint.records, 118);
    assert_eq!(artists.state.checkpoint.bad_records, 2);
    assert_eq!(artists.state.completed_at, Some(Timestamp(1_735_787_045_900)));
    assert_eq!(labels.state.status, Status::Failed);
    let error = labels.state.error.as_deref();
    assert_eq!(error, Some("the gzip stream ends early at byte 1000"));
    assert_eq!((masters.state.status, masters.state.attempts), (Status::Pending, 0));
    let place = Position::At(Ordinal(300), XmlOffset(60_000));
    assert_eq!(releases.state.checkpoint.position, place);
    assert_eq!((releases.state.checkpoint.bad_records, releases.points), (3, 1));
    assert!(matches!(inspection.owed[0].owed, Owed::FileComplete { last: Ordinal(120), .. }));
}

#[test]
fn an_inspector_reads_an_old_store_and_leaves_it_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    unpack(dir.path());
    for _ in 0..2 {
        let inspection = open_for_inspection(dir.path()).unwrap();
        assert_eq!(inspection.format, 0);
        check_files(&inspection);
        let list = list(&inspection, &Filter::default());
        assert_eq!((list.store.format, list.files[3].bad_records), (0, 3));
        assert_eq!(list.files[3].status, Status::Extracting);
    }
    assert!(!dir.path().join("store.format-0").exists());
}

#[test]
fn an_owner_upgrades_an_old_store_and_goes_on_from_it() {
    let dir = tempfile::tempdir().unwrap();
    unpack(dir.path());
    wait(async {
        let keeper = open(dir.path()).await;
        let inspection = keeper.inspect().await.unwrap();
        assert_eq!(inspection.format, FORMAT);
        check_files(&inspection);
        assert_eq!(inspection.events[0].what, "the store was upgraded from format 0 to 1");
        let name = DumpName { version: "20250101".parse().unwrap(), kind: Kind::Releases };
        let key = FileKey::new(Job::new("amqp:localhost:5672///discogsography-discogs"), name);
        let identity = Identity::Content { size: 1000, ends: [9; 32] };
        let begun = keeper.begin(key, identity, None, at(0)).await.unwrap();
        assert_eq!(begun.beginning, Beginning::Resumed);
        assert_eq!(begun.point.unwrap().place.window.len(), 20_000);
        keeper.close().await.unwrap();
    });
    let copy = tempfile::tempdir().unwrap();
    fs::rename(dir.path().join("store.format-0"), copy.path().join("store")).unwrap();
    assert_eq!(open_for_inspection(copy.path()).unwrap().format, 0, "the copy is the old store");
}

#[test]
fn an_upgrade_cut_off_anywhere_is_ended_by_the_next_owner() {
    let places = [
        "state.upgrade.copied",
        "state.upgrade.row",
        "state.upgrade.row:3",
        "state.upgrade.rows",
        "state.upgrade.after",
    ];
    for place in places {
        let dir = tempfile::tempdir().unwrap();
        unpack(dir.path());
        assert!(die_at(dir.path(), "open", place), "{place}");
        check_files(&open_for_inspection(dir.path()).unwrap());
        wait(async {
            let keeper = open(dir.path()).await;
            check_files(&keeper.inspect().await.unwrap());
            keeper.close().await.unwrap();
        });
        assert!(dir.path().join("store.format-0/db").exists(), "{place}");
    }
}

#[test]
fn a_newer_store_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    wait(async { open(dir.path()).await.close().await.unwrap() });
    let db = sled::open(dir.path().join("store")).unwrap();
    db.open_tree("meta").unwrap().insert("format", &7_u32.to_be_bytes()).unwrap();
    db.flush().unwrap();
    drop(db);
    for words in [
        open_for_inspection(dir.path()).unwrap_err().to_string(),
        wait(try_open(dir.path())).err().unwrap().to_string(),
    ] {
        let expected =
            "was written by a newer discogs-extractor (format 7, this one knows 1)\nhint: ";
        assert!(words.contains(expected), "{words}");
    }
}
