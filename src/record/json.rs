//! Canonical JSON: keys sorted by their bytes, no white space, and only the escapes that there
//! have to be.

use std::ops::Range;

use super::tree::{Element, Index};
use super::value::{Value, is_escaped, next_escaped};

/// One member of the object that is being written.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The first eight bytes of the key.
    prefix: u64,
    pub(super) node: Index,
    pub(super) role: Role,
}

/// What a member is, which also decides its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A child, under its name.
    Child,
    /// An attribute, under `@` and its name.
    Attribute,
    /// An attribute of a stripped object, under its name.
    Bare,
    /// The element's own text, under `#text`.
    Text,
    /// The text of a stripped object, under `name`.
    Name,
}

impl Entry {
    /// A child that is written for itself, outside the sorted members of an object.
    pub(super) const fn child(node: Index) -> Entry {
        Entry { prefix: 0, node, role: Role::Child }
    }
}

const TEXT_PREFIX: u64 = u64::from_be_bytes(*b"#text\0\0\0");
const NAME_PREFIX: u64 = u64::from_be_bytes(*b"name\0\0\0\0");

/// The most that is written without asking whether there is room. No real text is longer.
pub(super) const LONG: usize = 64 << 10;

/// How an object's keys are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// As they are.
    Marked,
    /// Without `@`, and `#text` as `name`.
    Stripped,
}

/// Writes the nodes of one record, and nothing more once the document is larger than it may be.
/// What is written only grows, so a document that is too large anywhere is so in the end, and only
/// there is it asked for: no result has to be handed up from every string.
pub(super) struct Writer<'a> {
    pub(super) element: Element<'a>,
    /// The members of all objects that are open, in the order in which they are written.
    pub(super) order: &'a mut Vec<Entry>,
    pub(super) out: &'a mut Vec<u8>,
    /// Where `out` must end at the latest.
    pub(super) end: usize,
}

impl Writer<'_> {
    /// Whether the document is too large as it is. Asked after every member and item, and within
    /// long strings, so that what is made is hardly larger than what may be.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.out.len() > self.end
    }

    /// Writes a node as it stands.
    pub(super) fn node(&mut self, index: Index) {
        let node = self.element.tree.node(index);
        if node.is_object() {
            return self.object(index, Keys::Marked);
        }
        if node.value.is_some() {
            return self.string(index);
        }
        self.out.extend_from_slice(b"null");
    }

    /// Writes a node that is an object.
    pub(super) fn object(&mut self, index: Index, keys: Keys) {
        let base = self.order.len();
        self.gather(index, keys);
        self.out.push(b'{');
        let mut at = base;
        while at < self.order.len() && !self.is_full() {
            let first = self.order[at];
            self.key(first);
            if self.order.get(at + 1).is_none_or(|next| next.prefix != first.prefix) {
                at += 1;
                self.value(first);
            } else {
                let group = self.group(at);
                at = group.end;
                self.values(self.settle(group));
            }
            self.out.push(b',');
        }
        self.close(b',', b'}');
        self.order.truncate(base);
    }

    /// Replaces the separator after the last of several values, if there was one, by `end`.
    pub(super) fn close(&mut self, separator: u8, end: u8) {
        if self.out.last() == Some(&separator) {
            self.out.pop();
        }
        self.out.push(end);
    }

    /// Puts the members of an object on top of `order`, sorted; those of one key stay in document
    /// order.
    pub(super) fn gather(&mut self, index: Index, keys: Keys) {
        let element = self.element;
        let base = self.order.len();
        let node = element.tree.node(index);
        if node.value.is_some() {
            let named =
                keys == Keys::Marked || element.children_named(index, b"name").next().is_some();
            let (prefix, role) =
                if named { (TEXT_PREFIX, Role::Text) } else { (NAME_PREFIX, Role::Name) };
            self.order.push(Entry { prefix, node: index, role });
        }
        for member in element.members(index) {
            let node = element.tree.node(member);
            let (prefix, role) = match (node.is_attribute, keys) {
                (false, _) => (node.prefix, Role::Child),
                (true, Keys::Marked) => (u64::from(b'@') << 56 | node.prefix >> 8, Role::Attribute),
                (true, Keys::Stripped) => (node.prefix, Role::Bare),
            };
            self.order.push(Entry { prefix, node: member, role });
        }
        sort(&mut self.order[base..], element);
    }

    /// The members that have the key of the one at `at`, as far as they are sorted.
    pub(super) fn group(&self, at: usize) -> Range<usize> {
        let first = self.order[at];
        let same = |entry: &&Entry| {
            entry.prefix == first.prefix && has_same_key(self.element, entry, &first)
        };
        at..at + 1 + self.order[at + 1..].iter().take_while(same).count()
    }

    /// What is left of a group when keys clash: an attribute wins.
    pub(super) fn settle(&self, group: Range<usize>) -> Range<usize> {
        if group.len() == 1 {
            return group;
        }
        let bare = self.order[group.clone()].iter().position(|entry| entry.role == Role::Bare);
        bare.map_or(group.clone(), |at| group.start + at..group.start + at + 1)
    }

    /// Writes one value as it stands, several as an array.
    pub(super) fn values(&mut self, group: Range<usize>) {
        if group.len() == 1 {
            return self.value(self.order[group.start]);
        }
        self.out.push(b'[');
        for at in group {
            if self.is_full() {
                break;
            }
            self.value(self.order[at]);
            self.out.push(b',');
        }
        self.close(b',', b']');
    }

    #[inline]
    pub(super) fn value(&mut self, entry: Entry) {
        match entry.role {
            Role::Child => self.node(entry.node),
            _ => self.string(entry.node),
        }
    }

    /// Writes a key and its colon.
    pub(super) fn key(&mut self, entry: Entry) {
        let Element { record, tree } = self.element;
        let name = tree.node(entry.node).name_range();
        match entry.role {
            Role::Text => self.out.extend_from_slice(b"\"#text\":"),
            Role::Name => self.out.extend_from_slice(b"\"name\":"),
            Role::Attribute if tree.has_odd_names => self.odd_key(b"\"@", name),
            Role::Child | Role::Bare if tree.has_odd_names => self.odd_key(b"\"", name),
            Role::Attribute => copy(record, *b"\"@", name, *b"\":", self.out),
            Role::Child | Role::Bare => copy(record, *b"\"", name, *b"\":", self.out),
        }
    }

    #[inline(never)]
    fn odd_key(&mut self, mark: &[u8], name: Range<usize>) {
        self.out.extend_from_slice(mark);
        self.escape(&self.element.record[name]);
        self.out.extend_from_slice(b"\":");
    }

    /// Writes the value of an attribute, or the text of an element.
    pub(super) fn string(&mut self, index: Index) {
        let Element { record, tree } = self.element;
        let value = tree.node(index).value;
        if value.is_plain() && value.range().len() <= LONG {
            return copy(record, *b"\"", value.range(), *b"\"", self.out);
        }
        self.out.push(b'"');
        self.decoded(value);
    }

    /// Writes a value that is not in JSON what it is in the record, and its closing quote.
    #[inline(never)]
    fn decoded(&mut self, value: Value) {
        let written = self.element.decode(value, &mut |bits| {
            self.escape(bits);
            if self.is_full() { Err(()) } else { Ok(()) }
        });
        if written.is_ok() {
            self.out.push(b'"');
        }
    }

    /// Appends text as it is written inside a JSON string, as far as there is room: it may become
    /// six times as long.
    #[inline(never)]
    fn escape(&mut self, text: &[u8]) {
        // Most of what is decoded is the one character of a reference.
        if let [byte] = text
            && !is_escaped(*byte)
        {
            return self.out.push(*byte);
        }
        for block in text.chunks(LONG) {
            if self.is_full() {
                break;
            }
            escape(block, self.out);
        }
    }
}

