//! The way of a reader from where it starts to the mark and beyond, and what it must find at the mark.
//! Pure.

use crate::model::{MemberCheck, Ordinal, Place, XmlOffset};

/// Which part of its way a reader is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From a resume point to the mark: the text is inflated and checked, nothing is cut.
    FromPoint(StoredMark),
    /// From the start of the file to the mark: records are cut and counted, none is given out.
    FromStart(StoredMark),
    /// Beyond the mark.
    Beyond,
}

/// The mark as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredMark {
    /// The record at it.
    pub ordinal: Ordinal,
    /// Where that record ends.
    pub xml: XmlOffset,
    /// The member's check there, if it is known.
    pub check: Option<MemberCheck>,
}

impl StoredMark {
    /// The way on from a record that was cut before the mark, or is the one at it; none if the mark is
    /// not where it was.
    pub(super) fn after(self, place: &Place) -> Option<Way> {
        if place.ordinal == self.ordinal {
            let same = self.check.is_none() || self.check == place.check;
            (place.end == self.xml && same).then_some(Way::Beyond)
        } else {
            (place.end < self.xml).then_some(Way::FromStart(self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_must_be_where_it_was() {
        let check = |crc| Some(MemberCheck { crc, length: 50 });
        let mark = |check| StoredMark { ordinal: Ordinal(3), xml: XmlOffset(50), check };
        let place = |ordinal, end, check| Place {
            ordinal: Ordinal(ordinal),
            from: XmlOffset(0),
            start: XmlOffset(0),
            end: XmlOffset(end),
            check,
        };
        let before = Some(Way::FromStart(mark(check(7))));
        #[rustfmt::skip]
        let table = [
            (mark(check(7)), place(2, 49, check(1)), before),
            (mark(check(7)), place(2, 50, check(7)), None),
            (mark(check(7)), place(3, 50, check(7)), Some(Way::Beyond)),
            (mark(check(7)), place(3, 50, check(8)), None),
            (mark(check(7)), place(3, 50, None), None),
            (mark(check(7)), place(3, 49, check(7)), None),
            (mark(None), place(3, 50, check(8)), Some(Way::Beyond)),
            (mark(None), place(3, 51, None), None),
        ];
        for (mark, place, expected) in table {
            assert_eq!(mark.after(&place), expected, "{mark:?} {place:?}");
        }
    }
}
