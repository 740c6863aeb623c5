//! Inside an element at a record's place: where it ends, or that it does not.

use std::ops::Range;

use memchr::memmem;

use super::ahead::Ahead;
use super::level::{Discarded, Inside, Level, Open, What};
use super::looked::looked;
use super::marks::{Mark, next_markup};
use super::recover::{Next, Search};
use super::tag::{Tag, TagEnd, name};
use super::{BadRecord, MAX_TAG, Split, Splitter, XmlOffset, is_name_byte, is_space};

/// So many tags may be open in one element. One with more has more elements than a record may have,
/// and what is remembered of them stays under 8 MiB.
const MAX_OPEN: usize = 1 << 20;

const OVERRUN: &str = "the record is not closed where the next one begins";
pub(super) const TOO_LARGE: &str = "the record is larger than 64 MiB";

/// Why an element's end cannot be found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Limit,
    RootCloses,
    InputEnds,
    /// A tag in an element that is no record does not fit.
    Misfit,
}

impl Splitter {
    /// An element begins at `at`. Its scan begins at `scan`, or where an earlier one of the same
    /// text has got to.
    pub(super) fn open(&mut self, what: What, scan: usize) {
        let start = self.base + self.at as u64;
        self.level = Level::Element(Open { what, start, discarded: None });
        self.tags.clear();
        if let Some(Ahead { tags, at, inside, marks }) = self.aheads.take(what, start) {
            (self.tags, self.at, self.inside) = (tags, at, inside);
            if what == What::Record {
                self.marks.go_to(marks);
            }
        } else {
            if what == What::Foreign {
                self.tags.push_back(start);
            }
            self.at = scan;
        }
    }

    /// One step inside an element.
    pub(super) fn in_element(&mut self, buf: &[u8], at_end: bool) -> Option<Split> {
        let Level::Element(open) = &self.level else { return None };
        let (what, discarded) = (open.what, open.discarded.is_some());
        let limit = match open.held_from() {
            Some(start) => self.index(start).saturating_add(self.limit),
            None => usize::MAX,
        };
        let view = &buf[..limit.min(buf.len())];
        let is_all = at_end || view.len() == limit;
        let found = match &mut self.inside {
            Inside::Until(mark) => {
                let mark = *mark;
                if discarded {
                    return self.aside_of_discarded(view, mark, is_all);
                }
                let passed = self.unclosed.pass(mark, view, self.base, &mut self.at);
                if passed {
                    self.inside = Inside::Text;
                }
                passed
            }
            Inside::Tag(tag) => match tag.end(view) {
                Some(end) => {
                    let closes = tag.closes();
                    self.inside = Inside::Text;
                    return self.element_tag(view, end, closes);
                }
                None if discarded && what == What::Foreign && view.len() - self.at > MAX_TAG => {
                    self.inside = Inside::Text;
                    self.at = view.len();
                    true
                }
                None => false,
            },
            Inside::Text | Inside::Doctype(_) => {
                let next = match what {
                    What::Record => self.marks.next(view, self.at),
                    What::Foreign => next_markup(view, &mut self.at),
                };
                match next {
                    Some((at, Mark::RootCloses)) => {
                        return self.unended(buf, at, Cause::RootCloses);
                    }
                    Some((at, Mark::Tag)) => {
                        self.at = at;
                        self.inside = Inside::Tag(Tag::new(&view[at..], at));
                        true
                    }
                    Some((at, Mark::Opens { len, until })) => {
                        self.at = at + len;
                        self.inside = Inside::Until(until);
                        true
                    }
                    None if what == What::Record => {
                        self.at = self.at.max(self.marks.passed());
                        false
                    }
                    None => false,
                }
            }
        };
        match (found, is_all) {
            (true, _) => None,
            (false, false) => Some(Split::NeedMore),
            (false, true) if view.len() == limit => self.unended(buf, limit, Cause::Limit),
            (false, true) => self.unended(buf, buf.len(), Cause::InputEnds),
        }
    }

    /// A comment or the like in an element that is too large. Nothing of it is held, so it is searched
    /// once, as it comes, and if it never ends it is not to swallow the rest of the dump: it is over
    /// where the root element closes.
    fn aside_of_discarded(&mut self, view: &[u8], mark: &[u8], is_all: bool) -> Option<Split> {
        let rest = view.get(self.at..).unwrap_or_default();
        let end = memmem::find(rest, mark);
        let inside = &rest[..end.unwrap_or(rest.len())];
        looked(2 * inside.len());
        let root = root_closes(inside, self.kind.name());
        match (root, end) {
            (Some(root), _) => {
                return self.unended(view, self.at + root, Cause::RootCloses);
            }
            (None, Some(end)) => {
                self.at += end + mark.len();
                self.inside = Inside::Text;
                return None;
            }
            (None, None) => {}
        }
        if is_all {
            return self.unended(view, view.len(), Cause::InputEnds);
        }
        let unknown = mark.len().max(self.kind.name().len() + b"</>".len()) - 1;
        self.at += rest.len().saturating_sub(unknown);
        Some(Split::NeedMore)
    }

