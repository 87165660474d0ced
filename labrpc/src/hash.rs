//! Hash functions whose results are the same on every machine.

/// The step of a SplitMix64 sequence: 2^64 divided by the golden ratio.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64: a bijection in which each bit of the input affects every bit
/// of the output.
#[inline]
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `n`-th of many seeds derived from one, for runs that are compared with that seed's run.
pub const fn derived_seed(seed: u64, n: u64) -> u64 {
    seed.wrapping_add(n).wrapping_mul(GOLDEN)
}

/// A 64-bit digest of a sequence of words.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Fingerprint(u64);

impl Default for Fingerprint {
    #[inline]
    fn default() -> Fingerprint {
        Fingerprint(0x243f_6a88_85a3_08d3)
    }
}

impl Fingerprint {
    /// Adds two words. They are multiplied to 128 bits, and the two halves are combined.
    #[inline]
    pub(crate) fn add(&mut self, a: u64, b: u64) {
        let product = u128::from(a ^ self.0 ^ 0xa076_1d64_78bd_642f)
            * u128::from(b ^ self.0.rotate_left(29) ^ 0xe703_7ed1_a0b4_28db);
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(self.0.rotate_left(17));
    }

    #[inline]
    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

/// Computes a 64-bit digest of bytes, which is the same on every machine.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = Fingerprint::default();
    let mut chunks = bytes.chunks_exact(16);
    let word = |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
    for chunk in &mut chunks {
        hash.add(word(&chunk[..8]), word(&chunk[8..]));
    }
    let mut tail = [0; 16];
    tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    hash.add(word(&tail[..8]), word(&tail[8..]));
    hash.add(bytes.len() as u64, 0);
    hash.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_affect_the_digest() {
        let base = vec![0u8; 40];
        let mut seen = std::collections::BTreeSet::from([hash_bytes(&base)]);
        for i in 0..base.len() {
            let mut changed = base.clone();
            changed[i] = 1;
            assert!(seen.insert(hash_bytes(&changed)), "byte {i}");
        }
        for length in 0..40 {
            assert!(seen.insert(hash_bytes(&base[..length])), "length {length}");
        }
    }

    #[test]
    fn the_digest_depends_on_the_order_of_its_words() {
        let digest = |parts: &[(u64, u64)]| {
            let mut fingerprint = Fingerprint::default();
            parts.iter().for_each(|&(a, b)| fingerprint.add(a, b));
            fingerprint.value()
        };
        assert_ne!(digest(&[(1, 2), (3, 4)]), digest(&[(3, 4), (1, 2)]));
        assert_ne!(digest(&[(1, 2)]), digest(&[(2, 1)]));
    }
}
