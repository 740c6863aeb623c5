//! Watches the folder of dumps: the kernel tells when one is closed or renamed into place, and a
//! look at the folder every few seconds finds what the kernel does not tell.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use inotify::{EventMask, EventStream, Inotify, WatchMask};
use tokio::task::spawn_blocking;

use super::sightings::{Moment, Sightings, Stamp, Whole};
use crate::dump::{self, Dump};
use crate::model::{Clock, DumpName};

/// How often the folder is looked at when nothing is heard of it.
const LOOK: Duration = Duration::from_secs(5);

/// Files that are moved together are seen together.
const GATHER: Duration = Duration::from_millis(200);

/// Room for the kernel's events: at least one with the longest name, a few in practice.
const EVENTS: usize = 4 << 10;

/// The folder of dumps, which may not be there yet.
pub struct Folder {
    root: PathBuf,
    clock: Arc<dyn Clock>,
    sightings: Sightings,
    /// Dumps that were closed or renamed into place since the last look.
    closed: BTreeSet<DumpName>,
    next_look: Duration,
    ear: Option<Ear>,
    /// Why the folder cannot be looked at, as it was last told.
    missing: Option<String>,
}

/// The kernel's events of one folder.
struct Ear {
    events: EventStream<[u8; EVENTS]>,
    /// Device and inode: a folder that is made again, or mounted over, is another one.
    folder: (u64, u64),
}

impl Folder {
    /// Takes the first look.
    pub async fn open(root: PathBuf, clock: Arc<dyn Clock>) -> Folder {
        let mut folder = Folder {
            root,
            clock,
            sightings: Sightings::default(),
            closed: BTreeSet::new(),
            next_look: Duration::ZERO,
            ear: None,
            missing: None,
        };
        folder.look().await;
        folder
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it could be looked at the last time.
    pub const fn is_there(&self) -> bool {
        self.missing.is_none()
    }

    /// The dumps that are whole.
    pub fn whole(&self) -> Vec<Whole> {
        self.sightings.whole()
    }

    /// The dumps that may still grow.
    pub fn growing(&self) -> Vec<Dump> {
        self.sightings.growing().map(|(dump, _)| dump.clone()).collect()
    }

    /// Takes a dump to be whole as it was last seen.
    pub fn trust(&mut self, name: DumpName) {
        self.sightings.trust(name);
    }

    /// Returns after the next look, which comes with an event or in a few seconds. It may be
    /// dropped; nothing that was heard is lost.
    pub async fn looked(&mut self) {
        if self.closed.is_empty() {
            let time_left = self.next_look.saturating_sub(self.clock.elapsed());
            tokio::select! {
                () = hear(self.ear.as_mut(), &mut self.closed) => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(time_left) => {}
            }
        }
        self.look().await;
    }

    /// Looks at it now, with all that was heard until now.
    pub async fn look(&mut self) {
        while hear(self.ear.as_mut(), &mut self.closed).now_or_never().is_some() {}
        let (root, heard) = (self.root.clone(), self.ear.as_ref().map(|ear| ear.folder));
        let looked = spawn_blocking(move || look(&root, heard)).await;
        let looked = looked.unwrap_or_else(|died| Err(died.to_string()));
        let at = Moment { now: self.clock.now(), elapsed: self.clock.elapsed() };
        let missing = looked.as_ref().err().cloned();
        self.tell(missing);
        let closed = std::mem::take(&mut self.closed);
        if let Ok(Looked { folder, inotify, seen }) = looked {
            if let Some(inotify) = inotify {
                let events = inotify.into_event_stream([0; EVENTS]).ok();
                self.ear = events.map(|events| Ear { events, folder });
            }
            self.sightings.look(seen, &closed, at);
        } else {
            // When it is back, that look is the first one of another folder.
            self.ear = None;
            self.sightings = Sightings::default();
        }
        let whole_at = self.sightings.growing().map(|(_, whole_at)| whole_at);
        self.next_look = whole_at.fold(at.elapsed + LOOK, Duration::min);
    }

    fn tell(&mut self, missing: Option<String>) {
        if self.missing == missing {
            return;
        }
        let folder = self.root.display();
        if let Some(why) = &missing {
            tracing::warn!(%folder, why, "the folder cannot be looked at, waiting for it");
        } else {
            tracing::info!(%folder, "the folder can be looked at");
        }
        self.missing = missing;
    }
}

/// What a look at the folder gives.
struct Looked {
    /// Device and inode.
    folder: (u64, u64),
    /// The kernel's ear, if it is another folder than the one that is heard.
    inotify: Option<Inotify>,
    seen: Vec<(Dump, Stamp)>,
}

/// The dumps in the folder and how they look, or why that cannot be said. Listening begins before
/// the look, so that nothing happens between them.
fn look(root: &Path, heard: Option<(u64, u64)>) -> Result<Looked, String> {
    let metadata = std::fs::metadata(root).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("not a folder".to_owned());
    }
    let folder = (metadata.dev(), metadata.ino());
    let inotify = if heard == Some(folder) { None } else { listen(root) };
    let dumps = dump::find(root).map_err(|error| error.to_string())?;
    let stamped = dumps.into_iter().filter_map(|dump| {
        // What went away in between is gone.
        let metadata = std::fs::metadata(&dump.path).ok().filter(std::fs::Metadata::is_file)?;
        let modified = i128::from(metadata.mtime()) * 1_000_000_000;
        let modified = modified + i128::from(metadata.mtime_nsec());
        Some((dump, Stamp { size: metadata.len(), modified }))
    });
    Ok(Looked { folder, inotify, seen: stamped.collect() })
}

fn listen(root: &Path) -> Option<Inotify> {
    let listen = || {
        let inotify = Inotify::init()?;
        inotify.watches().add(root, WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO)?;
        std::io::Result::Ok(inotify)
    };
    listen().inspect_err(|error| tracing::debug!(%error, "no events, only looks")).ok()
}

/// Adds the next dump that is closed or renamed into place; returns when events were lost, too.
async fn hear(ear: Option<&mut Ear>, closed: &mut BTreeSet<DumpName>) {
    let Some(Ear { events, .. }) = ear else { return std::future::pending().await };
    loop {
        match events.next().await {
            Some(Ok(event)) if event.mask.contains(EventMask::Q_OVERFLOW) => return,
            Some(Ok(event)) => {
                let name = event.name.as_ref().map(|name| name.to_string_lossy());
                if let Some(name) = name.and_then(|name| name.parse().ok()) {
                    closed.insert(name);
                    return;
                }
            }
            // No more events: the looks go on.
            Some(Err(_)) | None => return std::future::pending().await,
        }
    }
}
