//! Several stores over one sink: two machines, a restored backup, a copy; forced passes, replaced
//! files, sweeps refused and paid, two versions in any order, each stopped and killed anywhere. The
//! law: whoever says `complete`, all good records of that version are in the sink with their hashes,
//! there from this run or a higher one, and nothing is there that the newest complete version
//! removed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use discogs_extractor::dump::identify;
use discogs_extractor::model::{Identity, Kind, Run, Sha256, Timestamp, Version};
use discogs_extractor::sink::Sink;
use discogs_extractor::state::view::FileEntry;
use discogs_extractor::state::{ForceWord, Keeper, Memory as Store, Status};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::document::edition;
use super::sink::{Memory, Table};
use super::world::{End, How, Moments, Scale, Skewed, World, folder, pass};
use super::{SECONDS_OF_RUNS, Simulation, seconds, seed};

const VERSIONS: [&str; 3] = ["20260101", "20260201", "20260301"];

/// What a dump holds: its good records, as one pass of its own finds them.
struct Content {
    gzip: Vec<u8>,
    identity: Identity,
    records: BTreeMap<String, Sha256>,
    /// Without bad records it is proven what it no longer has.
    is_proof: bool,
}

struct Runs<'a> {
    simulation: &'a mut Simulation,
    random: StdRng,
    scale: Scale,
    dumps: TempDir,
    /// All that ever were, to be told by their identity.
    contents: Vec<Content>,
    /// Where each of them sets bad records aside.
    folders: Vec<TempDir>,
    stores: Vec<Store>,
    /// What each of them was last seen to know; none where that is to be looked up.
    known: Vec<Option<Vec<FileEntry>>>,
    /// What time it is where they are.
    clocks: Vec<Skewed>,
    /// Stores as they once were.
    backups: Vec<Store>,
    sink: Memory,
    /// Which content each run is of.
    content_of: BTreeMap<(Version, Run), usize>,
    how: String,
    editions: u64,
}

