//! How a person sees files arrive: a bar for each on a terminal, lines elsewhere.

use std::convert::Infallible;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar};
use tokio::sync::watch;
use tokio::time::interval;

use super::progress::{How, styled_bar};
use crate::model::{Clock, DumpName};
use crate::observe::{Rate, grouped};
use crate::pipeline::download::{Arrived, ArrivedState};

/// How often bars are drawn.
const DRAW: Duration = Duration::from_millis(250);
/// How often a line is logged.
const LOG: Duration = Duration::from_secs(10);

/// A file that is fetched, as those who watch it see it.
pub struct Arrival {
    /// Which.
    pub name: DumpName,
    /// How much of it is here.
    pub arrived: watch::Receiver<Arrived>,
}

struct Followed {
    arrival: Arrival,
    rate: Rate,
    bar: Option<ProgressBar>,
}

/// Files that arrive.
pub struct Arrivals<'a> {
    files: Vec<Followed>,
    how: How,
    bars: &'a MultiProgress,
    clock: &'a dyn Clock,
}

impl<'a> Arrivals<'a> {
    /// Shows these files, in this way.
    pub fn new(
        files: Vec<Arrival>,
        how: How,
        bars: &'a MultiProgress,
        clock: &'a dyn Clock,
    ) -> Arrivals<'a> {
        let followed = |arrival| Followed { arrival, rate: Rate::default(), bar: None };
        Arrivals { files: files.into_iter().map(followed).collect(), how, bars, clock }
    }

    /// Shows them until it is dropped.
    pub async fn show(&mut self) -> Infallible {
        let mut looks = interval(DRAW);
        let mut logged = self.clock.elapsed();
        loop {
            looks.tick().await;
            let now = self.clock.elapsed();
            for file in &mut self.files {
                let synced = file.arrival.arrived.borrow().synced;
                file.rate.note(now, 0, synced);
            }
            match self.how {
                How::Bars => self.draw(),
                How::Lines if now.saturating_sub(logged) >= LOG => {
                    logged = now;
                    self.log();
                }
                How::Lines | How::Silent => {}
            }
        }
    }

    /// The last picture: bars stay where they ended.
    pub fn finish(&mut self) {
        if self.how == How::Bars {
            self.draw();
        }
        for bar in self.files.iter().filter_map(|file| file.bar.as_ref()) {
            bar.abandon();
        }
    }

    fn draw(&mut self) {
        for file in &mut self.files {
            let arrived = file.arrival.arrived.borrow().clone();
            let bar = file
                .bar
                .get_or_insert_with(|| self.bars.add(styled_bar(file.arrival.name.kind.name(), 0)));
            bar.set_length(arrived.length.unwrap_or(arrived.synced));
            bar.set_position(arrived.synced);
            bar.set_message(words(&arrived, &file.rate));
        }
    }

    fn log(&self) {
        for file in &self.files {
            let arrived = file.arrival.arrived.borrow().clone();
            if arrived.state == ArrivedState::Growing && arrived.synced > 0 {
                tracing::info!(file = %file.arrival.name, "{}", words(&arrived, &file.rate));
            }
        }
    }
}

/// `1,234 of 2,345 bytes, 3.4 MB/s, 5m left`.
fn words(arrived: &Arrived, rate: &Rate) -> String {
    let here = grouped(arrived.synced);
    match &arrived.state {
        ArrivedState::Verified => return format!("{here} bytes, verified"),
        ArrivedState::Unverified => return format!("{here} bytes, unverified"),
        ArrivedState::Failed { .. } => return format!("{here} bytes, not complete"),
        ArrivedState::Growing => {}
    }
    let speed = rate.speed();
    let left = arrived.length.map(|length| length.saturating_sub(arrived.synced));
    let time = left.and_then(|left| speed.time_for(left));
    let time = time.map(|time| Duration::from_secs(time.as_secs()));
    let time = time.map(|time| format!(", {} left", humantime::format_duration(time)));
    let of = arrived.length.map_or_else(String::new, |length| format!(" of {}", grouped(length)));
    format!("{here}{of} bytes, {:.1} MB/s{}", speed.bytes / 1e6, time.unwrap_or_default())
}
