//! Sorted keys and values in trees, whatever they lie in: `disk` has them in files, `memory` has the
//! twin without any, for simulations.
//!
//! INVARIANT: of a batch all is there or nothing, and what was there at a flush stays. A crash may
//! take what came after the last flush, in whole batches and the latest first.

use std::fmt;
use std::ops::Bound;

use super::StateError;
use super::layout::Tree;

/// A key with its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Keys and values in order.
pub(super) type Pairs<'a> = Box<dyn DoubleEndedIterator<Item = Result<Pair, StateError>> + 'a>;

/// One thing to write.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Where.
    pub(super) tree: Tree,
    /// The key.
    pub(super) key: Vec<u8>,
    /// Its new value; none removes it.
    pub(super) value: Option<Vec<u8>>,
}

/// What a store needs of whatever keeps its trees. A store of an earlier format lacks the trees of
/// later ones: nothing is in them, and nothing can be put there.
pub(super) trait Trees: fmt::Debug + Send {
    /// Writes all of a batch or none of it. It is durable after the next [`Trees::flush`].
    ///
    /// # Errors
    /// If a tree is missing, or what the disk says; nothing was written then.
    fn apply(&self, batch: &[Change]) -> Result<(), StateError>;

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// What the disk says.
    fn flush(&self) -> Result<(), StateError>;

    /// The value of a key.
    ///
    /// # Errors
    /// If what keeps the trees is damaged.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// What lies between two keys.
    fn range(&self, tree: Tree, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Pairs<'_>;
}

/// Where the keys end that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != u8::MAX) else {
        return Bound::Unbounded;
    };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_first_key_after_all_that_begin_with_it() {
        let rows: [(&[u8], Option<&[u8]>); 5] = [
            (b"", None),
            (b"a", Some(b"b")),
            (b"a\xff", Some(b"b")),
            (b"a\0", Some(b"a\x01")),
            (b"\xff\xff", None),
        ];
        for (prefix, end) in rows {
            let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_vec()));
            assert_eq!(end_of(prefix), end);
        }
    }
}
