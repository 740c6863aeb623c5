//! Senders that do not number their records, such as the platform's extractor: their messages say
//! neither version nor run, and the end of a file only how many there were. What consumers know of
//! them is counted where it is written: a pass is all of such records from the first one on until it
//! is found that all of it is written; rows bear its number, so that each id counts once however often
//! it comes, and whoever writes it.

use std::time::Duration;

/// How long nothing must be written beyond the longest batch, where ids repeat or later rows stand
/// against some, so that nobody knows how many are to be counted.
const SILENCE: Duration = Duration::from_secs(5);

/// How long nothing must be written where as many ids were counted as were sent: a pass that was
/// broken off and begun anew may come to that number on its way.
const MOMENT: Duration = Duration::from_millis(500);

/// The pass that such records are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unnumbered {
    /// Its number: 1, 2, 3 and so on; 0 before the first.
    pub pass: u64,
    /// Whether such records still belong to it; else the next one opens another.
    pub is_open: bool,
    /// Ids that were written in it.
    pub ids: u64,
    /// Goes up with each transaction that wrote such records.
    pub turn: u64,
    /// How long the longest of those took.
    pub longest: Duration,
}

/// What one transaction wrote of such records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The pass that their rows bear.
    pub pass: u64,
    /// How many ids were not written in that pass before.
    pub ids: u64,
    /// How long it took.
    pub took: Duration,
}

impl Unnumbered {
    /// The pass of a record that is written now.
    pub const fn now(&self) -> u64 {
        if self.is_open { self.pass } else { self.pass + 1 }
    }

    /// Whether rows that bear that pass may be committed: it was not ended meanwhile.
    pub const fn has(&self, pass: u64) -> bool {
        self.is_open && self.pass == pass
    }

    /// How many ids were written in a pass, as far as that is still known.
    pub const fn ids_of(&self, pass: u64) -> u64 {
        if self.pass == pass { self.ids } else { 0 }
    }

    /// The pass after such records were written. Those of a pass that was ended meanwhile must be
    /// written again.
    pub(super) fn counted(self, counted: Counted) -> Unnumbered {
        let Counted { pass, ids, took } = counted;
        if self.now() != pass {
            return self;
        }
        let Unnumbered { ids: before, longest, turn, .. } = self.opened();
        let (ids, longest) = (before + ids, longest.max(took));
        Unnumbered { pass, is_open: true, ids, turn: turn + 1, longest }
    }

    /// The pass if there is one, or the next.
    pub(super) fn opened(self) -> Unnumbered {
        if self.is_open {
            return self;
        }
        Unnumbered { pass: self.now(), is_open: true, turn: self.turn, ..Unnumbered::default() }
    }

    /// How long nothing must be written until all of a pass is, of which so many records were sent.
    pub(super) fn silence(&self, pass: u64, sent: Option<u64>) -> Duration {
        let is_all = self.pass == pass && sent == Some(self.ids);
        if is_all { MOMENT } else { self.longest + SILENCE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counted(pass: u64, ids: u64, seconds: u64) -> Counted {
        Counted { pass, ids, took: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_pass_is_opened_by_its_first_record_and_counts_until_it_is_ended() {
        let none = Unnumbered::default();
        assert_eq!((none.now(), none.has(0), none.has(1)), (1, false, false));
        let first = none.counted(counted(1, 3, 2));
        assert_eq!((first.now(), first.has(1), first.ids), (1, true, 3));
        let more = first.counted(counted(1, 4, 1));
        assert_eq!((more.ids, more.turn, more.longest), (7, 2, Duration::from_secs(2)));
        // Another replica ended it.
        let ended = Unnumbered { is_open: false, ..more };
        assert_eq!((ended.now(), ended.has(1)), (2, false));
        assert_eq!(ended.counted(counted(1, 1, 1)), ended);
        let next = ended.counted(counted(2, 5, 1));
        assert_eq!((next.pass, next.ids, next.turn), (2, 5, 3));
        assert_eq!(next.longest, Duration::from_secs(1));
    }

    #[test]
    fn silence_is_longer_than_the_longest_batch_unless_all_were_counted() {
        let now = Unnumbered::default().counted(counted(1, 10, 7));
        assert_eq!(now.silence(1, Some(10)), MOMENT);
        for (pass, sent) in [(1, Some(11)), (1, Some(9)), (1, None), (0, Some(10))] {
            assert!(now.silence(pass, sent) > Duration::from_secs(7), "{pass} {sent:?}");
        }
    }
}
