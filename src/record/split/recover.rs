use memchr::{memchr, memmem, memrchr};

use super::super::{MAX_DEPTH, is_name_byte};
use super::is_name_start;
use super::tag::{Tag, TagEnd};

/// The only element in which elements of a record's name are at home.
const NEST: &[u8] = b"sublabels";

/// Where in `text`, which begins with a record that is not closed, the next record plausibly
/// begins: not inside any element of the broken one, or, whatever is still open, first on its line
/// behind the same white space (`indent`) as the broken one. A nested element is not taken for a
/// record.
pub(super) fn next_record(text: &[u8], tag: &[u8], indent: Option<&[u8]>) -> Option<usize> {
    let elements = Elements { text, at: 0, unclosed: Vec::new() };
    let mut open: Vec<&[u8]> = Vec::new();
    for element in elements {
        match element {
            Element::Opens { at, name, is_empty } => {
                let is_record = at > 0
                    && name == tag
                    && !open.contains(&NEST)
                    && (open.len() <= 1 || begins_line(text, at, indent));
                if is_record {
                    return Some(at);
                }
                if !is_empty && open.len() < MAX_DEPTH {
                    open.push(name);
                }
            }
            Element::Closes { name } => {
                if let Some(depth) = open.iter().rposition(|open| *open == name) {
                    open.truncate(depth);
                }
            }
        }
    }
    None
}

/// Whether what stands at `at` is the first thing on its line, behind exactly `indent`.
fn begins_line(text: &[u8], at: usize, indent: Option<&[u8]>) -> bool {
    let line = memrchr(b'\n', &text[..at]).map(|end| &text[end + 1..at]);
    line.is_some() && line == indent
}

enum Element<'a> {
    Opens { at: usize, name: &'a [u8], is_empty: bool },
    Closes { name: &'a [u8] },
}

/// The tags of a text that may be broken anywhere. Comments and the like are passed over if they
/// end.
struct Elements<'a> {
    text: &'a [u8],
    at: usize,
    /// Marks that do not occur any more, so that none is searched for in vain twice.
    unclosed: Vec<&'static [u8]>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let at = self.at + memchr(b'<', &self.text[self.at..])?;
            let rest = &self.text[at..];
            let until: Option<&'static [u8]> = match rest {
                [_, b'?', ..] => Some(b"?>"),
                _ if rest.starts_with(b"<!--") => Some(b"-->"),
                _ if rest.starts_with(b"<![CDATA[") => Some(b"]]>"),
                _ => None,
            };
            self.at = at + 1;
            if let Some(until) = until {
                self.pass(until);
                continue;
            }
            let closes = rest.get(1) == Some(&b'/');
            let name = &rest[if closes { 2 } else { 1 }..];
            if !name.first().is_some_and(|byte| is_name_start(*byte)) {
                continue;
            }
            let len = name.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(name.len());
            let name = &name[..len];
            let (end, is_whole) = match Tag::new(rest, at).end(self.text) {
                Some(TagEnd::At(end)) => (end, true),
                Some(TagEnd::Broken(end)) => (end, false),
                None => (self.text.len(), false),
            };
            self.at = end;
            return Some(if closes {
                Element::Closes { name }
            } else {
                let is_empty = is_whole && self.text[..end].ends_with(b"/>");
                Element::Opens { at, name, is_empty }
            });
        }
    }
}

impl Elements<'_> {
    fn pass(&mut self, until: &'static [u8]) {
        if self.unclosed.contains(&until) {
            return;
        }
        match memmem::find(&self.text[self.at..], until) {
            Some(len) => self.at += len + until.len(),
            None => self.unclosed.push(until),
        }
    }
}
