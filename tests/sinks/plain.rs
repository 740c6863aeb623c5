use std::io::{self, Read};
use std::sync::Arc;

use discogs_extractor::model::{FirstConnection, Ordinal, SystemClock};
use discogs_extractor::sink::{Lines, Null, Opening, Sink, SinkEnd, Target};
use tokio_util::sync::CancellationToken;

use super::{BAD, artists, at, batch, beginning, deliver, deliver_all, durable, numbered, start};

#[test]
fn null_confirms_every_document_and_leaves_out_bad_ones() {
    let records = [Some(("1", "a")), BAD, Some(("3", "c")), Some(("4", "d"))];
    let outcomes = deliver_all(&Null::new(), &beginning(artists(), 1), vec![batch(1, &records)]);
    assert_eq!(durable(&outcomes), [1, 3, 4]);
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn null_and_standard_output_believe_the_checkpoint() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opening = Opening {
        clock: Arc::new(SystemClock::new()),
        runtime: runtime.handle().clone(),
        first: FirstConnection::TYPED,
        stop: CancellationToken::new(),
        prefix: "p".into(),
        consumers: Vec::new(),
    };
    for target in ["null:", "jsonl:-"] {
        let target: Target = target.parse().unwrap();
        let sink = target.open(&opening).unwrap();
        assert_eq!(sink.open(&start(artists(), 1, at(7, None))).unwrap().holds, Ordinal(7));
        assert_eq!(sink.job().as_str(), target.to_string());
        assert_eq!(sink.needs(1_000), None);
    }
}

#[test]
fn lines_are_confirmed_once_they_are_written() {
    let (mut reader, writer) = io::pipe().unwrap();
    let sink = Lines::to(writer);
    let outcomes = deliver_all(&sink, &beginning(artists(), 1), vec![numbered(2)]);
    assert_eq!(durable(&outcomes), [1, 2]);
    drop(sink);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let ids: Vec<_> = text.lines().map(|line| &line[..22]).collect();
    assert_eq!(ids, [r#"{"type":"data","id":"1"#, r#"{"type":"data","id":"2"#]);
}

#[test]
fn a_reader_that_went_away_is_an_end_and_no_fault() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let lane = Lines::to(writer).open(&beginning(artists(), 1)).unwrap();
    let error = deliver(lane, vec![numbered(1)]).unwrap_err();
    assert_eq!(error.end, SinkEnd::ReaderGone, "{error}");
}

#[test]
fn a_full_disk_is_an_error_that_says_what_to_do() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let lane = Lines::to(full).open(&beginning(artists(), 1)).unwrap();
    let error = deliver(lane, vec![numbered(1)]).unwrap_err();
    assert!(error.to_string().contains("\nhint: free some space"), "{error}");
    assert_eq!(error.end, SinkEnd::Fault);
}
