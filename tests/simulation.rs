//! Everything that can go wrong with one dump, together: generated documents with any mixture of
//! defects, read by the real reader, splitter, parser, delivery, window and store with everything
//! tiny, and stopped at every ordinal and every durable step, by limit, stop and crash. The law: what
//! is in the sink, what was set aside, the counts and the final state are those of a run that
//! nothing interrupted, and `complete` is never said of less. Where the sink is in memory the store is
//! too; with a real sink it is the real one.
//!
//! `DISCOGS_TEST_SEED` repeats a run, `DISCOGS_TEST_SECONDS` makes it longer.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

#[path = "simulation/document.rs"]
mod document;
#[path = "simulation/runs.rs"]
mod runs;
#[path = "simulation/sink.rs"]
mod sink;
mod support;
#[path = "simulation/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use discogs_extractor::database::sqlite::Sqlite;
use discogs_extractor::model::{
    Checkpoint, GzipOffset, Position, Sha256, SystemClock, Timestamp, fault,
};
use discogs_extractor::sink::{Filled, Jsonl, Sink};
use discogs_extractor::state::{FileKey, StateError, Status};
use document::Document;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sink::Memory;
use support::{copy_folder, gzip, rows};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use world::{End, Known, Moment, Moments, Scale, World, folder};

/// So long documents are made and interrupted.
const SECONDS: u64 = 40;

/// So long schedules are made: about 2,000 of them a minute.
const SECONDS_OF_RUNS: u64 = 100;

/// What nothing interrupted ended with.
struct Reference {
    end: End,
    known: Known,
    rows: BTreeMap<String, Sha256>,
}

impl Reference {
    /// Whether a world that went through interruptions ended as this one.
    fn check(&self, end: &End, world: &World, sink: &Memory, how: &str) {
        let known = world.known().unwrap();
        assert_eq!(end, &self.end, "{how}");
        assert_eq!(known.status, self.known.status, "{how}");
        let counts = |known: &Known| {
            let checkpoint = &known.checkpoint;
            (checkpoint.position, checkpoint.records, checkpoint.bad_records)
        };
        assert_eq!(counts(&known), counts(&self.known), "{how}");
        assert_eq!(known.error, self.known.error, "{how}");
        let names = |known: &Known| known.set_aside.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&known), names(&self.known), "{how}");
        assert!(known.set_aside == self.known.set_aside, "{how}: what was set aside differs");
        assert!(
            sink.table().content() == self.rows,
            "{how}: {} rows for {}",
            sink.table().content().len(),
            self.rows.len()
        );
    }

    /// Whether nothing more is said than is true, in the middle of it all.
    fn check_inside(&self, world: &World, sink: &Memory, how: &str) {
        let Some(known) = world.known() else { return };
        if known.status == Status::Complete {
            assert_eq!(self.end, End::Complete, "{how}");
            assert_eq!(known.checkpoint.position, Position::End, "{how}");
            assert!(sink.table().content() == self.rows, "{how}: complete of less");
        }
    }
}

struct Simulation {
    runtime: tokio::runtime::Runtime,
    passes: u64,
}

impl Simulation {
    fn new() -> Simulation {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Simulation { runtime, passes: 0 }
    }

    fn pass(&mut self, world: &World, sink: &Memory, limit: Option<u64>) -> End {
        self.pass_until(world, sink, limit, CancellationToken::new())
    }

    fn pass_until(
        &mut self,
        world: &World,
        sink: &Memory,
        limit: Option<u64>,
        stop: CancellationToken,
    ) -> End {
        self.passes += 1;
        self.runtime.block_on(world.pass(Arc::new(sink.clone()), limit, stop))
    }

    /// A pass that nothing interrupts, with a copy of every moment of it.
    fn watched(&mut self, world: &World, sink: &Memory) -> (End, Vec<Moment>) {
        let counted = sink.clone();
        let store = world.store.as_ref().unwrap();
        let moments = Moments::of(&world.state(), store, move || counted.steps());
        let end = self.pass(world, sink, None);
        (end, moments.take())
    }