    /// A whole tag inside an element that may decide where it ends; it begins at `at`.
    fn element_tag(&mut self, view: &[u8], end: TagEnd, closes: bool) -> Option<Split> {
        let Level::Element(open) = &mut self.level else { return None };
        let (end, broken) = match end {
            TagEnd::At(end) => (end, false),
            TagEnd::Broken(end) => (end, true),
        };
        let is_empty = !closes && !broken && view[..end].ends_with(b"/>");
        let tag = self.at..end;
        if open.what == What::Foreign
            && let Some(cause) = self.misfit(view, tag.clone(), closes, broken)
        {
            let end = if cause == Cause::RootCloses { tag.start } else { end };
            return self.unended(view, end, cause);
        }
        self.at = end;
        let Level::Element(open) = &mut self.level else { return None };
        let depth = match (&mut open.discarded, closes, is_empty) {
            (Some(discarded), true, _) => {
                discarded.depth -= 1;
                discarded.depth
            }
            (Some(discarded), false, is_empty) => {
                discarded.depth += u64::from(!is_empty);
                discarded.depth
            }
            (None, true, _) => {
                self.tags.pop_back();
                self.tags.len() as u64
            }
            (None, false, true) => self.tags.len() as u64,
            (None, false, false) if self.tags.len() == MAX_OPEN => {
                self.at = tag.start;
                return self.unended(view, end, Cause::Limit);
            }
            (None, false, false) => {
                self.tags.push_back(self.base + tag.start as u64);
                self.tags.len() as u64
            }
        };
        if depth == 0 { self.complete(view, end) } else { None }
    }

    /// Why a tag cannot stand in an element that is no record, if it cannot: every end tag must be
    /// that of the tag that is open.
    fn misfit(&self, view: &[u8], tag: Range<usize>, closes: bool, broken: bool) -> Option<Cause> {
        let Level::Element(open) = &self.level else { return None };
        if !closes {
            return (broken && open.discarded.is_none()).then_some(Cause::Misfit);
        }
        let found = name(&view[tag.start + 2..tag.end]);
        let is_root = found == self.kind.name().as_bytes();
        if open.discarded.is_some() {
            return is_root.then_some(Cause::RootCloses);
        }
        let fits = self.tags.back().is_some_and(|open| {
            let open = self.index(*open) + 1;
            name(&view[open..]) == found
        });
        match (fits && !broken, is_root) {
            (true, _) => None,
            (false, true) => Some(Cause::RootCloses),
            (false, false) => Some(Cause::Misfit),
        }
    }

    /// The element that is open ends at `end`.
    fn complete(&mut self, buf: &[u8], end: usize) -> Option<Split> {
        let Level::Element(open) = std::mem::replace(&mut self.level, Level::Between) else {
            return None;
        };
        self.line.markup();
        Some(match (open.discarded, open.what) {
            (Some(Discarded { raw, .. }), _) => Split::Bad(BadRecord {
                reason: TOO_LARGE.to_owned(),
                start: XmlOffset(open.start),
                length: self.offset(end).0 - open.start,
                raw,
            }),
            (None, What::Record) => Split::Record(self.index(open.start)..end),
            (None, What::Foreign) => {
                let start = self.index(open.start) + 1;
                Split::Foreign(start..start + name(&buf[start..end]).len())
            }
        })
    }

    /// The element that is open does not end before `end`. Only as much of it is given up as must
    /// be: up to the next place where a record plausibly begins.
    fn unended(&mut self, buf: &[u8], end: usize, cause: Cause) -> Option<Split> {
        let Level::Element(Open { what, start, discarded }) = &mut self.level else { return None };
        let (what, start) = (*what, *start);
        if discarded.is_some() {
            self.at = end;
            self.inside = Inside::Text;
            self.marks.restart(end);
            return self.complete(buf, end);
        }
        let first = usize::try_from(start - self.base).unwrap_or(usize::MAX);
        let search = Search {
            text: &buf[first..end],
            base: start,
            tag: self.kind.record_tag().as_bytes(),
            root: self.kind.name().as_bytes(),
            indent: self.line.indent(),
        };
        let next = search.next(&mut self.unclosed);
        let bad_end = match (next, cause) {
            (Some(Next::RootCloses(at)), _) => first + at,
            (Some(Next::Record(next)), _) => {
                let inside = std::mem::replace(&mut self.inside, Inside::Text);
                let (tags, at) = (std::mem::take(&mut self.tags), self.at);
                let ahead = Ahead { tags, at, inside, marks: self.marks.place() };
                self.aheads.keep(what, ahead, start + next as u64);
                let given_up = &buf[first..first + next];
                let last = given_up.iter().rposition(|byte| !is_space(*byte));
                first + last.map_or(0, |last| last + 1)
            }
            (None, Cause::Limit) => {
                let depth = self.tags.len() as u64;
                let raw = buf[first..end.min(first + BadRecord::RAW_LIMIT)].to_vec();
                *discarded = Some(Discarded { depth, raw });
                self.tags = std::collections::VecDeque::new();
                return None;
            }
            (None, Cause::RootCloses | Cause::InputEnds | Cause::Misfit) => end,
        };
        self.tags.clear();
        self.inside = Inside::Text;
        self.at = bad_end;
        if what == What::Record {
            self.marks.restart(bad_end);
        }
        self.level = Level::Between;
        self.line.markup();
        let reason = match (next, cause) {
            (Some(Next::Record(_)), _) => OVERRUN,
            (None, Cause::InputEnds) => "the input ends inside the record",
            (None, Cause::Misfit) => {
                "an end tag that closes nothing in an element that is no record"
            }
            (Some(Next::RootCloses(_)), _) | (None, Cause::RootCloses | Cause::Limit) => {
                "the root element is closed inside the record"
            }
        };
        Some(self.bad(buf, first..bad_end, reason))
    }
}

/// Where the end tag of the root element stands in a text that is no markup.
fn root_closes(text: &[u8], root: &str) -> Option<usize> {
    memmem::find_iter(text, root).find_map(|at| {
        let begins = text[..at].ends_with(b"</");
        let ends = text.get(at + root.len()).is_some_and(|byte| !is_name_byte(*byte));
        (begins && ends).then(|| at - b"</".len())
    })
}
