//! What can happen to a file, and what it is afterwards. Pure: time comes with the events, and a
//! step that does not fit is refused, never bent.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{
    Checkpoint, Confirmed, GzipOffset, Identity, Ordinal, Position, Run, Timestamp, XmlOffset,
};

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for a worker, from its beginning or from its checkpoint.
    Pending,
    /// An owner works on it; or did, and died.
    Extracting,
    /// All of it was delivered.
    Complete,
    /// It ended with an error; the next pass tries again.
    Failed,
}

impl Status {
    /// The word for it everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Extracting => "extracting",
            Status::Complete => "complete",
            Status::Failed => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Everything the store knows of one file of one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// What the dump is recognised by.
    pub identity: Identity,
    /// Where it stands.
    pub status: Status,
    /// The pass it is in; none before the first, and after progress was dropped.
    pub run: Option<Run>,
    /// How far it got.
    pub checkpoint: Checkpoint,
    /// How much of the compressed file the checkpoint covers, for percent.
    pub gzip_offset: GzipOffset,
    /// Starts, all told.
    pub attempts: u32,
    /// Starts in a row, the last one included, since the mark last moved.
    pub fruitless: u32,
    /// First start; kept over restarts, set anew when the file starts over.
    pub first_start: Option<Timestamp>,
    /// Last start.
    pub last_start: Option<Timestamp>,
    /// When the mark last moved, or input was last read on the way to it.
    pub last_activity: Option<Timestamp>,
    /// When it became complete.
    pub completed_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

impl FileState {
    /// What an earlier release kept of a run that a consumer follows, as it is kept now: the
    /// sender's run stood where a dump's identity does, and the file had a run of its own. No dump
    /// has that identity: an empty one has the hash of nothing.
    pub(super) fn of_sender(self) -> FileState {
        let Identity::Content { size: 0, ends } = self.identity else { return self };
        match ends.split_first_chunk::<8>() {
            Some((run, rest)) if rest.iter().all(|byte| *byte == 0) && self.run.is_some() => {
                let run = Some(Run(u64::from_be_bytes(*run)));
                FileState { identity: Identity::unseen(), run, ..self }
            }
            Some(_) | None => self,
        }
    }

    /// A file that has been seen and nothing more.
    pub const fn registered(identity: Identity) -> FileState {
        FileState {
            identity,
            status: Status::Pending,
            run: None,
            checkpoint: Checkpoint::BEGINNING,
            gzip_offset: GzipOffset(0),
            attempts: 0,
            fruitless: 0,
            first_start: None,
            last_start: None,
            last_activity: None,
            completed_at: None,
            error: None,
        }
    }
}

/// How much of a run a consumer wrote: counts, for it sees neither the dump nor places in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Records written.
    pub records: u64,
    /// Records of which the sender says that they never come.
    pub bad_records: u64,
}

impl Written {
    /// The same as the store keeps it.
    const fn checkpoint(self, is_all: bool) -> Checkpoint {
        let Written { records, bad_records } = self;
        let position = match records + bad_records {
            _ if is_all => Position::End,
            0 => Position::Beginning,
            // Nobody reads on from there, so there is no byte to name.
            ordinal => Position::At(Ordinal(ordinal), XmlOffset(0)),
        };
        Checkpoint { position, records, bad_records, ..Checkpoint::BEGINNING }
    }
}

/// What can happen to a file.
#[derive(Clone, Debug)]
pub enum Event {
    /// A pass has chosen it; it waits for a worker.
    Registered,
    /// Work begins, from the checkpoint.
    Started {
        /// The stored run, or a new one if there is none.
        run: Run,
        /// What the file on disk is.
        identity: Identity,
        /// When.
        at: Timestamp,
    },
    /// Work begins with the first record, whatever was known.
    StartedOver {
        /// A run unlike the stored one.
        run: Run,
        /// What the file on disk is.
        identity: Identity,
        /// When.
        at: Timestamp,
    },
    /// The mark moved.
    Advanced {
        /// From where to where.
        step: Confirmed,
        /// How much of the compressed file that is.
        gzip_offset: GzipOffset,
        /// When.
        at: Timestamp,
    },
    /// A consumer begins to write a run that somebody else reads and sends, or goes on with it.
    Followed {
        /// The sender's run; 0 if it says none.
        run: Run,
        /// When.
        at: Timestamp,
    },
    /// A consumer wrote more of the run that it follows.
    Wrote {
        /// What it wrote so far.
        written: Written,
        /// When.
        at: Timestamp,
    },
    /// A consumer wrote all of the run that it follows.
    WroteAll {
        /// What that is.
        written: Written,
        /// When.
        at: Timestamp,
    },
    /// Of what a consumer wrote all of, records were taken that had been refused.
    Taken {
        /// What is written now.
        written: Written,
    },
    /// Input was read while skipping to the mark.
    Activity {
        /// When.
        at: Timestamp,
    },
    /// What was extracted while it was downloaded is wholly here, and is known by its content from
    /// now on.
    Arrived {
        /// What the file on disk is.
        identity: Identity,
    },
    /// The sink lost what it had confirmed: the checkpoint goes back.
    Rewound {
        /// The earlier place.
        to: Checkpoint,
        /// How much of the compressed file that is.
        gzip_offset: GzipOffset,
    },
    /// Work ended cleanly before the file did.
    Stopped,
    /// The owner that worked on it is gone without a word.
    Interrupted,
    /// Everything is confirmed, and the file was whole.
    Completed {
        /// The last step, to the end.
        step: Confirmed,
        /// When.
        at: Timestamp,
    },
    /// Work ended with an error.
    Failed {
        /// For the person who looks.
        error: String,
        /// Whether the checkpoint can no longer be trusted: the checksum at the end was wrong.
        drop_progress: bool,
    },
}

