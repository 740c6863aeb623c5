//! The XML of one record, read once from front to back into the tree: tags and text, which is all
//! that nearly every record consists of. Whatever begins with `<!` or `<?` ends that; then `reference`
//! goes over the record anew and tells the same tree what it found.

use super::name::Name;
use super::tree::{Element, Index, NONE, Node, Tree};
use super::value::{Form, Span, Value};
use super::{MAX_DEPTH, MAX_ID, MAX_NODES, is_name_byte, is_space};

/// Why a record is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something that is no XML.
    #[error("{what} at byte {offset} of the record")]
    Syntax {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the record's `<`.
        offset: usize,
    },
    /// An end tag that belongs to another element than the one that is open.
    #[error("<{open}> is closed by </{found}> at byte {offset} of the record")]
    Mismatched {
        /// The element that is open.
        open: String,
        /// The name in the end tag.
        found: String,
        /// Where the end tag begins, in bytes from the record's `<`.
        offset: usize,
    },
    /// Well-formed, but no object: there is no key to put anything under.
    #[error("the record has neither attributes nor children")]
    NoObject,
    /// Well-formed, but its canonical JSON has more bytes than it may.
    #[error("the document is larger than {}", in_words(*.limit))]
    TooLarge {
        /// How many it may have.
        limit: usize,
    },
    /// An id longer than [`MAX_ID`].
    #[error("the record's id is longer than {}", in_words(MAX_ID))]
    LongId,
}

