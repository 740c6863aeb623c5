use super::{GzipOffset, Timestamp};

/// What a file's delivery knows this second, ahead of the last checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Where in its life the file is.
    pub phase: Phase,
    /// Records delivered in this run, earlier processes included.
    pub records: u64,
    /// Records set aside in this run.
    pub bad_records: u64,
    /// Records sent that the mark has not passed, as of the last checkpoint's time.
    pub in_flight: usize,
    /// Compressed bytes read.
    pub gzip: GzipOffset,
    /// Bytes of text read only to get to the mark again.
    pub skipped: u64,
    /// When the mark last moved, or input was last read while skipping to it.
    pub last_activity: Option<Timestamp>,
    /// What it would have to have next.
    pub waits_for: WaitsFor,
}

impl Live {
    /// A file that waits for its turn.
    pub const PENDING: Live = Live {
        phase: Phase::Pending,
        records: 0,
        bad_records: 0,
        in_flight: 0,
        gzip: GzipOffset(0),
        skipped: 0,
        last_activity: None,
        waits_for: WaitsFor::Reading,
    };
}

/// Where in a pass a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for a worker.
    Pending,
    /// Records are read and delivered.
    Extracting,
    /// Everything is confirmed and recorded.
    Complete,
    /// It ended with an error.
    Failed,
    /// It was stopped and can go on.
    Stopped,
}

/// What an extraction waits for, which is the reason when it stalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Bytes of the dump.
    Reading,
    /// Bytes of the dump, which the site has not sent yet.
    Download,
    /// The parse threads.
    Parsing,
    /// The sink, which said why it cannot go on.
    SinkBlocked(String),
    /// Somebody to receive what is sent: the broker gives it back.
    Unroutable(String),
    /// The sink, which said nothing.
    SinkSlow,
    /// The store's disk: a checkpoint is not durable yet.
    Disk,
}

impl WaitsFor {
    /// Whether somebody else has to put something right before it can go on.
    pub const fn is_blocked(&self) -> bool {
        matches!(self, WaitsFor::SinkBlocked(_) | WaitsFor::Unroutable(_))
    }
}

impl std::fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WaitsFor::Reading => f.write_str("reading"),
            WaitsFor::Download => f.write_str("download"),
            WaitsFor::Parsing => f.write_str("parsing"),
            WaitsFor::SinkBlocked(why) => write!(f, "sink blocked: {why}"),
            WaitsFor::Unroutable(why) => write!(f, "unroutable: {why}"),
            WaitsFor::SinkSlow => f.write_str("sink slow"),
            WaitsFor::Disk => f.write_str("disk"),
        }
    }
}
