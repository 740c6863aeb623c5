//! The daemon: a pass over what is in the folder, then waiting for more, for as long as it lives.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use super::folder::Folder;
use super::schedule::{Ended, Schedule, Wait};
use super::sightings::Whole;
use super::{Session, Trigger};
use crate::dump::{self, Dump, identify};
use crate::model::{Clock, Identity, Kind, Timestamp, Version};
use crate::observe::Stage;
use crate::pipeline::{FileEnd, Finished, Input, PassError, Told};
use crate::state::{ForceWord, StateError};

/// What the daemon is to do, and who may wake it.
pub struct Plan<'a> {
    /// The wanted types.
    pub kinds: Vec<Kind>,
    /// The only version to take, if only one is wanted.
    pub version: Option<Version>,
    /// When passes are due.
    pub schedule: Schedule,
    /// Whether the first pass over anything is a forced one.
    pub force: Option<ForceWord>,
    /// Those who ask for a pass.
    pub triggers: mpsc::Receiver<Trigger>,
    /// Says that something was forgotten and is to be extracted again.
    pub forgotten: &'a Notify,
}

/// Passes over a folder of dumps, one after the other.
pub struct Daemon<'a> {
    session: Session,
    plan: Plan<'a>,
    folder: Folder,
    said: Said,
}

/// What is told once, and not at every pass.
#[derive(Debug, Default)]
struct Said {
    /// That there was a pass.
    pass: bool,
    /// That there are no dumps.
    empty: bool,
    /// Versions of which types are missing.
    missing: BTreeSet<Version>,
    /// How files failed in the last pass.
    failures: Told,
    /// Why the last pass could not even begin.
    failure: Option<String>,
}

/// The dumps of a pass.
struct Chosen {
    version: Version,
    missing: Vec<Kind>,
    dumps: Vec<Whole>,
}

/// A moment to come, on both clocks: one stands still while the machine sleeps, the other may
/// jump. Whichever gets there first counts.
struct Due {
    elapsed: Duration,
    now: Timestamp,
}

impl Due {
    fn after(time: Duration, clock: &dyn Clock) -> Due {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = Timestamp(clock.now().0.saturating_add(millis));
        Due { elapsed: clock.elapsed().saturating_add(time), now }
    }

    fn left(&self, clock: &dyn Clock) -> Duration {
        let left = self.elapsed.saturating_sub(clock.elapsed());
        left.min(self.now.since(clock.now()))
    }
}

