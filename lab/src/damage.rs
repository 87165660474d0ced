//! Damaged copies of files, the same ones in each run, for tests of what reads the files.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How many copies have one byte changed, how many have several, and how many are cut off.
const ONE_BYTE: usize = 500;
const SEVERAL_BYTES: usize = 100;
const CUT_OFF: usize = 100;

/// What else a byte becomes than a random one: most files hold numbers and marks, and a digit in the
/// place of another digit is often still a file.
const LIKELY: &[u8] = b"0123456789-.eE\"{}[],:|/\n ";

/// Damaged copies of a file that is not empty.
pub fn damaged(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut dice = ChaCha8Rng::seed_from_u64(whole.len() as u64);
    (0..ONE_BYTE + SEVERAL_BYTES + CUT_OFF).map(move |number| {
        let mut copy = whole.to_vec();
        if number >= ONE_BYTE + SEVERAL_BYTES {
            copy.truncate(below(&mut dice, whole.len()));
            return copy;
        }
        let changes = if number < ONE_BYTE { 1 } else { 2 + below(&mut dice, 16) };
        for _ in 0..changes {
            let place = below(&mut dice, copy.len());
            copy[place] = match below(&mut dice, 3) {
                0 => copy[place] ^ 1 << below(&mut dice, 8),
                1 => LIKELY[below(&mut dice, LIKELY.len())],
                _ => dice.next_u32() as u8,
            };
        }
        copy
    })
}

fn below(dice: &mut ChaCha8Rng, bound: usize) -> usize {
    (dice.next_u64() % bound as u64) as usize
}
