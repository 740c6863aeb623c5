//! What is shown of everything at a glance, as a value, and the functions that make it.

mod consumer;
mod curve;
mod extractor;
mod files;
mod kept;
mod pace;
mod store;

use serde::Serialize;

use crate::model::Timestamp;

pub use consumer::of_types;
pub use curve::Curve;
pub use extractor::of_files;
pub use pace::Paces;
pub use store::of_store;

/// All of it at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Picture {
    /// Who shows it: `discogs-extractor`, `tableinator`.
    pub service: String,
    /// The program's version.
    pub version: &'static str,
    /// When.
    pub at: Timestamp,
    /// How it is on the whole.
    pub state: State,
    /// The same in words.
    pub stage: String,
    /// What a person should look at.
    pub alerts: Vec<String>,
    /// Everything else.
    pub tables: Vec<Table>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing goes on, and nothing need.
    Calm,
    /// It is at work.
    Busy,
    /// It is done.
    Done,
    /// It does not move although it should.
    Stalled,
    /// It failed.
    Failed,
}

/// Rows of the same kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// What the rows are.
    pub caption: String,
    /// What their cells are.
    pub columns: &'static [&'static str],
    /// The rows; the first cell of each says what it is of.
    pub rows: Vec<Row>,
    /// What is said if there is none.
    pub empty: &'static str,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// How it is.
    pub state: State,
    /// As many as there are columns.
    pub cells: Vec<Cell>,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Nothing is known.
    None,
    /// Words.
    Text(String),
    /// A count.
    Number(u64),
    /// A moment.
    Time(Timestamp),
    /// How much of the bytes is done.
    Progress {
        /// Those that are.
        done: u64,
        /// All of them; 0 if that is not known.
        of: u64,
    },
    /// Records a second.
    Rate {
        /// Now.
        now: u64,
        /// In the last half hour.
        curve: Vec<f64>,
    },
}

impl State {
    /// The word for it in the page's classes.
    pub const fn name(self) -> &'static str {
        match self {
            State::Calm => "calm",
            State::Busy => "busy",
            State::Done => "done",
            State::Stalled => "stalled",
            State::Failed => "failed",
        }
    }
}

impl From<Option<Timestamp>> for Cell {
    fn from(at: Option<Timestamp>) -> Cell {
        at.map_or(Cell::None, Cell::Time)
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Cell {
        text.map_or(Cell::None, Cell::Text)
    }
}