impl<'a> Daemon<'a> {
    /// A daemon that has not begun.
    pub fn new(session: Session, plan: Plan<'a>, folder: Folder) -> Daemon<'a> {
        Daemon { session, plan, folder, said: Said::default() }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// If the store fails for good: only a new process can open it again.
    pub async fn run(mut self) -> Result<(), StateError> {
        let newest = self.session.newest_known().await?;
        self.session.show_known(newest.into_iter()).await?;
        self.trust_known().await?;
        let mut wait = self.plan.schedule.first();
        while !self.session.stop.is_cancelled() {
            let passed = if let Some(Chosen { version, missing, dumps }) = self.choose() {
                self.tell_missing(version, &missing);
                let ended = self.pass(&dumps).await?;
                wait = self.plan.schedule.next(wait, ended);
                dumps
            } else {
                wait = self.plan.schedule.first();
                Vec::new()
            };
            self.wait(wait, &passed).await;
        }
        Ok(())
    }

    /// Of the dumps that are whole, those of the version that is due.
    fn choose(&self) -> Option<Chosen> {
        let whole = self.folder.whole();
        let dumps: Vec<_> = whole.iter().map(|whole| whole.dump.clone()).collect();
        let choice = dump::choose(&dumps, &self.plan.kinds, self.plan.version)?;
        let chosen = |whole: &Whole| choice.dumps.contains(&whole.dump);
        let dumps = whole.into_iter().filter(chosen).collect();
        Some(Chosen { version: choice.version, missing: choice.missing, dumps })
    }

    /// A dump that the store knows as it is on disk need not prove that it is whole.
    async fn trust_known(&mut self) -> Result<(), StateError> {
        for dump in self.folder.growing() {
            let job = self.session.sink.job().clone();
            let files = self.session.keeper.files(job, dump.name.version).await?;
            let of_kind = files.into_iter().find(|(key, _)| key.kind == dump.name.kind);
            let Some((_, state)) = of_kind else { continue };
            let name = dump.name;
            if identity(dump).await == Some(state.identity) {
                self.folder.trust(name);
            }
        }
        Ok(())
    }

    /// One pass. The folder is watched meanwhile, and whoever asks for a pass is told that one is
    /// under way.
    async fn pass(&mut self, dumps: &[Whole]) -> Result<Ended, StateError> {
        self.said.empty = false;
        self.said.pass = true;
        let dumps: Vec<_> = dumps.iter().map(|whole| whole.dump.clone()).collect();
        if let Some(word) = &self.plan.force {
            if let Err(error) = self.session.force(&dumps, word).await {
                return self.judge(Err(error.into()));
            }
            self.plan.force = None;
        }
        let ended = {
            let inputs = dumps.into_iter().map(Input::from).collect();
            let pass = self.session.pass(inputs, self.said.failures.clone());
            tokio::pin!(pass);
            loop {
                tokio::select! {
                    ended = &mut pass => break ended,
                    () = self.folder.looked() => {}
                    Some(trigger) = self.plan.triggers.recv() => {
                        // Whoever asked may be gone.
                        _ = trigger.answer.send(false);
                    }
                }
            }
        };
        self.judge(ended)
    }

    /// What a pass came to. Each failure is told once.
    fn judge(&mut self, ended: Result<Vec<Finished>, PassError>) -> Result<Ended, StateError> {
        let finished = match ended {
            Ok(finished) => finished,
            Err(error) => {
                if let Some(error) = error.of_state().filter(|error| error.is_final()) {
                    return Err(error.clone());
                }
                let words = error.to_string();
                if self.said.failure.as_ref() == Some(&words) {
                    tracing::info!(error = words, "the pass failed again");
                } else {
                    tracing::error!(error = words, "the pass failed");
                }
                self.said.failure = Some(words);
                return Ok(Ended::Failed);
            }
        };
        self.said.failure = None;
        let told = std::mem::take(&mut self.said.failures);
        let mut ended = Ended::Done;
        for file in finished {
            let FileEnd::Failed(error) = file.end else { continue };
            if let Some(error) = error.of_state().filter(|error| error.is_final()) {
                return Err(error.clone());
            }
            ended = match (ended, error.blames_dump()) {
                (Ended::Done | Ended::Damaged, true) => Ended::Damaged,
                (Ended::Done | Ended::Damaged, false) | (Ended::Failed, _) => Ended::Failed,
            };
            let words = error.to_string();
            // The others were told when they happened.
            if error.of_state().is_some() && told.get(&file.dump.name) != Some(&words) {
                tracing::error!(file = %file.dump.name, error = words, "failed");
            }
            self.said.failures.insert(file.dump.name, words);
        }
        Ok(ended)
    }

    /// Waits until there may be something to do, or until the end.
    async fn wait(&mut self, wait: Wait, passed: &[Whole]) {
        let clock = self.session.clock.clone();
        let due = Due::after(wait.time(), &*clock);
        let stop = self.session.stop.clone();
        let mut told = false;
        while !stop.is_cancelled() && !due.left(&*clock).is_zero() {
            let chosen = self.choose().map(|chosen| chosen.dumps).unwrap_or_default();
            if chosen.iter().any(|whole| !passed.contains(whole)) {
                return;
            }
            if !std::mem::replace(&mut told, true) {
                self.tell_wait(wait, due.now, passed);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // Whoever got no answer in time was told that nothing begins.
                Some(trigger) = self.plan.triggers.recv() => if !trigger.answer.is_closed() {
                    return self.asked(trigger);
                },
                () = self.plan.forgotten.notified() => return,
                () = tokio::time::sleep(due.left(&*clock)) => {}
                () = self.folder.looked() => {}
            }
        }
    }

    fn asked(&mut self, trigger: Trigger) {
        if trigger.force {
            self.plan.force = Some(ForceWord::Once);
        }
        // Whoever looks after the answer sees the pass that it promises.
        self.session.stage(Stage::Running);
        // Whoever asked may be gone.
        _ = trigger.answer.send(true);
    }

    fn tell_missing(&mut self, version: Version, missing: &[Kind]) {
        if missing.is_empty() || !self.said.missing.insert(version) {
            return;
        }
        let missing: Vec<_> = missing.iter().map(|kind| kind.name()).collect();
        let missing = missing.join(", ");
        tracing::warn!(%version, missing, "chosen, although not all wanted types are there");
    }

    fn tell_wait(&mut self, wait: Wait, due: Timestamp, passed: &[Whole]) {
        if passed.is_empty() {
            // A folder that is not there was told of.
            if self.folder.is_there() && !std::mem::replace(&mut self.said.empty, true) {
                let root = self.folder.root().display();
                tracing::info!(%root, growing = self.folder.growing().len(), "waiting for dumps");
            }
            let stage = if self.said.pass { Stage::Waiting(due) } else { Stage::Idle };
            return self.session.stage(stage);
        }
        match wait {
            Wait::Check(_) => {
                self.session.stage(Stage::Waiting(due));
                tracing::info!(next = %due, "waiting");
            }
            Wait::Retry { failures, .. } => {
                self.session.stage(Stage::Failed(due));
                tracing::warn!(next = %due, failures, "waiting, then trying again what failed");
            }
        }
    }
}

async fn identity(dump: Dump) -> Option<Identity> {
    let identified = spawn_blocking(move || identify(&std::fs::File::open(dump.path)?)).await;
    identified.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(Duration, Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.1
        }

        fn elapsed(&self) -> Duration {
            self.0
        }
    }

    #[test]
    fn a_moment_has_come_when_either_clock_says_so() {
        const DAY: Duration = Duration::from_hours(24);
        let at = |elapsed_hours, wall_hours: u64| {
            let wall = Timestamp(Duration::from_hours(1_000 + wall_hours).as_secs() * 1_000);
            At(Duration::from_hours(elapsed_hours), wall)
        };
        let due = Due::after(DAY, &at(10, 0));
        let left = |elapsed, wall| due.left(&at(elapsed, wall)).as_secs() / 3_600;
        assert_eq!(left(10, 0), 24);
        assert_eq!(left(11, 1), 23);
        assert_eq!(left(34, 24), 0);
        assert_eq!(left(11, 25), 0, "the machine slept");
        assert_eq!(left(34, 0), 0, "the clock was set back");
    }
}
