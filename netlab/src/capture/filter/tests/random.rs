//! Chance that can be repeated: the same seed, the same choices.

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// `NETLAB_SEED` chooses another seed than 1; `salt` makes tests independent.
    pub fn new(salt: u64) -> Self {
        let seed = std::env::var("NETLAB_SEED").ok();
        let seed: u64 = seed.map_or(1, |seed| seed.parse().expect("NETLAB_SEED is a number"));
        Self(seed.wrapping_mul(0x1000_0001).wrapping_add(salt))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 1).expect("it is small") % end
    }

    /// Once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}