impl Runs<'_> {
    fn dump(&self, version: usize) -> PathBuf {
        self.dumps.path().join(format!("discogs_{}_labels.xml.gz", VERSIONS[version]))
    }

    fn version(version: usize) -> Version {
        VERSIONS[version].parse().unwrap()
    }

    /// Puts a new dump of a version into the folder, in place of what was there.
    fn publish(&mut self, version: usize) {
        let last = self.random.random_range(12..30);
        let gone = [0.0, 0.05, 0.3][self.random.random_range(0..3)];
        let mut ids = (1..=last).filter(|_| !self.random.random_bool(gone)).collect::<Vec<_>>();
        ids.push(1_000 + self.editions);
        if self.random.random_bool(0.3) {
            ids.push(ids[0]);
        }
        self.editions += 1;
        let gzip = edition(&mut self.random, &ids, self.editions);
        let (alone, sink) = (World::new(&gzip, self.scale), Memory::new(1));
        assert_eq!(self.simulation.pass(&alone, &sink, None), End::Complete);
        let identity = identify(&File::open(alone.dump()).unwrap()).unwrap();
        fs::write(self.dump(version), &gzip).unwrap();
        let records = sink.table().content();
        let is_proof = alone.known().unwrap().checkpoint.bad_records == 0;
        self.contents.push(Content { gzip, identity, records, is_proof });
        write!(self.how, "\n{} is published", VERSIONS[version]).unwrap();
    }

    fn state(&self, store: usize) -> PathBuf {
        self.folders[store].path().join("state")
    }

    /// One pass of one store, ended in some way.
    fn act(&mut self) {
        let store = self.random.random_range(0..self.stores.len());
        let version = self.random.random_range(0..VERSIONS.len());
        let forced = self.random.random_bool(0.1);
        let sweep_anyway = self.random.random_bool(0.2);
        let mut how = How { limit: None, sweep_anyway, clock: self.clocks[store] };
        let stop = CancellationToken::new();
        let mut crash = false;
        let ending = match self.random.random_range(0..10) {
            0..=1 => {
                how.limit = Some(self.random.random_range(0..20));
                format!("limit {:?}", how.limit)
            }
            2..=3 => {
                let records = self.random.random_range(1..20);
                self.sink.stop_after(records, stop.clone());
                format!("stop after {records}")
            }
            4..=6 => {
                crash = true;
                "crash".to_owned()
            }
            _ => "to the end".to_owned(),
        };
        write!(
            self.how,
            "\nstore {store}, {}, {ending}, forced {forced}, anyway {}",
            VERSIONS[version], how.sweep_anyway
        )
        .unwrap();
        let (sink, counted) = (self.sink.clone(), self.sink.clone());
        let (state, its_store) = (self.state(store), self.stores[store].clone());
        let moments = crash.then(|| Moments::of(&state, &its_store, move || counted.steps()));
        let before = self.sink.steps();
        let end = self.pass(store, version, forced, how, stop, Arc::new(sink));
        write!(self.how, ": {end:?}").unwrap();
        let Some(moments) = moments else { return };
        let moments = moments.take();
        if moments.is_empty() {
            return;
        }
        let index = self.random.random_range(0..moments.len());
        let from = moments[index].sink_steps.max(before);
        let to = moments.get(index + 1).map_or(self.sink.steps(), |next| next.sink_steps);
        let steps = self.random.random_range(from..=to.max(from));
        write!(self.how, " (crash at moment {index}, the sink after {steps} steps)").unwrap();
        self.stores[store] = moments[index].store.after_crash();
        self.known[store] = None;
        self.sink = self.sink.at(steps);
    }

    fn pass(
        &mut self,
        store: usize,
        version: usize,
        forced: bool,
        how: How,
        stop: CancellationToken,
        sink: Arc<dyn Sink>,
    ) -> End {
        self.simulation.passes += 1;
        let (state, dump, scale) = (self.state(store), self.dump(version), self.scale);
        let store_of_it = self.stores[store].clone();
        let (end, known) = self.simulation.runtime.block_on(async {
            let clock = Arc::new(how.clock);
            let keeper = Keeper::in_memory(&state, store_of_it, clock).await.unwrap();
            if forced {
                let (job, kinds) = (sink.job().clone(), vec![Kind::Labels]);
                let word = ForceWord::Restart;
                keeper.force(job, Self::version(version), kinds, word, Timestamp(1)).await.unwrap();
            }
            let end = pass(&scale, &keeper, sink, &dump, &state, how, stop).await;
            let known = keeper.inspect().await.unwrap().files;
            keeper.close().await.unwrap();
            (end, known)
        });
        self.known[store] = Some(known);
        end
    }

    /// A store is saved, or what was saved put back.
    fn back_up(&mut self) {
        let store = self.random.random_range(0..self.stores.len());
        if self.backups.is_empty() || self.random.random_bool(0.5) {
            self.backups.push(self.stores[store].after_crash());
            write!(self.how, "\nstore {store} is backed up").unwrap();
        } else {
            let backup = self.random.random_range(0..self.backups.len());
            self.stores[store] = self.backups[backup].after_crash();
            self.known[store] = None;
            write!(self.how, "\nstore {store} is put back to backup {backup}").unwrap();
        }
    }

    /// The law, at any moment.
    fn check(&mut self) {
        let table = self.sink.table();
        let mut complete = Vec::new();
        for store in 0..self.stores.len() {
            let known = match self.known[store].take() {
                Some(known) => known,
                None => self.stores[store].inspect().unwrap().files,
            };
            for file in &known {
                let Some(run) = file.state.run else { continue };
                let identity = &file.state.identity;
                let content = self.contents.iter().position(|it| it.identity == *identity);
                self.content_of.insert((file.key.version, run), content.unwrap());
                if file.state.status == Status::Complete {
                    complete.push((store, (file.key.version, run), content.unwrap()));
                }
            }
            self.known[store] = Some(known);
        }
        for (store, own, content) in complete {
            for (id, hash) in &self.contents[content].records {
                let right = match table.rows.get(id) {
                    Some(((version, run, _), there)) if (*version, *run) == own => there == hash,
                    // A later version, or a higher run, which is then of what was published later.
                    Some(((version, run, _), there)) => {
                        let known = self.content_of.get(&(*version, *run));
                        let is_later = known.is_none_or(|known| *known > content);
                        *version > own.0 || (*version, *run) > own && (there == hash || is_later)
                    }
                    None => table.swept > Some(own),
                };
                assert!(right, "store {store} {own:?} says complete: {id}{}", self.how);
            }
        }
        self.check_swept(&table);
    }

    fn check_swept(&self, table: &Table) {
        for (id, ((version, run, _), _)) in &table.rows {
            let is_gone = table.swept > Some((*version, *run));
            assert!(!is_gone, "{id} is there, and {:?} was swept{}", table.swept, self.how);
        }
    }

    /// All stores take the newest version to its end: the table is that version.
    fn end(&mut self) {
        let newest = VERSIONS.len() - 1;
        for store in (0..self.stores.len()).chain([0]) {
            let how = How { limit: None, sweep_anyway: true, clock: self.clocks[store] };
            let sink = Arc::new(self.sink.clone());
            let end = self.pass(store, newest, false, how, CancellationToken::new(), sink);
            write!(self.how, "\nstore {store} goes to the end: {end:?}").unwrap();
            assert_eq!(end, End::Complete, "{}", self.how);
            self.check();
        }
        let now = fs::read(self.dump(newest)).unwrap();
        let content = self.contents.iter().rev().find(|content| content.gzip == now).unwrap();
        let mut table = self.sink.table().content();
        if !content.is_proof {
            // What older versions had may be there.
            table.retain(|id, _| content.records.contains_key(id));
        }
        assert!(table == content.records, "the table differs{}", self.how);
    }
}

