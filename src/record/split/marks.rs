use memchr::memmem::Finder;

use crate::model::Kind;

use super::super::is_name_byte;

/// Finds the few things inside a record that decide where it ends. Each is searched for by itself,
/// which is several times faster than looking at every `<`.
pub(super) struct Marks {
    open: Needle,
    close: Needle,
    declaration: Needle,
    instruction: Needle,
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
        let tag = kind.record_tag();
        Marks {
            open: Needle::new(format!("<{tag}").as_bytes()),
            close: Needle::new(format!("</{tag}").as_bytes()),
            declaration: Needle::new(b"<!"),
            instruction: Needle::new(b"<?"),
        }
    }

    /// The next mark at or after `from`; none if there is none, or if the view ends before it can
    /// be told what the next one is.
    pub(super) fn next(&mut self, view: &[u8], from: usize) -> Option<(usize, Mark)> {
        let found = [
            self.open.find(view, from, tag),
            self.close.find(view, from, end_tag),
            self.declaration.find(view, from, declaration),
            self.instruction.find(view, from, |_| Some(Kept::As(opens(2, b"?>")))),
        ];
        let first = found.into_iter().flatten().min_by_key(|(at, _)| *at);
        first.and_then(|(at, mark)| Some((at, mark?)))
    }

    /// No mark begins between where the last search started and this place.
    pub(super) fn passed(&mut self) -> usize {
        self.all().into_iter().map(|needle| needle.next).min().unwrap_or_default()
    }

    /// Forgets what lies ahead: the search goes on at `at`.
    pub(super) fn restart(&mut self, at: usize) {
        self.all().into_iter().for_each(|needle| needle.restart(at));
    }

    /// The buffer's first `count` bytes were dropped.
    pub(super) fn shift(&mut self, count: usize) {
        self.all().into_iter().for_each(|needle| needle.shift(count));
    }

    fn all(&mut self) -> [&mut Needle; 4] {
        [&mut self.open, &mut self.close, &mut self.declaration, &mut self.instruction]
    }
}

/// What an occurrence of a needle is.
enum Kept {
    As(Mark),
    /// It only looks like one.
    Nothing,
}

/// An occurrence is what it is by what follows it; `None` if that is not there yet.
struct Needle {
    finder: Finder<'static>,
    /// Where the next occurrence is, or, if that is not known, how far was searched.
    next: usize,
    found: bool,
}

impl Needle {
    fn new(needle: &[u8]) -> Needle {
        Needle { finder: Finder::new(needle).into_owned(), next: 0, found: false }
    }

    /// The next occurrence that is a mark, or, without a mark, one that may become one.
    fn find(
        &mut self,
        view: &[u8],
        from: usize,
        classify: impl Fn(&[u8]) -> Option<Kept>,
    ) -> Option<(usize, Option<Mark>)> {
        let len = self.finder.needle().len();
        if self.next < from {
            self.restart(from);
        }
        loop {
            if !self.found {
                let rest = view.get(self.next..).unwrap_or_default();
                match self.finder.find(rest) {
                    Some(at) => {
                        self.next += at;
                        self.found = true;
                    }
                    None => self.next += rest.len().saturating_sub(len - 1),
                }
            }
            if !self.found || self.next + len > view.len() {
                return None;
            }
            match classify(&view[self.next + len..]) {
                Some(Kept::As(mark)) => return Some((self.next, Some(mark))),
                None => return Some((self.next, None)),
                Some(Kept::Nothing) => self.restart(self.next + len),
            }
        }
    }

    const fn restart(&mut self, at: usize) {
        self.next = at;
        self.found = false;
    }

    const fn shift(&mut self, count: usize) {
        if self.next < count {
            self.restart(0);
        } else {
            self.next -= count;
        }
    }
}

const fn opens(len: usize, until: &'static [u8]) -> Mark {
    Mark::Opens { len, until }
}

fn tag(rest: &[u8]) -> Option<Kept> {
    let byte = rest.first()?;
    Some(if is_name_byte(*byte) { Kept::Nothing } else { Kept::As(Mark::Tag) })
}

/// The root elements are called like their records, in the plural.
fn end_tag(rest: &[u8]) -> Option<Kept> {
    match rest {
        [b's'] => None,
        [b's', byte, ..] if !is_name_byte(*byte) => Some(Kept::As(Mark::RootCloses)),
        _ => tag(rest),
    }
}

fn declaration(rest: &[u8]) -> Option<Kept> {
    const CDATA: &[u8] = b"[CDATA[";
    if rest.starts_with(b"--") {
        Some(Kept::As(opens(4, b"-->")))
    } else if rest.starts_with(CDATA) {
        Some(Kept::As(opens(9, b"]]>")))
    } else if b"--".starts_with(rest) || CDATA.starts_with(rest) {
        None
    } else {
        Some(Kept::Nothing)
    }
}
