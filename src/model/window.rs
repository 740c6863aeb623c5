//! The deliveries of one file that are in flight, and the mark behind which nothing is missing.
//!
//! INVARIANT: the mark moves over an unbroken run of ended deliveries, over places that touch, and
//! over nothing else; only a window makes a [`Confirmed`], and the store takes nothing else. So what
//! the store holds was confirmed by the sink, to the byte. It never waits and knows no clock; the
//! task that does is `pipeline/deliver`.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::{Checkpoint, Ending, Ordinal, Place, Position, WaitsFor, XmlOffset};

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The sink says that it is durable: confirmed, committed, fsynced.
    Durable,
    /// It is not, for a reason that passes: the sink goes on trying, and has said so.
    Retry(WaitsFor),
    /// The sink will never take this record, with its words why; the document comes back, to be
    /// set aside.
    Refused {
        /// The sink's own words.
        why: String,
        /// The canonical JSON of the record.
        document: Vec<u8>,
    },
}

/// How much may be in flight for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Deliveries.
    pub records: usize,
    /// Bytes of the deliveries' JSON.
    pub bytes: usize,
}

/// The deliveries of one file that are in flight, in order, and the mark: the highest ordinal up
/// to which every delivery is confirmed. It moves over an unbroken run of confirmed ordinals and
/// over nothing else.
#[derive(Debug)]
pub struct Window {
    limits: Limits,
    bytes: usize,
    flight: VecDeque<Flight>,
    mark: Checkpoint,
}

#[derive(Debug)]
struct Flight {
    place: Place,
    bytes: usize,
    ended: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With the sink's own position after the deliveries that ended together.
    Durable(Option<u64>),
    SetAside,
}

/// A mark that a window vouches for. Nothing else can make one, and the store takes nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    from: Position,
    to: Checkpoint,
}

impl Confirmed {
    /// Where the step begins: the store must stand exactly here.
    pub const fn from(&self) -> Position {
        self.from
    }

    /// Where it ends.
    pub const fn to(&self) -> &Checkpoint {
        &self.to
    }

    /// This step and the one after it as one.
    ///
    /// # Errors
    /// If the later one does not begin where this one ends.
    pub fn then(self, later: Confirmed) -> Result<Confirmed, WindowError> {
        if later.from == self.to.position {
            Ok(Confirmed { from: self.from, to: later.to })
        } else {
            Err(WindowError::Broken { ended: self.to.position, begins: later.from })
        }
    }
}

/// A delivery that does not fit what the window knows: a fault of this program, never of input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// An ordinal was sent that does not follow the last one.
    #[error("record {sent} was sent where record {expected} is next")]
    OutOfOrder {
        /// What was sent.
        sent: Ordinal,
        /// What follows the last one sent.
        expected: Ordinal,
    },
    /// A place that does not begin where the one before ended, or not in the order of its parts.
    #[error(
        "record {} takes bytes {} to {} from {} on, where {expected} is reached",
        place.ordinal, place.start, place.end, place.from
    )]
    Gap {
        /// What was sent.
        place: Place,
        /// Where the place before ended.
        expected: XmlOffset,
    },
    /// A record was sent after the end.
    #[error("record {0} was sent after the end of the file")]
    Ended(Ordinal),
    /// The reader read to another place than the mark has got to.
    #[error("the file ends with record {} at byte {} of {}, and the mark is at {mark:?}", ending.last, ending.end, ending.length)]
    NotAll {
        /// The mark.
        mark: Position,
        /// What was read.
        ending: Ending,
    },
    /// A confirmation for something that is not in flight.
    #[error("records {0:?} were confirmed but are not in flight")]
    NotInFlight(RangeInclusive<Ordinal>),
    /// Two steps that do not chain.
    #[error("a step ended at {ended:?} and the next begins at {begins:?}")]
    Broken {
        /// Where the earlier one ended.
        ended: Position,
        /// Where the later one begins.
        begins: Position,
    },
    /// The end was declared with deliveries in flight.
    #[error("the file ended with {0} deliveries in flight")]
    StillInFlight(usize),
}

