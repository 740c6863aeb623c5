//! The CRC of a dump's members, taken once over every byte, at the places where it is wanted.

use std::collections::VecDeque;

use super::text::Text;
use crate::gzip::{GzipError, MemberHasher, Trailer};
use crate::model::{Boundary, InflatePoint, MemberCheck, PointBeyondBoundary, ResumePoint};

/// So many ends of members may lie inside one record before their checks are taken early: what is
/// remembered of them stays under 4 MiB. A member of a dump has some GB.
const MAX_AWAITED: usize = 1 << 16;

/// The checks of a dump's text, led over it no further than the places at which one is wanted: the
/// ends of records, in order. What the inflater met further on waits until then.
pub(super) struct Checks {
    hasher: MemberHasher,
    /// Up to where in the dump the hasher has gone.
    hashed: u64,
    /// What stands further on, in order.
    awaited: VecDeque<(u64, Awaited)>,
    /// Points that were passed, and wait for the record boundary after them.
    points: Vec<(InflatePoint, MemberCheck)>,
}

/// What the inflater met.
pub(super) enum Awaited {
    Point(InflatePoint),
    MemberEnd(Trailer),
}

impl Checks {
    /// The checks from the beginning of a dump.
    pub(super) fn new() -> Checks {
        Checks::with(MemberHasher::new(), 0)
    }

    /// The checks from a place inside a member.
    pub(super) fn resume(from: MemberCheck, at: u64) -> Checks {
        Checks::with(MemberHasher::resume(from), at)
    }

    const fn with(hasher: MemberHasher, at: u64) -> Checks {
        Checks { hasher, hashed: at, awaited: VecDeque::new(), points: Vec::new() }
    }

    /// The inflater met something at the end of the text.
    ///
    /// # Errors
    /// If an empty member is not what its trailer says.
    pub(super) fn met(&mut self, what: Awaited, text: &Text) -> Result<(), GzipError> {
        let end = text.end();
        if let (Awaited::MemberEnd(trailer), Some((place, Awaited::MemberEnd(_)))) =
            (&what, self.awaited.back())
            && *place == end
        {
            return MemberHasher::new().finish(trailer);
        }
        self.awaited.push_back((end, what));
        if self.awaited.len() > MAX_AWAITED { self.finish(text) } else { Ok(()) }
    }

    /// The member's check at a place; none if it was taken early.
    ///
    /// # Errors
    /// If a member that ends before is not what its trailer says.
    pub(super) fn at(&mut self, place: u64, text: &Text) -> Result<Option<MemberCheck>, GzipError> {
        while let Some((next, what)) = self.awaited.front() {
            // A record that ends where a member does has that member's check.
            if *next > place || (*next == place && matches!(what, Awaited::MemberEnd(_))) {
                break;
            }
            self.pass(text)?;
        }
        self.hash(place, text);
        Ok((self.hashed == place).then(|| self.hasher.check()))
    }

    /// Goes to the end of the text.
    ///
    /// # Errors
    /// If a member is not what its trailer says.
    pub(super) fn finish(&mut self, text: &Text) -> Result<(), GzipError> {
        while !self.awaited.is_empty() {
            self.pass(text)?;
        }
        self.hash(text.end(), text);
        Ok(())
    }

    /// The points that were passed, with the boundary after them.
    ///
    /// # Errors
    /// If one of them lies beyond it.
    pub(super) fn points(
        &mut self,
        boundary: Boundary,
    ) -> Result<Vec<ResumePoint>, PointBeyondBoundary> {
        let passed = self.points.drain(..);
        passed.map(|(place, member)| ResumePoint::new(place, member, boundary)).collect()
    }

    /// Forgets the points that were passed.
    pub(super) fn forget_points(&mut self) {
        self.points.clear();
    }

    fn pass(&mut self, text: &Text) -> Result<(), GzipError> {
        let Some((place, what)) = self.awaited.pop_front() else { return Ok(()) };
        self.hash(place, text);
        match what {
            Awaited::Point(point) => self.points.push((point, self.hasher.check())),
            Awaited::MemberEnd(trailer) => self.hasher.finish(&trailer)?,
        }
        Ok(())
    }

    fn hash(&mut self, to: u64, text: &Text) {
        if to > self.hashed {
            self.hasher.update(text.between(self.hashed, to));
            self.hashed = to;
        }
    }
}
