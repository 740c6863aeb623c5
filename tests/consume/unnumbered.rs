//! What senders send that do not number their records, as the platform's extractor does, to two
//! replicas, over whatever database.

use std::time::Instant;

use discogs_extractor::model::Kind;

use crate::rabbit::{Letter, Rabbit, until};
use crate::support::daemon::Daemon;

/// What two replicas say, those that were killed too.
pub struct Replicas<F> {
    pub start: F,
    running: Vec<Daemon>,
    said: String,
}

impl<F: Fn(&str) -> Daemon> Replicas<F> {
    pub fn start(start: F) -> Replicas<F> {
        let running = vec![start("a"), start("b")];
        Replicas { start, running, said: String::new() }
    }

    pub fn said(&mut self) -> String {
        self.running.iter_mut().fold(self.said.clone(), |all, replica| all + &replica.said())
    }

    /// How often the line was said that all of the artists is written.
    fn complete(&mut self) -> usize {
        self.said().matches("🎉 File processing complete for artists!").count()
    }

    fn kill_one(&mut self) {
        self.said += &self.running.pop().unwrap().kill();
        self.running.push((self.start)("b"));
    }

    pub fn stop(mut self) -> String {
        for replica in self.running {
            self.said += &replica.stops();
        }
        self.said
    }
}

/// A record of the platform's; its hash is that of nothing.
pub fn record(id: u32) -> Letter {
    let hash = "0".repeat(64);
    Letter::plain(format!(r#"{{"type":"data","id":"{id}","sha256":"{hash}","id":"{id}"}}"#))
}

/// The end of a file as the platform says it.
pub fn end(sent: u32) -> Letter {
    Letter::plain(format!(
        r#"{{"type":"file_complete","data_type":"artists","timestamp":"2026-11-24T06:18:50.323293876Z","total_processed":{sent},"file":"discogs_20260101_artists.xml.gz"}}"#
    ))
}

/// `of_pass` says how many records bear a pass. Whenever a replica says that all is written, all is,
/// whoever wrote it and whoever was killed; and what is sent again is found to be complete again.
pub fn passes_end_when_all_is_written<F: Fn(&str) -> Daemon>(
    rabbit: &Rabbit,
    start: F,
    of_pass: &impl Fn(u32) -> u64,
) -> Replicas<F> {
    const IDS: u32 = 1_500;
    let mut replicas = Replicas::start(start);
    let consumers = || rabbit.queue(Kind::Artists).consumers;
    until("it is read by both", || consumers() == 2);
    rabbit.publish(Kind::Artists, (1..=IDS).map(record).chain([end(IDS)]));
    until("it is complete", || replicas.complete() == 1);
    assert_eq!(of_pass(1), u64::from(IDS));
    until("nobody reads it", || consumers() == 0);

    // The same again, while one of those who write it is killed.
    rabbit.publish(Kind::Artists, (1..=IDS / 2).map(record));
    until("it is written anew", || of_pass(2) > 0);
    replicas.kill_one();
    rabbit.publish(Kind::Artists, (IDS / 2..=IDS).map(record).chain([end(IDS)]));
    until("it is complete again", || replicas.complete() == 2);
    assert_eq!((of_pass(2), of_pass(1)), (u64::from(IDS), 0));
    until("nobody reads it", || consumers() == 0);

    // Ids that repeat: nobody knows how many are to be counted.
    let twice = (1..=IDS / 4).flat_map(|id| [record(id), record(id)]);
    rabbit.publish(Kind::Artists, twice.chain([end(IDS / 4 * 2)]));
    let sent = Instant::now();
    until("it is complete once more", || replicas.complete() == 3);
    assert_eq!(of_pass(3), u64::from(IDS / 4), "after {:?}", sent.elapsed());
    until("nobody reads it", || consumers() == 0);

    // The end's message that comes again is no other end.
    rabbit.publish(Kind::Artists, [end(IDS / 4 * 2)]);
    until("it is read", || rabbit.queue(Kind::Artists).ready == 0 && consumers() > 0);
    until("nobody reads it", || consumers() == 0);
    // A straggler is read, puts that off, and ends nothing.
    rabbit.publish(Kind::Artists, [record(1)]);
    until("it is written", || of_pass(4) == 1);
    until("nobody reads it", || consumers() == 0);
    assert_eq!(replicas.complete(), 3);
    assert_eq!(rabbit.dead_letters(Kind::Artists).ready, 0);
    replicas
}
