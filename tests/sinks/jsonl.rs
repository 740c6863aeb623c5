use std::fs::{self, OpenOptions};
use std::path::Path;

use discogs_extractor::model::{Ordinal, Run};
use discogs_extractor::sink::{Jsonl, Outcome, Sink};
use tempfile::TempDir;

use super::{
    BAD, artists, at, batch, beginning, deliver, deliver_all, dump, durable, numbered, start,
};

fn part(folder: &Path) -> std::path::PathBuf {
    folder.join("20260101/artists.jsonl.part")
}

fn done(folder: &Path) -> std::path::PathBuf {
    folder.join("20260101/artists.jsonl")
}

fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    text.lines()
        .map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(message["type"], "data");
            message["id"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn position(outcomes: &[Outcome]) -> u64 {
    outcomes.last().unwrap().position.unwrap()
}

#[test]
fn a_file_is_part_until_it_is_finished_and_finishing_may_be_repeated() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    let outcomes = deliver_all(&sink, &beginning(artists(), 1), vec![numbered(3)]);
    assert_eq!(durable(&outcomes), [1, 2, 3]);
    assert_eq!(position(&outcomes), fs::metadata(part(folder.path())).unwrap().len());
    assert!(!done(folder.path()).exists());
    sink.finish(artists(), Run(1)).unwrap();
    sink.finish(artists(), Run(1)).unwrap();
    assert!(!part(folder.path()).exists());
    assert_eq!(ids(&done(folder.path())), ["1", "2", "3"]);
}

#[test]
fn an_older_finished_file_stays_until_the_next_run_is_finished() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(3)]);
    sink.finish(artists(), Run(1)).unwrap();
    deliver_all(&sink, &beginning(artists(), 2), vec![numbered(2)]);
    assert_eq!(ids(&done(folder.path())), ["1", "2", "3"]);
    assert!(sink.finish(artists(), Run(1)).is_err(), "that run's part is gone");
    sink.finish(artists(), Run(2)).unwrap();
    assert_eq!(ids(&done(folder.path())), ["1", "2"]);
}

#[test]
fn every_outcome_carries_the_bytes_up_to_its_last_line_also_around_bad_records() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    let records = [Some(("1", "a")), BAD, Some(("3", "c")), BAD, BAD, Some(("6", "f"))];
    let outcomes = deliver_all(&sink, &beginning(artists(), 1), vec![batch(1, &records)]);
    assert_eq!(durable(&outcomes), [1, 3, 6]);
    let text = fs::read(part(folder.path())).unwrap();
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let mut end = 0;
    let ends: Vec<_> = lines
        .map(|line| {
            end += line.len() as u64;
            Some(end)
        })
        .collect();
    assert_eq!(outcomes.iter().map(|outcome| outcome.position).collect::<Vec<_>>(), ends);
}

#[test]
fn a_torn_or_unconfirmed_end_is_cut_back_to_the_checkpoint() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    let first = deliver_all(&sink, &beginning(artists(), 1), vec![numbered(2)]);
    let checkpoint = at(2, Some(position(&first)));
    let lane = sink.open(&start(artists(), 1, checkpoint.clone())).unwrap();
    deliver(lane, vec![batch(3, &[Some(("3", "c"))])]).unwrap();
    let job = sink.job().clone();
    drop(sink);
    let mut file = OpenOptions::new().append(true).open(part(folder.path())).unwrap();
    std::io::Write::write_all(&mut file, br#"{"type":"da"#).unwrap();

    let sink = Jsonl::open(folder.path()).unwrap();
    assert_eq!(sink.job(), &job);
    let lane = sink.open(&start(artists(), 1, checkpoint)).unwrap();
    assert_eq!(lane.holds, Ordinal(2));
    let outcomes = deliver(lane, vec![batch(3, &[Some(("3", "c")), Some(("4", "d"))])]).unwrap();
    assert_eq!(ids(&part(folder.path())), ["1", "2", "3", "4"]);
    assert_eq!(position(&outcomes), fs::metadata(part(folder.path())).unwrap().len());
}

