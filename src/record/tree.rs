//! One record as a flat arena of nodes, reused from record to record.

use std::cmp::Ordering;
use std::ops::Range;

use super::name::{Name, prefix};
use super::value::Value;

/// A node's place in the arena.
pub(super) type Index = u32;

/// No node.
pub(super) const NONE: Index = Index::MAX;

/// For so many nodes memory is kept from record to record; what a huge one needed is given back.
pub(super) const KEPT_NODES: usize = 1 << 15;

/// The record's own element.
pub(super) const ROOT: Index = 0;

/// An element, or an attribute of one. Attributes come before child elements in the list of an
/// element's members.
#[derive(Clone, Copy)]
pub(super) struct Node {
    /// The first eight bytes of the name, padded with zeros, as a number that sorts like them.
    pub(super) prefix: u64,
    name_start: u32,
    name_len: u32,
    /// An attribute's value, an element's own text.
    pub(super) value: Value,
    pub(super) is_attribute: bool,
    /// The first of its attributes and children.
    pub(super) first: Index,
    /// The next member of the same element.
    pub(super) next: Index,
}

/// A piece of an element's text that is not all of it, and where the next one is.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) text: Value,
    pub(super) next: u32,
}

/// The nodes of one record, and the pieces of such texts as are interrupted.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) pieces: Vec<Piece>,
    /// Whether a name may have bytes that are escaped in JSON, or be longer than
    /// [`LONG`](super::json::LONG). None in a real dump is like that.
    pub(super) has_odd_names: bool,
}

/// A record's text together with its nodes.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) record: &'a [u8],
    pub(super) tree: &'a Tree,
}

impl Tree {
    /// Makes room for the next record, and gives back what a huge one needed.
    pub(super) fn clear(&mut self) {
        self.has_odd_names = false;
        self.nodes.clear();
        self.nodes.shrink_to(KEPT_NODES);
        self.pieces.clear();
        self.pieces.shrink_to(KEPT_NODES);
    }

    /// Adds a piece of text and returns its place.
    #[expect(clippy::cast_possible_truncation, reason = "fewer than the record has bytes")]
    pub(super) fn add_piece(&mut self, text: Value, next: u32) -> u32 {
        let index = self.pieces.len() as u32;
        self.pieces.push(Piece { text, next });
        index
    }

    /// Notes which values of a record have bytes that are not UTF-8. The first name that has.
    pub(super) fn mark_invalid(&mut self, record: &[u8]) -> Option<&Node> {
        let values = self.nodes.iter_mut().map(|node| &mut node.value);
        let values = values.filter(|value| value.pieces().is_none());
        let pieces = self.pieces.iter_mut().map(|piece| &mut piece.text);
        values.chain(pieces).for_each(|value| value.mark_invalid(record));
        self.nodes.iter().find(|node| str::from_utf8(node.name(record)).is_err())
    }

    /// Adds a node.
    #[expect(clippy::cast_possible_truncation, reason = "a record's bytes are counted in u32")]
    #[inline]
    pub(super) fn add(&mut self, name: &Name, value: Value, is_attribute: bool) -> Index {
        let index = self.nodes.len() as Index;
        self.nodes.push(Node {
            prefix: name.prefix,
            name_start: name.start as u32,
            name_len: (name.end - name.start) as u32,
            value,
            is_attribute,
            first: NONE,
            next: NONE,
        });
        self.has_odd_names |= name.is_escaped;
        index
    }

    pub(super) fn node(&self, index: Index) -> &Node {
        &self.nodes[index as usize]
    }

    pub(super) fn node_mut(&mut self, index: Index) -> &mut Node {
        &mut self.nodes[index as usize]
    }
}

impl Node {
    pub(super) fn name<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        &record[self.name_range()]
    }

    /// Where its name stands in the record.
    pub(super) const fn name_range(&self) -> Range<usize> {
        let start = self.name_start as usize;
        start..start + self.name_len as usize
    }

    /// Where its name begins in the record.
    pub(super) const fn offset(&self) -> usize {
        self.name_start as usize
    }

    /// Whether the record has the same name at `start`.
    #[inline]
    pub(super) fn is_named_at(&self, record: &[u8], start: usize) -> bool {
        let end = start + self.name_len as usize;
        end <= record.len()
            && prefix(record, start, end) == self.prefix
            && (self.name_len <= 8 || record[start + 8..end] == self.name(record)[8..])
    }

    /// Whether another node has the same name.
    #[inline]
    pub(super) fn is_named_like(&self, other: &Node, record: &[u8]) -> bool {
        self.prefix == other.prefix
            && self.name_len == other.name_len
            && (self.name_len <= 8 || self.name(record)[8..] == other.name(record)[8..])
    }

    /// By the bytes of the names.
    pub(super) fn compare_names(&self, other: &Node, record: &[u8]) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.name(record).cmp(other.name(record)))
    }

    /// An object in JSON: an element with attributes or children.
    pub(super) const fn is_object(&self) -> bool {
        self.first != NONE
    }

    /// A string in JSON: an attribute, or an element with text only.
    pub(super) const fn is_string(&self) -> bool {
        !self.is_object() && self.value.is_some()
    }

    /// `null` in JSON: an element with nothing.
    pub(super) const fn is_null(&self) -> bool {
        !self.is_object() && !self.value.is_some()
    }
}

impl<'a> Element<'a> {
    /// The attributes and children of a node, in document order.
    pub(super) fn members(self, of: Index) -> impl Iterator<Item = Index> + use<'a> {
        let tree = self.tree;
        let first = Some(tree.node(of).first).filter(|index| *index != NONE);
        std::iter::successors(first, move |index| {
            Some(tree.node(*index).next).filter(|index| *index != NONE)
        })
    }

    /// The children of that name, in document order.
    pub(super) fn children_named(
        self,
        of: Index,
        name: &[u8],
    ) -> impl Iterator<Item = Index> + use<'a, '_> {
        self.members(of).filter(move |index| {
            let node = self.tree.node(*index);
            !node.is_attribute && node.name(self.record) == name
        })
    }

    /// Hands over what a value stands for, bit by bit, each of them UTF-8; ends with the first
    /// error of `take`.
    #[inline]
    pub(super) fn decode<E>(
        self,
        value: Value,
        take: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(mut next) = value.pieces() else { return value.decode(self.record, take) };
        while let Some(piece) = self.tree.pieces.get(next as usize) {
            piece.text.decode(self.record, take)?;
            next = piece.next;
        }
        Ok(())
    }
}
