//! The sink's lane of one file: how much may be in it, and where it goes on. A sink may hold less than
//! the checkpoint says, as an older copy of a database does; the checkpoint then goes back, first.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::context::FileContext;
use super::error::FileError;
use crate::model::{Boundary, Checkpoint, GzipOffset, Limits, Position, ResumePoint, Run};
use crate::sink::{Lane, LaneStart, Sink, SinkError};
use crate::state::Begun;

/// Bytes of documents in flight per file, beside the limit in records: what 5,000 releases take.
const WINDOW_BYTES: usize = 20 << 20;

/// Batches that may wait in a lane's channel: the sink is never idle between two of them, and the
/// window bounds them in bytes.
const LANE_DEPTH: usize = 64;

/// Where an attempt goes on.
pub struct StartFrom {
    /// The run.
    pub run: Run,
    /// The mark, with everything up to it in the sink.
    pub checkpoint: Checkpoint,
    /// The nearest resume point at or before the mark.
    pub point: Option<ResumePoint>,
    /// Takes what comes after the mark.
    pub lane: Lane,
}

/// Opens the lane for a file as it has begun. Where the sink holds less than the checkpoint says, the
/// checkpoint goes back to what it does hold.
///
/// # Errors
/// If sink or store cannot go on.
pub async fn open(file: &FileContext<'_>, begun: Begun) -> Result<StartFrom, FileError> {
    let Begun { run, checkpoint, point, .. } = begun;
    let lane = lane(file, run, checkpoint.clone()).await?;
    if lane.holds >= checkpoint.ordinal() {
        return Ok(StartFrom { run, checkpoint, point, lane });
    }
    let why = format!(
        "the sink holds records up to {} where {} were confirmed",
        lane.holds,
        checkpoint.ordinal()
    );
    tracing::warn!(file = %file.name(), why, "going back");
    let keeper = &file.pass.keeper;
    // How many of the records before a point were bad is known only if none was.
    let point = match checkpoint.bad_records {
        0 => keeper.point_before(file.key.clone(), lane.holds).await?,
        _ => None,
    };
    let gzip = point.as_ref().map_or(GzipOffset(0), |point| point.place().gzip);
    let checkpoint = point.as_ref().map_or(Checkpoint::BEGINNING, |it| mark_at(it.boundary()));
    let now = file.pass.clock.now();
    keeper.rewind(file.key.clone(), checkpoint.clone(), gzip, why, now).await?;
    drop(lane);
    let lane = self::lane(file, run, checkpoint.clone()).await?;
    Ok(StartFrom { run, checkpoint, point, lane })
}

/// The mark of a file of which everything up to a boundary is delivered, and nothing was bad.
const fn mark_at(Boundary { after, xml, check }: Boundary) -> Checkpoint {
    Checkpoint {
        position: Position::At(after, xml),
        check: Some(check),
        records: after.0,
        ..Checkpoint::BEGINNING
    }
}

async fn lane(file: &FileContext<'_>, run: Run, from: Checkpoint) -> Result<Lane, FileError> {
    let window = window(file);
    let start = LaneStart { file: file.name(), run, from, depth: LANE_DEPTH, window };
    with_sink(file, move |sink| sink.open(&start)).await
}

/// How much may be on its way.
const fn window(file: &FileContext<'_>) -> Limits {
    Limits { records: file.pass.settings.window, bytes: WINDOW_BYTES }
}

/// How much the lane may have.
pub fn handed_out(file: &FileContext<'_>) -> Limits {
    let Limits { records, bytes } = window(file);
    if file.pass.sink.reads_ahead() {
        Limits { records: records + records.div_ceil(2), bytes: bytes + bytes / 2 }
    } else {
        Limits { records, bytes }
    }
}

/// Has the sink do something, which may block.
///
/// # Errors
/// If the sink cannot go on, or the thread dies.
pub async fn with_sink<T: Send + 'static>(
    file: &FileContext<'_>,
    work: impl FnOnce(&dyn Sink) -> Result<T, SinkError> + Send + 'static,
) -> Result<T, FileError> {
    let sink = Arc::clone(&file.pass.sink);
    let worked = spawn_blocking(move || work(&*sink)).await;
    Ok(worked.map_err(|died| FileError::died(file.name(), "sink", died.to_string()))??)
}
