//! The parse threads, shared by all files: chunks of text in, batches of documents out, in any order.
//! A panic in one becomes the chunk's error. They know nothing of sinks or of the store.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use tokio::sync::mpsc;

use super::budget::Share;
use crate::model::{
    BadRecord, Body, GzipOffset, Item, Kind, Parsed, Place, ResumePoint, XmlOffset,
};
use crate::record::Parser;

/// Consecutive records as the reader cut them.
pub struct Chunk {
    /// Its place among the file's chunks, from 0.
    pub number: u64,
    /// The text that the records lie in; neighbouring chunks may share it.
    pub text: Arc<Vec<u8>>,
    /// Where `text` begins in the dump.
    pub base: XmlOffset,
    /// The records.
    pub records: Vec<Cut>,
    /// Resume points whose first record boundary lies in this chunk.
    pub points: Vec<ResumePoint>,
    /// Compressed bytes read so far.
    pub gzip: GzipOffset,
    /// The part of the budget that this chunk takes.
    pub share: Share,
}

/// One record in a chunk.
pub struct Cut {
    /// Where it ends in the dump.
    pub place: Place,
    /// Where it lies in the chunk's text, unless it is bad.
    pub raw: Result<Range<usize>, BadRecord>,
}

/// A chunk after parsing.
pub struct Done {
    /// Its place among the file's chunks.
    pub number: u64,
    /// The records, or how the parse thread died.
    pub parsed: Result<Parsed, String>,
    /// As in the chunk.
    pub points: Vec<ResumePoint>,
    /// As in the chunk.
    pub gzip: GzipOffset,
    /// As in the chunk.
    pub share: Share,
}

/// A chunk on its way to a parse thread, and where it goes from there.
struct Work {
    kind: Kind,
    chunk: Chunk,
    done: mpsc::Sender<Done>,
}

/// The parse threads, shared by all files. They end when the pool and all its handles are gone.
#[derive(Clone)]
pub struct Pool {
    work: SyncSender<Work>,
}

/// Chunks that wait for a thread. With one a run took 5 % longer: the reader was not back in time.
const WAITING_PER_THREAD: usize = 8;

impl Pool {
    /// Starts the threads `parse-1` to `parse-N`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(threads: usize) -> io::Result<Pool> {
        let (work, queue) = sync_channel(threads * WAITING_PER_THREAD);
        let queue = Arc::new(Mutex::new(queue));
        for number in 1..=threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("parse-{number}")).spawn(move || serve(&queue))?;
        }
        Ok(Pool { work })
    }

    /// Hands a chunk to the next free thread; false if there is none any more.
    pub fn parse(&self, kind: Kind, chunk: Chunk, done: &mpsc::Sender<Done>) -> bool {
        self.work.send(Work { kind, chunk, done: done.clone() }).is_ok()
    }
}

fn serve(queue: &Mutex<Receiver<Work>>) {
    let mut parser = Parser::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { kind, chunk, done }) = next else { return };
        let parsed = catch_unwind(AssertUnwindSafe(|| parse(&mut parser, kind, &chunk)));
        let parsed = parsed.map_err(|panic| {
            parser = Parser::new();
            last_words(&*panic)
        });
        let Chunk { number, text, points, gzip, mut share, .. } = chunk;
        // Before the sink makes copies of its own of what may be 62 MiB.
        drop(text);
        share.grow_to(parsed.as_ref().map_or(0, size));
        // The channel has a place for every chunk that the budget allows; a file that is gone
        // wants no answer.
        _ = done.blocking_send(Done { number, parsed, points, gzip, share });
    }
}

/// What a thread said when it panicked.
pub fn last_words(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    words.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default()
}

fn parse(parser: &mut Parser, kind: Kind, chunk: &Chunk) -> Parsed {
    let mut json = Vec::new();
    let length = chunk.records.iter().map(Cut::length).sum();
    // Beyond that the parser reserves what the largest document needs.
    if length <= UNUSED {
        json.reserve(length);
    }
    let bodies = chunk.records.iter().map(|cut| {
        let body = match &cut.raw {
            Ok(range) => {
                let raw = &chunk.text[range.clone()];
                parser.parse(kind, raw, &mut json).map_or_else(
                    |why| Body::Bad(bad_record(why.to_string(), chunk.base, range, raw)),
                    Body::Document,
                )
            }
            Err(bad) => Body::Bad(bad.clone()),
        };
        Item { place: cut.place, body }
    });
    let items = bodies.collect();
    if json.capacity() - json.len() > UNUSED {
        json.shrink_to_fit();
    }
    Parsed { json, items }
}

/// Memory that a batch may hold and not use: more is what a document took that became too large.
const UNUSED: usize = 2 << 20;

/// What a batch takes in memory, about.
fn size(parsed: &Parsed) -> usize {
    parsed.json.len() + parsed.items.len() * size_of::<Item>()
}

fn bad_record(reason: String, base: XmlOffset, range: &Range<usize>, raw: &[u8]) -> BadRecord {
    BadRecord {
        reason,
        start: XmlOffset(base.0 + range.start as u64),
        length: raw.len() as u64,
        raw: raw[..raw.len().min(BadRecord::RAW_LIMIT)].to_owned(),
    }
}

impl Cut {
    /// Bytes that it holds.
    pub fn length(&self) -> usize {
        self.raw.as_ref().map_or_else(|bad| bad.raw.len(), ExactSizeIterator::len)
    }
}
