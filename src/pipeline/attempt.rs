//! What follows when reading a file did not get through. Pure: one table, and no attempt that could be
//! made again and again without anything having changed.

/// How an attempt begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attempt {
    /// At the mark, from the nearest resume point.
    #[default]
    FromPoint,
    /// At the mark, but inflating from the start of the file: no point is believed.
    FromStart,
    /// With the first record, as a new run.
    Over(Why),
}

/// Why a file starts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The text before the mark is not what it was.
    Changed,
    /// The bytes of a download started over.
    DownloadRestarted,
    /// The sink no longer holds what the store calls complete.
    SinkLost,
}

impl Why {
    /// For the person who reads the log.
    pub const fn words(self) -> &'static str {
        match self {
            Why::Changed => "the file has changed under its checkpoint",
            Why::DownloadRestarted => "its download started over",
            Why::SinkLost => "the sink no longer holds all of it",
        }
    }
}

/// What an attempt ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The text before the mark is not what the checkpoint says.
    NotTheSame,
    /// The file does not inflate, or is no XML, or does not add up.
    Damaged,
    /// The bytes of a download started over.
    DownloadRestarted,
}

/// The next attempt after one that `used_point` or not; none if the trouble is the file's own, and
/// it fails. Whatever went wrong from a resume point is tried once more without it, since it may
/// have been the point that was wrong: that costs an inflate from the start and nothing else.
pub const fn next(used_point: bool, trouble: Trouble) -> Option<Attempt> {
    match (trouble, used_point) {
        (Trouble::NotTheSame | Trouble::Damaged, true) => Some(Attempt::FromStart),
        (Trouble::NotTheSame, false) => Some(Attempt::Over(Why::Changed)),
        (Trouble::Damaged, false) => None,
        (Trouble::DownloadRestarted, _) => Some(Attempt::Over(Why::DownloadRestarted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_what() {
        use Trouble::{Damaged, DownloadRestarted, NotTheSame};
        let over = |why| Some(Attempt::Over(why));
        let table = [
            (NotTheSame, Some(Attempt::FromStart), over(Why::Changed)),
            (Damaged, Some(Attempt::FromStart), None),
            (DownloadRestarted, over(Why::DownloadRestarted), over(Why::DownloadRestarted)),
        ];
        for (trouble, from_point, from_start) in table {
            assert_eq!(next(true, trouble), from_point, "{trouble:?}");
            assert_eq!(next(false, trouble), from_start, "{trouble:?}");
        }
    }
}
