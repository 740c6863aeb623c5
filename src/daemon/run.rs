//! The daemon: a pass over what is in the folder and at the site, then waiting for more, for as long
//! as it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use super::chosen::Chosen;
use super::deadline::Deadline;
use super::folder::Folder;
use super::prune::superfluous;
use super::schedule::{Ended, Schedule, Wait};
use super::sightings::Whole;
use super::supply::{Look, Looked, Seen, Supply};
use super::{Session, Trigger};
use crate::dump::{Dump, identify};
use crate::model::{DumpName, Identity, Kind, Timestamp, Version, parted};
use crate::observe::Stage;
use crate::pipeline::{FileEnd, Finished, Input, PassError, Told};
use crate::state::{ForceWord, StateError};

/// What the daemon is to do, and who may wake it.
pub struct Plan<'a> {
    /// The wanted types.
    pub kinds: Vec<Kind>,
    /// The only version to take, if only one is wanted.
    pub version: Option<Version>,
    /// Whether a newer version begins although an older one is unfinished.
    pub newest_first: bool,
    /// Whether only dumps are taken of which the published checksum was compared.
    pub require_checksum: bool,
    /// So many versions of files are kept; all, if none is given.
    pub keep: Option<usize>,
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
    pub(super) session: Session,
    pub(super) plan: Plan<'a>,
    pub(super) folder: Folder,
    /// The site, if there is one.
    pub(super) supply: Option<Supply>,
    site: NextLook,
    /// How often each dump failed in a row.
    pub(super) failures: BTreeMap<DumpName, u32>,
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
    /// Dumps of which nobody can say what they should be.
    refused: BTreeSet<DumpName>,
    /// Versions that are here and older than the newest complete one.
    left_alone: BTreeSet<Version>,
    /// What the newest version at the site lacks.
    half_published: Option<(Version, String)>,
    /// How files failed in the last pass.
    failures: Told,
    /// Why the last pass could not even begin.
    failure: Option<String>,
}

/// When the site is looked at again.
struct NextLook {
    /// What the last look made of it.
    wait: Wait,
    due: Deadline,
}

