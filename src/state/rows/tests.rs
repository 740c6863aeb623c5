//! The bytes of every row, as they lie on disk. If one of these tests fails, a frozen struct was
//! changed: add a new version beside it instead.

use super::*;
use crate::model::{
    Checkpoint, DumpName, HashState, Identity, Position, Sha256, Stamp, Verification,
};
use crate::state::view::OwedEntry;
use crate::state::{Download, DownloadKey, DownloadStatus, FileState, OutboxId, Owed, Status};

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn golden<R: Row + PartialEq + std::fmt::Debug>(row: &R, bytes: &str) {
    let value = row.encode();
    assert_eq!(hex(&value), bytes);
    assert_eq!(R::decode(&value).as_ref(), Ok(row));
    let longer = [&value[..], b"\0"].concat();
    assert_eq!(R::decode(&longer), Err(Undecodable("1 bytes are left over".to_owned())));
    assert!(R::decode(&value[..value.len() - 1]).is_err(), "a byte is missing");
    assert!(R::decode(&[&[200], &value[1..]].concat()).is_err(), "a version of the future");
    assert!(R::decode(&[]).is_err());
}

fn key() -> FileKey {
    let name = DumpName { version: "20260101".parse().unwrap(), kind: Kind::Masters };
    FileKey::new(Job::new("j"), name)
}

fn file() -> FileState {
    FileState {
        identity: Identity::Content { size: 1000, ends: [7; 32] },
        status: Status::Failed,
        run: Some(Run(300)),
        checkpoint: Checkpoint {
            position: Position::At(Ordinal(5), XmlOffset(70_000)),
            check: Some(MemberCheck { crc: 0xdead_beef, length: 9 }),
            records: 4,
            bad_records: 1,
            sink: Some(8),
        },
        gzip_offset: GzipOffset(251),
        attempts: 3,
        fruitless: 2,
        first_start: Some(Timestamp(1)),
        last_start: Some(Timestamp(2)),
        last_activity: None,
        completed_at: None,
        error: Some("no".to_owned()),
    }
}

#[test]
fn files() {
    golden(
        &file(),
        "0200fbe80307070707070707070707070707070707070707070707070707070707070707070301fb2c010105fc7011010001fcefbeadde0904010108fbfb00030201010102000001026e6f",
    );
    let checkpoint = Checkpoint { position: Position::End, ..Checkpoint::BEGINNING };
    let complete = FileState {
        status: Status::Complete,
        checkpoint,
        ..FileState::registered(Identity::Content { size: 1, ends: [0; 32] })
    };
    golden(
        &complete,
        "0200010000000000000000000000000000000000000000000000000000000000000000020002000000000000000000000000",
    );
}

#[test]
fn files_of_a_download_and_of_before_there_were_any() {
    let identity = Identity::of_source(&["http://site", "a.gz"], 1000);
    let downloaded = FileState { identity, ..FileState::registered(file().identity) };
    golden(
        &downloaded,
        "0201fbe803d93fc78234346f63662dc0c54285bdeedb429123c2234043c1e35f61c0d61a18000000000000000000000000000000",
    );
    let before = "01fbe80307070707070707070707070707070707070707070707070707070707070707070301fb2c010105fc7011010001fcefbeadde0904010108fbfb00030201010102000001026e6f";
    let bytes: Vec<_> = before
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(FileState::decode(&bytes).as_ref(), Ok(&file()));
}

#[test]
fn files_of_a_consumer_and_of_before_the_run_was_the_senders() {
    let followed = FileState {
        identity: Identity::unseen(),
        run: Some(Run(77)),
        checkpoint: Checkpoint {
            position: Position::At(Ordinal(5), XmlOffset(0)),
            records: 5,
            ..Checkpoint::BEGINNING
        },
        ..FileState::registered(Identity::unseen())
    };
    assert_eq!(FileState::decode(&followed.encode()).as_ref(), Ok(&followed));
    let mut ends = [0; 32];
    ends[..8].copy_from_slice(&77_u64.to_be_bytes());
    let identity = Identity::Content { size: 0, ends };
    let before = FileState { identity, run: Some(Run(300)), ..followed.clone() };
    assert_eq!(FileState::decode(&before.encode()), Ok(followed));
}

#[test]
fn points() {
    let place =
        InflatePoint { gzip: GzipOffset(300), bits: 3, xml: XmlOffset(5), window: vec![1, 2, 3] };
    let check = MemberCheck { crc: 10, length: 11 };
    let boundary = Boundary { after: Ordinal(8), xml: XmlOffset(9), check };
    let point = ResumePoint::new(place, MemberCheck { crc: 6, length: 7 }, boundary).unwrap();
    golden(&point, "02fb2c01030503010203060708090a0b");
    let mut beyond = point.encode();
    beyond.iter_mut().filter(|byte| **byte == 9).for_each(|boundary| *boundary = 4);
    let Err(Undecodable(why)) = ResumePoint::decode(&beyond) else { panic!("it is taken") };
    assert_eq!(
        why,
        "the resume point at byte 5 of the XML claims the boundary at byte 4 before it"
    );
}