impl Window {
    /// A window that goes on from `mark`.
    pub const fn new(limits: Limits, mark: Checkpoint) -> Window {
        Window { limits, bytes: 0, flight: VecDeque::new(), mark }
    }

    /// The mark.
    pub const fn mark(&self) -> &Checkpoint {
        &self.mark
    }

    /// Deliveries in flight.
    pub fn in_flight(&self) -> usize {
        self.flight.len()
    }

    /// Whether so many more records of so many bytes may be sent. With nothing in flight they
    /// always may, however large they are.
    pub fn has_room_for(&self, records: usize, bytes: usize) -> bool {
        self.flight.is_empty()
            || (self.flight.len() + records <= self.limits.records
                && self.bytes + bytes <= self.limits.bytes)
    }

    /// Notes that a record was sent.
    ///
    /// # Errors
    /// If it does not follow the last one sent, in ordinals and in bytes.
    pub fn sent(&mut self, place: Place, bytes: usize) -> Result<(), WindowError> {
        let last = self.flight.back().map_or(self.mark.ordinal(), |flight| flight.place.ordinal);
        if place.ordinal != last.next() {
            return Err(WindowError::OutOfOrder { sent: place.ordinal, expected: last.next() });
        }
        let reached = self.flight.back().map(|flight| flight.place.end);
        let Some(expected) = reached.or(self.mark.position.reached()) else {
            return Err(WindowError::Ended(place.ordinal));
        };
        // INVARIANT: places touch, so no byte of the text is in none of them or in two.
        if place.from != expected || place.start < place.from || place.end <= place.start {
            return Err(WindowError::Gap { place, expected });
        }
        self.bytes += bytes;
        self.flight.push_back(Flight { place, bytes, ended: None });
        Ok(())
    }

    /// Notes that deliveries are durable, with the sink's own position after the last of them.
    /// Returns the step by which the mark moved, if it did.
    ///
    /// # Errors
    /// If one of them is not in flight.
    pub fn confirm(
        &mut self,
        ordinals: RangeInclusive<Ordinal>,
        sink: Option<u64>,
    ) -> Result<Option<Confirmed>, WindowError> {
        self.end(ordinals, End::Durable(sink))?;
        let step = self.advance();
        Ok(step.map(|from| Confirmed { from, to: self.mark.clone() }))
    }

    /// Notes that a bad record is set aside for good, which lets the mark pass it.
    ///
    /// # Errors
    /// If it is not in flight.
    pub fn set_aside(&mut self, ordinal: Ordinal) -> Result<Option<Confirmed>, WindowError> {
        self.end(ordinal..=ordinal, End::SetAside)?;
        let step = self.advance();
        Ok(step.map(|from| Confirmed { from, to: self.mark.clone() }))
    }

    /// Where a record that is in flight stands.
    ///
    /// # Errors
    /// If it is not in flight.
    pub fn place(&self, ordinal: Ordinal) -> Result<Place, WindowError> {
        let index = ordinal.0.checked_sub(self.mark.ordinal().next().0);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let flight = index.and_then(|index| self.flight.get(index));
        flight.map(|flight| flight.place).ok_or(WindowError::NotInFlight(ordinal..=ordinal))
    }

    /// The last step, after the input ended as the reader says and everything is confirmed.
    ///
    /// # Errors
    /// If anything is still in flight, or if the mark is not where the reader ended.
    pub fn finish(&mut self, ending: &Ending) -> Result<Confirmed, WindowError> {
        if !self.flight.is_empty() {
            return Err(WindowError::StillInFlight(self.flight.len()));
        }
        let at_end = self.mark.position.reached() == Some(ending.end);
        if self.mark.ordinal() != ending.last || !at_end || ending.length < ending.end {
            return Err(WindowError::NotAll { mark: self.mark.position, ending: *ending });
        }
        let from = std::mem::replace(&mut self.mark.position, Position::End);
        Ok(Confirmed { from, to: self.mark.clone() })
    }