impl<'a> Daemon<'a> {
    /// A daemon that has not begun.
    pub fn new(
        session: Session,
        plan: Plan<'a>,
        folder: Folder,
        supply: Option<Supply>,
    ) -> Daemon<'a> {
        let (failures, said) = (BTreeMap::new(), Said::default());
        let due = Deadline::after(Duration::ZERO, &*session.clock);
        let site = NextLook { wait: plan.schedule.first(), due };
        Daemon { session, plan, folder, supply, site, failures, said }
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
        // What is here and not done is not held up by a site that may be away.
        let has_work = self.has_work().await?;
        if let Some(supply) = self.supply.as_ref().filter(|_| !has_work) {
            let looking = supply.look(self.plan.version);
            if let Some(seen) = self.session.stop.run_until_cancelled(looking).await {
                self.note(seen);
            }
        }
        while !self.session.stop.is_cancelled() {
            self.tell_refused().await?;
            let passed = match self.due().await? {
                Some(version) => Some(self.take(version, &mut wait).await?),
                None => None,
            };
            if passed.is_none() {
                wait = self.plan.schedule.first();
            }
            self.wait(wait, passed.as_deref()).await?;
        }
        Ok(())
    }

    /// Takes what is to be had of a version. Returns the dumps that are no news any more.
    async fn take(&mut self, version: Version, wait: &mut Wait) -> Result<Vec<Whole>, StateError> {
        self.force(version).await?;
        let chosen = self.plan_of(version).await?;
        self.tell_missing(version, &chosen.missing);
        let nothing = chosen.here.is_empty() && chosen.there.is_empty();
        let ended = if nothing { Ended::Done } else { self.pass(&chosen).await? };
        *wait = self.plan.schedule.next(*wait, ended);
        // What was fetched lies here now.
        self.folder.look().await;
        if ended == Ended::Done {
            self.prune().await?;
        }
        // Nor are those that were fetched.
        let fetched = |whole: &Whole| {
            let name = whole.dump.name;
            name.version == version && chosen.there.contains(&name.kind)
        };
        let now_here = self.folder.whole().into_iter().filter(fetched);
        Ok(chosen.here.iter().cloned().chain(now_here).collect())
    }

    /// Takes note of what a look at the site brought, and when the next one is due.
    fn note(&mut self, seen: Seen) {
        let Some(supply) = &mut self.supply else { return };
        let schedule = &self.plan.schedule;
        let wait = match supply.note(seen) {
            Looked::Seen => schedule.next(self.site.wait, Ended::Done),
            Looked::Away { come_back } => {
                let retry = schedule.next(self.site.wait, Ended::Failed);
                retry.at_least(come_back.unwrap_or_default())
            }
        };
        let half = supply.half_published();
        if let Some((version, missing)) = half.as_ref().filter(|_| self.said.half_published != half)
        {
            tracing::info!(%version, missing, "is not completely published yet");
        }
        self.site.wait = if half.is_some() { schedule.soon(wait) } else { wait };
        self.site.due = Deadline::after(self.site.wait.time(), &*self.session.clock);
        self.said.half_published = half;
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

    /// Forgets what a forced pass starts anew, if one is due. A type without a dump stays as it is:
    /// if it were forgotten, its version would not be complete again, and an older one would be due.
    async fn force(&mut self, version: Version) -> Result<(), StateError> {
        let Some(word) = self.plan.force.clone() else { return Ok(()) };
        let standing = self.standings().await?.remove(&version).unwrap_or_default();
        let kinds = self.plan.kinds.iter().copied().filter(|kind| standing.to_be_had(*kind));
        let names: Vec<_> = kinds.map(|kind| DumpName { version, kind }).collect();
        self.session.force(&names, &word).await?;
        self.plan.force = None;
        Ok(())
    }

    /// One pass. The folder is watched meanwhile, and whoever asks for a pass is told that one is
    /// under way.
    async fn pass(&mut self, chosen: &Chosen) -> Result<Ended, StateError> {
        self.said.empty = false;
        self.said.pass = true;
        self.session.expect(chosen.version, chosen.there.clone()).await?;
        let mut inputs: Vec<_> =
            chosen.here.iter().map(|whole| Input::from(whole.dump.clone())).collect();
        let stop = self.session.stop.child_token();
        let mut fetching = futures_util::future::ready(BTreeSet::new()).boxed();
        let mut away = false;
        if let Some(supply) = self.supply.as_mut().filter(|_| !chosen.there.is_empty()) {
            let Session { keeper, clock, .. } = &self.session;
            let begun =
                supply.fetch(chosen.version, &chosen.there, keeper, clock, stop.clone()).await;
            match begun {
                Ok(on_the_way) => {
                    inputs.extend(on_the_way.inputs);
                    fetching = on_the_way.fetching;
                }
                Err(()) => away = true,
            }
        }
        inputs.sort_by_key(|input| input.dump.name);
        let (ended, gone) = {
            let pass = self.session.pass(inputs, self.said.failures.clone());
            // What is fetched for a pass that is over is fetched for nothing.
            let pass = async {
                let ended = pass.await;
                stop.cancel();
                ended
            };
            let both = async { tokio::join!(pass, fetching) };
            tokio::pin!(both);
            loop {
                tokio::select! {
                    ended = &mut both => break ended,
                    () = self.folder.looked() => {}
                    Some(trigger) = self.plan.triggers.recv() => {
                        // Whoever asked may be gone.
                        _ = trigger.answer.send(false);
                    }
                }
            }
        };
        if let Some(supply) = &mut self.supply {
            supply.note_gone(gone);
        }
        let ended = self.judge(ended)?;
        Ok(if away && ended == Ended::Done { Ended::Failed } else { ended })
    }

    /// Removes the files of versions that are not to be kept.
    async fn prune(&mut self) -> Result<(), StateError> {
        let Some(keep) = self.plan.keep else { return Ok(()) };
        let standings = self.standings().await?;
        let complete = |name: DumpName| {
            standings.get(&name.version).is_some_and(|it| it.complete.contains(&name.kind))
        };
        let here: Vec<_> = self.folder.whole().into_iter().map(|whole| whole.dump).collect();
        let names = here.iter().map(|dump| dump.name);
        for name in superfluous(names, keep, complete) {
            let Some(dump) = here.iter().find(|dump| dump.name == name) else { continue };
            match tokio::fs::remove_file(&dump.path).await {
                Ok(()) => {
                    tracing::info!(file = %name, keep, "removed, newer versions are complete");
                }
                Err(error) => {
                    tracing::warn!(file = %name, %error, "could not be removed");
                    continue;
                }
            }
            if let Some(key) = self.supply.as_ref().and_then(|supply| supply.key(name)) {
                self.session.keeper.forget_download(key, self.session.clock.now()).await?;
            }
        }
        Ok(())
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
                    tracing::info!(error = parted(&words).0, "the pass failed again");
                } else {
                    let (error, hint) = parted(&words);
                    tracing::error!(error, hint, "the pass failed");
                }
                self.said.failure = Some(words);
                return Ok(Ended::Failed);
            }
        };
        self.said.failure = None;
        let told = std::mem::take(&mut self.said.failures);
        let mut ended = Ended::Done;
        for file in finished {
            let FileEnd::Failed(error) = file.end else {
                self.failures.remove(&file.dump.name);
                continue;
            };
            *self.failures.entry(file.dump.name).or_default() += 1;
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
                let (error, hint) = parted(&words);
                tracing::error!(file = %file.dump.name, error, hint, "failed");
            }
            self.said.failures.insert(file.dump.name, words);
        }
        Ok(ended)
    }

    /// Waits until there may be something to do, or until the end.
    async fn wait(&mut self, wait: Wait, passed: Option<&[Whole]>) -> Result<(), StateError> {
        let clock = self.session.clock.clone();
        let due = Deadline::after(wait.time(), &*clock);
        let stop = self.session.stop.clone();
        let (mut told, mut whole, mut looking) = (false, None, None::<Look>);
        while !stop.is_cancelled() && !due.left(&*clock).is_zero() {
            if looking.is_none() && self.site.due.left(&*clock).is_zero() {
                let supply = self.supply.as_ref();
                looking = supply.map(|supply| supply.look(self.plan.version));
            }
            let now_whole = Some(self.folder.whole());
            if whole != now_whole {
                whole = now_whole;
                self.tell_left_alone().await?;
                if self.is_news(wait, passed.unwrap_or_default()).await? {
                    return Ok(());
                }
            }
            // Whether there is nothing is known when the site has told.
            if (passed.is_some() || looking.is_none()) && !std::mem::replace(&mut told, true) {
                self.tell_wait(wait, due.now, passed.is_some());
            }
            let look_in = match (&self.supply, &looking) {
                (Some(_), None) => self.site.due.left(&*clock),
                (Some(_), Some(_)) | (None, _) => Duration::MAX,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // Whoever got no answer in time was told that nothing begins.
                Some(trigger) = self.plan.triggers.recv() => if !trigger.answer.is_closed() {
                    self.site.due = Deadline::after(Duration::ZERO, &*clock);
                    self.asked(trigger);
                    return Ok(());
                },
                () = self.plan.forgotten.notified() => return Ok(()),
                Some(seen) = OptionFuture::from(looking.as_mut()) => {
                    (looking, whole) = (None, None);
                    self.note(seen);
                }
                () = tokio::time::sleep(due.left(&*clock).min(look_in)) => {}
                () = self.folder.looked() => {}
            }
        }
        self.site.due = Deadline::after(Duration::ZERO, &*clock);
        Ok(())
    }

    /// Whether a pass would have something to do that the last one had not. What failed to be
    /// fetched waits for its time.
    async fn is_news(&self, wait: Wait, passed: &[Whole]) -> Result<bool, StateError> {
        let Some(version) = self.due().await? else { return Ok(false) };
        let Chosen { here, there, .. } = self.plan_of(version).await?;
        let again = matches!(wait, Wait::Retry { .. });
        Ok(here.iter().any(|whole| !passed.contains(whole)) || (!there.is_empty() && !again))
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

    async fn tell_refused(&mut self) -> Result<(), StateError> {
        let refused = self.refused().await?;
        for file in refused.difference(&self.said.refused) {
            tracing::warn!(%file, "left out: a checksum is required, and none is to be had for it");
        }
        self.said.refused = refused;
        Ok(())
    }

    async fn tell_left_alone(&mut self) -> Result<(), StateError> {
        let left = self.left_alone().await?;
        let news: Vec<_> =
            left.difference(&self.said.left_alone).map(ToString::to_string).collect();
        if !news.is_empty() {
            let (versions, hint) = (news.join(", "), "--dump-version takes one all the same");
            tracing::info!(versions, hint, "left alone: a newer version is complete");
        }
        self.said.left_alone = left;
        Ok(())
    }

    fn tell_wait(&mut self, wait: Wait, due: Timestamp, passed: bool) {
        if !passed {
            // A folder that is not there was told of.
            if self.folder.is_there() && !std::mem::replace(&mut self.said.empty, true) {
                let folder = self.folder.root().display();
                tracing::info!(%folder, growing = self.folder.growing().len(), "waiting for dumps");
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
