//! What makes the store know less: forced passes, reset, forget. Each is one step.

use crate::model::fault::place;
use crate::model::{Job, Kind, Timestamp, Version};
use crate::state::forced::{self, ForceWord, Forced, Token};
use crate::state::layout::{
    Tree, file_key, forced_key, job_key, job_prefix, sequence_key, token_key,
};
use crate::state::store::Changes;
use crate::state::{FileKey, ForcedPass, StateError};

use super::Ledger;

impl Ledger {
    pub(in crate::state) fn force(
        &mut self,
        job: &Job,
        version: Version,
        kinds: &[Kind],
        word: &ForceWord,
        at: Timestamp,
    ) -> Result<Forced, StateError> {
        let key = forced_key(job, version);
        let under_way: Option<ForcedPass> = self.store.get(Tree::Meta, &key)?;
        let token = match word {
            ForceWord::Token(word) => Some((token_key(job, word), word)),
            ForceWord::Once | ForceWord::Restart => None,
        };
        let honoured = match &token {
            Some((key, _)) => self.store.get::<Token>(Tree::Meta, key)?.is_some(),
            None => false,
        };
        let forced = forced::decide(word, kinds, under_way.as_ref(), honoured);
        let Forced::Cleared(cleared) = &forced else { return Ok(forced) };
        let mut changes = Changes::default();
        let pass = forced::begun(under_way.as_ref(), job, version, word, cleared, at);
        changes.put(Tree::Meta, key, &pass);
        if let Some((key, word)) = token {
            let token = Token { job: job.clone(), word: word.clone(), at };
            changes.put(Tree::Meta, key, &token);
        }
        let files: Vec<FileKey> = self
            .files(job, version)?
            .into_iter()
            .map(|(key, _)| key)
            .filter(|key| cleared.contains(&key.kind))
            .collect();
        self.forget_files(&mut changes, &files)?;
        self.forget_owed(&mut changes, job, version, cleared)?;
        let names = cleared.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        let words = format!("a forced pass ({}) begins over {version}: {names}", word.as_str());
        self.note(&mut changes, at, Some(job), None, &words);
        place("state.force.before");
        self.commit(&changes)?;
        place("state.force.after");
        self.unpruned = true;
        Ok(forced)
    }

    fn forget_files(&self, changes: &mut Changes, files: &[FileKey]) -> Result<(), StateError> {
        if let Some(busy) = files.iter().find(|key| self.attempts.contains_key(key)) {
            return Err(StateError::Busy { file: busy.to_string() });
        }
        for key in files {
            changes.remove(Tree::Files, file_key(key));
        }
        Ok(())
    }

    pub(super) fn forget_owed(
        &self,
        changes: &mut Changes,
        job: &Job,
        version: Version,
        kinds: &[Kind],
    ) -> Result<(), StateError> {
        for entry in self.owed(job)? {
            if entry.owed.version() == version && entry.owed.falls_with(kinds) {
                changes.remove(Tree::Outbox, sequence_key(job, entry.id.0));
            }
        }
        Ok(())
    }

    pub(in crate::state) fn reset(
        &mut self,
        files: &[FileKey],
        at: Timestamp,
    ) -> Result<usize, StateError> {
        let mut changes = Changes::default();
        let mut known = Vec::new();
        for key in files {
            if self.store.file(key)?.is_some() {
                known.push(key.clone());
            }
        }
        self.forget_files(&mut changes, &known)?;
        for key in &known {
            self.forget_owed(&mut changes, &key.job, key.version, &[key.kind])?;
            self.note(&mut changes, at, None, Some(key), "forgotten (state reset)");
        }
        self.commit(&changes)?;
        self.unpruned = true;
        Ok(known.len())
    }

    pub(in crate::state) fn forget(
        &mut self,
        job: &Job,
        at: Timestamp,
    ) -> Result<usize, StateError> {
        let mut changes = Changes::default();
        let files: Vec<FileKey> =
            self.store.files(&job_prefix(job))?.into_iter().map(|(key, _)| key).collect();
        self.forget_files(&mut changes, &files)?;
        changes.remove(Tree::Jobs, job_key(job));
        for entry in self.owed(job)? {
            changes.remove(Tree::Outbox, sequence_key(job, entry.id.0));
        }
        let known = self.store.inspect(false)?;
        for pass in known.forced.iter().filter(|pass| pass.job == *job) {
            changes.remove(Tree::Meta, forced_key(job, pass.version));
        }
        for token in known.tokens.iter().filter(|token| token.job == *job) {
            changes.remove(Tree::Meta, token_key(job, &token.word));
        }
        for run in known.runs.iter().filter(|run| run.key.job == *job) {
            changes.remove(Tree::Runs, run.number.to_be_bytes().to_vec());
            self.runs.retain(|number| *number != run.number);
        }
        self.note(&mut changes, at, Some(job), None, "forgotten (state forget)");
        self.commit(&changes)?;
        self.unpruned = true;
        Ok(files.len())
    }
}