#[test]
fn a_part_that_lost_what_was_confirmed_begins_again() {
    type Damage = fn(&Path);
    let rows: [(&str, u64, Damage); 3] = [
        ("cut short", 1, |part| {
            OpenOptions::new().write(true).open(part).unwrap().set_len(5).unwrap();
        }),
        ("gone", 1, |part| fs::remove_file(part).unwrap()),
        ("another run's", 9, |_| ()),
    ];
    for (what, run, damage) in rows {
        let folder = TempDir::new().unwrap();
        let sink = Jsonl::open(folder.path()).unwrap();
        let outcomes = deliver_all(&sink, &beginning(artists(), 1), vec![numbered(3)]);
        damage(&part(folder.path()));
        let lane = sink.open(&start(artists(), run, at(3, Some(position(&outcomes))))).unwrap();
        assert_eq!(lane.holds, Ordinal(0), "{what}");
        deliver(lane, vec![numbered(4)]).unwrap();
        assert_eq!(ids(&part(folder.path())), ["1", "2", "3", "4"], "{what}");
    }
}

#[test]
fn a_file_that_was_finished_but_not_completed_is_taken_back() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(9)]);
    sink.finish(artists(), Run(1)).unwrap();
    let outcomes = deliver_all(&sink, &beginning(artists(), 2), vec![numbered(3)]);
    sink.finish(artists(), Run(2)).unwrap();
    drop(sink);

    let sink = Jsonl::open(folder.path()).unwrap();
    let lane = sink.open(&start(artists(), 2, at(3, Some(position(&outcomes))))).unwrap();
    assert_eq!(lane.holds, Ordinal(3));
    deliver(lane, vec![]).unwrap();
    sink.finish(artists(), Run(2)).unwrap();
    assert_eq!(ids(&done(folder.path())), ["1", "2", "3"]);
}

#[test]
fn an_older_finished_file_is_not_taken_for_a_part_that_was_lost() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(9)]);
    sink.finish(artists(), Run(1)).unwrap();
    let outcomes = deliver_all(&sink, &beginning(artists(), 2), vec![numbered(3)]);
    fs::remove_file(part(folder.path())).unwrap();
    let lane = sink.open(&start(artists(), 2, at(3, Some(position(&outcomes))))).unwrap();
    assert_eq!(lane.holds, Ordinal(0));
    assert_eq!(ids(&done(folder.path())).len(), 9);
}

#[test]
fn files_do_not_mix() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    let other = dump("20260201", "labels");
    deliver_all(&sink, &beginning(artists(), 1), vec![numbered(2)]);
    deliver_all(&sink, &beginning(other, 2), vec![numbered(1)]);
    assert_eq!(ids(&part(folder.path())), ["1", "2"]);
    assert_eq!(ids(&folder.path().join("20260201/labels.jsonl.part")), ["1"]);
}

#[test]
fn a_folder_has_one_writer_and_a_marker_that_is_understood() {
    let folder = TempDir::new().unwrap();
    let sink = Jsonl::open(folder.path()).unwrap();
    assert!(sink.job().as_str().starts_with("jsonl:"));
    let words = Jsonl::open(folder.path()).err().unwrap().to_string();
    assert!(words.contains("another process writes") && words.contains("\nhint: "), "{words}");
    drop(sink);
    let marker = folder.path().join(".discogs-extractor");
    for (text, part) in [("{", "cannot be understood"), (r#"{"format":2,"job":"x"}"#, "newer")] {
        fs::write(&marker, text).unwrap();
        let words = Jsonl::open(folder.path()).err().unwrap().to_string();
        assert!(words.contains(part) && words.contains("\nhint: "), "{words}");
    }
}

#[test]
fn a_folder_that_is_a_file_is_an_error_in_words() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("taken");
    fs::write(&path, "").unwrap();
    let words = Jsonl::open(&path).err().unwrap().to_string();
    assert!(words.contains("taken cannot be made") && words.contains("\nhint: "), "{words}");
}
