use std::time::Duration;

use super::fault::{Fault, fault};

/// A short rest between two tries, for the kinds of busy at which SQLite itself does not wait.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Repeats a step for as long as the database is busy; none if told to stop meanwhile.
///
/// # Errors
/// What SQLite says, but that it is busy.
pub fn patiently<T>(
    mut step: impl FnMut() -> rusqlite::Result<T>,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> rusqlite::Result<Option<T>> {
    loop {
        match step() {
            Err(error) if fault(&error) == Fault::Busy => {
                if !go_on(0) {
                    return Ok(None);
                }
                std::thread::sleep(BUSY_PAUSE);
            }
            other => return other.map(Some),
        }
    }
}
