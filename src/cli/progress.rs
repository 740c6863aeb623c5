//! What a person sees while files are extracted: a bar per file, or the contract's lines.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::args::Progress;
use super::live::Stalls;
use super::summary::grouped;
use crate::model::{Clock, Kind, Phase, Timestamp};
use crate::observe::{FileNow, Idle, Rate, STALL_TICK, Snapshot, lines};
use crate::pipeline::Watched;

/// How often bars are drawn.
const REDRAW: Duration = Duration::from_millis(250);

/// The lines come after 10 s three times, then every 30 s.
const EARLY: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(30);

/// Shows a pass until it is dropped.
pub struct Display {
    clock: Arc<dyn Clock>,
    stall_after: Duration,
    lines: bool,
    /// Types that are no part of this pass, as the store knows them.
    others: Vec<FileNow>,
    files: Vec<File>,
    stalls: watch::Sender<Stalls>,
}

/// The fields of the progress event.
struct Pace {
    percent: u64,
    records_per_second: f64,
    /// Until the last file that is being extracted ends, at its speed.
    seconds_left: Option<u64>,
}

struct File {
    watched: Watched,
    /// When it was complete before this pass began.
    completed_at: Option<Timestamp>,
    rate: Rate,
    idle: Idle,
    stalled: bool,
    bar: Option<ProgressBar>,
}

/// How progress is to be shown, once it is known where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A bar per file.
    Bars,
    /// The lines.
    Lines,
    /// Neither.
    Silent,
}

impl How {
    /// Bars on a terminal, lines elsewhere, unless it was said.
    pub const fn resolve(progress: Progress, terminal: bool) -> How {
        match (progress, terminal) {
            (Progress::Auto, true) | (Progress::Bar, _) => How::Bars,
            (Progress::Auto, false) | (Progress::Log, _) => How::Lines,
            (Progress::None, _) => How::Silent,
        }
    }
}

impl Display {
    /// Begins to show the files of a pass. `known` is what the store knew of the version.
    pub fn new(
        clock: Arc<dyn Clock>,
        how: How,
        stall_after: Duration,
        watched: Vec<Watched>,
        known: Vec<FileNow>,
        bars: &MultiProgress,
    ) -> Display {
        let ours = |kind| watched.iter().any(|w| w.dump.name.kind == kind);
        let (mine, others): (Vec<_>, Vec<_>) = known.into_iter().partition(|f| ours(f.kind));
        let completed: BTreeMap<Kind, Timestamp> =
            mine.iter().filter_map(|file| Some((file.kind, file.completed_at?))).collect();
        let files = watched.into_iter().map(|watched| File {
            completed_at: completed.get(&watched.dump.name.kind).copied(),
            rate: Rate::default(),
            idle: Idle::default(),
            stalled: false,
            bar: (how == How::Bars).then(|| bars.add(bar(&watched))),
            watched,
        });
        let files = files.collect();
        let stalls = watch::Sender::new(Stalls::new());
        Display { clock, stall_after, lines: how == How::Lines, others, files, stalls }
    }

    /// Which files are stalled, for whoever asks.
    pub fn stalls(&self) -> watch::Receiver<Stalls> {
        self.stalls.subscribe()
    }

    /// Shows until it is dropped.
    pub async fn run(&mut self) -> Infallible {
        let mut redraw = interval(REDRAW);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_at = self.clock.elapsed();
        let mut shown = 0u32;
        let mut next_lines = looked_at + EARLY;
        loop {
            redraw.tick().await;
            let now = self.clock.elapsed();
            self.draw(now);
            if now >= looked_at + STALL_TICK {
                self.look_for_stalls(now.saturating_sub(looked_at));
                looked_at = now;
            }
            if now >= next_lines {
                self.say();
                shown += 1;
                next_lines = now + if shown < 3 { EARLY } else { LATER };
            }
        }
    }

    /// The lines of this moment.
    pub fn say(&self) {
        if !self.lines {
            return;
        }
        let files = self.files.iter().map(File::now).chain(self.others.iter().cloned());
        let snapshot = Snapshot { files: files.collect() };
        let mut said = snapshot.lines().into_iter();
        let Pace { percent, records_per_second, seconds_left } = self.pace();
        if let Some(progress) = said.next() {
            tracing::info!(percent, records_per_second, seconds_left, "{progress}");
        }
        for line in said {
            tracing::info!("{line}");
        }
    }

