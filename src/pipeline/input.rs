//! A dump that is to be extracted: one in a folder, or one that comes there. It goes into a pass as
//! what is queued and, by the same step, to whoever shows how it does as what is watched.

use tokio::sync::watch;

use super::download::{Arrived, ArrivedState};
use crate::dump::Dump;
use crate::model::{DumpName, Live};

/// A dump of a pass, as those who watch it see it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The dump.
    pub dump: Dump,
    /// Its size on disk.
    size: u64,
    /// Its download, if it is not wholly here.
    arrived: Option<watch::Receiver<Arrived>>,
    /// This second's state.
    pub live: watch::Receiver<Live>,
}

impl Watched {
    /// Bytes of the whole dump, as far as that is known.
    pub fn size(&self) -> u64 {
        let promised = |arrived: &watch::Receiver<Arrived>| arrived.borrow().length;
        self.arrived.as_ref().and_then(promised).unwrap_or(self.size)
    }

    /// Bytes that are downloaded, while there are more to come.
    pub fn downloaded(&self) -> Option<u64> {
        let arrived = self.arrived.as_ref()?.borrow();
        (arrived.state == ArrivedState::Growing).then_some(arrived.synced)
    }
}

/// A dump that is to be extracted: one in a folder, or one that comes there.
#[derive(Clone, Debug)]
pub struct Input {
    /// The dump.
    pub dump: Dump,
    /// Its download, if it is not wholly here.
    pub arrived: Option<watch::Receiver<Arrived>>,
}

impl From<Dump> for Input {
    fn from(dump: Dump) -> Input {
        Input { dump, arrived: None }
    }
}

/// A dump that waits for its turn in a pass.
#[derive(Debug)]
pub struct Queued {
    /// What is extracted.
    pub input: Input,
    /// Where this second's state is told.
    pub live: watch::Sender<Live>,
}

/// Makes dumps ready for a pass, and to be watched; `known` tells how many records of each were
/// delivered before.
pub fn queue(inputs: Vec<Input>, known: impl Fn(DumpName) -> u64) -> (Vec<Queued>, Vec<Watched>) {
    let ready = inputs.into_iter().map(|input| {
        let Input { dump, arrived } = input.clone();
        let (live, watcher) = watch::channel(Live { records: known(dump.name), ..Live::PENDING });
        let size = std::fs::metadata(&dump.path).map_or(0, |metadata| metadata.len());
        (Queued { input, live }, Watched { dump, size, arrived, live: watcher })
    });
    ready.unzip()
}