impl Event {
    const fn name(&self) -> &'static str {
        match self {
            Event::Registered => "chosen",
            Event::Started { .. } => "started",
            Event::StartedOver { .. } => "started over",
            Event::Advanced { .. } => "advanced",
            Event::Followed { .. } => "followed",
            Event::Wrote { .. } => "written",
            Event::WroteAll { .. } => "wholly written",
            Event::Taken { .. } => "taken after all",
            Event::Activity { .. } => "active",
            Event::Arrived { .. } => "downloaded",
            Event::Rewound { .. } => "rewound",
            Event::Stopped => "stopped",
            Event::Interrupted => "interrupted",
            Event::Completed { .. } => "completed",
            Event::Failed { .. } => "failed",
        }
    }
}

/// Why an event does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The status does not allow it.
    #[error("a file that is {status} cannot be {event}")]
    NotWhile {
        /// Where the file stands.
        status: Status,
        /// What was to happen.
        event: &'static str,
    },
    /// A step that leaves a gap or overlaps.
    #[error("a step begins at {}, but {} is stored", Words(*.from), Words(*.stored))]
    Gap {
        /// What is stored.
        stored: Position,
        /// Where the step begins.
        from: Position,
    },
    /// A step that leads nowhere, or a way back that leads forward.
    #[error("a step leads from {} to {}", Words(*.stored), Words(*.to))]
    Direction {
        /// What is stored.
        stored: Position,
        /// Where it would lead.
        to: Position,
    },
    /// A start with another run than the stored one, or a start over with the same.
    #[error("run {run} does not fit the stored one")]
    Run {
        /// The run given.
        run: Run,
    },
    /// A start from a checkpoint of another file.
    #[error("it is another file than before")]
    Identity,
    /// A step to a place at which other numbers of records are counted than its ordinal says.
    #[error("{records} records and {bad_records} bad ones are counted up to record {ordinal}")]
    Miscounted {
        /// Where the step leads.
        ordinal: Ordinal,
        /// Records delivered up to there.
        records: u64,
        /// Records set aside up to there.
        bad_records: u64,
    },
    /// A resume point that lies beyond the mark.
    #[error("a resume point lies beyond the mark")]
    PointBeyondMark,
}

struct Words(Position);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Position::Beginning => f.write_str("the beginning"),
            Position::At(ordinal, xml) => write!(f, "record {ordinal} (byte {xml})"),
            Position::End => f.write_str("the end"),
        }
    }
}

