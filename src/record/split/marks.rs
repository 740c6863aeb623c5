//! The few things in a text that decide where its elements end, found without looking at the rest.

use memchr::memchr;
use memchr::memmem::{self, Finder};

use crate::model::Kind;

use super::super::is_name_byte;
use super::looked::looked;
use super::tag::is_name_start;

/// Finds the few things inside a record that decide where it ends, in two passes over the text,
/// each several times faster than one that looks at every `<`.
pub(super) struct Marks {
    tag: Finder<'static>,
    place: Place,
}

/// Where the two passes are.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    tags: Search,
    asides: Search,
}

impl Place {
    /// The buffer's first `count` bytes were dropped.
    pub(super) const fn shift(&mut self, count: usize) {
        self.tags.shift(count);
        self.asides.shift(count);
    }
}

/// What decides where a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A start or end tag of the record's name.
    Tag,
    /// The root element's end tag.
    RootCloses,
    /// Something in which tags mean nothing.
    Opens {
        /// How long the mark is.
        len: usize,
        /// What ends it.
        until: &'static [u8],
    },
}

impl Marks {
    pub(super) fn new(kind: Kind) -> Marks {
        let tag = Finder::new(kind.record_tag());
        Marks { tag, place: Place::default() }
    }

    /// The next mark at or after `from`; none if there is none, or if the view ends before it can
    /// be told what the next one is.
    pub(super) fn next(&mut self, view: &[u8], from: usize) -> Option<(usize, Mark)> {
        let Marks { tag, place: Place { tags, asides } } = self;
        let len = tag.needle().len();
        let tag = tags.find(view, from, len, |text| tag.find(text), |at| name(view, from, at, len));
        let aside = asides.find(view, from, 2, find_aside, |at| aside(view, at));
        let first = [tag, aside].into_iter().flatten().min_by_key(|(at, _)| *at);
        first.and_then(|(at, mark)| Some((at, mark?)))
    }

    /// No mark begins between where the last search started and this place.
    pub(super) fn passed(&self) -> usize {
        self.place.tags.next.saturating_sub(b"</".len()).min(self.place.asides.next)
    }

    /// Forgets what lies ahead: the search goes on at `at`.
    ///
    /// Where there is no aside is not forgotten: hardly any text has one, and each search for one
    /// would go to the end of the view again.
    pub(super) const fn restart(&mut self, at: usize) {
        self.place.tags.restart(at);
        if at < self.place.asides.began || self.place.asides.next < at {
            self.place.asides.restart(at);
        }
    }

    /// Where the search is.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Goes on where a search of the same text was.
    pub(super) const fn go_to(&mut self, place: Place) {
        self.place = place;
    }

    /// The buffer's first `count` bytes were dropped.
    pub(super) const fn shift(&mut self, count: usize) {
        self.place.shift(count);
    }
}

/// The next tag or aside at or after `at`, whatever the tag's name; none if there is none, or if the
/// view ends before it can be told what it is. `at` moves as far as there is none.
pub(super) fn next_markup(view: &[u8], at: &mut usize) -> Option<(usize, Mark)> {
    loop {
        let rest = view.get(*at..).unwrap_or_default();
        let len = memchr(b'<', rest);
        looked(len.unwrap_or(rest.len()));
        *at += len.unwrap_or(rest.len());
        let markup = &view[*at..];
        match markup {
            [] | [_] => return None,
            [_, b'!' | b'?', ..] => match aside(view, *at) {
                Kept::As(at, mark) => return Some((at, mark)),
                Kept::Pending(_) => return None,
                Kept::Nothing => *at += 1,
            },
            [_, b'/', ..] => return Some((*at, Mark::Tag)),
            [_, byte, ..] if is_name_start(*byte) => return Some((*at, Mark::Tag)),
            [_, _, ..] => *at += 1,
        }
    }
}

/// What an occurrence of what is searched for is.
pub(super) enum Kept {
    /// A mark at this place.
    As(usize, Mark),
    /// Something at this place that the view ends before.
    Pending(usize),
    /// It only looks like one.
    Nothing,
}

/// A search that goes over the text once, whatever the views are in which it comes.
#[derive(Clone, Copy, Default)]
struct Search {
    /// From here to `next` there is none.
    began: usize,
    /// Where the next occurrence is, or, if that is not known, how far was searched.
    next: usize,
    found: bool,
}

