/// `SplitMix64`, integers only, so that every platform draws the same numbers.
///
/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014); the constants are
/// those of <https://prng.di.unimi.it/splitmix64.c>, which is in the public domain.
pub(super) struct Random(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The numbers of one thing: a seed, what it is, and which one.
    pub(super) fn new(seed: u64, what: &str, ordinal: u64) -> Random {
        let what = what.bytes().fold(seed, |state, byte| mix(state ^ u64::from(byte)));
        Random(mix(what ^ mix(ordinal.wrapping_mul(GOLDEN))))
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in `0..n`, by Lemire's multiplication; `n` is never so large that its bias shows.
    pub(super) const fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }

    /// Uniform in `low..=high`.
    pub(super) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// In `0..n`, each twice as large number about half as likely, as words and names are.
    pub(super) const fn skewed(&mut self, n: u64) -> u64 {
        let bits = u64::BITS - n.leading_zeros();
        let bound = 1 << self.below(bits as u64 + 1);
        self.below(if bound < n { bound } else { n })
    }

    pub(super) const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Any of them, each as likely.
    pub(super) fn any<T: Copy>(&mut self, of: &[T]) -> T {
        *self.any_of(of)
    }

    /// As `any`, where they stand.
    pub(super) fn any_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let n = self.below(of.len() as u64);
        &of[index(n)]
    }

    /// One of them, the first ones most often.
    pub(super) fn common<T: Copy>(&mut self, of: &[T]) -> T {
        let n = self.skewed(of.len() as u64);
        of[index(n)]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "always below a slice's length")]
const fn index(n: u64) -> usize {
    n as usize
}
