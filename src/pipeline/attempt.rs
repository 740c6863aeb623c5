//! What follows what while one file is extracted. Pure: `came_of` and `trouble_of` say what an attempt
//! came to or ran into, `next` what follows that, each as one table. An attempt starts a file over, as
//! a new run, where `next` says so and nowhere else (a file that is another one starts over in the
//! store); and none follows another without anything having changed.

use super::reader::{ReadEnd, ReadError};
use crate::gzip::GzipError;
use crate::model::{Ending, Ordinal};

/// How an attempt begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attempt {
    /// At the mark, from the nearest resume point.
    #[default]
    FromPoint,
    /// At the mark, but inflating from the start of the file: there is no point, or none is believed.
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

/// What an attempt came to that ran into nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// All of the dump was read, and all of that is delivered.
    AllDelivered(Ending),
    /// As many records as were asked for are delivered, and there are more.
    Limited,
    /// It was stopped, by whoever stops the pass or by its delivery.
    Stopped,
}

/// What an attempt ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The text before the mark is not what the checkpoint says.
    PrefixChanged,
    /// The file does not inflate, or is no XML, or does not add up.
    Damaged,
    /// The disk does not give the file's bytes.
    Unreadable,
    /// The bytes of a download started over.
    DownloadRestarted,
    /// The download will not bring the rest.
    DownloadFailed,
    /// The store calls the file complete, and the sink does not hold all of it.
    SinkLost,
}

/// What follows a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Another attempt.
    Again(Attempt),
    /// None: the file fails with what it ran into.
    Fail,
}

/// Where the download stands of which an attempt has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadNow {
    /// There is none, or it has brought, or will bring, what was read.
    AsRead,
    /// It is at other bytes than those that were read.
    Restarted,
    /// It will not bring the rest.
    Failed,
}

impl Attempt {
    /// The attempt as it is made where the store has no resume point to begin from.
    #[must_use]
    pub const fn without_point(self) -> Attempt {
        match self {
            Attempt::FromPoint | Attempt::FromStart => Attempt::FromStart,
            Attempt::Over(why) => Attempt::Over(why),
        }
    }

    /// Why it is a new run, if it is.
    pub const fn over(self) -> Option<Why> {
        match self {
            Attempt::FromPoint | Attempt::FromStart => None,
            Attempt::Over(why) => Some(why),
        }
    }

    /// How the attempt that this one follows is noted in the store.
    pub const fn words_before(self) -> &'static str {
        match self {
            Attempt::FromPoint | Attempt::FromStart => "the resume point did not verify",
            Attempt::Over(why) => why.words(),
        }
    }
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

/// What an attempt came to whose reader ended so, with nothing left in flight or not. What was read
/// after a stop was not delivered, however far the reader got.
pub fn came_of(end: ReadEnd, drained: bool, mark: Ordinal) -> Came {
    match end {
        ReadEnd::Limit => Came::Limited,
        ReadEnd::End(ending) if drained && mark >= ending.last => Came::AllDelivered(ending),
        ReadEnd::End(_) | ReadEnd::TooManyBad | ReadEnd::Stopped => Came::Stopped,
    }
}

/// What an attempt ran into whose reader failed so. What is known of the download comes before what it
/// looks like from here.
pub const fn trouble_of(error: &ReadError, download: DownloadNow) -> Trouble {
    match (download, error) {
        (DownloadNow::Restarted, _) => Trouble::DownloadRestarted,
        (DownloadNow::Failed, _) => Trouble::DownloadFailed,
        (DownloadNow::AsRead, ReadError::Gzip(GzipError::Io { .. } | GzipError::Setup(_))) => {
            Trouble::Unreadable
        }
        (DownloadNow::AsRead, ReadError::PrefixChanged(_)) => Trouble::PrefixChanged,
        (
            DownloadNow::AsRead,
            ReadError::Gzip(_)
            | ReadError::Xml(_)
            | ReadError::Point(_)
            | ReadError::Unaccounted { .. },
        ) => Trouble::Damaged,
    }
}