    /// One document, interrupted at every place and then at some more.
    fn document(&mut self, random: &mut StdRng) {
        let records = random.random_range(3..25);
        let scale = Scale::random(random);
        // Which of a refused and a broken record is one too many, depends on which is known first.
        let refusals = scale.max_bad_records > records;
        let document = Document::generate(random, records, refusals);
        let seed = random.random();
        let world = World::new(&document.gzip, scale);
        let sink = Memory::new(seed);
        let (end, moments) = self.watched(&world, &sink);
        let known = world.known().unwrap();
        let reference = Reference { end, known, rows: sink.table().content() };
        let last = reference.known.checkpoint.ordinal().0;

        for at in 0..last {
            let (world, sink) = (world.anew(), Memory::new(seed));
            self.pass(&world, &sink, Some(at));
            reference.check_inside(&world, &sink, "limit");
            self.go_on(random, &reference, world, sink, &format!("limit {at}"));
        }
        for at in 1..=last {
            let (world, sink) = (world.anew(), Memory::new(seed));
            let stop = CancellationToken::new();
            sink.stop_after(at, stop.clone());
            self.pass_until(&world, &sink, None, stop);
            reference.check_inside(&world, &sink, "stop");
            self.go_on(random, &reference, world, sink, &format!("stop after {at}"));
        }
        for (index, moment) in moments.iter().enumerate() {
            let until = moments.get(index + 1).map_or(sink.steps(), |next| next.sink_steps);
            for steps in [moment.sink_steps, until] {
                let world = world.at(moment);
                let sink = sink.at(steps);
                reference.check_inside(&world, &sink, "crash");
                let how = format!("crash at moment {index}, the sink after {steps} steps");
                self.go_on(random, &reference, world, sink, &how);
            }
        }
    }

    /// Up to two more interruptions, then to the end.
    fn go_on(
        &mut self,
        random: &mut StdRng,
        reference: &Reference,
        mut world: World,
        mut sink: Memory,
        how: &str,
    ) {
        let mut how = how.to_owned();
        for _ in 0..[0, 0, 0, 1, 2][random.random_range(0..5)] {
            match random.random_range(0..4) {
                3 => {
                    let lost = random.random_range(0..=sink.steps());
                    let steps = sink.steps() - lost;
                    write!(how, ", the sink put back to {steps} steps").unwrap();
                    sink = sink.at(steps);
                    // It may be called complete until the next pass asks the sink.
                    continue;
                }
                0 => {
                    let limit = random.random_range(0..10);
                    write!(how, ", limit {limit}").unwrap();
                    self.pass(&world, &sink, Some(limit));
                }
                1 => {
                    let records = random.random_range(1..10);
                    write!(how, ", stop after {records}").unwrap();
                    let stop = CancellationToken::new();
                    sink.stop_after(records, stop.clone());
                    self.pass_until(&world, &sink, None, stop);
                }
                _ => {
                    let (_, moments) = self.watched(&world, &sink);
                    if moments.is_empty() {
                        continue;
                    }
                    let index = random.random_range(0..moments.len());
                    let from = moments[index].sink_steps;
                    let to = moments.get(index + 1).map_or(sink.steps(), |next| next.sink_steps);
                    let steps = random.random_range(from..=to.max(from));
                    write!(how, ", crash at moment {index}, the sink after {steps} steps").unwrap();
                    let crashed = world.at(&moments[index]);
                    (world, sink) = (crashed, sink.at(steps));
                }
            }
            reference.check_inside(&world, &sink, &how);
        }
        let end = self.pass(&world, &sink, None);
        reference.check(&end, &world, &sink, &how);
    }
}

/// Where the lanes of such a sink live.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A sink of the program's own in a folder, and what a user finds in it.
struct Real {
    name: &'static str,
    open: fn(&Path) -> Arc<dyn Sink>,
    content: fn(&Path) -> String,
}

const REAL: [Real; 2] = [
    Real {
        name: "sqlite",
        open: |folder| {
            let clock = Arc::new(SystemClock::new());
            let database = Sqlite::open(&folder.join("out.db"), None, clock).unwrap();
            let (runtime, stop) = (RUNTIME.handle().clone(), CancellationToken::new());
            Arc::new(Filled::new(Arc::new(database), runtime, stop))
        },
        content: |folder| format!("{:?}", rows(&folder.join("out.db"), "labels")),
    },
    Real {
        name: "jsonl",
        open: |folder| Arc::new(Jsonl::open(&folder.join("out")).unwrap()),
        content: |folder| {
            let written = folder.join("out/20260101");
            let finished = fs::read_to_string(written.join("labels.jsonl"));
            finished.or_else(|_| fs::read_to_string(written.join("labels.jsonl.part"))).unwrap()
        },
    },
];

