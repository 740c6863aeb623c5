//! Values as the columns of both databases hold them, and which columns a consumer's note has.

use crate::model::agreement::Announced;
use crate::model::{Run, Timestamp};

/// The columns of a note, in the order in which it is read and written.
pub(super) const NOTE: &str = "version, run, last, bad_records, completed_at, cancel_at,
                               cancelled_at, sweep, sweep_words, swept_by, swept_until,
                               cancel_turn, sweep_turn, pass, sent";

/// What names a note beside the consumer and the type.
pub(super) fn note_key(announced: &Announced) -> (String, i64) {
    let (version, run) = announced.key();
    (version.map(|version| version.to_string()).unwrap_or_default(), stored_run(run))
}

/// A run.
pub(super) const fn stored_run(run: Run) -> i64 {
    run.0.cast_signed()
}

/// A moment.
pub(super) const fn stored_time(at: Timestamp) -> i64 {
    at.0.cast_signed()
}
