//! All that is random in a run, from its seed.

use std::cell::Cell;

/// SplitMix64: small, fast, and the same everywhere.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero up to, and without, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// From `first` to `last`.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// Whether what happens so often in a thousand times happens now.
    pub fn happens(&mut self, in_a_thousand: u64) -> bool {
        in_a_thousand > 0 && self.below(1000) < in_a_thousand
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let place = self.below(from.len() as u64);
        from.get(usize::try_from(place).unwrap_or_default())
    }
}

thread_local! {
    /// A run stays on its thread; what it draws here is apart from what the world draws.
    static ENTROPY: Cell<u64> = const { Cell::new(0) };
}

/// From here on, this thread's [`entropy`] is that of `seed`.
pub fn begin(seed: u64) {
    ENTROPY.set(seed ^ 0x5eed);
}

/// The engine's randomness.
pub fn entropy(buffer: &mut [u8]) {
    let mut chance = Chance(ENTROPY.get());
    for part in buffer.chunks_mut(8) {
        part.copy_from_slice(&chance.next().to_le_bytes()[..part.len()]);
    }
    ENTROPY.set(chance.0);
}

/// So many random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    entropy(&mut bytes);
    bytes
}