/// What the file is after `event`.
///
/// # Errors
/// If the event does not fit what the file is.
pub fn next(state: &FileState, event: Event) -> Result<FileState, Illegal> {
    let not_now = Illegal::NotWhile { status: state.status, event: event.name() };
    let mut state = state.clone();
    let status = state.status;
    match event {
        Event::Registered => match status {
            Status::Pending | Status::Failed => state.status = Status::Pending,
            Status::Complete => {}
            Status::Extracting => return Err(not_now),
        },
        Event::Started { run, identity, at } => match status {
            Status::Pending | Status::Failed => {
                if state.identity != identity {
                    return Err(Illegal::Identity);
                }
                if state.run.is_some_and(|stored| stored != run) {
                    return Err(Illegal::Run { run });
                }
                start(&mut state, run, at);
            }
            Status::Extracting | Status::Complete => return Err(not_now),
        },
        Event::StartedOver { run, identity, at } => match status {
            Status::Pending | Status::Failed | Status::Complete => {
                if state.run == Some(run) {
                    return Err(Illegal::Run { run });
                }
                state = anew(&state, identity);
                start(&mut state, run, at);
            }
            Status::Extracting => return Err(not_now),
        },
        Event::Advanced { step, gzip_offset, at } => match status {
            Status::Extracting => {
                if step.to().position == Position::End {
                    return Err(direction(&state, step.to()));
                }
                advance(&mut state, &step)?;
                state.gzip_offset = gzip_offset.max(state.gzip_offset);
                active(&mut state, at);
            }
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::Followed { run, at } => match status {
            Status::Complete if state.run == Some(run) => return Err(Illegal::Run { run }),
            Status::Pending | Status::Failed | Status::Complete => {
                if state.run != Some(run) {
                    state = anew(&state, Identity::unseen());
                }
                start(&mut state, run, at);
            }
            Status::Extracting => return Err(not_now),
        },
        Event::Wrote { written, at } => match status {
            Status::Extracting => write(&mut state, written, false, at)?,
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::WroteAll { written, at } => match status {
            Status::Extracting => {
                write(&mut state, written, true, at)?;
                complete(&mut state, at);
            }
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::Taken { written } => match status {
            Status::Complete => take(&mut state, written)?,
            Status::Pending | Status::Extracting | Status::Failed => return Err(not_now),
        },
        Event::Activity { at } => match status {
            Status::Extracting => active(&mut state, at),
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::Arrived { identity } => match status {
            Status::Extracting => state.identity = identity,
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::Rewound { to, gzip_offset } => match status {
            Status::Extracting => rewind(&mut state, to, gzip_offset)?,
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::Stopped | Event::Interrupted => match status {
            Status::Extracting => state.status = Status::Pending,
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::Completed { step, at } => match status {
            Status::Extracting => {
                if step.to().position != Position::End {
                    return Err(direction(&state, step.to()));
                }
                advance(&mut state, &step)?;
                complete(&mut state, at);
            }
            Status::Pending | Status::Complete | Status::Failed => return Err(not_now),
        },
        Event::Failed { error, drop_progress } => match status {
            Status::Pending | Status::Extracting => fail(&mut state, error, drop_progress),
            Status::Complete | Status::Failed => return Err(not_now),
        },
    }
    Ok(state)
}

const fn direction(state: &FileState, to: &Checkpoint) -> Illegal {
    Illegal::Direction { stored: state.checkpoint.position, to: to.position }
}

/// What is left of a file when it starts over.
fn anew(state: &FileState, identity: Identity) -> FileState {
    let FileState { attempts, last_activity, .. } = *state;
    FileState { attempts, last_activity, ..FileState::registered(identity) }
}

fn start(state: &mut FileState, run: Run, at: Timestamp) {
    state.status = Status::Extracting;
    state.run = Some(run);
    state.attempts = state.attempts.saturating_add(1);
    state.fruitless = state.fruitless.saturating_add(1);
    state.first_start.get_or_insert(at);
    state.last_start = Some(at);
    state.error = None;
}

/// The last step may end where it began: it only adds that there is nothing more.
fn advance(state: &mut FileState, step: &Confirmed) -> Result<(), Illegal> {
    let (stored, to) = (&state.checkpoint, step.to());
    if step.from() != stored.position {
        return Err(Illegal::Gap { stored: stored.position, from: step.from() });
    }
    let onward = match to.position {
        Position::End => to.ordinal() >= stored.ordinal(),
        Position::Beginning => false,
        Position::At(ordinal, _) => {
            ordinal > stored.ordinal() && to.position.reached() > stored.position.reached()
        }
    };
    let counted = to.records >= stored.records && to.bad_records >= stored.bad_records;
    if !onward || !counted {
        return Err(direction(state, to));
    }
    if let Position::At(ordinal, _) = to.position
        && to.records + to.bad_records != ordinal.0
    {
        let (records, bad_records) = (to.records, to.bad_records);
        return Err(Illegal::Miscounted { ordinal, records, bad_records });
    }
    state.checkpoint = to.clone();
    state.fruitless = 0;
    Ok(())
}

/// What a consumer wrote only grows, and only of a file that nothing here has read.
/// Bad records become written ones; all others are there already.
fn take(state: &mut FileState, written: Written) -> Result<(), Illegal> {
    if state.identity != Identity::unseen() {
        return Err(Illegal::Identity);
    }
    let (stored, to) = (&state.checkpoint, written.checkpoint(true));
    let same = to.records + to.bad_records == stored.records + stored.bad_records;
    if !same || to.records <= stored.records {
        return Err(direction(state, &to));
    }
    state.checkpoint = to;
    Ok(())
}

fn write(
    state: &mut FileState,
    written: Written,
    is_all: bool,
    at: Timestamp,
) -> Result<(), Illegal> {
    if state.identity != Identity::unseen() {
        return Err(Illegal::Identity);
    }
    let (stored, to) = (&state.checkpoint, written.checkpoint(is_all));
    let counted = to.records >= stored.records && to.bad_records >= stored.bad_records;
    if !counted || (!is_all && to.ordinal() <= stored.ordinal()) {
        return Err(direction(state, &to));
    }
    state.checkpoint = to;
    state.fruitless = 0;
    active(state, at);
    Ok(())
}

fn rewind(state: &mut FileState, to: Checkpoint, gzip_offset: GzipOffset) -> Result<(), Illegal> {
    if to.position == Position::End || to.ordinal() >= state.checkpoint.ordinal() {
        return Err(direction(state, &to));
    }
    state.checkpoint = to;
    state.gzip_offset = gzip_offset.min(state.gzip_offset);
    Ok(())
}

fn complete(state: &mut FileState, at: Timestamp) {
    state.gzip_offset = GzipOffset(state.identity.size());
    active(state, at);
    state.status = Status::Complete;
    state.completed_at = Some(at);
}

fn fail(state: &mut FileState, error: String, drop_progress: bool) {
    state.status = Status::Failed;
    state.error = Some(error);
    if drop_progress {
        state.run = None;
        state.checkpoint = Checkpoint::BEGINNING;
        state.gzip_offset = GzipOffset(0);
    }
}

fn active(state: &mut FileState, at: Timestamp) {
    state.last_activity = Some(state.last_activity.map_or(at, |last| last.max(at)));
}

/// How a file begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With its first record, for the first time.
    Fresh,
    /// From its checkpoint.
    Resumed,
    /// With its first record again.
    StartedOver {
        /// Why.
        why: String,
    },
    /// Not at all: everything of it was delivered.
    AlreadyComplete {
        /// When.
        at: Timestamp,
    },
}

/// Decides how a file begins, and what it is then. `new_run` is used where a new pass begins.
///
/// # Errors
/// If it is being extracted already.
pub fn begin(
    stored: Option<&FileState>,
    identity: &Identity,
    over: Option<String>,
    new_run: Run,
    at: Timestamp,
) -> Result<(FileState, Beginning), Illegal> {
    let identity = identity.clone();
    let Some(stored) = stored else {
        let seen = FileState::registered(identity.clone());
        let state = next(&seen, Event::Started { run: new_run, identity, at })?;
        return Ok((state, Beginning::Fresh));
    };
    let changed = (stored.identity != identity).then(|| change(&stored.identity, &identity));
    if let Some(why) = changed.or(over) {
        let state = next(stored, Event::StartedOver { run: new_run, identity, at })?;
        let begun_before = stored.run.is_some() || stored.attempts > 0;
        let beginning =
            if begun_before { Beginning::StartedOver { why } } else { Beginning::Fresh };
        return Ok((state, beginning));
    }
    if let (Status::Complete, Some(at)) = (stored.status, stored.completed_at) {
        return Ok((stored.clone(), Beginning::AlreadyComplete { at }));
    }
    let run = stored.run.unwrap_or(new_run);
    let state = next(stored, Event::Started { run, identity, at })?;
    let beginning = match (state.checkpoint.position, stored.attempts) {
        (Position::At(..) | Position::End, _) => Beginning::Resumed,
        (Position::Beginning, 0) => Beginning::Fresh,
        (Position::Beginning, _) => match &stored.error {
            Some(error) if stored.run.is_none() => Beginning::StartedOver { why: error.clone() },
            Some(_) | None => Beginning::Fresh,
        },
    };
    Ok((state, beginning))
}

/// Decides how a consumer begins with a run that somebody else sends, and what the file is then.
///
/// # Errors
/// If it is being written already.
pub fn follow(
    stored: Option<&FileState>,
    run: Run,
    at: Timestamp,
) -> Result<(FileState, Beginning), Illegal> {
    let unseen = FileState::registered(Identity::unseen());
    let stored = stored.unwrap_or(&unseen);
    if stored.run == Some(run)
        && let (Status::Complete, Some(at)) = (stored.status, stored.completed_at)
    {
        return Ok((stored.clone(), Beginning::AlreadyComplete { at }));
    }
    let state = next(stored, Event::Followed { run, at })?;
    let beginning = match stored.run {
        Some(other) if other != run => {
            Beginning::StartedOver { why: "another run is being sent".to_owned() }
        }
        Some(_) if state.checkpoint.ordinal() > Ordinal(0) => Beginning::Resumed,
        Some(_) | None => Beginning::Fresh,
    };
    Ok((state, beginning))
}

fn change(before: &Identity, now: &Identity) -> String {
    if let (_, Identity::Source { .. }) | (Identity::Source { .. }, _) = (before, now) {
        "it is another file than the one that was begun".to_owned()
    } else if before.size() == now.size() {
        "the file has changed, although its size is the same".to_owned()
    } else {
        format!("the file has changed: it was {} bytes and is {}", before.size(), now.size())
    }
}

#[cfg(test)]
mod tests;
