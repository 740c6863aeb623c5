//! The daemon: a pass over what is in the folder and at the site, then waiting for more, for as long
//! as it lives. What is known is asked for once before each decision (`situation`); what follows is
//! decided by functions of that (`choice`, `plan`, `schedule`) and done here.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use super::choice::{Wishes, choose, left_alone};
use super::deadline::Deadline;
use super::failures::Failures;
use super::folder::Folder;
use super::plan::{PassPlan, has_local_work, is_news, to_force};
use super::prune::superfluous;
use super::said::Said;
use super::schedule::{Ended, Schedule, Wait};
use super::session::Session;
use super::sightings::Whole;
use super::situation::{Answers, Situation};
use super::supply::{Look, Looked, Seen, Supply};
use super::trigger::Trigger;
use crate::dump::{Dump, identify};
use crate::model::{DumpName, Identity, Timestamp, Version};
use crate::observe::Stage;
use crate::pipeline::Input;
use crate::state::{ForceWord, StateError};

/// What the daemon is to do, and who may wake it.
pub struct DaemonOptions<'a> {
    /// What may be chosen.
    pub wishes: Wishes,
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
    session: Session,
    options: DaemonOptions<'a>,
    folder: Folder,
    /// The site, if there is one.
    supply: Option<Supply>,
    site: NextLook,
    failures: Failures,
    said: Said,
    /// Whether there was a pass in this process.
    has_passed: bool,
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
        options: DaemonOptions<'a>,
        folder: Folder,
        supply: Option<Supply>,
    ) -> Daemon<'a> {
        let (failures, said, has_passed) = (Failures::default(), Said::default(), false);
        let due = Deadline::after(Duration::ZERO, &*session.clock);
        let site = NextLook { wait: options.schedule.first(), due };
        Daemon { session, options, folder, supply, site, failures, said, has_passed }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// If the store fails for good: only a new process can open it again.
    pub async fn run(mut self) -> Result<(), StateError> {
        let newest = self.session.newest_known().await?;
        self.session.show_known(newest.into_iter()).await?;
        self.trust_known().await?;
        let mut wait = self.options.schedule.first();
        // What is here and not done is not held up by a site that may be away.
        let has_work = has_local_work(&self.situation().await?, &self.options.wishes);
        if let Some(supply) = self.supply.as_ref().filter(|_| !has_work) {
            let looking = supply.look(self.options.wishes.version);
            if let Some(seen) = self.session.stop.run_until_cancelled(looking).await {
                self.note(seen);
            }
        }
        while !self.session.stop.is_cancelled() {
            let situation = self.situation().await?;
            self.said.refused(&situation.refused);
            let passed = match choose(&situation.versions, &self.options.wishes) {
                Some(version) => Some(self.take(situation, version, &mut wait).await?),
                None => None,
            };
            if passed.is_none() {
                wait = self.options.schedule.first();
            }
            self.wait(wait, passed.as_deref()).await?;
        }
        Ok(())
    }

    /// Asks the folder, the site, the store and this process what they know now.
    async fn situation(&self) -> Result<Situation, StateError> {
        let store = self.session.keeper.inspect().await?;
        let answers = Answers {
            folder: self.folder.whole(),
            root: &self.folder.root().canonicalize().unwrap_or_default(),
            offers: self.supply.as_ref().map(Supply::offers).unwrap_or_default(),
            store: &store,
            job: self.session.sink.job(),
            failures: &self.failures.in_a_row,
        };
        Ok(Situation::of(answers, &self.options.wishes))
    }

    /// Takes what is to be had of a version. Returns the dumps that are no news any more.
    async fn take(
        &mut self,
        situation: Situation,
        version: Version,
        wait: &mut Wait,
    ) -> Result<Vec<Whole>, StateError> {
        let situation = self.force(situation, version).await?;
        let plan = PassPlan::of(&situation, &self.options.wishes, version);
        self.said.missing(version, &plan.missing);
        let ended = if plan.is_empty() { Ended::Done } else { self.pass(&plan).await? };
        *wait = self.options.schedule.next(*wait, ended);
        // What was fetched lies here now.
        self.folder.look().await;
        if ended == Ended::Done {
            self.prune().await?;
        }
        // Nor are those that were fetched.
        let fetched = |whole: &Whole| {
            let name = whole.dump.name;
            name.version == version && plan.remote.contains(&name.kind)
        };
        let now_here = self.folder.whole().into_iter().filter(fetched);
        Ok(plan.local.iter().cloned().chain(now_here).collect())
    }

    /// Takes note of what a look at the site brought, and when the next one is due.
    fn note(&mut self, seen: Seen) {
        let Some(supply) = &mut self.supply else { return };
        let schedule = &self.options.schedule;
        let wait = match supply.note(seen) {
            Looked::Seen => schedule.next(self.site.wait, Ended::Done),
            Looked::Away { come_back } => {
                let retry = schedule.next(self.site.wait, Ended::Failed);
                retry.at_least(come_back.unwrap_or_default())
            }
        };
        let half = supply.half_published();
        self.site.wait = if half.is_some() { schedule.soon(wait) } else { wait };
        self.site.due = Deadline::after(self.site.wait.time(), &*self.session.clock);
        self.said.half_published(half);
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

    /// Forgets what a forced pass starts anew, if one is due; the situation afterwards.
    async fn force(
        &mut self,
        situation: Situation,
        version: Version,
    ) -> Result<Situation, StateError> {
        let Some(word) = self.options.force.clone() else { return Ok(situation) };
        self.session.force(&to_force(&situation, &self.options.wishes, version), &word).await?;
        self.options.force = None;
        self.situation().await
    }

    /// One pass. The folder is watched meanwhile, and whoever asks for a pass is told that one is
    /// under way.
    async fn pass(&mut self, plan: &PassPlan) -> Result<Ended, StateError> {
        self.said.begins();
        self.has_passed = true;
        self.session.expect(plan.version, plan.remote.clone()).await?;
        let mut inputs: Vec<_> =
            plan.local.iter().map(|whole| Input::from(whole.dump.clone())).collect();
        let stop = self.session.stop.child_token();
        let mut fetching = futures_util::future::ready(BTreeSet::new()).boxed();
        let mut away = false;
        if let Some(supply) = self.supply.as_mut().filter(|_| !plan.remote.is_empty()) {
            let Session { keeper, clock, .. } = &self.session;
            let begun = supply.fetch(plan.version, &plan.remote, keeper, clock, stop.clone()).await;
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
            let pass = self.session.pass(inputs, self.failures.told.clone());
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
                    Some(trigger) = self.options.triggers.recv() => {
                        // Whoever asked may be gone.
                        _ = trigger.answer.send(false);
                    }
                }
            }
        };
        if let Some(supply) = &mut self.supply {
            supply.note_gone(gone);
        }
        let ended = self.failures.note(ended)?;
        Ok(if away && ended == Ended::Done { Ended::Failed } else { ended })
    }

    /// Removes the files of versions that are not to be kept.
    async fn prune(&mut self) -> Result<(), StateError> {
        let Some(keep) = self.options.keep else { return Ok(()) };
        let Situation { versions, .. } = self.situation().await?;
        let complete = |name: DumpName| {
            versions.get(&name.version).is_some_and(|it| it.complete.contains(&name.kind))
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

    /// Waits until there may be something to do, or until the end.
    ///
    /// # Cancel safety
    /// A turn of the loop takes what one arm brings, and the others lose nothing: whoever asks stays in
    /// the channel, a notice that was not taken is kept, a look at the site goes on in the next turn
    /// (`looking`), and one at the folder may be dropped. The end comes before who asks, and both
    /// before what is merely looked at.
    async fn wait(&mut self, wait: Wait, passed: Option<&[Whole]>) -> Result<(), StateError> {
        let clock = self.session.clock.clone();
        let due = Deadline::after(wait.time(), &*clock);
        let stop = self.session.stop.clone();
        let (mut told, mut whole, mut looking) = (false, None, None::<Look>);
        while !stop.is_cancelled() && !due.left(&*clock).is_zero() {
            if looking.is_none() && self.site.due.left(&*clock).is_zero() {
                let supply = self.supply.as_ref();
                looking = supply.map(|supply| supply.look(self.options.wishes.version));
            }
            let now_whole = Some(self.folder.whole());
            if whole != now_whole {
                whole = now_whole;
                let (situation, wishes) = (self.situation().await?, &self.options.wishes);
                self.said.left_alone(left_alone(&situation.versions, wishes));
                let another_try = matches!(wait, Wait::Retry { .. });
                if is_news(&situation, wishes, passed.unwrap_or_default(), another_try) {
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
                Some(trigger) = self.options.triggers.recv() => if !trigger.answer.is_closed() {
                    self.site.due = Deadline::after(Duration::ZERO, &*clock);
                    self.asked(trigger);
                    return Ok(());
                },
                () = self.options.forgotten.notified() => return Ok(()),
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

    fn asked(&mut self, trigger: Trigger) {
        if trigger.force {
            self.options.force = Some(ForceWord::Once);
        }
        // Whoever looks after the answer sees the pass that it promises.
        self.session.stage(Stage::Running);
        // Whoever asked may be gone.
        _ = trigger.answer.send(true);
    }

    fn tell_wait(&mut self, wait: Wait, due: Timestamp, passed: bool) {
        if !passed {
            // A folder that is not there was told of.
            if self.folder.is_there() {
                self.said.empty(self.folder.root(), self.folder.growing().len());
            }
            let stage = if self.has_passed { Stage::Waiting(due) } else { Stage::Idle };
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