/// A number of bytes as a person says it.
fn in_words(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

/// A fault is rare, and the way to it should not make every result large.
pub(super) type Fault = Box<Malformed>;

/// What the scanner keeps from record to record, so that it need not allocate.
#[derive(Default)]
pub(super) struct Scratch {
    open: Vec<Open>,
}

/// An element whose end tag has not come yet. Its first piece of text is the node's value already.
#[derive(Clone, Copy)]
struct Open {
    node: Index,
    /// Its last member so far.
    last: Index,
    /// The first and last of its further pieces of text, or [`NONE`].
    more: (u32, u32),
}

/// A tree in the making.
pub(super) struct Scan<'a> {
    record: &'a [u8],
    tree: &'a mut Tree,
    open: &'a mut Vec<Open>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(record: &'a [u8], tree: &'a mut Tree, scratch: &'a mut Scratch) -> Scan<'a> {
        tree.clear();
        scratch.open.clear();
        Scan { record, tree, open: &mut scratch.open }
    }

    /// Reads tags and text; false if there is anything else.
    pub(super) fn plain(mut self) -> Result<bool, Fault> {
        if !self.record.starts_with(b"<") {
            return Err(syntax("no tag", 0));
        }
        let mut at = self.start_tag(0)?;
        while !self.is_closed() {
            let Some(text) = Span::until(self.record, at, None) else {
                return Err(self.unclosed());
            };
            at = text.end;
            if text.start < text.end {
                self.text(&text, Form::Text)?;
            }
            at = match self.record.get(at + 1) {
                Some(b'/') => self.end_tag(at)?,
                Some(b'!' | b'?') => return Ok(false),
                _ => self.start_tag(at)?,
            };
        }
        if at < self.record.len() { Err(trailing(at)) } else { Ok(true) }
    }

    /// Whether the record's own element has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.open.is_empty()
    }

    /// The fault of an element that is still open where the record ends.
    #[expect(clippy::unnecessary_box_returns, reason = "a fault is always boxed")]
    pub(super) fn unclosed(&self) -> Fault {
        let open = self.open.last().map_or(0, |open| self.tree.node(open.node).offset());
        syntax("an element that does not end", open.saturating_sub(1))
    }

    /// Adds the text in a range of the record.
    pub(super) fn text_at(&mut self, start: usize, end: usize, form: Form) -> Result<(), Fault> {
        if start < end {
            self.text(&Span::all(self.record, start, end), form)?;
        }
        Ok(())
    }

    /// Reads the start tag that begins at `at` and returns where it ends.
    pub(super) fn start_tag(&mut self, at: usize) -> Result<usize, Fault> {
        let name = self.name(at + 1)?;
        if self.open.len() == MAX_DEPTH {
            return Err(syntax("an element nested deeper than 64", at));
        }
        self.check_room(at)?;
        let node = self.tree.add(&name, Value::NONE, false);
        let mut end = name.end;
        if let Some(parent) = self.open.last_mut() {
            link(self.tree, parent.node, parent.last, node);
            parent.last = node;
        }
        let mut last = NONE;
        loop {
            let space = end;
            end = self.skip_space(end);
            match self.record.get(end) {
                Some(b'>') => break,
                Some(b'/') if self.record.get(end + 1) == Some(&b'>') => {
                    if last != NONE {
                        self.check_distinct(node)?;
                    }
                    return Ok(end + 2);
                }
                Some(byte) if end > space && is_name_byte(*byte) => {
                    let attribute;
                    (attribute, end) = self.attribute(end)?;
                    link(self.tree, node, last, attribute);
                    last = attribute;
                }
                _ => return Err(syntax("a tag that does not end as a tag", end)),
            }
        }
        if last != NONE {
            self.check_distinct(node)?;
        }
        self.open.push(Open { node, last, more: (NONE, NONE) });
        Ok(end + 1)
    }

    /// Reads the attribute whose name begins at `start`; the node and where it ends.
    fn attribute(&mut self, start: usize) -> Result<(Index, usize), Fault> {
        let name = self.name(start)?;
        let equals = self.skip_space(name.end);
        if self.record.get(equals) != Some(&b'=') {
            return Err(syntax("an attribute without a value", start));
        }
        let open = self.skip_space(equals + 1);
        let quote = match self.record.get(open) {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Err(syntax("an attribute value without quotes", open)),
        };
        let Some(span) = Span::until(self.record, open + 1, Some(quote)) else {
            return Err(syntax("an attribute value that does not end", open));
        };
        if self.record[span.end] != quote {
            return Err(syntax("'<' in an attribute value", span.end));
        }
        self.check_room(start)?;
        let value = Value::new(&span, Form::Attribute);
        Ok((self.tree.add(&name, value, true), span.end + 1))
    }

    fn check_room(&self, at: usize) -> Result<(), Fault> {
        if self.tree.nodes.len() + self.tree.pieces.len() >= MAX_NODES {
            return Err(syntax("more elements, attributes and pieces of text than 1048576", at));
        }
        Ok(())
    }

    /// Fails if two attributes of the element that was added last have one name.
    fn check_distinct(&self, element: Index) -> Result<(), Fault> {
        const FEW: usize = 16;
        let attributes = &self.tree.nodes[element as usize + 1..];
        if attributes.len() < 2 {
            return Ok(());
        }
        let twice = if attributes.len() <= FEW {
            let mut later = attributes.iter();
            attributes.iter().find(|one| {
                later.next();
                later.clone().any(|other| one.is_named_like(other, self.record))
            })
        } else {
            let mut sorted: Vec<&Node> = attributes.iter().collect();
            sorted.sort_unstable_by(|a, b| a.compare_names(b, self.record));
            let mut pairs = sorted.windows(2);
            pairs
                .find(|pair| pair[0].compare_names(pair[1], self.record).is_eq())
                .map(|pair| pair[1])
        };
        match twice {
            Some(twice) => Err(syntax("an attribute that is there twice", twice.offset())),
            None => Ok(()),
        }
    }

    /// Reads the end tag that begins at `at` and returns where it ends.
    pub(super) fn end_tag(&mut self, at: usize) -> Result<usize, Fault> {
        let start = at + 2;
        let Some(open) = self.open.pop() else { return Err(syntax("a stray end tag", at)) };
        let node = self.tree.node(open.node);
        let (name, end) = (node.name(self.record), start + node.name(self.record).len());
        if !node.is_named_at(self.record, start)
            || self.record.get(end).is_some_and(|byte| is_name_byte(*byte))
        {
            let shown = |name: &[u8]| String::from_utf8_lossy(&name[..name.len().min(80)]).into();
            let found = &self.record[start..self.name(start)?.end];
            return Err(Box::new(Malformed::Mismatched {
                open: shown(name),
                found: shown(found),
                offset: at,
            }));
        }
        let close = self.skip_space(end);
        if self.record.get(close) != Some(&b'>') {
            return Err(syntax("a tag that does not end as a tag", close));
        }
        self.close(open);
        Ok(close + 1)
    }

    /// Completes an element's text, and drops it if it is white space only.
    #[inline]
    fn close(&mut self, open: Open) {
        let mut text = self.tree.node(open.node).value;
        // Nearly all text is in one piece and begins with what is itself and no white space.
        let is_itself = |byte: &u8| byte.is_ascii_graphic() && *byte != b'&';
        if !text.is_some()
            || open.more.0 == NONE && self.record[text.range()].first().is_some_and(is_itself)
        {
            return;
        }
        if open.more.0 != NONE {
            text = Value::joined(self.tree.add_piece(text, open.more.0));
            self.tree.node_mut(open.node).value = text;
        }
        let element = Element { record: self.record, tree: self.tree };
        let is_white =
            element.decode(text, &mut |bits| if is_white(bits) { Ok(()) } else { Err(()) });
        if is_white.is_ok() {
            self.tree.node_mut(open.node).value = Value::NONE;
        }
    }

    /// Adds a piece of text to the element that is open.
    #[inline]
    fn text(&mut self, span: &Span, form: Form) -> Result<(), Fault> {
        let text = Value::new(span, form);
        let Some(open) = self.open.last() else { return Ok(()) };
        let first = &mut self.tree.node_mut(open.node).value;
        if !first.is_some() {
            *first = text;
            return Ok(());
        }
        self.check_room(span.start)?;
        let piece = self.tree.add_piece(text, NONE);
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        open.more = match open.more {
            (NONE, _) => (piece, piece),
            (first, last) => {
                self.tree.pieces[last as usize].next = piece;
                (first, piece)
            }
        };
        Ok(())
    }

    /// Where the name that begins at `start` ends. `@` and `#` are what the keys of attributes and
    /// text begin with, so no name may.
    #[inline]
    fn name(&self, start: usize) -> Result<Name, Fault> {
        let name = Name::read(self.record, start);
        if name.end == start || matches!(self.record[start], b'@' | b'#' | b'!' | b'?') {
            return Err(syntax("something that is no name", start));
        }
        Ok(name)
    }

    fn skip_space(&self, mut at: usize) -> usize {
        while self.record.get(at).is_some_and(|byte| is_space(*byte)) {
            at += 1;
        }
        at
    }
}

/// Makes `node` the member of `parent` that follows `last`.
fn link(tree: &mut Tree, parent: Index, last: Index, node: Index) {
    if last == NONE {
        tree.node_mut(parent).first = node;
    } else {
        tree.node_mut(last).next = node;
    }
}

/// Whether text is nothing but Unicode's white space.
fn is_white(text: &[u8]) -> bool {
    if text.first().is_some_and(u8::is_ascii_graphic) {
        return false;
    }
    std::str::from_utf8(text).is_ok_and(|text| text.trim_start().is_empty())
}

/// The fault of a record that goes on after its element.
#[expect(clippy::unnecessary_box_returns, reason = "a fault is always boxed")]
pub(super) fn trailing(at: usize) -> Fault {
    syntax("something after its end", at)
}

#[cold]
#[expect(clippy::unnecessary_box_returns, reason = "a fault is always boxed")]
pub(super) fn syntax(what: &'static str, offset: usize) -> Fault {
    Box::new(Malformed::Syntax { what, offset })
}