impl Simulation {
    /// A pass into a real sink, stopped after so many durable steps of the store.
    fn real_pass(&mut self, world: &World, real: &Real, stop_after: Option<usize>) -> End {
        self.passes += 1;
        let stop = CancellationToken::new();
        let (left, stopping) = (AtomicUsize::new(stop_after.unwrap_or(usize::MAX)), stop.clone());
        let watcher = move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                stopping.cancel();
            }
        };
        fault::watch(&world.state(), Some(Arc::new(watcher)));
        let sink = (real.open)(world.folder.path());
        let end = self.runtime.block_on(world.pass(sink, None, stop));
        fault::watch(&world.state(), None);
        end
    }

    /// One document into a real sink: stopped, and with the store put back to an earlier moment, as
    /// after a crash before what the sink did since was noted.
    fn real_document(&mut self, random: &mut StdRng, real: &Real) {
        let records = random.random_range(3..25);
        let scale = Scale::random(random);
        // Which of a refused and a broken record is one too many, depends on which is known first.
        let refusals = scale.max_bad_records > records;
        let document = Document::generate(random, records, refusals);
        let reference = World::on_disk(&document.gzip, scale);
        let end = self.real_pass(&reference, real, None);
        let expected = (real.content)(reference.folder.path());
        let known = reference.known().unwrap();

        let world = World::on_disk(&document.gzip, scale);
        let mut how = real.name.to_owned();
        for _ in 0..random.random_range(1..6) {
            let after = random.random_range(1..12);
            let saved = folder();
            if world.state().exists() {
                copy_folder(&world.state(), saved.path());
            }
            self.real_pass(&world, real, Some(after));
            write!(how, ", stopped after {after} steps").unwrap();
            if random.random_bool(0.4) && saved.path().join("store").exists() {
                how += ", the store as it was before";
                fs::remove_dir_all(world.state()).unwrap();
                copy_folder(saved.path(), &world.state());
            }
        }
        assert_eq!(self.real_pass(&world, real, None), end, "{how}");
        let after = world.known().unwrap();
        assert!((real.content)(world.folder.path()) == expected, "{how}: the output differs");
        let counts =
            |known: &Known| (known.status, known.checkpoint.records, known.checkpoint.bad_records);
        assert_eq!(counts(&after), counts(&known), "{how}");
        assert!(after.set_aside == known.set_aside, "{how}: what was set aside differs");
    }
}

/// From `DISCOGS_TEST_SEED`, or a new one.
fn seed() -> Option<u64> {
    std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok())
}

fn seconds(usually: u64) -> u64 {
    std::env::var("DISCOGS_TEST_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usually)
}

#[test]
fn whatever_interrupts_it_every_document_ends_as_if_nothing_had() {
    let began = Instant::now();
    let mut simulation = Simulation::new();
    let mut documents = 0;
    while began.elapsed() < Duration::from_secs(seconds(SECONDS)) {
        let seed = seed().unwrap_or_else(|| rand::rng().random());
        println!("DISCOGS_TEST_SEED={seed}");
        let random = &mut StdRng::seed_from_u64(seed);
        simulation.document(random);
        for real in &REAL {
            simulation.real_document(random, real);
        }
        documents += 1;
    }
    println!("{documents} documents, {} passes", simulation.passes);
}

#[test]
fn a_step_that_the_store_refuses_leaves_the_file_failed_and_the_next_pass_goes_on() {
    let mut random = StdRng::seed_from_u64(1);
    let mut text = String::from("<labels>");
    for id in 1..=40 {
        writeln!(text, "<label><id>{id}</id></label>").unwrap();
    }
    text += "</labels>";
    let scale = Scale { window: 4, max_bad_records: 10, ..Scale::random(&mut random) };
    let world = World::new(&gzip(text.as_bytes()), scale);
    let simulation = Simulation::new();
    simulation.runtime.block_on(async {
        let (keeper, sink) = (world.open().await, Memory::new(1));
        let (meddling, runtime) = (keeper.clone(), tokio::runtime::Handle::current());
        let name = "discogs_20260101_labels.xml.gz".parse().unwrap();
        let key = FileKey::new(sink.job().clone(), name);
        // Somebody puts the checkpoint back under it.
        sink.after(20, move || {
            let put_back = || {
                let (to, gzip) = (Checkpoint::BEGINNING, GzipOffset(0));
                meddling.rewind(key.clone(), to, gzip, "a test".to_owned(), Timestamp(1))
            };
            // The store may be a moment behind the sink, and still at the beginning itself.
            while let Err(error) = runtime.block_on(put_back()) {
                assert!(matches!(error, StateError::Illegal { .. }), "{error}");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let stop = CancellationToken::new();
        let end = world.pass_in(&keeper, Arc::new(sink.clone()), None, stop.clone()).await;
        let End::Failed(why) = end else { panic!("{end:?}") };
        assert!(why.contains("does not allow this: a step begins at record"), "{why}");
        let known = keeper.inspect().await.unwrap().files.remove(0).state;
        assert_eq!(known.status, Status::Failed);
        assert!(known.error.unwrap().contains("a step begins at record"));
        let end = world.pass_in(&keeper, Arc::new(sink.clone()), None, stop).await;
        assert_eq!((end, sink.table().content().len()), (End::Complete, 40));
        keeper.close().await.unwrap();
    });
}
