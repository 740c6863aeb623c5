//! Looks at the files of a pass while they are extracted: how fast they go, whether they stall,
//! and the contract's lines when they are due.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::model::{Clock, DumpName, Phase, Timestamp};
use crate::observe::{FileNow, Idle, Rate, STALL_TICK, Snapshot, Speed, Stage, lines};
use crate::pipeline::Watched;

/// How often files are looked at: as often as a picture for people changes.
const LOOK: Duration = Duration::from_millis(250);

/// The lines come after 10 s three times, then every 30 s.
const EARLY: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(30);

/// Watches one pass until it is dropped.
pub struct Watch {
    clock: Arc<dyn Clock>,
    stall_after: Duration,
    lines: bool,
    /// Types that are no part of this pass, as the store knows them.
    others: Vec<FileNow>,
    files: Vec<File>,
    picture: watch::Sender<Arc<Snapshot>>,
}

struct File {
    watched: Watched,
    /// When it was complete before this pass began.
    completed_at: Option<Timestamp>,
    rate: Rate,
    speed: Speed,
    idle: Idle,
    stalled: bool,
}

/// The fields of the progress event.
struct Pace {
    percent: u64,
    records_per_second: f64,
    /// Until the last file that is being extracted ends, at its speed.
    seconds_left: Option<u64>,
}

impl Watch {
    /// Begins to watch the files of a pass; each look becomes a new `picture`. `known` is what
    /// the store knew of the version. The lines are logged if `lines` are wanted; stalls always.
    pub fn new(
        clock: Arc<dyn Clock>,
        stall_after: Duration,
        lines: bool,
        watched: Vec<Watched>,
        known: Vec<FileNow>,
        picture: watch::Sender<Arc<Snapshot>>,
    ) -> Watch {
        let ours = |name: DumpName| watched.iter().any(|w| w.dump.name == name);
        let (mine, others): (Vec<_>, Vec<_>) = known.into_iter().partition(|f| ours(f.name));
        let completed: BTreeMap<DumpName, Timestamp> =
            mine.iter().filter_map(|file| Some((file.name, file.completed_at?))).collect();
        let files = watched.into_iter().map(|watched| File {
            completed_at: completed.get(&watched.dump.name).copied(),
            rate: Rate::default(),
            speed: Speed::default(),
            idle: Idle::default(),
            stalled: false,
            watched,
        });
        let files = files.collect();
        let mut watch = Watch { clock, stall_after, lines, others, files, picture };
        watch.look();
        watch
    }

    /// Watches until it is dropped.
    pub async fn run(&mut self) -> Infallible {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_at = self.clock.elapsed();
        let mut shown = 0u32;
        let mut next_lines = looked_at + EARLY;
        loop {
            tick.tick().await;
            let now = self.clock.elapsed();
            if now >= looked_at + STALL_TICK {
                self.look_for_stalls(now.saturating_sub(looked_at));
                looked_at = now;
            }
            self.look();
            if now >= next_lines {
                self.say();
                shown += 1;
                next_lines = now + if shown < 3 { EARLY } else { LATER };
            }
        }
    }

    /// The lines of this moment, if lines are wanted.
    pub fn say(&self) {
        if !self.lines {
            return;
        }
        let mut said = self.snapshot().lines().into_iter();
        let Pace { percent, records_per_second, seconds_left } = self.pace();
        if let Some(progress) = said.next() {
            tracing::info!(percent, records_per_second, seconds_left, "{progress}");
        }
        for line in said {
            tracing::info!("{line}");
        }
        for file in self.files.iter().map(File::now) {
            let Some(bytes) = file.downloaded else { continue };
            let percent = bytes * 100 / file.size.max(bytes).max(1);
            tracing::info!(file = %file.name, bytes, of = file.size, percent, "downloading");
        }
    }

    /// The last picture, and its lines.
    pub fn finish(&mut self) {
        self.look();
        self.say();
    }

    fn look(&mut self) {
        let now = self.clock.elapsed();
        for file in &mut self.files {
            let live = file.watched.live.borrow();
            file.rate.note(now, live.records, live.gzip.0);
            file.speed = file.rate.speed();
        }
        self.picture.send_replace(Arc::new(self.snapshot()));
    }

    fn snapshot(&self) -> Snapshot {
        let files = self.files.iter().map(File::now).chain(self.others.iter().cloned());
        Snapshot { stage: Stage::Running, files: files.collect() }
    }

    /// How the files of this pass do together.
    fn pace(&self) -> Pace {
        let (mut read, mut size, mut records, mut left) = (0, 0, 0.0, Some(Duration::ZERO));
        for file in self.files.iter().map(File::now) {
            let done = file.bytes_done();
            read += done;
            size += file.size;
            if file.active() {
                records += file.speed.records;
                let time = file.speed.time_for(file.size.saturating_sub(done));
                left = left.zip(time).map(|(one, other)| one.max(other));
            }
        }
        Pace {
            percent: read * 100 / size.max(1),
            records_per_second: records.round(),
            seconds_left: left.filter(|left| !left.is_zero()).map(|left| left.as_secs()),
        }
    }

    fn look_for_stalls(&mut self, since_last_look: Duration) {
        let mut found = Vec::new();
        for file in &mut self.files {
            let live = file.watched.live.borrow().clone();
            let progress = (live.records + live.bad_records, live.skipped);
            file.idle = file.idle.next(live.phase, progress, since_last_look);
            let stalled = file.idle.is_stalled(self.stall_after);
            let kind = file.watched.dump.name.kind;
            match (file.stalled, stalled) {
                (false, true) => {
                    found.push((kind, file.idle.time(), live.waits_for));
                }
                (true, false) => tracing::info!("{}", lines::stall_over(kind)),
                (true, true) | (false, false) => {}
            }
            file.stalled = stalled;
        }
        if !found.is_empty() {
            let kinds: Vec<_> = found.iter().map(|(kind, ..)| *kind).collect();
            tracing::warn!("{}", lines::stalled(&kinds));
            for (kind, idle, waits_for) in found {
                tracing::warn!("{}", lines::stalled_because(kind, idle, &waits_for));
            }
        }
    }
}

impl File {
    fn now(&self) -> FileNow {
        let live = self.watched.live.borrow().clone();
        FileNow {
            name: self.watched.dump.name,
            size: self.watched.size(),
            downloaded: self.watched.downloaded(),
            completed_at: match live.phase {
                Phase::Pending => self.completed_at,
                Phase::Complete => self.completed_at.or(live.last_activity),
                Phase::Extracting | Phase::Failed | Phase::Stopped => None,
            },
            live,
            stalled: self.stalled,
            speed: self.speed,
        }
    }
}
