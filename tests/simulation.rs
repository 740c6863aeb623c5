//! Everything that can go wrong with one dump, together: generated documents with any mixture of
//! defects, read by the real reader, splitter, parser, delivery, window and store with everything
//! tiny, and stopped at every ordinal and every durable step, by limit, stop and crash. The law: what
//! is in the sink, what was set aside, the counts and the final state are those of a run that
//! nothing interrupted, and `complete` is never said of less.
//!
//! `DISCOGS_TEST_SEED` repeats a run, `DISCOGS_TEST_SECONDS` makes it longer.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

#[path = "simulation/document.rs"]
mod document;
#[path = "simulation/sink.rs"]
mod sink;
mod support;
#[path = "simulation/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use discogs_extractor::model::Position;
use discogs_extractor::state::Status;
use document::Document;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sink::{Memory, Rows};
use tokio_util::sync::CancellationToken;
use world::{End, Known, Moment, Moments, Scale, World};

/// So long documents are made and interrupted.
const SECONDS: u64 = 40;

/// What nothing interrupted ended with.
struct Reference {
    end: End,
    known: Known,
    rows: Rows,
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
            sink.rows() == self.rows,
            "{how}: {} rows for {}",
            sink.rows().len(),
            self.rows.len()
        );
    }

    /// Whether nothing more is said than is true, in the middle of it all.
    fn check_inside(&self, world: &World, sink: &Memory, how: &str) {
        let Some(known) = world.known() else { return };
        if known.status == Status::Complete {
            assert_eq!(self.end, End::Complete, "{how}");
            assert_eq!(known.checkpoint.position, Position::End, "{how}");
            assert!(sink.rows() == self.rows, "{how}: complete of less");
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
        let moments = Moments::of(world, move || counted.steps());
        let end = self.pass(world, sink, None);
        (end, moments.take())
    }

    /// One document, interrupted at every place and then at some more.
    fn document(&mut self, random: &mut StdRng) {
        let records = random.random_range(3..25);
        let document = Document::generate(random, records);
        let scale = Scale::random(random);
        let seed = random.random();
        let world = World::new(&document.gzip, scale);
        let sink = Memory::new(seed);
        let (end, moments) = self.watched(&world, &sink);
        let known = world.known().unwrap();
        let reference = Reference { end, known, rows: sink.rows() };
        let last = reference.known.checkpoint.ordinal().0;

        for at in 0..last {
            let (world, sink) = (world.with_state(None), Memory::new(seed));
            self.pass(&world, &sink, Some(at));
            reference.check_inside(&world, &sink, "limit");
            self.go_on(random, &reference, world, sink, &format!("limit {at}"));
        }
        for at in 1..=last {
            let (world, sink) = (world.with_state(None), Memory::new(seed));
            let stop = CancellationToken::new();
            sink.stop_after(at, stop.clone());
            self.pass_until(&world, &sink, None, stop);
            reference.check_inside(&world, &sink, "stop");
            self.go_on(random, &reference, world, sink, &format!("stop after {at}"));
        }
        for (index, moment) in moments.iter().enumerate() {
            let until = moments.get(index + 1).map_or(sink.steps(), |next| next.sink_steps);
            for steps in [moment.sink_steps, until] {
                let world = world.with_state(Some(moment.state.path()));
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
            match random.random_range(0..3) {
                0 => {
                    let limit = random.random_range(0..10);
                    how += &format!(", limit {limit}");
                    self.pass(&world, &sink, Some(limit));
                }
                1 => {
                    let records = random.random_range(1..10);
                    how += &format!(", stop after {records}");
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
                    how += &format!(", crash at moment {index}, the sink after {steps} steps");
                    let crashed = world.with_state(Some(moments[index].state.path()));
                    (world, sink) = (crashed, sink.at(steps));
                }
            }
            reference.check_inside(&world, &sink, &how);
        }
        let end = self.pass(&world, &sink, None);
        reference.check(&end, &world, &sink, &how);
    }
}

/// From `DISCOGS_TEST_SEED`, or a new one.
fn seed() -> Option<u64> {
    std::env::var("DISCOGS_TEST_SEED").ok().and_then(|seed| seed.parse().ok())
}

fn seconds() -> u64 {
    std::env::var("DISCOGS_TEST_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SECONDS)
}

#[test]
fn whatever_interrupts_it_every_document_ends_as_if_nothing_had() {
    let began = Instant::now();
    let mut simulation = Simulation::new();
    let mut documents = 0;
    while began.elapsed() < Duration::from_secs(seconds()) {
        let seed = seed().unwrap_or_else(|| rand::rng().random());
        println!("DISCOGS_TEST_SEED={seed}");
        simulation.document(&mut StdRng::seed_from_u64(seed));
        documents += 1;
    }
    println!("{documents} documents, {} passes", simulation.passes);
}
