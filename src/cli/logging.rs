//! Log lines on standard error, above the bars where there are bars.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use super::args::{LogFormat, LogLevel};
use super::config::Logging;

/// What lines look like, once that is known.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Whether lines are JSON, so that whatever else is said there must be, too.
pub fn as_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Starts logging. Lines go through `bars`, so that neither garbles the other.
pub fn start(logging: Logging, bars: &MultiProgress) {
    let level = match logging.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
    };
    let ours = tracing_subscriber::filter::Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("discogs_extractor", level)
        // It logs whole messages that came back; what matters of it is logged where it is handled.
        .with_target("lapin", LevelFilter::OFF);
    let colour = console_colour();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(AboveBars(bars.clone()))
        .with_ansi(colour)
        .with_target(false);
    let registry = tracing_subscriber::registry().with(ours);
    // It is set here only.
    _ = FORMAT.set(logging.format);
    match logging.format {
        LogFormat::Text => registry.with(layer).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
    }
}

/// Colour only where a person sees it: <https://no-color.org>.
fn console_colour() -> bool {
    io::stderr().is_terminal() && !colour_refused()
}

/// Whether the environment asks for no colour.
pub fn colour_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

struct AboveBars(MultiProgress);

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { bars: self.0.clone(), bytes: Vec::new() }
    }
}

/// One log line, written at once when it is whole.
struct Line {
    bars: MultiProgress,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // There is nowhere to say that standard error is gone.
        _ = self.bars.suspend(|| io::stderr().write_all(&self.bytes));
    }
}
