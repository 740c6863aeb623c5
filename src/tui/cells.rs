//! A cell in words, shorter or longer.

use ratatui::text::Span;

use crate::model::{DumpName, Timestamp};
use crate::observe::picture::Cell;
use crate::observe::{bytes, grouped};

/// How wide a bar is, and a curve.
const BAR: usize = 10;

/// From nothing to all.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What a cell says, the shortest way first. `at` is the picture's moment.
pub fn ways(cell: &Cell, at: Timestamp) -> Vec<String> {
    match cell {
        Cell::None => vec!["–".to_owned()],
        Cell::Text(text) => match text.parse::<DumpName>() {
            Ok(DumpName { version, kind }) => {
                vec![kind.to_string(), format!("{kind} {version}"), text.clone()]
            }
            Err(_) => vec![on_one_line(text)],
        },
        Cell::Number(number) => vec![grouped(*number)],
        Cell::Time(time) => {
            let (day, hour) = time.day_and_hour();
            let short = if day == at.day_and_hour().0 { hour.clone() } else { day.clone() };
            vec![short, format!("{day} {hour}")]
        }
        Cell::Progress { done, of: 0 } => vec![bytes(*done)],
        Cell::Progress { done, of } => {
            let percent = u128::from(*done.min(of)) * 100 / u128::from(*of);
            let bar = bar(*done, *of);
            let all = format!("{bar} {percent:>3} % of {}", bytes(*of));
            vec![format!("{percent} %"), format!("{bar} {percent:>3} %"), all]
        }
        Cell::Rate { now, curve } => {
            let now = format!("{}/s", grouped(*now));
            let curve = drawn(curve);
            if curve.is_empty() { vec![now] } else { vec![now.clone(), format!("{now} {curve}")] }
        }
    }
}

/// What a cell says in full.
pub fn full(cell: &Cell, at: Timestamp) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Time(_) => format!("{} UTC", longest(cell, at)),
        Cell::Progress { done, of } if *of > 0 => {
            format!("{}, {} done", longest(cell, at), bytes(*done))
        }
        Cell::None | Cell::Number(_) | Cell::Progress { .. } | Cell::Rate { .. } => {
            longest(cell, at)
        }
    }
}

fn longest(cell: &Cell, at: Timestamp) -> String {
    ways(cell, at).pop().unwrap_or_default()
}

/// Whether a cell's right end is what is compared.
pub fn is_figure(cell: &Cell) -> bool {
    matches!(cell, Cell::Number(_) | Cell::Progress { .. } | Cell::Rate { .. })
}

/// The time of day in UTC.
pub fn hour(at: Timestamp) -> String {
    format!("{} UTC", at.day_and_hour().1)
}

fn bar(done: u64, of: u64) -> String {
    let filled = u128::from(done.min(of)) * BAR as u128 / u128::from(of.max(1));
    let filled = usize::try_from(filled).unwrap_or(BAR);
    "█".repeat(filled) + &"░".repeat(BAR - filled)
}

/// The last half hour, the newest to the right; nothing if there is nothing to compare.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a height is one of eight"
)]
fn drawn(curve: &[f64]) -> String {
    let highest = curve.iter().copied().fold(0.0, f64::max);
    if curve.len() < 2 || highest <= 0.0 {
        return String::new();
    }
    let columns = BAR.min(curve.len());
    let heights = (0..columns).map(|column| {
        let (from, to) = (column * curve.len() / columns, (column + 1) * curve.len() / columns);
        let part = &curve[from..to];
        let mean = part.iter().sum::<f64>() / part.len() as f64;
        HEIGHTS[(mean / highest * (HEIGHTS.len() - 1) as f64).round() as usize]
    });
    let drawn = heights.collect::<String>();
    format!("{}{drawn}", " ".repeat(BAR - columns))
}

/// Text without what would break a line.
fn on_one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Columns of the terminal.
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Text in at most so many columns; what is left out is shown to be.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if width(&kept) >= columns {
            kept.pop();
            break;
        }
    }
    if columns == 0 { String::new() } else { kept.trim_end().to_owned() + "…" }
}

/// Text in lines of at most so many columns, broken between words where that goes.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            for letter in word.chars().filter(|letter| !letter.is_control()) {
                let before = line.len();
                line.push(letter);
                if before > 0 && width(&line) > columns {
                    let over = line.split_off(before);
                    lines.push(std::mem::replace(&mut line, over));
                }
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_767_323_045_000);

    #[test]
    fn a_cell_has_short_words_and_long_ones() {
        let of = |cell: Cell| ways(&cell, AT);
        assert_eq!(
            of(Cell::Text("discogs_20260101_labels.xml.gz".to_owned())),
            ["labels", "labels 20260101", "discogs_20260101_labels.xml.gz"]
        );
        assert_eq!(of(Cell::Text("no\nroom".to_owned())), ["no room"]);
        assert_eq!(of(Cell::Time(AT)), ["03:04:05", "2026-01-02 03:04:05"]);
        assert_eq!(of(Cell::Time(Timestamp(0))), ["1970-01-01", "1970-01-01 00:00:00"]);
        let progress = of(Cell::Progress { done: 1_500, of: 3_000 });
        assert_eq!(progress[..2], ["50 %", "█████░░░░░  50 %"]);
        assert_eq!(of(Cell::Progress { done: 7, of: 0 }), ["7 B"]);
        assert_eq!(of(Cell::Rate { now: 1_234, curve: vec![1.0] }), ["1,234/s"]);
        let curve = of(Cell::Rate { now: 5, curve: vec![0.0, 7.0] });
        assert_eq!(curve[1], "5/s         ▁█");
        let long = of(Cell::Rate { now: 5, curve: vec![3.0; 180] });
        assert_eq!(long[1], "5/s ██████████");
    }

    #[test]
    fn what_is_cut_or_wrapped_stays_within_its_columns() {
        for columns in 0..12 {
            for text in ["a longer text", "ein Straßenname", "日本語のテキスト"] {
                assert!(width(&cut(text, columns)) <= columns, "{text} in {columns}");
                let lines = wrapped(text, columns.max(2));
                assert!(lines.iter().all(|line| width(line) <= columns.max(2)), "{lines:?}");
                let letters = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(letters(&lines.concat()), letters(text), "nothing is lost");
            }
        }
        assert_eq!(cut("a longer text", 6), "a lon…");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    }
}
