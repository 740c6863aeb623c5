//! Counts the bytes that a search goes over, for the tests that hold how often a byte is looked at.

#[cfg(test)]
std::thread_local! {
    static LOOKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many bytes were gone over.
#[cfg(test)]
pub(super) fn looked(bytes: usize) {
    LOOKED.set(LOOKED.get() + bytes as u64);
}

/// Nothing, outside of tests.
#[cfg(not(test))]
#[inline]
pub(super) const fn looked(_bytes: usize) {}

/// How many bytes this thread has gone over since it was last asked.
#[cfg(test)]
pub(super) fn looked_at() -> u64 {
    LOOKED.replace(0)
}