    fn end(&mut self, ordinals: RangeInclusive<Ordinal>, end: End) -> Result<(), WindowError> {
        let (first, last) = (ordinals.start().0, ordinals.end().0);
        let base = self.mark.ordinal().next().0;
        let known = first >= base && last >= first && last - base < self.flight.len() as u64;
        if !known {
            return Err(WindowError::NotInFlight(ordinals));
        }
        let index = |ordinal: u64| usize::try_from(ordinal - base).unwrap_or(usize::MAX);
        for flight in self.flight.range_mut(index(first)..=index(last)) {
            flight.ended = Some(end);
        }
        Ok(())
    }

    /// Moves the mark as far as it goes; where it stood before, if it moved.
    fn advance(&mut self) -> Option<Position> {
        let from = self.mark.position;
        while let Some(Flight { place, bytes, ended: Some(end) }) = self.flight.front() {
            match end {
                End::Durable(sink) => {
                    self.mark.records += 1;
                    self.mark.sink = sink.or(self.mark.sink);
                }
                End::SetAside => self.mark.bad_records += 1,
            }
            self.mark.position = Position::At(place.ordinal, place.end);
            self.mark.check = place.check;
            self.bytes -= bytes;
            self.flight.pop_front();
        }
        (from != self.mark.position).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::XmlOffset;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { records: 4, bytes: 100 };

    fn place(ordinal: u64) -> Place {
        Place::counted(Ordinal(ordinal), 10)
    }

    fn ending(records: u64) -> Ending {
        let end = XmlOffset(records * 10);
        Ending { last: Ordinal(records), end, length: XmlOffset(end.0 + 3) }
    }

    fn window_with(in_flight: u64) -> Window {
        let mut window = Window::new(LIMITS, Checkpoint::BEGINNING);
        (1..=in_flight).for_each(|n| window.sent(place(n), 10).unwrap());
        window
    }

    #[test]
    fn the_mark_waits_for_the_first_unconfirmed_delivery() {
        let mut window = window_with(3);
        assert_eq!(window.confirm(Ordinal(2)..=Ordinal(3), None), Ok(None));
        let step = window.confirm(Ordinal(1)..=Ordinal(1), Some(7)).unwrap().unwrap();
        assert_eq!(step.from(), Position::Beginning);
        assert_eq!(step.to().position, Position::At(Ordinal(3), XmlOffset(30)));
        assert_eq!((step.to().records, step.to().sink), (3, Some(7)));
    }

    #[test]
    fn a_bad_record_is_counted_apart() {
        let mut window = window_with(2);
        assert!(window.set_aside(Ordinal(1)).unwrap().is_some());
        let step = window.confirm(Ordinal(2)..=Ordinal(2), None).unwrap().unwrap();
        assert_eq!((step.to().records, step.to().bad_records), (1, 1));
    }

    #[test]
    fn the_sinks_position_is_that_of_the_mark_and_not_of_what_is_confirmed_beyond_it() {
        let mut window = window_with(4);
        window.confirm(Ordinal(2)..=Ordinal(2), Some(20)).unwrap();
        window.confirm(Ordinal(4)..=Ordinal(4), Some(40)).unwrap();
        let step = window.set_aside(Ordinal(1)).unwrap().unwrap();
        assert_eq!((step.to().ordinal(), step.to().sink), (Ordinal(2), Some(20)));
        let step = window.set_aside(Ordinal(3)).unwrap().unwrap();
        assert_eq!((step.to().ordinal(), step.to().sink), (Ordinal(4), Some(40)));
    }

    #[test]
    fn room_is_bounded_in_records_and_in_bytes_but_one_always_fits() {
        assert!(window_with(3).has_room_for(1, 10));
        assert!(!window_with(3).has_room_for(2, 10));
        assert!(!window_with(3).has_room_for(1, 71));
        let mut window = Window::new(LIMITS, Checkpoint::BEGINNING);
        assert!(window.has_room_for(5, 1_000));
        window.sent(place(1), 1_000).unwrap();
        assert!(!window.has_room_for(1, 1));
    }

    #[test]
    fn steps_join_only_where_they_meet() {
        let mut window = window_with(3);
        let mut confirm = |n| window.confirm(Ordinal(n)..=Ordinal(n), None).unwrap().unwrap();
        let (first, second, third) = (confirm(1), confirm(2), confirm(3));
        assert!(first.clone().then(third.clone()).is_err());
        let whole = first.then(second).unwrap().then(third).unwrap();
        assert_eq!((whole.from(), whole.to().records), (Position::Beginning, 3));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut window = window_with(2);
        assert!(window.sent(place(4), 1).is_err());
        assert!(window.confirm(Ordinal(2)..=Ordinal(3), None).is_err());
        assert!(window.confirm(Ordinal(0)..=Ordinal(1), None).is_err());
        assert_eq!(window.finish(&ending(2)), Err(WindowError::StillInFlight(2)));
        window.confirm(Ordinal(1)..=Ordinal(2), None).unwrap();
        assert!(window.confirm(Ordinal(2)..=Ordinal(2), None).is_err());
        assert_eq!(window.finish(&ending(2)).unwrap().to().position, Position::End);
        assert_eq!(window.sent(place(3), 1), Err(WindowError::Ended(Ordinal(3))));
    }

    #[test]
    fn places_touch_or_are_refused() {
        let sent = |place| window_with(1).sent(place, 1);
        let second = place(2);
        let gap = |place| Err(WindowError::Gap { place, expected: XmlOffset(10) });
        for wrong in [
            Place { from: XmlOffset(11), start: XmlOffset(11), ..second },
            Place { from: XmlOffset(9), ..second },
            Place { start: XmlOffset(9), ..second },
            Place { end: second.start, ..second },
        ] {
            assert_eq!(sent(wrong), gap(wrong));
        }
        assert_eq!(sent(Place { start: XmlOffset(12), ..second }), Ok(()));
    }

    #[test]
    fn a_file_ends_only_where_its_reader_ended() {
        let finish = |ending: &Ending| {
            let mut window = window_with(2);
            window.confirm(Ordinal(1)..=Ordinal(2), None).unwrap();
            window.finish(ending).map(|step| step.to().position)
        };
        assert_eq!(finish(&ending(2)), Ok(Position::End));
        let short = Ending { length: XmlOffset(19), ..ending(2) };
        let elsewhere = Ending { end: XmlOffset(21), ..ending(2) };
        for wrong in [ending(1), ending(3), short, elsewhere] {
            let mark = Position::At(Ordinal(2), XmlOffset(20));
            assert_eq!(finish(&wrong), Err(WindowError::NotAll { mark, ending: wrong }));
        }
    }

    proptest! {
        #[test]
        fn in_any_order_the_mark_is_the_longest_confirmed_prefix(
            order in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut window = window_with(40);
            let mut confirmed = [false; 41];
            let mut position = Position::Beginning;
            for n in order {
                confirmed[usize::try_from(n).unwrap()] = true;
                if let Some(step) = window.confirm(Ordinal(n)..=Ordinal(n), None).unwrap() {
                    prop_assert_eq!(step.from(), position);
                    position = step.to().position;
                }
                let prefix = confirmed[1..].iter().take_while(|done| **done).count() as u64;
                prop_assert_eq!(window.mark().ordinal(), Ordinal(prefix));
            }
            prop_assert_eq!(window.in_flight(), 0);
        }
    }
}
