use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::super::header::{RUN, VERSION};
use super::super::{Announcement, data_headers, write_data};
use super::*;
use crate::model::{Document, Kind, Timestamp};

fn hash_of(json: &str) -> String {
    Sha256(sha2::Sha256::digest(json).into()).to_string()
}

fn plain(body: &str) -> Message {
    read(|_| None, body.as_bytes())
}

fn data(message: Message) -> Record {
    match message {
        Message::Data(record) => record,
        other => panic!("{other:?}"),
    }
}

fn headers(numbers: &[(&'static str, i64)]) -> Vec<(&'static str, Value)> {
    let numbers = numbers.iter().map(|(name, number)| (*name, Value::Number(*number)));
    std::iter::once((VERSION, Value::Text("20260101".into()))).chain(numbers).collect()
}

/// Reads a message with headers.
fn with(headers: &[(&'static str, Value)], body: &[u8]) -> Message {
    let value = |name: &str| headers.iter().find(|(known, _)| *known == name);
    read(|name| value(name).map(|(_, value)| value.clone()), body)
}

#[test]
fn the_record_of_a_message_is_the_canonical_one_to_the_byte() {
    // The record, and what stands after the hash.
    let rows = [
        (r#"{"a":"1","id":"7","z":null}"#, r#","a":"1","z":null"#),
        (r#"{"id":"7"}"#, ""),
        (
            r##"{"#text":"x","@id":"7","name":"ä\u0001\""}"##,
            r##","#text":"x","@id":"7","name":"ä\u0001\"""##,
        ),
        (r#"{"id":"7","sha256":"s","type":"t"}"#, r#","sha256":"s","type":"t""#),
        (r#"{"b":{"id":"1"},"id":"7"}"#, r#","b":{"id":"1"}"#),
        // as the platform sends it
        (r#"{"a":"1","id":"7","z":null}"#, r#","a":"1","id":"7","z":null"#),
        (r#"{"id":null,"z":"1"}"#, r#","z":"1""#),
        (r#"{"@id":"7"}"#, r#","@id":"7""#),
    ];
    for (record, rest) in rows {
        let hash = hash_of(record);
        let body = format!(r#"{{"type":"data","id":"7","sha256":"{hash}"{rest}}}"#);
        let read = data(plain(&body));
        assert_eq!(String::from_utf8(read.json).unwrap(), record, "{body}");
        assert_eq!((read.id.as_str(), read.hash.to_string()), ("7", hash));
        assert_eq!(read.source, None);
    }
}

#[test]
fn a_record_whose_hash_is_of_something_else_is_kept_with_its_id() {
    let hash = "0".repeat(64);
    let body = format!(r#"{{"type":"data","id":"7","sha256":"{hash}","a":"1","z":"2"}}"#);
    let record = data(plain(&body));
    assert_eq!(String::from_utf8(record.json).unwrap(), r#"{"a":"1","id":"7","z":"2"}"#);
    assert_eq!(record.hash.to_string(), hash);
}

#[test]
fn what_cannot_be_handled_says_why() {
    let hash = "0".repeat(64);
    let rows = [
        ("", "it is no JSON object"),
        ("[1]", "it is no JSON object"),
        (r#"{"type":"data","id":"7""#, "it is no JSON object"),
        (r#"{"type":"data"}"#, "it has no id"),
        (r#"{"type":"data","id":7}"#, "its id is no string"),
        (r#"{"type":"data","id":""}"#, "its id is empty"),
        (r#"{"type":"data","id":"7"}"#, "it has no sha256"),
        (r#"{"type":"data","id":"7","sha256":"abc"}"#, "its sha256 is none"),
    ];
    for (body, words) in rows {
        match plain(body) {
            Message::Poison(Poison { why, source: None }) => {
                assert!(why.contains(words), "{body}: {why}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    // What stands beside it says all the same which record it was to be.
    let beside = headers(&[(RUN, 5), (ORDINAL, 9)]);
    let Message::Poison(poison) = with(&beside, b"{\"id\":\"\xff\"}") else { panic!("read") };
    assert_eq!(poison.why, "it is not UTF-8");
    let source = poison.source.unwrap();
    assert_eq!((source.run, source.ordinal), (Run(5), Ordinal(9)));
    // Whatever `type` says, or if there is none, it is a record.
    for kind in ["", r#""type":"anything","#, r#""type":null,"#] {
        let body = format!(r#"{{{kind}"id":"7","sha256":"{hash}"}}"#);
        assert_eq!(data(plain(&body)).id, "7");
    }
}

#[test]
fn headers_say_which_record_it_is() {
    let body = format!(r#"{{"type":"data","id":"7","sha256":"{}"}}"#, "0".repeat(64));
    let of = |headers: Vec<_>| data(with(&headers, body.as_bytes())).source;
    let source = of(headers(&[(RUN, 5), (ORDINAL, 9)])).unwrap();
    assert_eq!(
        (source.version.number(), source.run, source.ordinal),
        (20_260_101, Run(5), Ordinal(9))
    );
    assert_eq!(of(headers(&[(RUN, 5)])), None);
}

#[test]
fn the_ends_of_files_and_versions_are_read_with_and_without_headers() {
    let body = r#"{"type":"file_complete","data_type":"artists","timestamp":"2026-11-24T06:18:50.323293876Z","total_processed":3,"file":"discogs_20260101_artists.xml.gz"}"#;
    let version = Some("20260101".parse().unwrap());
    let theirs = FileComplete { version, proof: None, total: Some(3) };
    assert_eq!(plain(body), Message::FileComplete(theirs.clone()));
    let ours = headers(&[(RUN, 5), (LAST_ORDINAL, 4), (BAD_RECORDS, 1)]);
    let proof = Proof { run: Run(5), last: Ordinal(4), bad_records: 1 };
    assert_eq!(
        with(&ours, body.as_bytes()),
        Message::FileComplete(FileComplete { proof: Some(proof), ..theirs })
    );
    let body = r#"{"type":"extraction_complete","version":"20260101","timestamp":"t","started_at":"s","record_counts":{"artists":1}}"#;
    assert_eq!(
        plain(body),
        Message::ExtractionComplete(ExtractionComplete {
            version,
            started_at: Some("s".into()),
            record_counts: Some(r#"{"artists":1}"#.into()),
        })
    );
    assert!(matches!(plain(r#"{"type":"file_complete"}"#), Message::FileComplete(_)));
}

#[test]
fn a_run_that_makes_no_sense_is_refused() {
    let hash = hash_of(r#"{"id":"7"}"#);
    let record = format!(r#"{{"type":"data","id":"7","sha256":"{hash}"}}"#);
    let end = r#"{"type":"file_complete","file":"discogs_20260101_labels.xml.gz"}"#;
    for run in [-1, i64::MIN, (1 << 62) + 1, i64::MAX] {
        let properties = headers(&[(RUN, run), (ORDINAL, 1), (LAST_ORDINAL, 1), (BAD_RECORDS, 0)]);
        for body in [&record, end] {
            let Message::Poison(Poison { why, .. }) = with(&properties, body.as_bytes()) else {
                panic!("{run}")
            };
            assert_eq!(why, "its x-run is no run: that is 0 to 2^62");
        }
    }
    let properties = headers(&[(RUN, 1 << 62), (ORDINAL, 1)]);
    assert_eq!(data(with(&properties, record.as_bytes())).source.unwrap().run, Run::MAX);
}

/// A canonical record whose id is a member, null, an attribute or nowhere; and what its message has
/// to know of it.
fn any_record() -> impl Strategy<Value = (String, Box<str>, Option<Range<usize>>)> {
    let name = "[@#a-z]{0,3}[\"\\\\ä]?";
    let value = prop_oneof![
        Just("null".to_owned()),
        ".{0,6}".prop_map(|text| serde_json::Value::from(text).to_string()),
        Just(r#"{"id":"9","type":["sha256",null]}"#.to_owned()),
    ];
    let members = prop::collection::btree_map(name, value, 0..6);
    let id = prop::option::of(prop_oneof![Just(None), ".{1,5}".prop_map(Some)]);
    (members, id).prop_map(|(mut members, id): (BTreeMap<String, String>, _)| {
        members.remove("id");
        let text = |id: &String| serde_json::Value::from(id.as_str()).to_string();
        let known = match &id {
            None | Some(None) => "unknown",
            Some(Some(id)) => id,
        };
        if let Some(id) = &id {
            members.insert("id".into(), id.as_ref().map_or("null".into(), text));
        }
        let (mut json, mut id_member) = ("{".to_owned(), None);
        for (name, value) in &members {
            if json.len() > 1 {
                json.push(',');
            }
            let start = json.len();
            json.extend([&text(name), ":", value]);
            if name == "id" {
                id_member = Some(start..json.len());
            }
        }
        json.push('}');
        (json, known.into(), id_member)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_written_is_read_as_it_was(
        (json, id, id_member) in any_record(),
        ordinal in 1..=u64::MAX >> 1,
        run in 0..=Run::MAX.0,
    ) {
        let hash = Sha256(sha2::Sha256::digest(json.as_bytes()).into());
        let document = Document { json: 0..json.len(), id: id.clone(), hash, id_member };
        let mut body = Vec::new();
        write_data(json.as_bytes(), &document, &mut body);
        let file = "discogs_20260101_labels.xml.gz".parse::<DumpName>().unwrap();
        let (run, ordinal) = (Run(run), Ordinal(ordinal));
        let source = Some(Source { version: file.version, run, ordinal });
        let expected = Record { source, id: id.into(), hash, json: json.into_bytes() };
        prop_assert_eq!(with(&data_headers(file, run, ordinal), &body), Message::Data(expected));
    }

    #[test]
    fn what_is_announced_is_read_as_it_was(
        (run, last, bad_records) in (0..=Run::MAX.0, 0..1_000_000_u64, 0..1_000_u64),
        (at, records) in (0..4_000_000_000_000_u64, prop::array::uniform4(0..1_000_000_u64)),
    ) {
        let file = DumpName { version: "20260101".parse().unwrap(), kind: Kind::Masters };
        let (run, last, at) = (Run(run), Ordinal(last), Timestamp(at));
        let done = Announcement::FileComplete {
            file, run, last, records: records[0], bad_records, at,
        };
        let expected = FileComplete {
            version: Some(file.version),
            proof: Some(Proof { run, last, bad_records }),
            total: Some(records[0]),
        };
        let read = with(&done.headers(), &done.body().unwrap());
        prop_assert_eq!(read, Message::FileComplete(expected));
        let all = Announcement::ExtractionComplete {
            version: file.version, started_at: at, record_counts: records, at,
        };
        let Message::ExtractionComplete(read) = with(&all.headers(), &all.body().unwrap()) else {
            return Err(TestCaseError::fail("no end of a version"));
        };
        prop_assert_eq!(read.version, Some(file.version));
        prop_assert_eq!(read.started_at, Some(format!("{at:.3}")));
        let counts: BTreeMap<String, u64> =
            serde_json::from_str(&read.record_counts.unwrap()).unwrap();
        let expected = Kind::ALL.map(|kind| kind.name().to_owned()).into_iter().zip(records);
        prop_assert_eq!(counts, expected.collect());
    }
}
