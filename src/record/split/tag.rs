//! Where a tag ends, in text that comes in pieces.

use memchr::memchr2;

use super::is_name_byte;
use super::looked::looked;

/// A tag whose end is being looked for.
pub(super) struct Tag {
    closes: bool,
    quote: Option<u8>,
    /// How far it has been looked at.
    seen: usize,
}

/// How a tag ends. The place is the first byte after it.
#[derive(Clone, Copy)]
pub(super) enum TagEnd {
    /// With its `>`.
    At(usize),
    /// With the `<` of the next one.
    Broken(usize),
}

impl Tag {
    /// The tag that `markup` begins with, which stands at `at`.
    pub(super) fn new(markup: &[u8], at: usize) -> Tag {
        Tag { closes: markup.starts_with(b"</"), quote: None, seen: at + 1 }
    }

    /// Whether it is an end tag.
    pub(super) const fn closes(&self) -> bool {
        self.closes
    }

    /// Looks on for the end. A `>` in an attribute value is none; a `<` is one anywhere.
    pub(super) fn end(&mut self, view: &[u8]) -> Option<TagEnd> {
        loop {
            let rest = view.get(self.seen..).unwrap_or_default();
            let found = match self.quote {
                Some(quote) => memchr2(quote, b'<', rest),
                None if self.closes => memchr2(b'>', b'<', rest),
                None => rest.iter().position(|byte| matches!(byte, b'>' | b'<' | b'"' | b'\'')),
            };
            looked(found.unwrap_or(rest.len()));
            let Some(len) = found else {
                self.seen += rest.len();
                return None;
            };
            let at = self.seen + len;
            match rest[len] {
                b'<' => return Some(TagEnd::Broken(at)),
                b'>' if self.quote.is_none() => return Some(TagEnd::At(at + 1)),
                quote => self.quote = if self.quote.is_none() { Some(quote) } else { None },
            }
            self.seen = at + 1;
        }
    }

    /// What comes before is not needed to find the end, and to tell whether a `/` stands before
    /// it.
    pub(super) fn unneeded(&self, start: usize) -> usize {
        start.max(self.seen.saturating_sub(1))
    }

    pub(super) const fn shift(&mut self, count: usize) {
        self.seen = self.seen.saturating_sub(count);
    }
}

/// The name that `text` begins with.
pub(super) fn name(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(text.len())]
}

/// What begins no name is text: a `<` that is nothing is no reason to give up the records after it.
pub(super) const fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || byte >= 0x80
}
