//! How dumps failed in the passes of this process: how often each in a row, and in which words that was
//! told last. Each failure is told once.

use std::collections::BTreeMap;

use super::schedule::Ended;
use crate::model::{DumpName, parted};
use crate::pipeline::{FileEnd, Finished, PassError, Told};
use crate::state::StateError;

/// The failures of passes so far.
#[derive(Debug, Default)]
pub struct Failures {
    /// How often each dump failed in a row.
    pub in_a_row: BTreeMap<DumpName, u32>,
    /// How dumps failed in the last pass.
    pub told: Told,
    /// Why the last pass could not even begin.
    pass: Option<String>,
}

impl Failures {
    /// Takes note of what a pass came to, and says how it ended.
    ///
    /// # Errors
    /// If the store has failed for good.
    pub fn note(&mut self, ended: Result<Vec<Finished>, PassError>) -> Result<Ended, StateError> {
        match ended {
            Ok(finished) => self.note_files(finished),
            Err(error) => self.note_pass(&error),
        }
    }

    fn note_pass(&mut self, error: &PassError) -> Result<Ended, StateError> {
        if let Some(error) = error.of_state().filter(|error| error.is_final()) {
            return Err(error.clone());
        }
        let words = error.to_string();
        let (error, hint) = parted(&words);
        if self.pass.as_ref() == Some(&words) {
            tracing::info!(error, "the pass failed again");
        } else {
            tracing::error!(error, hint, "the pass failed");
        }
        self.pass = Some(words);
        Ok(Ended::Failed)
    }

    fn note_files(&mut self, finished: Vec<Finished>) -> Result<Ended, StateError> {
        self.pass = None;
        let told = std::mem::take(&mut self.told);
        let mut ended = Ended::Done;
        for Finished { dump, end, .. } in finished {
            let FileEnd::Failed(error) = end else {
                self.in_a_row.remove(&dump.name);
                continue;
            };
            *self.in_a_row.entry(dump.name).or_default() += 1;
            if let Some(error) = error.of_state().filter(|error| error.is_final()) {
                return Err(error.clone());
            }
            ended = ended.and_failed(error.blames_dump());
            let words = error.to_string();
            // The others were told when they happened.
            if error.of_state().is_some() && told.get(&dump.name) != Some(&words) {
                let (error, hint) = parted(&words);
                tracing::error!(file = %dump.name, error, hint, "failed");
            }
            self.told.insert(dump.name, words);
        }
        Ok(ended)
    }
}
