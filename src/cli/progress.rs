//! A bar per file, for a person at a terminal.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::args::Progress;
use crate::model::{DumpName, Phase};
use crate::observe::{FileNow, Snapshot, grouped};

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

/// Bars that follow the pictures of a pass.
pub struct Bars<'a> {
    place: Option<&'a MultiProgress>,
    picture: watch::Receiver<Arc<Snapshot>>,
    drawn: BTreeMap<DumpName, ProgressBar>,
}

impl<'a> Bars<'a> {
    /// Bars in their place; without one nothing is drawn.
    pub fn new(
        place: Option<&'a MultiProgress>,
        picture: watch::Receiver<Arc<Snapshot>>,
    ) -> Bars<'a> {
        Bars { place, picture, drawn: BTreeMap::new() }
    }

    /// Draws until it is dropped.
    pub async fn run(&mut self) -> Infallible {
        loop {
            if self.place.is_none() || self.picture.changed().await.is_err() {
                return pending().await;
            }
            self.draw();
        }
    }

    /// The last picture: bars stay where they ended.
    pub fn finish(&mut self) {
        self.draw();
        for bar in self.drawn.values() {
            bar.abandon();
        }
    }

    fn draw(&mut self) {
        let Some(place) = self.place else { return };
        let picture = Arc::clone(&self.picture.borrow_and_update());
        // What is no longer looked at, an old version, makes room.
        self.drawn.retain(|name, bar| {
            let stays = picture.files.iter().any(|file| file.name == *name);
            if !stays {
                place.remove(bar);
            }
            stays
        });
        for file in picture.files.iter().filter(|file| file.size > 0) {
            let bar = self.drawn.entry(file.name).or_insert_with(|| place.add(bar(file)));
            bar.set_position(file.bytes_done());
            bar.set_message(words(file));
        }
    }
}

fn words(file: &FileNow) -> String {
    let FileNow { live, speed, size, stalled, .. } = file;
    let records = grouped(live.records);
    match live.phase {
        Phase::Pending => "waiting".to_owned(),
        Phase::Complete => format!("{records} records, complete"),
        Phase::Failed => format!("{records} records, failed"),
        Phase::Stopped => format!("{records} records, stopped"),
        Phase::Extracting if *stalled => format!("{records} records, stalled: {}", live.waits_for),
        Phase::Extracting => {
            let left = speed.time_for(size.saturating_sub(live.gzip.0));
            let left = left.map(|left| Duration::from_secs(left.as_secs()));
            let left = left.map(humantime::format_duration);
            let left = left.map(|left| format!(", {left} left")).unwrap_or_default();
            format!("{records} records, {:.0}/s{left}", speed.records)
        }
    }
}

fn bar(file: &FileNow) -> ProgressBar {
    styled_bar(file.name.kind.name(), file.size)
}

/// A bar as all of ours look: what it is of, how far, and words.
pub fn styled_bar(prefix: &'static str, length: u64) -> ProgressBar {
    let template = "{prefix:9} {bar:24} {percent:>3}%  {wide_msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length).with_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    bar.with_prefix(prefix)
}
