//! What is owed to the sink after a file is complete, and paid then or after a restart.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::context::Context;
use super::error::OwedError;
use crate::model::message::Announcement;
use crate::model::{DumpName, Run, fault};
use crate::sink::{Sweep, Swept};
use crate::state::{OutboxId, Owed, Status, view::OwedEntry};

/// Pays what is owed, in order: one payer at a time, so that no message overtakes another. What
/// was `refused` before is tried again only if that is wanted. After an announcement that could
/// not be confirmed before a stop, the rest stays owed too.
///
/// # Errors
/// If sink or store cannot go on.
pub async fn settle(pass: &Context, refused: Refused) -> Result<(), OwedError> {
    let _only_one = pass.paying.lock().await;
    for entry in pass.keeper.owed(pass.sink.job().clone()).await? {
        if entry.refused.is_some() && refused == Refused::LeaveAlone {
            continue;
        }
        if pay(pass, entry).await? == Paid::NotYet {
            break;
        }
    }
    Ok(())
}

/// What to do about sweeps that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Try them again: this process may have been told otherwise.
    TryAgain,
    /// Leave them: this process has tried.
    LeaveAlone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paid {
    /// It is off, or will not be paid now whatever is done.
    Dealt,
    /// It was stopped; nothing may overtake it.
    NotYet,
}

/// Pays one entry, and strikes it off when that is done. A sweep that is refused stays owed, with
/// the reason.
async fn pay(pass: &Context, entry: OwedEntry) -> Result<Paid, OwedError> {
    match entry.owed {
        Owed::Sweep { version, kind, run, last, bad_records } => {
            if !is_complete(pass, DumpName { version, kind }, run).await? {
                tracing::info!(
                    %version, r#type = %kind, run = run.0,
                    "a sweep is no longer owed: the file is not complete with that run any more"
                );
                pass.keeper.strike(pass.sink.job().clone(), entry.id).await?;
                return Ok(Paid::Dealt);
            }
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
        Owed::FileComplete { version, kind, file: _, run, last, records, bad_records, at } => {
            let file = DumpName { version, kind };
            let what = Announcement::FileComplete { file, run, last, records, bad_records, at };
            announce(pass, entry.id, what).await
        }
        Owed::ExtractionComplete { version, started_at, record_counts, at } => {
            let what = Announcement::ExtractionComplete { version, started_at, record_counts, at };
            announce(pass, entry.id, what).await
        }
    }
}

/// Whether the store calls the file complete with that very run.
async fn is_complete(pass: &Context, file: DumpName, run: Run) -> Result<bool, OwedError> {
    let files = pass.keeper.files(pass.sink.job().clone(), file.version).await?;
    Ok(files.iter().any(|(key, state)| {
        key.kind == file.kind && state.status == Status::Complete && state.run == Some(run)
    }))
}

/// Sends an announcement. If it is stopped before the broker confirmed it, it stays owed.
async fn announce(pass: &Context, id: OutboxId, what: Announcement) -> Result<Paid, OwedError> {
    let (sink, sent) = (Arc::clone(&pass.sink), what.clone());
    fault::place("announce.before");
    let announced = spawn_blocking(move || sink.announce(&sent)).await;
    let announced = announced.map_err(|died| OwedError::Died(died.to_string()))??;
    fault::place("announce.confirmed");
    if !announced {
        return Ok(Paid::NotYet);
    }
    pass.keeper.strike(pass.sink.job().clone(), id).await?;
    (pass.announced)(&what);
    Ok(Paid::Dealt)
}

async fn sweep(pass: &Context, id: OutboxId, sweep: Sweep) -> Result<Paid, OwedError> {
    let (sink, file) = (Arc::clone(&pass.sink), sweep.file);
    fault::place("sweep.before");
    let stop = pass.stop.clone();
    let swept = spawn_blocking(move || sink.sweep(&sweep, &mut |_| !stop.is_cancelled())).await;
    let swept = swept.map_err(|died| OwedError::Died(died.to_string()))??;
    fault::place("sweep.after");
    let job = pass.sink.job().clone();
    match swept {
        Swept::Removed(rows) => {
            if rows > 0 {
                tracing::info!(%file, rows, "removed what the version no longer has");
            }
            pass.keeper.strike(job, id).await?;
        }
        Swept::Stopped => return Ok(Paid::NotYet),
        Swept::Refused(why) => {
            tracing::error!(%file, why, "nothing removed of what the version no longer has");
            pass.keeper.refuse(job, id, why, pass.clock.now()).await?;
        }
    }
    Ok(Paid::Dealt)
}