impl Search {
    /// The next occurrence that is a mark, or, without a mark, one that may become one.
    fn find(
        &mut self,
        view: &[u8],
        from: usize,
        len: usize,
        search: impl Fn(&[u8]) -> Option<usize>,
        classify: impl Fn(usize) -> Kept,
    ) -> Option<(usize, Option<Mark>)> {
        if self.next < from {
            // What was passed otherwise than as a mark of this search is the rest of a tag.
            if self.found {
                self.restart(from);
            } else {
                self.pass(from);
            }
        }
        loop {
            if !self.found {
                let rest = view.get(self.next..).unwrap_or_default();
                let found = search(rest);
                looked(found.unwrap_or(rest.len()));
                self.next += found.unwrap_or(rest.len().saturating_sub(len - 1));
                self.found = found.is_some();
            }
            if !self.found || self.next + len > view.len() {
                return None;
            }
            match classify(self.next) {
                Kept::As(at, mark) => return Some((at, Some(mark))),
                Kept::Pending(at) => return Some((at, None)),
                Kept::Nothing => self.pass(self.next + len),
            }
        }
    }

    const fn restart(&mut self, at: usize) {
        self.began = at;
        self.pass(at);
    }

    const fn pass(&mut self, at: usize) {
        self.next = at;
        self.found = false;
    }

    const fn shift(&mut self, count: usize) {
        if self.next < count {
            self.restart(0);
        } else {
            self.began = self.began.saturating_sub(count);
            self.next -= count;
        }
    }
}

/// What the record's name at `at` is. The root elements are called like their records, in the
/// plural.
fn name(view: &[u8], from: usize, at: usize, len: usize) -> Kept {
    let before = &view[from..at];
    let (start, closes) = match before {
        [.., b'<'] => (at - 1, false),
        [.., b'<', b'/'] => (at - 2, true),
        _ => return Kept::Nothing,
    };
    match &view[at + len..] {
        [] => Kept::Pending(start),
        [b's'] if closes => Kept::Pending(start),
        [b's', byte, ..] if closes && !is_name_byte(*byte) => Kept::As(start, Mark::RootCloses),
        [byte, ..] if is_name_byte(*byte) => Kept::Nothing,
        _ => Kept::As(start, Mark::Tag),
    }
}

/// What `<!` or `<?` at `at` is.
pub(super) fn aside(view: &[u8], at: usize) -> Kept {
    const COMMENT: &[u8] = b"<!--";
    const CDATA: &[u8] = b"<![CDATA[";
    let rest = &view[at..];
    let (len, until): (usize, &'static [u8]) = if rest.starts_with(b"<?") {
        (2, b"?>")
    } else if rest.starts_with(COMMENT) {
        (COMMENT.len(), b"-->")
    } else if rest.starts_with(CDATA) {
        (CDATA.len(), b"]]>")
    } else if COMMENT.starts_with(rest) || CDATA.starts_with(rest) {
        return Kept::Pending(at);
    } else {
        return Kept::Nothing;
    };
    Kept::As(at, Mark::Opens { len, until })
}

/// The first `<!` or `<?`. There are hardly any, so that whole blocks are tested at once.
fn find_aside(text: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    // zero for `<!` and `<?` only; minima are what compilers turn into vector code
    let differs = |pair: (&u8, &u8)| (pair.0 ^ b'<') | (pair.1 ^ b'!').min(pair.1 ^ b'?');
    let seconds = text.get(1..)?;
    let mut at = 0;
    while let (Some(firsts), Some(seconds)) =
        (text[at..].first_chunk::<BLOCK>(), seconds[at..].first_chunk::<BLOCK>())
    {
        if firsts.iter().zip(seconds).map(differs).fold(u8::MAX, u8::min) == 0 {
            break;
        }
        at += BLOCK;
    }
    let place = text[at..].iter().zip(&seconds[at..]).position(|pair| differs(pair) == 0);
    place.map(|place| at + place)
}

/// Moves `at` past the next `mark`; if there is none, as far as none can begin.
pub(super) fn pass(mark: &[u8], view: &[u8], at: &mut usize) -> bool {
    let rest = view.get(*at..).unwrap_or_default();
    let found = memmem::find(rest, mark);
    let passed =
        found.map_or_else(|| rest.len().saturating_sub(mark.len() - 1), |len| len + mark.len());
    looked(passed);
    *at += passed;
    found.is_some()
}
