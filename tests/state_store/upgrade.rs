//! Stores of earlier formats, as `migrations/state/` has them frozen.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use discogs_extractor::model::{
    Checkpoint, DumpName, Identity, Job, Kind, Ordinal, Position, Timestamp, XmlOffset,
};
use discogs_extractor::state::view::{Filter, list};
use discogs_extractor::state::{
    Beginning, FORMAT, FileKey, Inspection, Owed, Status, open_for_inspection,
};
use flate2::read::GzDecoder;

use crate::kill::die_at;
use crate::{at, open, try_open, wait};

fn unpack(dir: &Path) {
    unpack_format(0, dir);
}

fn unpack_format(format: u32, dir: &Path) {
    let store = dir.join("store");
    fs::create_dir_all(&store).unwrap();
    let frozen =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/state").join(format.to_string());
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
    assert_eq!(releases.state.checkpoint.bad_records, 3);
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
        assert_eq!(inspection.files[3].points, 1);
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
        assert_eq!(inspection.events[0].what, "the store was upgraded from format 0 to 2");
        let name = DumpName { version: "20250101".parse().unwrap(), kind: Kind::Releases };
        let key = FileKey::new(Job::new("amqp:localhost:5672///discogsography-discogs"), name);
        let identity = Identity::Content { size: 1000, ends: [9; 32] };
        let begun = keeper.begin(key, identity, None, at(0)).await.unwrap();
        assert_eq!(begun.beginning, Beginning::Resumed);
        assert_eq!(begun.point, None, "its points are not believed");
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
        "state.upgrade.proof",
        "state.upgrade.proof:4",
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

/// The dump that the frozen store of format 1 is about, in stored blocks, so that its bytes depend on
/// no packer: 3,000 labels, of which the 50th lacks its end tag.
fn labels() -> Vec<u8> {
    let mut text = String::from("<labels>\n");
    for n in 1..=3_000 {
        let profile = format!("label {n} of the half-done file. ").repeat(250);
        let end = if n == 50 { "" } else { "</label>" };
        writeln!(text, "<label><id>{n}</id><name>L{n}</name><profile>{profile}</profile>{end}")
            .unwrap();
    }
    text.push_str("</labels>\n");
    let mut file = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let mut blocks = text.as_bytes().chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        file.push(u8::from(blocks.peek().is_none()));
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&(!length).to_le_bytes());
        file.extend_from_slice(block);
    }
    file.extend_from_slice(&crc32fast::hash(text.as_bytes()).to_le_bytes());
    file.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    file
}

/// The release before began at a point beyond the mark here: 1,028 records, three bad ones, and
/// "complete".
#[test]
fn a_file_that_stopped_in_a_store_with_wrong_points_goes_on_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    unpack_format(1, &dir.path().join("state"));
    let dump = dir.path().join("discogs_20260101_labels.xml.gz");
    fs::write(&dump, labels()).unwrap();
    let inspection = open_for_inspection(&dir.path().join("state")).unwrap();
    let before = &inspection.files[0];
    let mark = Position::At(Ordinal(1_000), XmlOffset(8_287_036));
    assert_eq!((inspection.format, before.points), (1, 3));
    assert_eq!(before.state.checkpoint.position, mark);
    let extract = Command::new(env!("CARGO_BIN_EXE_discogs-extractor"))
        .args(["extract", "--types", "labels", "--to", "null:", "--progress", "none"])
        .arg(&dump)
        .env("STATE_DIR", dir.path().join("state"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&extract.stderr);
    assert_eq!(extract.status.code(), Some(0), "{said}");
    assert!(said.contains("going on"), "{said}");
    let after = open_for_inspection(&dir.path().join("state")).unwrap();
    let Checkpoint { records, bad_records, position, .. } = after.files[0].state.checkpoint;
    assert_eq!((records, bad_records, position), (2_999, 1, Position::End));
    assert_eq!(after.files[0].state.run, before.state.run, "the run goes on");
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
            "was written by a newer discogs-extractor (format 7, this one knows 2)\nhint: ";
        assert!(words.contains(expected), "{words}");
    }
}
