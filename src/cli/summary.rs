//! What a person is told when an extraction ends.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use crate::observe::grouped;
use crate::pipeline::{FileEnd, Finished};
use crate::state::view::OwedEntry;

/// The summary as text.
pub fn text(finished: &[Finished], owed: &[OwedEntry], location: &str, took: Duration) -> String {
    let mut text = String::new();
    for file in finished {
        let end = match &file.end {
            FileEnd::AlreadyComplete => "complete already",
            FileEnd::Complete => "complete",
            FileEnd::Limited => "limit reached",
            FileEnd::Stopped { .. } => "stopped, can go on",
            FileEnd::Failed(_) => "failed",
        };
        let records = grouped(file.records);
        let bad = match file.bad_records {
            0 => String::new(),
            bad => format!(", {} set aside", grouped(bad)),
        };
        _ = writeln!(text, "{:34} {records:>12} records, {end}{bad}", file.dump.name.to_string());
    }
    let now: u64 = finished.iter().map(|file| file.now).sum();
    let seconds = took.as_secs_f64();
    _ = writeln!(text, "{} records delivered to {location} in {seconds:.2} s", grouped(now));
    for file in finished {
        let name = file.dump.name;
        for (count, why) in [
            (file.left_out.later, "a later version or run has written them"),
            (file.left_out.swept, "a later version, which was swept, does not have them"),
        ] {
            if count > 0 {
                _ = writeln!(text, "not written, {} records of {name}: {why}", grouped(count));
            }
        }
    }
    for entry in owed {
        if let Some(why) = &entry.refused {
            _ = writeln!(text, "not removed, what the version no longer has: {why}");
        }
    }
    if let Some(database) = location.strip_prefix("sqlite:") {
        let kinds = finished.iter().map(|file| file.dump.name.kind);
        if let Some(kind) = kinds.max() {
            _ = writeln!(
                text,
                "\ntry: sqlite3 '{database}' \"SELECT data_id, substr(data, 1, 100) FROM {kind} LIMIT 5\""
            );
        }
    }
    text
}

/// Prints it: to standard output, unless that holds the records.
pub fn tell(text: &str, records_on_standard_output: bool) -> io::Result<()> {
    if records_on_standard_output {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    }
}
