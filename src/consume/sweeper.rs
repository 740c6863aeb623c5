//! Removes what complete versions no longer have, one run after the other, and of all who read the
//! same queues one at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use super::round::in_time;
use super::shared::Shared;
use crate::database::{After, Database, Obstacle, SweepLimits};
use crate::model::agreement::{Announced, Claim, Event, Note, Sweep};
use crate::model::{Clock, Swept};

/// How long a claim on a sweep lasts unless it is renewed, and how often it is.
const CLAIM: Duration = Duration::from_secs(30);
const RENEW: Duration = Duration::from_secs(10);

/// Between two tries to note how a sweep ended.
const PAUSE: Duration = Duration::from_secs(1);

/// Sweeps until everything is told to stop; says what was refused.
pub async fn run(
    shared: Arc<Shared>,
    mut notes: mpsc::Receiver<Note>,
    limits: SweepLimits,
) -> Vec<String> {
    let mut refused = Vec::new();
    let mut dealt = HashSet::new();
    let me = Uuid::new_v4().to_string();
    loop {
        let note = tokio::select! {
            () = shared.stop.cancelled() => return refused,
            note = notes.recv() => match note {
                Some(note) => note,
                None => return refused,
            },
        };
        let Announced { kind, version, proof } = note.announced;
        let name = (kind, version, proof.map(|(run, ..)| run));
        if dealt.contains(&name) {
            continue;
        }
        let swept =
            shared.stop.run_until_cancelled(sweep(&shared, &me, note.announced, limits)).await;
        let version = version.map(|version| version.to_string()).unwrap_or_default();
        match swept {
            None => return refused,
            Some(Ok(Swept::Removed(rows))) => {
                dealt.insert(name);
                if rows > 0 {
                    tracing::info!(r#type = %kind, version, rows, "removed what the version no longer has");
                }
            }
            Some(Ok(Swept::Refused(why))) => {
                dealt.insert(name);
                let what = "nothing removed of what the version no longer has";
                tracing::error!(r#type = %kind, version, why, "{what}");
                refused.push(format!("{kind} {version}: {why}"));
            }
            // It is found again.
            Some(Ok(Swept::Stopped)) => {}
            Some(Err(away)) => tracing::debug!(r#type = %kind, why = %away, "cannot sweep now"),
        }
    }
}

/// Sweeps after one run, if nobody else does, for as long as nobody else takes it over.
async fn sweep(
    shared: &Shared,
    me: &str,
    announced: Announced,
    limits: SweepLimits,
) -> Result<Swept, Obstacle> {
    let Shared { database, clock, stop, .. } = shared;
    if !claim(&**database, &**clock, me, announced).await? {
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
            if claim(&**database, &**clock, me, announced).await == Ok(false) {
                ours.store(false, Ordering::Relaxed);
            }
        }
    };
    let swept = tokio::select! {
        swept = database.sweep(After::Announced(announced, limits), go_on) => swept?,
        never = renewing => match never {},
    };
    let (sweep, words) = match &swept {
        Swept::Removed(count) => (Sweep::Done, format!("{count} {} removed", database.removes())),
        Swept::Refused(why) => (Sweep::Refused, why.clone()),
        Swept::Stopped => return Ok(swept),
    };
    let ended = Event::Swept(announced, sweep, words);
    while let Err(away) = in_time(database.agree(announced.kind, ended.clone())).await {
        tracing::debug!(r#type = %announced.kind, why = %away, "cannot note it now");
        sleep(PAUSE).await;
    }
    Ok(swept)
}

/// Takes the claim on a sweep, or takes it for longer; false if somebody else has it.
async fn claim(
    database: &dyn Database,
    clock: &dyn Clock,
    me: &str,
    announced: Announced,
) -> Result<bool, Obstacle> {
    let claim = Claim { by: me.to_owned(), until: clock.now().after(CLAIM) };
    let event = Event::Sweeps(announced, claim);
    let (completion, _) = in_time(database.agree(announced.kind, event)).await?;
    let claim = completion.of(&announced).and_then(|note| note.claim.as_ref());
    Ok(claim.is_some_and(|claim| claim.by == me))
}
