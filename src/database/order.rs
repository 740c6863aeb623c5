//! Which of two writes of one id wins, in both databases and whoever writes: the later version;
//! within a version the higher run; within a run the higher ordinal. A row without version is
//! older than any, one without run, or with a negative one, is of the lowest, and a missing ordinal
//! does not compare. Each database has the rule as SQL, once, in its `order` module. Records
//! without a version are outside of it: they replace only rows that have none either.

use crate::model::{DumpName, Run};

/// The run whose version decides which rows are stale: those without a version, of an older one,
/// or of a lower run of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// The version and type.
    pub file: DumpName,
    /// The run that was complete.
    pub run: Run,
}

/// Records that count as delivered although they were not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Their row is there from a later version, a higher run of the same, or a higher ordinal.
    pub later: u64,
    /// They have no row, since a later version or run was swept that does not have them.
    pub swept: u64,
}

impl std::ops::AddAssign for LeftOut {
    fn add_assign(&mut self, more: LeftOut) {
        self.later += more.later;
        self.swept += more.swept;
    }
}
