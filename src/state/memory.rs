//! Trees in memory: the twin of `disk`, with which a simulation crashes a store thousands of times
//! without a file. Nothing of it is left after the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StateError;
use super::layout::{FORMAT, FORMAT_KEY, Tree};
use super::store::Store;
use super::trees::{Change, Pairs, Trees};
use super::view::Inspection;

/// What messages call the state directory where there is none.
const NAME: &str = "memory";

/// A store in memory. Its clones are the same store; [`Memory::after_crash`] is another one.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

type All = [BTreeMap<Vec<u8>, Vec<u8>>; Tree::ALL.len()];

#[derive(Debug, Default)]
struct Contents {
    /// As it is read.
    written: All,
    /// As it is after a crash.
    durable: All,
    /// What the one has and the other has not.
    unflushed: Vec<Change>,
}

impl Memory {
    /// What there is after a crash now: what was flushed. The store itself goes on.
    #[must_use]
    pub fn after_crash(&self) -> Memory {
        let durable = self.contents().durable.clone();
        let written = durable.clone();
        Memory(Arc::new(Mutex::new(Contents { written, durable, unflushed: Vec::new() })))
    }

    /// Everything it holds.
    ///
    /// # Errors
    /// If a row does not decode.
    pub fn inspect(&self) -> Result<Inspection, StateError> {
        if !self.is_begun()? {
            return Ok(Inspection { format: FORMAT, ..Inspection::default() });
        }
        Store::new(Path::new(NAME), self.clone()).inspect(true)
    }

    /// The store, which is begun if there is none yet.
    ///
    /// # Errors
    /// None that memory has.
    pub(super) fn open(&self, dir: &Path) -> Result<Store, StateError> {
        if self.is_begun()? {
            return Ok(Store::new(dir, self.clone()));
        }
        Store::begin(dir, self.clone())
    }

    fn is_begun(&self) -> Result<bool, StateError> {
        Ok(self.get(Tree::Meta, FORMAT_KEY)?.is_some())
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trees for Memory {
    fn apply(&self, batch: &[Change]) -> Result<(), StateError> {
        let mut contents = self.contents();
        for change in batch {
            change_in(&mut contents.written, change.clone());
        }
        contents.unflushed.extend_from_slice(batch);
        Ok(())
    }

    fn flush(&self) -> Result<(), StateError> {
        let contents = &mut *self.contents();
        for change in contents.unflushed.drain(..) {
            change_in(&mut contents.durable, change);
        }
        Ok(())
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.contents().written[tree as usize].get(key).cloned())
    }

    fn range(&self, tree: Tree, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Pairs<'_> {
        let contents = self.contents();
        let found = contents.written[tree as usize].range::<[u8], _>((from, to));
        let pairs: Vec<_> = found.map(|(key, value)| Ok((key.clone(), value.clone()))).collect();
        Box::new(pairs.into_iter())
    }
}

fn change_in(trees: &mut All, Change { tree, key, value }: Change) {
    let tree = &mut trees[tree as usize];
    match value {
        Some(value) => tree.insert(key, value),
        None => tree.remove(&key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::disk::Disk;

    fn change(tree: Tree, key: &[u8], value: Option<&[u8]>) -> Change {
        Change { tree, key: key.to_vec(), value: value.map(<[u8]>::to_vec) }
    }

    /// All that is there, from the last to the first.
    fn all(trees: &dyn Trees, tree: Tree, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<String> {
        let pairs = trees.range(tree, from, to).rev().map(Result::unwrap);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        pairs.map(|(key, value)| format!("{}={}", text(key), text(value))).collect()
    }

    #[test]
    fn it_does_what_the_disk_does() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::create(folder.path(), &folder.path().join("store")).unwrap();
        let memory = Memory::default();
        for trees in [&disk as &dyn Trees, &memory] {
            let batch = [b"a", b"b", b"c", b"d"].map(|key| change(Tree::Files, key, Some(key)));
            trees.apply(&batch).unwrap();
            let again = [
                change(Tree::Files, b"b", None),
                change(Tree::Files, b"c", Some(b"x")),
                change(Tree::Jobs, b"c", Some(b"y")),
            ];
            trees.apply(&again).unwrap();
            trees.flush().unwrap();
            let between = |from, to| all(trees, Tree::Files, from, to);
            assert_eq!(between(Bound::Unbounded, Bound::Unbounded), ["d=d", "c=x", "a=a"]);
            assert_eq!(between(Bound::Included(b"b"), Bound::Excluded(b"d")), ["c=x"]);
            assert_eq!(trees.get(Tree::Jobs, b"c").unwrap(), Some(b"y".to_vec()));
            assert_eq!(trees.get(Tree::Files, b"b").unwrap(), None);
        }
    }

    #[test]
    fn a_crash_takes_what_was_not_flushed_and_nothing_else() {
        let memory = Memory::default();
        memory.apply(&[change(Tree::Meta, b"a", Some(b"1"))]).unwrap();
        memory.flush().unwrap();
        memory.apply(&[change(Tree::Meta, b"a", None)]).unwrap();
        let crashed = memory.after_crash();
        assert_eq!(crashed.get(Tree::Meta, b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(memory.get(Tree::Meta, b"a").unwrap(), None);
        crashed.apply(&[change(Tree::Meta, b"b", Some(b"2"))]).unwrap();
        memory.flush().unwrap();
        assert_eq!(memory.after_crash().get(Tree::Meta, b"b").unwrap(), None);
    }
}
