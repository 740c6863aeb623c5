//! What the tables of `state` have in common: how one looks, and how a moment is said in it.

use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::model::Timestamp;

/// A table without lines.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table
}

/// A moment both ways: `3 min ago (2026-01-02T03:04:05Z)`.
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({at})", ago(now.since(at)))
}

fn ago(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match time.as_secs() {
        0 => "now".to_owned(),
        s @ 1..MINUTE => format!("{s} s ago"),
        s @ MINUTE..HOUR => format!("{} min ago", s / MINUTE),
        s @ HOUR..DAY => format!("{} h ago", s / HOUR),
        s => format!("{} days ago", s / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ago_in_the_largest_unit() {
        let rows = [(0, "now"), (59, "59 s ago"), (185, "3 min ago"), (7_200, "2 h ago")];
        for (seconds, expected) in rows {
            assert_eq!(ago(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(ago(Duration::from_hours(5 * 24)), "5 days ago");
    }
}