/// Appends `front`, a part of `source`, and `end`. What is short, and most parts are, is copied in one
/// move of fixed size together with what stands before it, and then cut: before a name or a value
/// there are always a few bytes of markup.
#[inline]
fn copy<const F: usize, const E: usize>(
    source: &[u8],
    front: [u8; F],
    range: Range<usize>,
    end: [u8; E],
    out: &mut Vec<u8>,
) {
    const SHORT: usize = 32;
    let (start, len) = (out.len(), F + range.len());
    let from = range.start.checked_sub(F);
    match from.and_then(|from| source.get(from..)?.first_chunk::<SHORT>()) {
        Some(chunk) if len + E <= SHORT => {
            out.extend_from_slice(chunk);
            out[start..start + F].copy_from_slice(&front);
            out[start + len..start + len + E].copy_from_slice(&end);
            out.truncate(start + len + E);
        }
        _ => {
            out.extend_from_slice(&front);
            out.extend_from_slice(&source[range]);
            out.extend_from_slice(&end);
        }
    }
}

/// The key without `@` or `#`.
pub(super) fn bare_key<'a>(element: Element<'a>, entry: &Entry) -> &'a [u8] {
    match entry.role {
        Role::Text => b"text",
        Role::Name => b"name",
        Role::Child | Role::Attribute | Role::Bare => {
            element.tree.node(entry.node).name(element.record)
        }
    }
}

/// Whether two members with the same prefix have the same key.
#[inline]
fn has_same_key(element: Element<'_>, a: &Entry, b: &Entry) -> bool {
    match (a.role, b.role) {
        (Role::Text | Role::Name, _) | (_, Role::Text | Role::Name) => {
            bare_key(element, a) == bare_key(element, b)
        }
        _ => {
            let (a, b) = (element.tree.node(a.node), element.tree.node(b.node));
            a.is_named_like(b, element.record)
        }
    }
}

/// Sorts by key; members of one key keep their order. Most objects are small and their members in
/// the same order time and again.
fn sort(entries: &mut [Entry], element: Element<'_>) {
    const SMALL: usize = 24;
    let order = |a: &Entry, b: &Entry| {
        a.prefix.cmp(&b.prefix).then_with(|| bare_key(element, a).cmp(bare_key(element, b)))
    };
    if entries.len() > SMALL {
        entries.sort_unstable_by(|a, b| order(a, b).then(a.node.cmp(&b.node)));
        return;
    }
    for sorted in 1..entries.len() {
        let mut at = sorted;
        while at > 0 && order(&entries[at - 1], &entries[at]).is_gt() {
            entries.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Appends text as it is written inside a JSON string.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut done = 0;
    while let Some(at) = next_escaped(text, done) {
        out.extend_from_slice(&text[done..at]);
        match text[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        done = at + 1;
    }
    out.extend_from_slice(&text[done..]);
}
