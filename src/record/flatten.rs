//! The shape of a record, type by type: containers become plain arrays, and the record itself and
//! the items of its lists lose the marks of attributes.

use std::ops::Range;

use crate::model::Kind;

use super::json::{Entry, Keys, Role, Writer, bare_key};
use super::tree::{Element, Index, ROOT};

/// What becomes of one field of a record.
#[derive(Clone, Copy)]
enum Rule {
    /// It stays as it is.
    Keep,
    /// An object is stripped.
    Strip,
    /// A container becomes the array of its children of this name.
    Unwrap(&'static [u8], Item),
    /// An object becomes its text, else its `id`.
    MasterId,
}

/// What becomes of an item of a list.
#[derive(Clone, Copy)]
enum Item {
    /// It stays as it is.
    Plain,
    /// An object is stripped.
    Stripped,
    /// An object is stripped, a string becomes `{"id": string}`.
    Reference,
}

fn rule(kind: Kind, field: &[u8]) -> Rule {
    use Item::{Plain, Reference, Stripped};
    match (kind, field) {
        (Kind::Artists, b"members" | b"groups" | b"aliases") => Rule::Unwrap(b"name", Reference),
        (Kind::Labels, b"parentLabel") => Rule::Strip,
        (Kind::Labels, b"sublabels") | (Kind::Releases, b"labels") => {
            Rule::Unwrap(b"label", Reference)
        }
        (Kind::Masters | Kind::Releases, b"artists") | (Kind::Releases, b"extraartists") => {
            Rule::Unwrap(b"artist", Reference)
        }
        (Kind::Masters | Kind::Releases, b"genres") => Rule::Unwrap(b"genre", Plain),
        (Kind::Masters | Kind::Releases, b"styles") => Rule::Unwrap(b"style", Plain),
        (Kind::Releases, b"formats") => Rule::Unwrap(b"format", Stripped),
        (Kind::Releases, b"master_id") => Rule::MasterId,
        _ => Rule::Keep,
    }
}

/// Where a record's id is: in its attribute, else in its child; without either it is `unknown`.
pub(super) fn id(element: Element<'_>) -> Option<Index> {
    id_attribute(element).or_else(|| {
        let mut children = element.children_named(ROOT, b"id");
        let (child, another) = (children.next()?, children.next());
        (another.is_none() && element.tree.node(child).is_string()).then_some(child)
    })
}

fn id_attribute(element: Element<'_>) -> Option<Index> {
    element.members(ROOT).find(|index| {
        let node = element.tree.node(*index);
        node.is_attribute && node.name(element.record) == b"id"
    })
}

impl Writer<'_> {
    /// Writes the record; where its member `"id":…` lies in the output, if it has one.
    pub(super) fn record(&mut self, kind: Kind) -> Option<Range<usize>> {
        let element = self.element;
        let keys = match kind {
            Kind::Artists | Kind::Labels => Keys::Marked,
            Kind::Masters | Kind::Releases => Keys::Stripped,
        };
        let has_id_attribute = id_attribute(element).is_some();
        let mut id_member = None;
        self.gather(ROOT, keys);
        self.out.push(b'{');
        let mut at = 0;
        while at < self.order.len() && !self.is_full() {
            let group = self.group(at);
            at = group.end;
            let group = self.settle(group);
            let first = self.order[group.start];
            let start = self.out.len();
            let field: &[u8] = match first.role {
                Role::Attribute | Role::Text => b"",
                Role::Child | Role::Bare | Role::Name => bare_key(element, &first),
            };
            let is_id = field == b"id";
            if is_id && first.role == Role::Child && has_id_attribute {
                continue;
            }
            if self.field(rule(kind, field), group) {
                if is_id {
                    id_member = Some(start..self.out.len());
                }
                self.out.push(b',');
            }
        }
        self.close(b',', b'}');
        id_member
    }

    /// Writes one field by its rule; whether anything was left to write.
    fn field(&mut self, rule: Rule, group: Range<usize>) -> bool {
        if let Rule::Unwrap(name, item) = rule {
            return self.list(group, name, item);
        }
        let first = self.order[group.start];
        self.key(first);
        match rule {
            Rule::Strip if group.len() == 1 => self.item(first, Item::Stripped),
            Rule::MasterId if group.len() == 1 => self.master_id(first),
            _ => self.values(group),
        }
        true
    }

    /// A container that is there several times is an array already; its items are the containers.
    fn list(&mut self, group: Range<usize>, name: &[u8], item: Item) -> bool {
        let key = self.order[group.start];
        let base = self.order.len();
        let items = if group.len() > 1 || self.is_string(key) {
            group
        } else {
            self.push_children(key.node, name);
            base..self.order.len()
        };
        let nothing =
            items.is_empty() || (items.len() == 1 && self.is_null(self.order[items.start]));
        if !nothing {
            self.key(key);
            self.out.push(b'[');
            for at in items {
                if self.is_full() {
                    break;
                }
                self.item(self.order[at], item);
                self.out.push(b',');
            }
            self.close(b',', b']');
        }
        self.order.truncate(base);
        !nothing
    }

    fn item(&mut self, entry: Entry, item: Item) {
        let is_object = entry.role == Role::Child && self.element.tree.node(entry.node).is_object();
        match item {
            Item::Stripped | Item::Reference if is_object => {
                self.object(entry.node, Keys::Stripped);
            }
            Item::Reference if self.is_string(entry) => {
                self.out.extend_from_slice(br#"{"id":"#);
                self.string(entry.node);
                self.out.push(b'}');
            }
            _ => self.value(entry),
        }
    }

    fn master_id(&mut self, entry: Entry) {
        let node = self.element.tree.node(entry.node);
        if entry.role != Role::Child || !node.is_object() {
            return self.value(entry);
        }
        if node.value.is_some() {
            return self.string(entry.node);
        }
        let base = self.order.len();
        self.push_children(entry.node, b"id");
        if self.order.len() > base {
            self.values(base..self.order.len());
        } else {
            self.value(entry);
        }
        self.order.truncate(base);
    }

    fn push_children(&mut self, of: Index, name: &[u8]) {
        for child in self.element.children_named(of, name) {
            self.order.push(Entry::child(child));
        }
    }

    fn is_string(&self, entry: Entry) -> bool {
        entry.role != Role::Child || self.element.tree.node(entry.node).is_string()
    }

    fn is_null(&self, entry: Entry) -> bool {
        entry.role == Role::Child && self.element.tree.node(entry.node).is_null()
    }
}
