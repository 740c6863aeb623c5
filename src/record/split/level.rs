//! Where in the document the splitter is, and what the text there is inside of.

use super::doctype::Doctype;
use super::stray::Stray;
use super::tag::Tag;

/// Which part of the document the splitter is in.
pub(super) enum Level {
    Prolog,
    /// Inside the root element, between records.
    Between,
    /// Text between records.
    Stray(Stray),
    /// An element at a record's place.
    Element(Open),
    Epilog,
}

/// What the text at `at` is inside of.
pub(super) enum Inside {
    Text,
    Tag(Tag),
    /// A comment, a processing instruction, CDATA, up to and with this mark.
    Until(&'static [u8]),
    Doctype(Doctype),
}

/// An element whose end has not been found yet.
pub(super) struct Open {
    pub(super) what: What,
    /// Where it begins in the text.
    pub(super) start: u64,
    /// It is too large: only its end is still looked for.
    pub(super) discarded: Option<Discarded>,
}

/// What stands at a record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Record,
    /// An element that is no record.
    Foreign,
}

/// What is kept of an element that is too large.
pub(super) struct Discarded {
    /// How many tags are open.
    pub(super) depth: u64,
    pub(super) raw: Vec<u8>,
}

impl Open {
    /// From where on in the text it is held.
    pub(super) const fn held_from(&self) -> Option<u64> {
        if self.discarded.is_none() { Some(self.start) } else { None }
    }

    pub(super) const fn is_record(&self) -> bool {
        matches!(self.what, What::Record)
    }
}
