//! A run that a consumer writes while somebody else reads and sends it: counts, and no places.

use crate::model::{Run, Timestamp};
use crate::state::lifecycle::{self, Beginning, Event, Written};
use crate::state::outbox::Owes;
use crate::state::view::OwedEntry;
use crate::state::{FileKey, StateError};

use super::{Ledger, not_allowed, step};

/// A run at the beginning of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// What was written of it before.
    pub written: Written,
    /// Whether that is all of it.
    pub complete: bool,
}

impl Ledger {
    pub(in crate::state) fn follow(
        &mut self,
        key: &FileKey,
        run: Run,
        at: Timestamp,
    ) -> Result<Followed, StateError> {
        let stored = self.store.file(key)?;
        let (state, beginning) = lifecycle::follow(stored.as_ref(), run, at)
            .map_err(|illegal| not_allowed(key, illegal))?;
        let complete = matches!(beginning, Beginning::AlreadyComplete { .. });
        if !complete {
            let changed_run = stored.is_some_and(|stored| stored.run != Some(run));
            self.start_attempt(key, &state, run, &beginning, changed_run, at)?;
        }
        let (records, bad_records) = (state.checkpoint.records, state.checkpoint.bad_records);
        Ok(Followed { written: Written { records, bad_records }, complete })
    }

    pub(in crate::state) fn wrote(
        &mut self,
        key: &FileKey,
        written: Written,
        at: Timestamp,
    ) -> Result<(), StateError> {
        self.happen(key, Event::Wrote { written, at }).map(drop)
    }

    pub(in crate::state) fn wrote_all(
        &mut self,
        key: &FileKey,
        written: Written,
        owes: Owes,
        at: Timestamp,
    ) -> Result<Vec<OwedEntry>, StateError> {
        let state = step(key, &self.known(key)?, Event::WroteAll { written, at })?;
        self.end_complete(key, &state, owes, at)
    }

    pub(in crate::state) fn taken(
        &mut self,
        key: &FileKey,
        written: Written,
    ) -> Result<(), StateError> {
        self.happen(key, Event::Taken { written }).map(drop)
    }
}
