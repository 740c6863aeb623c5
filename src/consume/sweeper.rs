//! Removes what complete versions no longer have, one run after the other.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::shared::Shared;
use super::target::SweepLimits;
use crate::model::complete::{Announced, Note};
use crate::tables::sweep::Swept;

/// Sweeps until everything is told to stop; says what was refused.
pub async fn run(
    shared: Arc<Shared>,
    mut notes: mpsc::Receiver<Note>,
    limits: SweepLimits,
) -> Vec<String> {
    let mut refused = Vec::new();
    let mut dealt = HashSet::new();
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
        let stop = shared.stop.clone();
        let go_on = Arc::new(move || !stop.is_cancelled());
        let sweeping = shared.target.sweep(note, limits, go_on);
        let swept = shared.stop.run_until_cancelled(sweeping).await;
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
