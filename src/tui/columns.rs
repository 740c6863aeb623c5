//! Which columns of a table there is room for, and how much each says.

use super::cells::{is_figure, ways, width};
use crate::model::Timestamp;
use crate::observe::picture::{Cell, Table};

/// Between two columns.
pub const GAP: usize = 2;

/// Free text is shown if there is room for so much of it.
const LEAST: usize = 16;

/// A column that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Which of the table's.
    pub at: usize,
    /// Which of a cell's ways to say it, or its last.
    pub way: usize,
    /// How wide it is.
    pub width: usize,
    /// Whether its right end is what is compared.
    pub right: bool,
}

/// The columns that fit, in their order. What matters least is left out first: of what a row is
/// and how it is, that is told by its name and its state; then come progress, speed, words,
/// counts, times. What room is left makes them say more.
pub fn fit(table: &Table, room: usize, at: Timestamp) -> Vec<Column> {
    let mut wanted: Vec<usize> = (0..table.columns.len()).collect();
    wanted.sort_by_key(|column| (rank(table, *column), *column));
    let mut left = room;
    let mut shown: Vec<Column> = Vec::new();
    for column in &wanted {
        let least = widths(table, *column, at)[0];
        let free = *column > 0 && rank(table, *column) == TEXT;
        let least = if free { least.min(LEAST) } else { least };
        let needed = if shown.is_empty() { least.min(room) } else { GAP + least };
        if needed <= left {
            left -= needed;
            let width = if shown.is_empty() { needed } else { least };
            let mut cells = table.rows.iter().filter_map(|row| row.cells.get(*column));
            let right = cells.any(is_figure);
            shown.push(Column { at: *column, way: 0, width, right });
        }
    }
    let mut grow = |column: &mut Column, ways: std::ops::Range<usize>| {
        for (way, width) in widths(table, column.at, at).into_iter().enumerate() {
            let more = width.saturating_sub(column.width);
            if ways.contains(&way) && more <= left {
                left -= more;
                (column.way, column.width) = (way, column.width + more);
            } else if way == 0 && ways.contains(&way) {
                let more = more.min(left);
                left -= more;
                column.width += more;
            }
        }
    };
    // A name's long form comes last: the shorter ones are enough to know it by.
    if let Some((name, others)) = shown.split_first_mut() {
        grow(name, 0..2);
        for ways in [0..2, 2..usize::MAX] {
            for column in others.iter_mut() {
                grow(column, ways.clone());
            }
        }
        grow(name, 2..usize::MAX);
    }
    shown.sort_by_key(|column| column.at);
    shown
}

const TEXT: u8 = 4;

fn rank(table: &Table, column: usize) -> u8 {
    let of = |cell: &Cell| match (column, cell) {
        (0, _) => 0,
        (_, Cell::None) => 7,
        (1, Cell::Text(_)) => 1,
        (_, Cell::Progress { .. }) => 2,
        (_, Cell::Rate { .. }) => 3,
        (_, Cell::Text(_)) => TEXT,
        (_, Cell::Number(_)) => 5,
        (_, Cell::Time(_)) => 6,
    };
    table.rows.iter().filter_map(|row| row.cells.get(column)).map(of).min().unwrap_or(7)
}

/// How wide a column is, by how much it says.
fn widths(table: &Table, column: usize, at: Timestamp) -> Vec<usize> {
    let mut widths = vec![width(table.columns[column])];
    for cell in table.rows.iter().filter_map(|row| row.cells.get(column)) {
        let ways = ways(cell, at);
        let most = widths.len().max(ways.len());
        let last = widths.last().copied().unwrap_or_default();
        widths.resize(most, last);
        for (way, widest) in widths.iter_mut().enumerate() {
            let said = ways.get(way).or(ways.last()).map_or(0, |text| width(text));
            *widest = said.max(*widest);
        }
    }
    widths
}