    /// How the files of this pass do together.
    fn pace(&self) -> Pace {
        let (mut read, mut size, mut records, mut left) = (0, 0, 0.0, Some(Duration::ZERO));
        for file in &self.files {
            let live = file.watched.live.borrow();
            let done = if live.phase == Phase::Complete { file.watched.size } else { live.gzip.0 };
            read += done;
            size += file.watched.size;
            if live.phase == Phase::Extracting {
                let speed = file.rate.speed();
                records += speed.records;
                let time = speed.time_for(file.watched.size.saturating_sub(done));
                left = left.zip(time).map(|(one, other)| one.max(other));
            }
        }
        Pace {
            percent: read * 100 / size.max(1),
            records_per_second: records.round(),
            seconds_left: left.filter(|left| !left.is_zero()).map(|left| left.as_secs()),
        }
    }

    /// The last picture: bars stay where they ended.
    pub fn finish(&mut self) {
        self.draw(self.clock.elapsed());
        for bar in self.files.iter().filter_map(|file| file.bar.as_ref()) {
            bar.abandon();
        }
        self.say();
    }

    fn draw(&mut self, now: Duration) {
        for file in &mut self.files {
            let live = file.watched.live.borrow().clone();
            file.rate.note(now, live.records, live.gzip.0);
            let Some(bar) = &file.bar else { continue };
            let speed = file.rate.speed();
            let done = live.phase == Phase::Complete;
            bar.set_position(if done { file.watched.size } else { live.gzip.0 });
            let left = speed.time_for(file.watched.size.saturating_sub(live.gzip.0));
            let records = grouped(live.records);
            let words = match live.phase {
                Phase::Pending => "waiting".to_owned(),
                Phase::Complete => format!("{records} records, complete"),
                Phase::Failed => format!("{records} records, failed"),
                Phase::Stopped => format!("{records} records, stopped"),
                Phase::Extracting if file.stalled => {
                    format!("{records} records, stalled: {}", live.waits_for)
                }
                Phase::Extracting => {
                    let left = left.map(|left| Duration::from_secs(left.as_secs()));
                    let left = left.map(humantime::format_duration);
                    let left = left.map(|left| format!(", {left} left")).unwrap_or_default();
                    format!("{records} records, {:.0}/s{left}", speed.records)
                }
            };
            bar.set_message(words);
        }
    }

    fn look_for_stalls(&mut self, since_last_look: Duration) {
        let mut found = Vec::new();
        let mut stalls = Stalls::new();
        for file in &mut self.files {
            let live = file.watched.live.borrow().clone();
            let progress = (live.records + live.bad_records, live.skipped);
            file.idle = file.idle.next(live.phase, progress, since_last_look);
            let stalled = file.idle.is_stalled(self.stall_after);
            let name = file.watched.dump.name;
            let kind = name.kind;
            if stalled {
                stalls.insert(name, live.waits_for.to_string());
            }
            match (file.stalled, stalled) {
                (false, true) => {
                    found.push((kind, file.idle.time(), live.waits_for));
                }
                (true, false) => tracing::info!("{}", lines::stall_over(kind)),
                (true, true) | (false, false) => {}
            }
            file.stalled = stalled;
        }
        self.stalls.send_if_modified(|known| std::mem::replace(known, stalls.clone()) != stalls);
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
        let live = self.watched.live.borrow();
        FileNow {
            kind: self.watched.dump.name.kind,
            records: live.records,
            completed_at: match live.phase {
                Phase::Pending => self.completed_at,
                Phase::Complete => self.completed_at.or(live.last_activity),
                Phase::Extracting | Phase::Failed | Phase::Stopped => None,
            },
            active: live.phase == Phase::Extracting,
        }
    }
}

fn bar(watched: &Watched) -> ProgressBar {
    let template = "{prefix:9} {bar:24} {percent:>3}%  {wide_msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(watched.size.max(1)).with_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    bar.with_prefix(watched.dump.name.kind.name())
}
