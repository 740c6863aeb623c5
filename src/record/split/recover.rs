//! Where to go on after a record that is not closed. Pure: a text in, a place out.

use memchr::{memchr, memrchr};

use super::super::MAX_DEPTH;
use super::looked::looked;
use super::marks::{Kept, Mark, aside};
use super::tag::{Tag, TagEnd, is_name_start, name};
use super::unclosed::Unclosed;

/// The only element in which elements of a record's name are at home.
const NEST: &[u8] = b"sublabels";

/// The search for the record after one that is not closed.
pub(super) struct Search<'a> {
    /// The text that the broken record begins, as far as it is known not to end.
    pub(super) text: &'a [u8],
    /// Where that begins in the dump.
    pub(super) base: u64,
    /// The record's name.
    pub(super) tag: &'a [u8],
    /// The root element's name.
    pub(super) root: &'a [u8],
    /// The white space before the broken record, if it stands first on its line.
    pub(super) indent: Option<&'a [u8]>,
}

/// Where to go on, in the text that was searched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next record plausibly begins here.
    Record(usize),
    /// The root element's end tag, hidden in a comment or the like that never ends.
    RootCloses(usize),
}

impl Search<'_> {
    /// Where the next record plausibly begins: not inside any element of the broken one, or,
    /// whatever is still open, first on its line behind the same white space as the broken one. A
    /// nested element is not taken for a record. If there is none, where the root element closes.
    pub(super) fn next(&self, unclosed: &mut Unclosed) -> Option<Next> {
        let mut elements = Elements { text: self.text, base: self.base, at: 0, unclosed };
        let mut line = LineStart { text: self.text, seen: 0, start: None };
        let mut open: Vec<&[u8]> = Vec::new();
        while let Some(element) = elements.next() {
            match element {
                Element::Opens { at, name, is_empty } => {
                    let is_record = at > 0
                        && name == self.tag
                        && !open.contains(&NEST)
                        && (open.len() <= 1 || line.begins_with(at, self.indent));
                    if is_record {
                        return Some(Next::Record(at));
                    }
                    if !is_empty && open.len() < MAX_DEPTH {
                        open.push(name);
                    }
                }
                // A name that the text ends in may be a longer one's beginning.
                Element::Closes { at, name }
                    if name == self.root && at + b"</".len() + name.len() < self.text.len() =>
                {
                    return Some(Next::RootCloses(at));
                }
                Element::Closes { name, .. } => {
                    if let Some(depth) = open.iter().rposition(|open| *open == name) {
                        open.truncate(depth);
                    }
                }
            }
        }
        None
    }
}

/// Where the current line begins, found by looking at each byte once.
struct LineStart<'a> {
    text: &'a [u8],
    seen: usize,
    start: Option<usize>,
}

impl LineStart<'_> {
    /// Whether what stands at `at` is the first thing on its line, behind exactly `indent`.
    fn begins_with(&mut self, at: usize, indent: Option<&[u8]>) -> bool {
        looked(at - self.seen);
        if let Some(end) = memrchr(b'\n', &self.text[self.seen..at]) {
            self.start = Some(self.seen + end + 1);
        }
        self.seen = at;
        self.start.is_some_and(|start| Some(&self.text[start..at]) == indent)
    }
}

enum Element<'a> {
    Opens { at: usize, name: &'a [u8], is_empty: bool },
    Closes { at: usize, name: &'a [u8] },
}

/// The tags of a text that may be broken anywhere. Comments and the like are passed over if they
/// end.
struct Elements<'a, 'b> {
    text: &'a [u8],
    base: u64,
    at: usize,
    unclosed: &'b mut Unclosed,
}

impl<'a> Elements<'a, '_> {
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let at = self.at + memchr(b'<', &self.text[self.at..])?;
            looked(at - self.at);
            let rest = &self.text[at..];
            if let Kept::As(_, Mark::Opens { len, until }) = aside(self.text, at) {
                self.at = at + len;
                self.unclosed.pass(until, self.text, self.base, &mut self.at);
                continue;
            }
            self.at = at + 1;
            let closes = rest.get(1) == Some(&b'/');
            let rest_of_tag = &rest[if closes { 2 } else { 1 }..];
            if !rest_of_tag.first().is_some_and(|byte| is_name_start(*byte)) {
                continue;
            }
            let name = name(rest_of_tag);
            let (end, is_whole) = match Tag::new(rest, at).end(self.text) {
                Some(TagEnd::At(end)) => (end, true),
                Some(TagEnd::Broken(end)) => (end, false),
                None => (self.text.len(), false),
            };
            self.at = end;
            return Some(if closes {
                Element::Closes { at, name }
            } else {
                let is_empty = is_whole && self.text[..end].ends_with(b"/>");
                Element::Opens { at, name, is_empty }
            });
        }
    }
}
