//! What the mark has passed and the store does not know yet. Pure.

use std::collections::VecDeque;

use crate::model::{Confirmed, GzipOffset, ResumePoint, Timestamp, WindowError};
use crate::state::Advance;

/// What goes into the next checkpoint.
pub struct Unsaved {
    /// How far the mark moved since the last checkpoint was sent off.
    step: Option<Confirmed>,
    /// Points that no checkpoint has taken along; those that the mark has passed come first.
    points: VecDeque<ResumePoint>,
    /// Compressed bytes read for what was handed to the sink.
    gzip: GzipOffset,
    /// Records delivered in this run that were in a checkpoint.
    records: u64,
}

/// A checkpoint on its way.
pub struct Save {
    /// For the store.
    pub advance: Advance,
    /// Records delivered since the one before.
    pub records: u64,
}

impl Unsaved {
    /// Nothing, of a run of which so many records were delivered before.
    pub const fn new(records: u64) -> Unsaved {
        Unsaved { step: None, points: VecDeque::new(), gzip: GzipOffset(0), records }
    }

    /// Whether the mark has not moved.
    pub const fn is_nothing(&self) -> bool {
        self.step.is_none()
    }

    /// How far the file is read, as far as it was handed to the sink.
    pub const fn gzip(&self) -> GzipOffset {
        self.gzip
    }

    /// Takes note of a batch that is handed to the sink: the points in it, and how far the file was
    /// read for it.
    pub fn handed_out(&mut self, points: Vec<ResumePoint>, gzip: GzipOffset) {
        self.points.extend(points);
        self.gzip = gzip;
    }

    /// Takes note of a step of the mark.
    ///
    /// # Errors
    /// If it does not begin where the one before ended.
    pub fn moved(&mut self, step: Confirmed) -> Result<(), WindowError> {
        self.step = Some(match self.step.take() {
            Some(earlier) => earlier.then(step)?,
            None => step,
        });
        Ok(())
    }

    /// The next checkpoint, with the points that the mark has passed; none if it has not moved.
    pub fn take(&mut self, at: Timestamp) -> Option<Save> {
        let step = self.step.take()?;
        let mark = step.to();
        let records = mark.records - std::mem::replace(&mut self.records, mark.records);
        let passed = self.points.partition_point(|point| point.is_before(mark.position));
        let points = self.points.drain(..passed).collect();
        Some(Save { advance: Advance { step, points, gzip_offset: self.gzip, at }, records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Boundary, Checkpoint, InflatePoint, Limits, MemberCheck, Ordinal, Place, Window, XmlOffset,
    };

    /// The point whose boundary is the end of a record; each record is ten bytes long.
    fn point(after: u64) -> ResumePoint {
        let xml = XmlOffset(after * 10);
        let place = InflatePoint { gzip: GzipOffset(after), bits: 0, xml, window: Vec::new() };
        let check = MemberCheck::default();
        ResumePoint::new(place, check, Boundary { after: Ordinal(after), xml, check }).unwrap()
    }

    fn after(points: &[ResumePoint]) -> Vec<u64> {
        points.iter().map(|point| point.boundary().after.0).collect()
    }

    #[test]
    fn a_checkpoint_takes_along_what_the_mark_has_passed_and_nothing_else() {
        let mut window = Window::new(Limits { records: 9, bytes: 900 }, Checkpoint::BEGINNING);
        for ordinal in 1..=4 {
            let (start, end) = (XmlOffset(ordinal * 10 - 10), XmlOffset(ordinal * 10));
            let ordinal = Ordinal(ordinal);
            window.sent(Place { ordinal, from: start, start, end, check: None }, 1).unwrap();
        }
        let mut confirm = |ordinal| {
            let ordinal = Ordinal(ordinal);
            window.confirm(ordinal..=ordinal, None).unwrap()
        };
        let mut unsaved = Unsaved::new(0);
        unsaved.handed_out(vec![point(1), point(3)], GzipOffset(77));
        assert!(unsaved.is_nothing());
        assert!(unsaved.take(Timestamp(1)).is_none());
        // Two steps are one checkpoint.
        unsaved.moved(confirm(1).unwrap()).unwrap();
        unsaved.moved(confirm(2).unwrap()).unwrap();
        let Save { advance, records } = unsaved.take(Timestamp(2)).unwrap();
        assert_eq!((advance.step.to().ordinal(), records), (Ordinal(2), 2));
        assert_eq!((after(&advance.points), advance.gzip_offset), (vec![1], GzipOffset(77)));
        assert!(unsaved.is_nothing());
        // The rest, with what came meanwhile.
        unsaved.handed_out(vec![point(9)], GzipOffset(99));
        assert!(confirm(4).is_none());
        unsaved.moved(confirm(3).unwrap()).unwrap();
        let Save { advance, records } = unsaved.take(Timestamp(3)).unwrap();
        assert_eq!((advance.step.to().ordinal(), records), (Ordinal(4), 2));
        assert_eq!((after(&advance.points), advance.gzip_offset), (vec![3], GzipOffset(99)));
    }
}