impl Simulation {
    /// One schedule.
    fn runs(&mut self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut scale = Scale::random(&mut random);
        scale.max_bad_records = 10_000;
        let folders = (0..random.random_range(1..4)).map(|_| folder()).collect::<Vec<_>>();
        let clocks = folders.iter().map(|_| {
            let by_millis = random.random_range(-10_000_000..10_000_000);
            Skewed { by_millis, ..Skewed::default() }
        });
        let clocks = clocks.collect();
        let sink = Memory::sweeping(random.random());
        let mut runs = Runs {
            simulation: self,
            random,
            scale,
            dumps: folder(),
            contents: Vec::new(),
            known: folders.iter().map(|_| None).collect(),
            stores: folders.iter().map(|_| Store::default()).collect(),
            folders,
            clocks,
            backups: Vec::new(),
            sink,
            content_of: BTreeMap::new(),
            how: String::new(),
            editions: 0,
        };
        for version in 0..VERSIONS.len() {
            runs.publish(version);
        }
        for _ in 0..runs.random.random_range(2..10) {
            match runs.random.random_range(0..12) {
                0 => {
                    let version = runs.random.random_range(0..VERSIONS.len());
                    runs.publish(version);
                }
                1 | 2 => runs.back_up(),
                _ => runs.act(),
            }
            runs.check();
        }
        runs.end();
    }
}

#[test]
fn whoever_says_complete_all_of_that_version_is_there() {
    let began = std::time::Instant::now();
    let mut simulation = Simulation::new();
    let mut schedules = 0;
    while began.elapsed().as_secs() < seconds(SECONDS_OF_RUNS) {
        let seed = seed().unwrap_or_else(|| rand::rng().random());
        println!("DISCOGS_TEST_SEED={seed}");
        simulation.runs(seed);
        schedules += 1;
    }
    println!("{schedules} schedules, {} passes", simulation.passes);
}
