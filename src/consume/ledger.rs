//! Keeps in this process's own store what is written of each run, so that `state` shows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::TypeNow;
use crate::model::agreement::{Note, Sweep};
use crate::model::{Clock, DumpName, Job, Kind, Run, Version};
use crate::state::{FileKey, Followed, Keeper, Owed, Owes, StateError, Written};

/// How often it is looked whether anything changed.
const LOOK: Duration = Duration::from_secs(1);

/// What can be said of a run at one moment.
#[derive(Clone, Copy, Debug)]
struct RunNow {
    version: Version,
    run: Option<Run>,
    written: u64,
    bad_records: u64,
    complete: bool,
    sweep: Option<Sweep>,
}

/// A run as the store has it.
struct Kept {
    key: FileKey,
    followed: Followed,
}

/// Follows the types until everything is told to stop.
///
/// # Errors
/// If the store fails.
pub async fn keep(
    keeper: Keeper,
    job: Job,
    location: String,
    types: Vec<watch::Receiver<TypeNow>>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<(), StateError> {
    keeper.register_job(job.clone(), location, clock.now()).await?;
    let mut ledger = Ledger { keeper, job, clock, kept: HashMap::new() };
    while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
        for now in &types {
            let now = now.borrow().clone();
            ledger.note(&now).await?;
        }
    }
    ledger.stop().await
}

struct Ledger {
    keeper: Keeper,
    job: Job,
    clock: Arc<dyn Clock>,
    kept: HashMap<(Kind, Version, Option<u64>), Kept>,
}

impl Ledger {
    async fn note(&mut self, now: &TypeNow) -> Result<(), StateError> {
        for run in runs(now) {
            let name = (now.kind, run.version, run.run.map(|run| run.0));
            if !self.kept.contains_key(&name) {
                // Another run of the same dump ends there.
                let same = |(kind, version, _): &(Kind, Version, Option<u64>)| {
                    (*kind, *version) == (now.kind, run.version)
                };
                let before: Vec<_> = self.kept.keys().filter(|name| same(name)).copied().collect();
                for name in before {
                    if let Some(kept) =
                        self.kept.remove(&name).filter(|kept| !kept.followed.complete)
                    {
                        let at = self.clock.now();
                        self.keeper.stop(kept.key, "another run began".into(), at).await?;
                    }
                }
                let kept = self.begin(now.kind, &run).await?;
                self.kept.insert(name, kept);
            }
            if let Some(kept) = self.kept.get_mut(&name) {
                step(&self.keeper, &*self.clock, kept, &run).await?;
            }
            self.settle_sweep(now.kind, &run).await?;
        }
        Ok(())
    }

    async fn begin(&self, kind: Kind, run: &RunNow) -> Result<Kept, StateError> {
        let name = DumpName { version: run.version, kind };
        let key =
            FileKey { job: self.job.clone(), version: run.version, kind, file: name.to_string() };
        // A version has all types; which of them are never sent nobody tells.
        self.keeper.expect(self.job.clone(), run.version, Kind::ALL.to_vec()).await?;
        let of_sender = run.run.unwrap_or(Run(0));
        let followed = self.keeper.follow(key.clone(), of_sender, self.clock.now()).await?;
        Ok(Kept { key, followed })
    }

    /// Strikes an owed sweep off when it is done, and notes when it was refused.
    async fn settle_sweep(&self, kind: Kind, run: &RunNow) -> Result<(), StateError> {
        let Some(sweep @ (Sweep::Done | Sweep::Refused)) = run.sweep else { return Ok(()) };
        for entry in self.keeper.owed(self.job.clone()).await? {
            let Owed::Sweep { version, kind: owed, .. } = entry.owed else { continue };
            if (version, owed) != (run.version, kind) {
                continue;
            }
            if sweep == Sweep::Done {
                self.keeper.strike(self.job.clone(), entry.id).await?;
            } else if entry.refused.is_none() {
                let why = "the table extractor_complete says why, in sweep_words".to_owned();
                self.keeper.refuse(self.job.clone(), entry.id, why, self.clock.now()).await?;
            }
        }
        Ok(())
    }

    async fn stop(self) -> Result<(), StateError> {
        for kept in self.kept.into_values().filter(|kept| !kept.followed.complete) {
            let at = self.clock.now();
            self.keeper.stop(kept.key, "the consumer ended".into(), at).await?;
        }
        Ok(())
    }
}

/// The newest run of each version that is known of a type.
fn runs(now: &TypeNow) -> Vec<RunNow> {
    let announced = now.notes.iter().filter_map(|note: &Note| {
        Some(RunNow {
            version: note.announced.version?,
            run: Some(match note.announced.proof {
                Some((run, ..)) => run,
                None => Run(note.announced.unproven.pass),
            }),
            written: note.written,
            bad_records: note.announced.proof.map_or(0, |(.., bad_records)| bad_records)
                + note.refused,
            complete: note.completed_at.is_some(),
            sweep: note.sweep,
        })
    });
    let reading = now.reading.map(|(version, run, written)| RunNow {
        version,
        run: Some(run),
        written,
        bad_records: 0,
        complete: false,
        sweep: None,
    });
    let mut newest: HashMap<Version, RunNow> = HashMap::new();
    for run in announced.chain(reading) {
        let known = newest.get(&run.version).and_then(|known| known.run.map(|run| run.0));
        if run.run.map(|run| run.0) >= known || !newest.contains_key(&run.version) {
            newest.insert(run.version, run);
        }
    }
    newest.into_values().collect()
}

/// Takes a run in the store to where it is.
async fn step(
    keeper: &Keeper,
    clock: &dyn Clock,
    kept: &mut Kept,
    run: &RunNow,
) -> Result<(), StateError> {
    let Followed { written: before, complete } = kept.followed;
    if complete {
        let now = Written { records: run.written, bad_records: run.bad_records };
        let same = now.records + now.bad_records == before.records + before.bad_records;
        if run.complete && same && now.records > before.records {
            keeper.taken(kept.key.clone(), now).await?;
            kept.followed.written = now;
        }
        return Ok(());
    }
    let (key, at) = (kept.key.clone(), clock.now());
    let records = before.records.max(run.written);
    let written = if run.complete {
        // Nothing else is to come then.
        let bad_records = before.bad_records.max(run.bad_records);
        let sweep = run.sweep.is_some_and(|sweep| sweep != Sweep::Done);
        let written = Written { records, bad_records };
        keeper.wrote_all(key, written, Owes { announcements: false, sweep }, at).await?;
        written
    } else {
        let written = Written { records, ..before };
        if written == before {
            return Ok(());
        }
        keeper.wrote(key, written, at).await?;
        written
    };
    kept.followed = Followed { written, complete: run.complete };
    Ok(())
}
