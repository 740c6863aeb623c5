//! What is already known of text that the splitter has not got to.

use std::collections::VecDeque;

use super::level::{Inside, What};
use super::marks::Place;
use super::tag::Tag;

/// What the scan of an element that did not end has proved of the elements after it: which of its
/// tags were still open where it stopped, and how far it was. When the splitter begins with one of
/// those, its scan goes on from there, instead of going over the same text once more for each.
pub(super) struct Ahead {
    /// Where the open tags begin in the text.
    pub(super) tags: VecDeque<u64>,
    /// How far the scan was.
    pub(super) at: usize,
    /// What it was inside of.
    pub(super) inside: Inside,
    /// Where its searches were.
    pub(super) marks: Place,
}

/// The last such scan of a record, and of an element that is none.
#[derive(Default)]
pub(super) struct Aheads {
    record: Option<Ahead>,
    foreign: Option<Ahead>,
}

impl Aheads {
    /// Keeps what is known of elements from `next` on, a place in the text.
    pub(super) fn keep(&mut self, what: What, mut ahead: Ahead, next: u64) {
        drop_before(&mut ahead.tags, next);
        *self.of(what) = (!ahead.tags.is_empty()).then_some(ahead);
    }

    /// What is known of an element that begins at `start`, a place in the text.
    pub(super) fn take(&mut self, what: What, start: u64) -> Option<Ahead> {
        let known = self.of(what);
        let ahead = known.as_mut()?;
        drop_before(&mut ahead.tags, start);
        match ahead.tags.front() {
            Some(first) if *first == start => known.take(),
            Some(_) => None,
            None => {
                *known = None;
                None
            }
        }
    }

    /// The buffer's first `count` bytes were dropped.
    pub(super) fn shift(&mut self, count: usize) {
        for ahead in [&mut self.record, &mut self.foreign].into_iter().flatten() {
            ahead.at = ahead.at.saturating_sub(count);
            ahead.marks.shift(count);
            if let Inside::Tag(tag) = &mut ahead.inside {
                Tag::shift(tag, count);
            }
        }
    }

    const fn of(&mut self, what: What) -> &mut Option<Ahead> {
        match what {
            What::Record => &mut self.record,
            What::Foreign => &mut self.foreign,
        }
    }
}

fn drop_before(tags: &mut VecDeque<u64>, place: u64) {
    while tags.front().is_some_and(|tag| *tag < place) {
        tags.pop_front();
    }
}
