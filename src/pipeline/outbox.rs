//! What is owed to the sink after a file is complete, and paid then or after a restart.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::pass::{Pass, PassError};
use crate::model::{DumpName, fault};
use crate::sink::{Sweep, Swept};
use crate::state::{OutboxId, Owed, view::OwedEntry};

/// Pays what an earlier process left owing.
///
/// # Errors
/// If sink or store cannot go on.
pub async fn settle(pass: &Pass) -> Result<(), PassError> {
    for entry in pass.keeper.owed(pass.sink.job().clone()).await? {
        pay(pass, entry).await?;
    }
    Ok(())
}

/// Pays one entry, and strikes it off when that is done. A sweep that is refused stays owed, with
/// the reason.
///
/// # Errors
/// If sink or store cannot go on.
pub async fn pay(pass: &Pass, entry: OwedEntry) -> Result<(), PassError> {
    match entry.owed {
        Owed::Sweep { version, kind, run, last, bad_records } => {
            let sweep = Sweep {
                file: DumpName { version, kind },
                run,
                last,
                bad_records,
                max_fraction: pass.settings.max_delete_fraction,
                anyway: pass.settings.sweep_anyway,
            };
            self::sweep(pass, entry.id, sweep).await
        }
        // Only sinks that announce owe these.
        Owed::FileComplete { .. } | Owed::ExtractionComplete { .. } => Ok(()),
    }
}

async fn sweep(pass: &Pass, id: OutboxId, sweep: Sweep) -> Result<(), PassError> {
    let (sink, file) = (Arc::clone(&pass.sink), sweep.file);
    fault::place("sweep.before");
    let stop = pass.stop.clone();
    let swept = spawn_blocking(move || sink.sweep(&sweep, &mut |_| !stop.is_cancelled())).await;
    let swept = swept.map_err(|died| PassError::Died(died.to_string()))??;
    fault::place("sweep.after");
    let job = pass.sink.job().clone();
    match swept {
        Swept::Removed(rows) => {
            if rows > 0 {
                tracing::info!(%file, rows, "removed what the version no longer has");
            }
            pass.keeper.strike(job, id).await?;
        }
        Swept::Stopped => {}
        Swept::Refused(why) => {
            tracing::error!(%file, why, "nothing removed of what the version no longer has");
            pass.keeper.refuse(job, id, why, pass.clock.now()).await?;
        }
    }
    Ok(())
}
