//! A row of a file, whoever tells of it.

use std::time::Duration;

use super::{Cell, Row, State};
use crate::model::Timestamp;
use crate::observe::Speed;

/// What the cells are.
pub(super) const COLUMNS: &[&str] =
    &["File", "State", "Progress", "Records", "Rate", "Time left", "Last activity", "Completed"];

/// What is said if there is none.
pub(super) const EMPTY: &str = "There are no files yet.";

/// What a row says.
pub(super) struct Shown<'a> {
    /// The file's name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// The same in a word or two.
    pub word: String,
    /// Compressed bytes that are done.
    pub done: u64,
    /// All of them; 0 if that is not known.
    pub of: u64,
    /// Records delivered.
    pub records: u64,
    /// How fast it goes, and went; none if it does not go.
    pub pace: Option<(Speed, &'a [f64])>,
    /// When something last moved.
    pub last_activity: Option<Timestamp>,
    /// When it was complete.
    pub completed_at: Option<Timestamp>,
}

impl Shown<'_> {
    /// The row.
    pub fn row(self) -> Row {
        let Shown { name, state, word, done, of, records, pace, last_activity, completed_at } =
            self;
        let left = |(speed, _): (Speed, _)| speed.time_for(of.saturating_sub(done));
        let left = pace.filter(|_| of > done).and_then(left);
        let left = left.map(|left: Duration| humantime::format_duration(left).to_string());
        let rate = |(speed, curve): (Speed, &[f64])| Cell::Rate {
            now: speed.rounded(),
            curve: curve.to_vec(),
        };
        Row {
            state,
            cells: vec![
                Cell::Text(name),
                Cell::Text(word),
                // Of what was complete before this process began, no size may be known here.
                if of == 0 && done == 0 { Cell::None } else { Cell::Progress { done, of } },
                Cell::Number(records),
                pace.map_or(Cell::None, rate),
                left.into(),
                last_activity.into(),
                completed_at.into(),
            ],
        }
    }
}
