use lapin::types::{FieldTable, LongString};

use super::*;

fn hash_of(json: &str) -> String {
    Sha256(sha2::Sha256::digest(json).into()).to_string()
}

fn plain(body: &str) -> Message {
    read(&BasicProperties::default(), body.as_bytes())
}

fn data(message: Message) -> Record {
    match message {
        Message::Data(record) => record,
        other => panic!("{other:?}"),
    }
}

fn headers(numbers: &[(&str, i64)]) -> BasicProperties {
    let mut table = FieldTable::default();
    table.insert(VERSION.into(), AMQPValue::LongString(LongString::from("20260101")));
    for (name, number) in numbers {
        table.insert((*name).into(), AMQPValue::LongLongInt(*number));
    }
    BasicProperties::default().with_headers(table)
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
            Message::Poison(why) => assert!(why.contains(words), "{body}: {why}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    assert_eq!(
        read(&BasicProperties::default(), b"{\"id\":\"\xff\"}"),
        Message::Poison("it is not UTF-8".into())
    );
    // Whatever `type` says, or if there is none, it is a record.
    for kind in ["", r#""type":"anything","#, r#""type":null,"#] {
        let body = format!(r#"{{{kind}"id":"7","sha256":"{hash}"}}"#);
        assert_eq!(data(plain(&body)).id, "7");
    }
}

#[test]
fn headers_say_which_record_it_is() {
    let body = format!(r#"{{"type":"data","id":"7","sha256":"{}"}}"#, "0".repeat(64));
    let of = |properties| data(read(&properties, body.as_bytes())).source;
    let source = of(headers(&[(RUN, 5), (ORDINAL, 9)])).unwrap();
    assert_eq!(
        (source.version.number(), source.run, source.ordinal),
        (20_260_101, Run(5), Ordinal(9))
    );
    assert_eq!(of(headers(&[(RUN, 5)])), None);
    assert_eq!(delivery_count(&headers(&[(DELIVERY_COUNT, 15)])), 15);
    assert_eq!(delivery_count(&BasicProperties::default()), 0);
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
        read(&ours, body.as_bytes()),
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
            let Message::Poison(why) = read(&properties, body.as_bytes()) else { panic!("{run}") };
            assert_eq!(why, "its x-run is no run: that is 0 to 2^62");
        }
    }
    let properties = headers(&[(RUN, 1 << 62), (ORDINAL, 1)]);
    assert_eq!(data(read(&properties, record.as_bytes())).source.unwrap().run, Run::MAX);
}