/// What follows an attempt, as it was made, that ran into trouble. Whatever went wrong from a resume
/// point is tried once more without it, since it may have been the point that was wrong: that costs
/// an inflate from the start and nothing else. An attempt that began with the first record has no
/// mark before which the text could differ, and nothing complete that the sink could have lost.
pub const fn next(attempt: Attempt, trouble: Trouble) -> Follows {
    use Attempt::{FromPoint, FromStart, Over};
    match (trouble, attempt) {
        (Trouble::PrefixChanged | Trouble::Damaged, FromPoint) => Follows::Again(FromStart),
        (Trouble::PrefixChanged, FromStart) => Follows::Again(Over(Why::Changed)),
        (Trouble::SinkLost, FromPoint | FromStart) => Follows::Again(Over(Why::SinkLost)),
        (Trouble::DownloadRestarted, FromPoint | FromStart | Over(_)) => {
            Follows::Again(Over(Why::DownloadRestarted))
        }
        (Trouble::Damaged, FromStart | Over(_))
        | (Trouble::PrefixChanged | Trouble::SinkLost, Over(_))
        | (Trouble::Unreadable | Trouble::DownloadFailed, FromPoint | FromStart | Over(_)) => {
            Follows::Fail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GzipOffset, XmlOffset};

    const TROUBLES: [Trouble; 6] = [
        Trouble::PrefixChanged,
        Trouble::Damaged,
        Trouble::Unreadable,
        Trouble::DownloadRestarted,
        Trouble::DownloadFailed,
        Trouble::SinkLost,
    ];

    #[test]
    fn what_follows_what() {
        use Follows::Fail;
        let start = Follows::Again(Attempt::FromStart);
        let over = |why| Follows::Again(Attempt::Over(why));
        let (changed, lost) = (over(Why::Changed), over(Why::SinkLost));
        let restarted = over(Why::DownloadRestarted);
        #[rustfmt::skip]
        let table = [
            // Ran into, from a point, from the start, over.
            (Trouble::PrefixChanged, start, changed, Fail),
            (Trouble::Damaged, start, Fail, Fail),
            (Trouble::Unreadable, Fail, Fail, Fail),
            (Trouble::DownloadRestarted, restarted, restarted, restarted),
            (Trouble::DownloadFailed, Fail, Fail, Fail),
            (Trouble::SinkLost, lost, lost, Fail),
        ];
        assert_eq!(table.map(|(trouble, ..)| trouble), TROUBLES, "a row for each");
        for (trouble, from_point, from_start, over) in table {
            assert_eq!(next(Attempt::FromPoint, trouble), from_point, "{trouble:?}");
            assert_eq!(next(Attempt::FromStart, trouble), from_start, "{trouble:?}");
            for why in [Why::Changed, Why::DownloadRestarted, Why::SinkLost] {
                assert_eq!(next(Attempt::Over(why), trouble), over, "{trouble:?}");
            }
        }
    }

    #[test]
    fn no_attempt_follows_another_without_anything_having_changed() {
        // Only a site can make a file start over again and again, with other bytes each time.
        let nearer = |attempt| match attempt {
            Attempt::FromPoint => 2,
            Attempt::FromStart => 1,
            Attempt::Over(_) => 0,
        };
        for trouble in TROUBLES.into_iter().filter(|it| *it != Trouble::DownloadRestarted) {
            for before in [Attempt::FromPoint, Attempt::FromStart, Attempt::Over(Why::Changed)] {
                if let Follows::Again(after) = next(before, trouble) {
                    assert!(nearer(after) < nearer(before), "{before:?}, {trouble:?}, {after:?}");
                }
            }
        }
    }

    #[test]
    fn what_an_attempt_came_to() {
        let ending = Ending { last: Ordinal(5), end: XmlOffset(50), length: XmlOffset(60) };
        let table = [
            (ReadEnd::End(ending), true, 5, Came::AllDelivered(ending)),
            (ReadEnd::End(ending), true, 4, Came::Stopped),
            (ReadEnd::End(ending), false, 5, Came::Stopped),
            (ReadEnd::Limit, true, 3, Came::Limited),
            (ReadEnd::Stopped, true, 3, Came::Stopped),
            (ReadEnd::TooManyBad, true, 3, Came::Stopped),
        ];
        for (end, drained, mark, expected) in table {
            assert_eq!(came_of(end, drained, Ordinal(mark)), expected, "{end:?} {drained} {mark}");
        }
    }

    #[test]
    fn what_a_readers_error_is() {
        let gone = GzipError::Io { at: GzipOffset(0), cause: std::io::Error::other("gone") };
        let cut = ReadError::Unaccounted { inflated: XmlOffset(2), cut: XmlOffset(1) };
        let table = [
            (ReadError::PrefixChanged(XmlOffset(9)), Trouble::PrefixChanged),
            (ReadError::Gzip(GzipError::Empty), Trouble::Damaged),
            (ReadError::Gzip(gone), Trouble::Unreadable),
            (cut, Trouble::Damaged),
        ];
        for (error, expected) in table {
            assert_eq!(trouble_of(&error, DownloadNow::AsRead), expected, "{error:?}");
            assert_eq!(
                trouble_of(&error, DownloadNow::Failed),
                Trouble::DownloadFailed,
                "{error:?}"
            );
            let restarted = trouble_of(&error, DownloadNow::Restarted);
            assert_eq!(restarted, Trouble::DownloadRestarted, "{error:?}");
        }
    }
}
