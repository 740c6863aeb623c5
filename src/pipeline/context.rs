//! What is handed down, once: a pass's context to everything that works for it, and a file's context,
//! which borrows the pass's, to all that works for that file. Nobody below puts the same things
//! together anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::bad::BadRecords;
use super::input::Input;
use super::sizes::Sizes;
use super::workers::Pool;
use crate::model::message::Announcement;
use crate::model::{Clock, DumpName, Live};
use crate::sink::Sink;
use crate::state::{FileKey, Keeper};

/// How a pass is to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files at once.
    pub workers: usize,
    /// Parse threads.
    pub threads: usize,
    /// Deliveries in flight, per file.
    pub window: usize,
    /// Bad records that a file may have.
    pub max_bad_records: u64,
    /// Records to deliver of each file before it ends.
    pub limit: Option<u64>,
    /// Where bad records are kept.
    pub bad_records: PathBuf,
    /// The highest part of a table that a sweep may remove.
    pub max_delete_fraction: f64,
    /// Whether to sweep without proof.
    pub sweep_anyway: bool,
    /// The measures of a record's way.
    pub sizes: Sizes,
}

/// Failures that somebody was told of, by dump: the same one again is no news.
pub type Told = BTreeMap<DumpName, String>;

/// What a pass works with.
#[derive(Clone)]
pub struct Context {
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// The store.
    pub keeper: Keeper,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How it is to work.
    pub settings: Settings,
    /// Failures of earlier passes.
    pub told: Told,
    /// Says that it is to stop.
    pub stop: CancellationToken,
    /// Is told of every announcement that the sink has confirmed.
    pub announced: fn(&Announcement),
    /// Held by whoever pays what is owed.
    pub paying: Arc<Mutex<()>>,
}

/// What one file of a pass works with.
pub struct FileContext<'a> {
    /// That of its pass.
    pub pass: &'a Context,
    /// The parse threads, which all files share.
    pub pool: &'a Pool,
    /// The dump, and its download if it is not wholly here.
    pub input: &'a Input,
    /// Where this second's state is told.
    pub live: &'a watch::Sender<Live>,
    /// Its place in the store.
    pub key: FileKey,
    /// Where its bad records are kept.
    pub bad_records: BadRecords,
}

impl<'a> FileContext<'a> {
    /// The context of a file of a pass.
    pub fn new(
        pass: &'a Context,
        pool: &'a Pool,
        input: &'a Input,
        live: &'a watch::Sender<Live>,
    ) -> FileContext<'a> {
        let (job, file) = (pass.sink.job().clone(), input.dump.name);
        let bad_records = BadRecords::new(&pass.settings.bad_records, &job, file);
        FileContext { pass, pool, input, live, key: FileKey::new(job, file), bad_records }
    }

    /// The dump's name, as a key and for people.
    pub const fn name(&self) -> DumpName {
        self.input.dump.name
    }
}
