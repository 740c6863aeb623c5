use crate::model::{DumpName, Run};

/// Which of two rows of one version and id wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one that comes later: whoever writes reads one dump from its beginning to its end.
    Arrival,
    /// The one of the higher run: messages may come again, and late.
    Run,
}

/// The run whose version decides which rows are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// The version and type.
    pub file: DumpName,
    /// The run that was complete.
    pub run: Run,
    /// What decides between two runs of the version.
    pub order: Order,
}