#[test]
fn jobs_and_counters() {
    let location = "sqlite:a.db".to_owned();
    golden(
        &JobEntry { job: Job::new("j"), location, first_seen: Timestamp(7) },
        "01016a0b73716c6974653a612e646207",
    );
    golden(&Counters { sequence: 4, run: 300 }, "0104fb2c01");
}

#[test]
fn what_is_owed() {
    let version = "20260101".parse().unwrap();
    let entry = |owed, refused: Option<&str>| OwedEntry {
        id: OutboxId(3),
        job: Job::new("j"),
        since: Timestamp(9),
        refused: refused.map(str::to_owned),
        owed,
    };
    let (run, last, at) = (Run(1), Ordinal(2), Timestamp(6));
    let file = Owed::FileComplete {
        version,
        kind: Kind::Labels,
        file: "f".to_owned(),
        run,
        last,
        records: 4,
        bad_records: 5,
        at,
    };
    golden(&entry(file, None), "0103016a090000fc052535010101660102040506");
    let sweep = Owed::Sweep { version, kind: Kind::Artists, run, last, bad_records: 3 };
    golden(&entry(sweep, Some("no")), "0103016a0901026e6f01fc0525350100010203");
    let record_counts = [1, 2, 3, 4];
    let all = Owed::ExtractionComplete { version, started_at: Timestamp(5), record_counts, at };
    golden(&entry(all, None), "0103016a090002fc05253501050102030406");
}

#[test]
fn attempts_and_events() {
    let attempt = RunEntry {
        number: 1,
        key: key(),
        run: Run(2),
        started_at: Timestamp(3),
        from: Ordinal(4),
        ended_at: Some(Timestamp(5)),
        reason: Some("stopped".to_owned()),
        records: 6,
        bad_records: 7,
    };
    golden(
        &attempt,
        "0101016afc05253501021f646973636f67735f32303236303130315f6d6173746572732e786d6c2e677a0203040105010773746f707065640607",
    );
    let event = EventEntry {
        number: 1,
        at: Timestamp(2),
        job: Some(Job::new("j")),
        file: None,
        what: "w".to_owned(),
    };
    golden(&event, "01010201016a000177");
}

#[test]
fn forced_passes_and_tokens() {
    let pass = ForcedPass {
        job: Job::new("j"),
        version: "20260101".parse().unwrap(),
        kinds: vec![Kind::Artists, Kind::Releases],
        remaining: vec![Kind::Releases],
        word: "true".to_owned(),
        since: Timestamp(5),
    };
    golden(&pass, "01016afc052535010200030103047472756505");
    golden(&Token { job: Job::new("j"), word: "w".to_owned(), at: Timestamp(5) }, "01016a017705");
}

#[test]
fn codes_that_were_never_given_are_refused() {
    let good = file().encode();
    let status = 2 + 3 + 32;
    let mut bad = good.clone();
    assert_eq!(bad[status], 3);
    bad[status] = 9;
    assert_eq!(FileState::decode(&bad), Err(Undecodable("there is no status 9".to_owned())));
}

#[test]
fn downloads() {
    let name = DumpName { version: "20260101".parse().unwrap(), kind: Kind::Masters };
    let key = DownloadKey::new(name, std::path::Path::new("/d"));
    let begun = Download::begun(key, "http://s", None, Timestamp(1));
    golden(
        &begun,
        "01fc05253501021f646973636f67735f32303236303130315f6d6173746572732e786d6c2e677a022f6408687474703a2f2f73000000000000000000010000000000",
    );
    let verified = Download {
        status: DownloadStatus::Complete,
        verification: Verification::Verified,
        generation: 2,
        etag: Some("\"e\"".to_owned()),
        last_modified: Some("m".to_owned()),
        length: Some(300),
        checksum: Some(Sha256([7; 32])),
        synced: 300,
        hash: Some(HashState(vec![1, 2])),
        last_activity: Some(Timestamp(2)),
        completed_at: Some(Timestamp(3)),
        stamp: Some(Stamp { size: 300, modified: -4, inode: 5 }),
        failures: 6,
        error: Some("no".to_owned()),
        ..begun
    };
    golden(
        &verified,
        "01fc05253501021f646973636f67735f32303236303130315f6d6173746572732e786d6c2e677a022f6408687474703a2f2f73010102010322652201016d01fb2c01010707070707070707070707070707070707070707070707070707070707070707fb2c0101020102010102010301fb2c0107050601026e6f",
    );
}
