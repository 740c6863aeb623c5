//! Removes what complete versions no longer have, one run after the other, and of all who read the
//! same queues one at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::rests::Rests;
use super::round::in_time;
use super::shared::Shared;
use super::unswept::Name;
use crate::database::{After, Obstacle, Passes, SweepLimits};
use crate::model::Swept;
use crate::model::agreement::{Announced, Claim, Event, Note, Sweep};

/// How long a sweep may take to hear that everything is to stop: a server is asked to leave off what
/// it does, which takes a second at most.
const HEARS: Duration = Duration::from_millis(1_500);

/// How often a claim on a sweep is renewed, and how long another's must be seen not to be before it
/// is taken over. Measured by this process's own clock: what the others' say is no matter.
const RENEW: Duration = Duration::from_secs(10);
const CLAIM: Duration = Duration::from_secs(30);

/// Between two tries to note how a sweep ended.
const PAUSE: Duration = Duration::from_secs(1);

/// Sweeps until everything is told to stop.
pub async fn run(shared: Arc<Shared>, mut notes: mpsc::Receiver<Note>, limits: SweepLimits) {
    // By how many of the run's records were refused then: one that is taken after all may prove what
    // was not proven.
    let mut dealt = HashMap::new();
    let mut others = Others::default();
    let mut failing = Rests::default();
    let me = Uuid::new_v4().to_string();
    loop {
        let note = tokio::select! {
            () = shared.stop.cancelled() => return,
            note = notes.recv() => match note {
                Some(note) => note,
                None => return,
            },
        };
        let name = Name::of(&note);
        let (kind, version) = (note.announced.kind, note.announced.version);
        let theirs = note.claim.as_ref().filter(|claim| claim.by != me);
        let abandoned = match others.look(name, theirs, Instant::now()) {
            Claimed::Now => continue,
            Claimed::Never => None,
            Claimed::Before(abandoned) => Some(abandoned),
        };
        let is_dealt_with = dealt.get(&name) == Some(&note.refused);
        if is_dealt_with || failing.rests(&name, Instant::now()) {
            continue;
        }
        let claiming = Claiming { shared: &shared, me: &me, after: note.announced };
        let swept = tokio::select! {
            swept = claiming.sweep(abandoned, limits) => Some(swept),
            () = too_late(&shared.stop) => None,
        };
        let version = version.map(|version| version.to_string()).unwrap_or_default();
        match swept {
            None => return,
            Some(Ok(Swept::Removed(rows))) => {
                dealt.insert(name, note.refused);
                shared.unswept.swept(name);
                if rows > 0 {
                    tracing::info!(r#type = %kind, version, rows, "removed what the version no longer has");
                }
            }
            Some(Ok(Swept::Refused(why))) => {
                dealt.insert(name, note.refused);
                let what = "nothing removed of what the version no longer has";
                tracing::error!(r#type = %kind, version, why, "{what}");
                shared.unswept.refused(name, format!("{kind} {version}: {why}"));
            }
            // It is found again.
            Some(Ok(Swept::Stopped)) => {}
            Some(Err(why)) => {
                let is_new = failing.failed(name, Instant::now());
                if is_new && why.passes != Passes::Away {
                    tracing::warn!(r#type = %kind, version, %why, "cannot sweep now, trying again");
                } else {
                    tracing::debug!(r#type = %kind, version, %why, "cannot sweep now");
                }
                continue;
            }
        }
        if let Some(since) = failing.well(&name) {
            let seconds = since.elapsed().as_secs();
            tracing::info!(r#type = %kind, version, seconds, "it could be swept again");
        }
    }
}

/// Ends when everything was told to stop, and a sweep has had the time to hear of that: threads of the
/// database's own may be at work for it, which must not outlive the runtime.
async fn too_late(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(HEARS).await;
}

/// Whether another has a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Claimed {
    /// Nobody has.
    Never,
    /// One has.
    Now,
    /// One had, and abandoned it.
    Before(Claim),
}

/// The claims that others have, and since when each was seen not to change.
#[derive(Default)]
struct Others {
    seen: HashMap<Name, (Claim, Instant)>,
}

impl Others {
    /// Whether another has the sweep after a run, given the claim that is noted.
    fn look(&mut self, run: Name, theirs: Option<&Claim>, now: Instant) -> Claimed {
        let Some(claim) = theirs else {
            self.seen.remove(&run);
            return Claimed::Never;
        };
        let (seen, since) = self.seen.entry(run).or_insert_with(|| (claim.clone(), now));
        if seen != claim {
            (*seen, *since) = (claim.clone(), now);
        }
        let is_abandoned = now.saturating_duration_since(*since) >= CLAIM;
        if is_abandoned { Claimed::Before(claim.clone()) } else { Claimed::Now }
    }
}

/// This process on its way to sweep after one run.
#[derive(Clone, Copy)]
struct Claiming<'a> {
    shared: &'a Shared,
    /// Names this process.
    me: &'a str,
    after: Announced,
}

impl Claiming<'_> {
    /// Sweeps, if nobody else does, for as long as nobody else takes it over.
    async fn sweep(self, abandoned: Option<Claim>, limits: SweepLimits) -> Result<Swept, Obstacle> {
        let Shared { database, stop, .. } = self.shared;
        if !self.claim(abandoned).await? {
            return Ok(Swept::Stopped);
        }
        let ours = Arc::new(AtomicBool::new(true));
        let go_on = {
            let (ours, stop) = (Arc::clone(&ours), stop.clone());
            Arc::new(move |_| ours.load(Ordering::Relaxed) && !stop.is_cancelled())
        };
        let renewing = async {
            loop {
                sleep(RENEW).await;
                // What cannot be renewed now is renewed later, or lost.
                if self.claim(None).await == Ok(false) {
                    ours.store(false, Ordering::Relaxed);
                }
            }
        };
        let swept = tokio::select! {
            swept = database.sweep(After::Announced(self.after, limits), go_on) => swept?,
            never = renewing => match never {},
        };
        let (sweep, words) = match &swept {
            Swept::Removed(count) => {
                (Sweep::Done, format!("{count} {} removed", database.removes()))
            }
            Swept::Refused(why) => (Sweep::Refused, why.clone()),
            Swept::Stopped => return Ok(swept),
        };
        let ended = Event::Swept(self.after, sweep, words);
        while let Err(away) = in_time(database.agree(self.after.kind, ended.clone())).await {
            tracing::debug!(r#type = %self.after.kind, why = %away, "cannot note it now");
            sleep(PAUSE).await;
        }
        Ok(swept)
    }

    /// Takes the claim, or takes it for longer; false if somebody else has it.
    async fn claim(self, abandoned: Option<Claim>) -> Result<bool, Obstacle> {
        let (after, by) = (self.after, self.me.to_owned());
        let event = Event::Sweeps { after, by, during: CLAIM, abandoned };
        let (completion, _) = in_time(self.shared.database.agree(after.kind, event)).await?;
        let claim = completion.of(&after).and_then(|note| note.claim.as_ref());
        Ok(claim.is_some_and(|claim| claim.by == self.me))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::agreement::Unproven;
    use crate::model::{Kind, Timestamp};

    #[test]
    fn a_claim_is_abandoned_when_it_was_seen_not_to_change() {
        let claim = |by: &str, turn| Claim { by: by.into(), until: Timestamp(0), turn };
        let unproven = Unproven::default();
        let announced = Announced { kind: Kind::Labels, version: None, proof: None, unproven };
        let run = Name::of(&Note::new(announced));
        let (mut others, began) = (Others::default(), Instant::now());
        let mut look = |theirs: Option<&Claim>, seconds| {
            others.look(run, theirs, began + Duration::from_secs(seconds))
        };
        assert_eq!(look(None, 0), Claimed::Never);
        let (first, renewed, taken) = (claim("a", 1), claim("a", 2), claim("b", 3));
        assert_eq!(look(Some(&first), 0), Claimed::Now);
        assert_eq!(look(Some(&first), 29), Claimed::Now);
        assert_eq!(look(Some(&renewed), 30), Claimed::Now);
        assert_eq!(look(Some(&renewed), 59), Claimed::Now);
        assert_eq!(look(Some(&taken), 60), Claimed::Now);
        assert_eq!(look(Some(&taken), 89), Claimed::Now);
        assert_eq!(look(Some(&taken), 90), Claimed::Before(taken.clone()));
        // It was given up and taken again: that is another one.
        assert_eq!(look(None, 91), Claimed::Never);
        assert_eq!(look(Some(&taken), 92), Claimed::Now);
    }
}
