//! A store and a sink that are open, and passes from one into the other, each watched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::watch::Watch;
use crate::model::{Clock, DumpName, Kind, Live, Phase, Version};
use crate::observe::{FileNow, Snapshot, Speed, Stage, lines};
use crate::pipeline::{self, Context, Finished, Input, PassError, Settings, Told};
use crate::sink::Sink;
use crate::state::{FileKey, FileState, ForceWord, Forced, Keeper, StateError, Status};

/// Everything that passes need.
pub struct Session {
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// The store.
    pub keeper: Keeper,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How a pass is to work.
    pub settings: Settings,
    /// When a file is called stalled.
    pub stall_after: Duration,
    /// Whether the contract's lines are logged.
    pub lines: bool,
    /// Says that a pass is to stop.
    pub stop: CancellationToken,
    /// What is going on, for everybody who looks.
    pub picture: watch::Sender<Arc<Snapshot>>,
}

impl Session {
    /// Makes what the store knows of versions the first picture, and logs its lines.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn show_known(
        &self,
        versions: impl Iterator<Item = Version>,
    ) -> Result<(), StateError> {
        let picture = Snapshot { stage: Stage::Idle, files: self.known(versions).await? };
        if self.lines {
            for line in picture.lines() {
                tracing::info!("{line}");
            }
        }
        self.picture.send_replace(Arc::new(picture));
        Ok(())
    }

    /// Notes what is going on; the files stay in the picture as they are.
    pub fn stage(&self, stage: Stage) {
        self.picture.send_modify(|picture| {
            *picture = Arc::new(Snapshot { stage, files: picture.files.clone() });
        });
    }

    /// Extracts dumps. `told` are failures that were logged before and are not worth another
    /// error line. The lines of its end are logged.
    ///
    /// # Errors
    /// If nothing can begin.
    pub async fn pass(&self, inputs: Vec<Input>, told: Told) -> Result<Vec<Finished>, PassError> {
        self.register_job().await?;
        let versions = inputs.iter().map(|input| input.dump.name.version);
        let known = self.known(versions).await?;
        let (queued, watched) = pipeline::queue(inputs, |name| {
            known.iter().find(|known| known.name == name).map_or(0, |file| file.live.records)
        });
        let mut watch = Watch::new(
            Arc::clone(&self.clock),
            self.stall_after,
            self.lines,
            watched,
            known,
            self.picture.clone(),
        );
        let context = Context {
            sink: Arc::clone(&self.sink),
            keeper: self.keeper.clone(),
            clock: Arc::clone(&self.clock),
            settings: self.settings.clone(),
            told,
            stop: self.stop.clone(),
            announced: |what| tracing::info!("{}", lines::announced(what)),
            paying: Arc::default(),
        };
        let finished = tokio::select! {
            finished = pipeline::run(&context, queued) => finished,
            never = watch.run() => match never {},
        };
        watch.finish();
        finished
    }

    /// Notes dumps that are to come, as far as nothing is known of them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn expect(&self, version: Version, kinds: Vec<Kind>) -> Result<(), StateError> {
        self.register_job().await?;
        self.keeper.expect(self.sink.job().clone(), version, kinds).await
    }

    /// Clears what a forced pass over these dumps starts anew, version by version.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn force(&self, dumps: &[DumpName], word: &ForceWord) -> Result<(), StateError> {
        self.register_job().await?;
        let mut versions: BTreeMap<Version, BTreeSet<Kind>> = BTreeMap::new();
        for dump in dumps {
            versions.entry(dump.version).or_default().insert(dump.kind);
        }
        for (version, kinds) in versions {
            let (job, kinds) = (self.sink.job().clone(), kinds.into_iter().collect());
            let files = self.keeper.files(job.clone(), version).await?;
            let failed = |kind: &Kind| {
                let of_kind = |(key, state): &(FileKey, FileState)| {
                    key.kind == *kind && state.status == Status::Failed
                };
                files.iter().any(of_kind)
            };
            let now = self.clock.now();
            let names =
                |kinds: &[Kind]| kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
            match self.keeper.force(job, version, kinds, word.clone(), now).await? {
                Forced::Cleared(kinds) => {
                    tracing::info!(%version, types = names(&kinds), "forced: starting over");
                }
                Forced::Resumed(kinds) if kinds.iter().all(failed) => {
                    let types = names(&kinds);
                    tracing::warn!(%version, types, "forced pass waits only for what failed");
                }
                Forced::Resumed(kinds) => {
                    tracing::info!(%version, types = names(&kinds), "forced pass goes on, these are left");
                }
                Forced::Honoured => {
                    tracing::info!(%version, word = word.as_str(), "forced once already");
                }
            }
        }
        Ok(())
    }

    /// Notes where the job is; it may have been forgotten since the last pass.
    async fn register_job(&self) -> Result<(), StateError> {
        let (job, location) = (self.sink.job().clone(), self.sink.location().to_owned());
        self.keeper.register_job(job, location, self.clock.now()).await
    }

    /// The newest version that the store knows of the job.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn newest_known(&self) -> Result<Option<Version>, StateError> {
        let files = self.keeper.inspect().await?.files.into_iter();
        let ours = files.filter(|entry| entry.key.job == *self.sink.job());
        Ok(ours.map(|entry| entry.key.version).max())
    }

    /// What the store knows of versions, for the counts that go on over restarts.
    async fn known(
        &self,
        versions: impl Iterator<Item = Version>,
    ) -> Result<Vec<FileNow>, StateError> {
        let mut known = Vec::new();
        for version in versions.collect::<BTreeSet<_>>() {
            let files = self.keeper.files(self.sink.job().clone(), version).await?;
            known.extend(files.into_iter().map(|(key, state)| {
                let complete = state.status == Status::Complete;
                FileNow {
                    name: DumpName { version: key.version, kind: key.kind },
                    size: 0,
                    downloaded: None,
                    live: Live {
                        phase: if complete { Phase::Complete } else { Phase::Pending },
                        records: state.checkpoint.records,
                        bad_records: state.checkpoint.bad_records,
                        last_activity: state.last_activity,
                        ..Live::PENDING
                    },
                    completed_at: state.completed_at.filter(|_| complete),
                    stalled: false,
                    speed: Speed::default(),
                }
            }));
        }
        Ok(known)
    }
}
