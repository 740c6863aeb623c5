//! Chunks that come in any order, put in order again.

use std::collections::BTreeMap;

/// Puts numbered things back in order. How many may wait is bounded by whoever numbers them.
#[derive(Debug)]
pub struct InOrder<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> InOrder<T> {
        InOrder { next: 0, waiting: BTreeMap::new() }
    }
}

impl<T> InOrder<T> {
    /// Takes one, in any order; numbers count from 0.
    pub fn put(&mut self, number: u64, thing: T) {
        self.waiting.insert(number, thing);
    }

    /// The next one in order, if it is here.
    pub fn take(&mut self) -> Option<T> {
        let thing = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_the_order_of_arrival_the_order_of_numbers_comes_out(
            arrival in Just((0..50u64).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut order = InOrder::default();
            let mut out = Vec::new();
            for number in arrival {
                order.put(number, number);
                out.extend(std::iter::from_fn(|| order.take()));
            }
            prop_assert_eq!(out, (0..50).collect::<Vec<_>>());
        }
    }
}
