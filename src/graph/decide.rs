//! What becomes of a record that arrives, given what the graph has: a later one never loses to an
//! earlier one, whatever their order.

use crate::model::{Ordinal, Run, Version};

/// Where a record comes from, if its message says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The version of its dump.
    pub version: Version,
    /// The run over the dump.
    pub run: Run,
    /// Its place in the dump.
    pub ordinal: Ordinal,
}

/// When a record was made, as its node keeps it: the version, the run and its place in the dump, in
/// this order. The runs of one version are compared as the times they are, so that what is
/// redelivered of an earlier run does not undo the later one. The ordinal decides over an id that
/// occurs twice in a dump: the last one counts, whatever of it is redelivered. A record without a
/// stamp is older than any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    /// Eight digits, or nothing.
    pub(super) version: String,
    /// The run, or 0.
    pub(super) run: i64,
    /// The place in the dump, from 1; 0 where it is unknown, and of a sweep, which is so never
    /// later than a record of its own run.
    pub(super) ordinal: i64,
}

impl Age {
    pub(super) fn of(stamp: Option<&Stamp>) -> Age {
        match stamp {
            Some(stamp) => {
                let ordinal = stamp.ordinal.0.cast_signed();
                Age { ordinal, ..Age::new(stamp.version, stamp.run) }
            }
            None => Age { version: String::new(), run: 0, ordinal: 0 },
        }
    }

    /// The age of a whole run.
    pub(super) fn new(version: Version, run: Run) -> Age {
        Age { version: version.to_string(), run: run.0.cast_signed(), ordinal: 0 }
    }
}

/// What the graph has of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Whether there was a node before this record: others may have named it, and more than that.
    pub(super) was_there: bool,
    /// Its hash; none of a node that other records only name.
    pub(super) sha256: Option<String>,
    /// Its age; none if something else wrote it.
    pub(super) age: Option<Age>,
}

/// What to do with a record that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something later is known.
    Drop,
    /// It is known and as old.
    Keep,
    /// It is known, but older: only its stamp moves.
    Stamp,
    /// It is new.
    Write,
    /// It has changed, or was not written by us: what it asserted before goes first.
    Rewrite,
}

/// Decides over one record. `swept` is the age of the last sweep over its type: what is older and
/// not there was removed by it. Of what has no stamp nobody knows.
pub(super) fn decide(stored: &Stored, swept: Option<&Age>, sha256: &str, age: &Age) -> Verdict {
    let Some(known) = &stored.sha256 else {
        let late = !age.version.is_empty() && swept.is_some_and(|swept| swept > age);
        return if late { Verdict::Drop } else { Verdict::Write };
    };
    let Some(stored_age) = &stored.age else { return Verdict::Rewrite };
    if stored_age > age {
        Verdict::Drop
    } else if known != sha256 {
        Verdict::Rewrite
    } else if stored_age < age {
        Verdict::Stamp
    } else {
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(version: &str, run: i64) -> Age {
        Age { version: version.to_owned(), run, ordinal: 0 }
    }

    fn at(ordinal: i64) -> Age {
        Age { ordinal, ..age("20260101", 5) }
    }

    fn stored(sha256: &str, age: Option<Age>) -> Stored {
        Stored { was_there: true, sha256: Some(sha256.to_owned()), age }
    }

    #[test]
    fn a_later_record_never_loses_to_an_earlier_one() {
        let (old, new) = (age("20251201", 9), age("20260101", 1));
        let rows = [
            (Stored::default(), Verdict::Write),
            (stored("a", None), Verdict::Rewrite),
            (stored("a", Some(age("", 0))), Verdict::Stamp),
            (stored("b", Some(age("", 0))), Verdict::Rewrite),
            (stored("a", Some(old.clone())), Verdict::Stamp),
            (stored("b", Some(old.clone())), Verdict::Rewrite),
            (stored("a", Some(new.clone())), Verdict::Keep),
            (stored("b", Some(new.clone())), Verdict::Rewrite),
            (stored("a", Some(age("20260101", 2))), Verdict::Drop),
            (stored("b", Some(age("20260201", 0))), Verdict::Drop),
        ];
        for (stored, expected) in rows {
            assert_eq!(decide(&stored, Some(&old), "a", &new), expected, "{stored:?}");
        }
        assert_eq!(decide(&stored("a", Some(new)), None, "a", &age("", 0)), Verdict::Drop);
    }

    #[test]
    fn of_an_id_that_occurs_twice_the_last_one_counts() {
        let verdict = |(sha256, ordinal), (with, at_ordinal)| {
            decide(&stored(sha256, Some(at(ordinal))), None, with, &at(at_ordinal))
        };
        assert_eq!(verdict(("a", 9), ("b", 5)), Verdict::Drop);
        assert_eq!(verdict(("a", 5), ("b", 9)), Verdict::Rewrite);
        assert_eq!(verdict(("a", 5), ("a", 5)), Verdict::Keep);
        // A, B, A: the node knows of the last A, and keeps knowing it, so that a late B loses.
        assert_eq!(verdict(("a", 1), ("a", 9)), Verdict::Stamp);
        assert_eq!(verdict(("a", 9), ("a", 1)), Verdict::Drop);
        // A node from before there were ordinals.
        assert_eq!(verdict(("a", 0), ("a", 5)), Verdict::Stamp);
        // A later run or version counts, whatever the place in it.
        let later = [age("20260101", 6), age("20260201", 1)];
        for later in later.map(|age| Age { ordinal: 1, ..age }) {
            assert_eq!(decide(&stored("a", Some(at(9))), None, "b", &later), Verdict::Rewrite);
            assert_eq!(decide(&stored("b", Some(later)), None, "a", &at(9)), Verdict::Drop);
        }
    }

    #[test]
    fn what_a_sweep_removed_does_not_come_back_with_a_late_message() {
        let swept = age("20260101", 5);
        let verdict = |age| decide(&Stored::default(), Some(&swept), "a", &age);
        assert_eq!(verdict(age("20251201", 9)), Verdict::Drop);
        assert_eq!(verdict(age("20260101", 4)), Verdict::Drop);
        assert_eq!(verdict(age("20260101", 5)), Verdict::Write);
        assert_eq!(verdict(at(9)), Verdict::Write);
        assert_eq!(verdict(Age { run: 4, ..at(9) }), Verdict::Drop);
        assert_eq!(verdict(age("20260201", 1)), Verdict::Write);
        assert_eq!(verdict(age("", 0)), Verdict::Write);
    }
}
