//! The thread that writes to SQLite for all lanes.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::thread;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Database;
use crate::model::{DumpName, Run};
use crate::sink::{LaneEnds, SinkError, batch};
use crate::tables::sqlite::{BUSY_PAUSE, Fault, fault, words, write};
use crate::tables::{Batch, Notes, Written};

/// A transaction takes what is there, up to about so many bytes of JSON or records: enough that
/// its own cost vanishes, few enough that a confirmation comes soon and the log stays short.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_RECORDS: usize = 5_000;

/// A lane that begins.
pub(super) struct NewLane {
    pub(super) file: DumpName,
    pub(super) run: Run,
    pub(super) ends: LaneEnds,
}

struct OpenLane {
    file: DumpName,
    run: Run,
    ends: LaneEnds,
    /// Nothing more comes, or nobody waits for it.
    ended: bool,
}

/// A batch that is to be written, and the index of its lane.
struct Queued {
    lane: usize,
    batch: Batch,
}

/// Writes until there are no lanes and there will be none.
pub(super) fn run(
    database: &Database,
    runtime: &Runtime,
    mut new_lanes: UnboundedReceiver<NewLane>,
) {
    let mut lanes = Vec::new();
    loop {
        let next = poll_fn(|context| poll_group(context, &mut new_lanes, &mut lanes));
        let Some(group) = runtime.block_on(next) else { return };
        write_group(database, &mut lanes, group);
        lanes.retain(|lane| !lane.ended);
    }
}

/// Takes what is queued, a batch of each lane in turn; none at the end of everything.
fn poll_group(
    context: &mut Context<'_>,
    new_lanes: &mut UnboundedReceiver<NewLane>,
    lanes: &mut Vec<OpenLane>,
) -> Poll<Option<Vec<Queued>>> {
    let no_more_lanes = loop {
        match new_lanes.poll_recv(context) {
            Poll::Ready(Some(NewLane { file, run, ends })) => {
                lanes.push(OpenLane { file, run, ends, ended: false });
            }
            Poll::Ready(None) => break true,
            Poll::Pending => break false,
        }
    };
    let mut group = Vec::new();
    let (mut bytes, mut records, mut found) = (0, 0, true);
    while found && bytes < GROUP_BYTES && records < GROUP_RECORDS {
        found = false;
        for (index, lane) in lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.ended) {
            match lane.ends.batches.poll_recv(context) {
                Poll::Ready(Some(parsed)) => {
                    bytes += parsed.json.len();
                    records += parsed.items.len();
                    let batch = batch::batch(lane.file, lane.run, vec![parsed]);
                    group.push(Queued { lane: index, batch });
                    found = true;
                }
                Poll::Ready(None) => lane.ended = true,
                Poll::Pending => {}
            }
        }
    }
    if !group.is_empty() {
        return Poll::Ready(Some(group));
    }
    lanes.retain(|lane| !lane.ended);
    if no_more_lanes && lanes.is_empty() { Poll::Ready(None) } else { Poll::Pending }
}

/// Writes a group, for as long as it takes, and says what became of it.
fn write_group(database: &Database, lanes: &mut [OpenLane], mut group: Vec<Queued>) {
    let mut waiting = false;
    loop {
        for lane in lanes.iter_mut().filter(|lane| lane.ends.outcomes.is_closed()) {
            lane.ended = true;
            // What is queued of an abandoned lane must not be written after its next begins.
            lane.ends.batches.close();
        }
        group.retain(|queued| !lanes[queued.lane].ends.outcomes.is_closed());
        if group.is_empty() {
            return;
        }
        let batches: Vec<_> = group.iter().map(|queued| &queued.batch).collect();
        let now = database.clock.now();
        let written = write(&database.connection(), &batches, Notes::Dealt, now);
        match written {
            Ok(written) => {
                if waiting {
                    tracing::info!("the sink takes records again");
                }
                for (queued, written) in group.iter().zip(&written) {
                    let file = lanes[queued.lane].file;
                    *database.left_out().entry(file).or_default() += written.left_out;
                }
                return report(lanes, &group, &written);
            }
            Err(error) if fault(&error) == Fault::Busy => {
                if !waiting {
                    let why = words(&error);
                    tracing::warn!(why, "the sink holds records back");
                    report_waiting(lanes, &group, &why);
                }
                waiting = true;
                thread::sleep(BUSY_PAUSE);
            }
            Err(error) => return report_failure(lanes, &group, &database.error("write", &error)),
        }
    }
}

fn report(lanes: &mut [OpenLane], group: &[Queued], written: &[Written]) {
    for (queued, written) in group.iter().zip(written) {
        let lane = &mut lanes[queued.lane];
        if !lane.ends.send(batch::outcomes(&queued.batch, &written.refused)) {
            lane.ended = true;
        }
    }
}

/// Says of each lane's first document that it has to wait.
fn report_waiting(lanes: &[OpenLane], group: &[Queued], why: &str) {
    for (index, lane) in lanes.iter().enumerate() {
        let mut batches = group.iter().filter(|queued| queued.lane == index);
        lane.ends.send(batches.find_map(|queued| batch::waiting(&queued.batch, why)));
    }
}

fn report_failure(lanes: &mut [OpenLane], group: &[Queued], error: &SinkError) {
    for (index, lane) in lanes.iter_mut().enumerate() {
        if group.iter().any(|queued| queued.lane == index) {
            lane.ended = true;
            // Whoever dropped the receiver has given up already.
            let _ = lane.ends.outcomes.blocking_send(Err(error.clone()));
        }
    }
}
