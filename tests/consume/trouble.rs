//! What can go wrong with consumers and what is around them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A replica is killed, and starts again.
    Killed,
    /// A replica is told to end, and starts again.
    Stopped,
    /// A replica stands still.
    Frozen,
    /// A replica starts again with a wrong clock.
    ClockAhead,
    ClockBehind,
    /// The extractor is killed, and starts again.
    Extractor,
    /// All connections to the database are cut, and new ones refused.
    Cut,
    /// Nothing goes to the database or comes from it.
    Stalled,
    /// The database answers, and takes no writes.
    Full,
    /// Somebody else holds the tables.
    Locked,
    /// What nobody can read is in a queue.
    Garbage,
    /// Dead letters are put back.
    Replay,
}

impl Trouble {
    pub const ALL: [Trouble; 12] = [
        Trouble::Killed,
        Trouble::Stopped,
        Trouble::Frozen,
        Trouble::ClockAhead,
        Trouble::ClockBehind,
        Trouble::Extractor,
        Trouble::Cut,
        Trouble::Stalled,
        Trouble::Full,
        Trouble::Locked,
        Trouble::Garbage,
        Trouble::Replay,
    ];
}
