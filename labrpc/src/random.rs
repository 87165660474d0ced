//! Random bits, computed from a seed and an address.
//!
//! All randomness of a run comes from [`rand_chacha`], whose values are documented to be the same
//! on every platform and in every version. `ChaCha8Rng::seed_from_u64(seed)` is the root: its first
//! 32 bytes are the key of the first [`Kind`], the next 32 bytes that of the second, and so on. A
//! new kind goes to the end of the list, so that the others keep their keys.
//!
//! Each *(kind, from, to)* has a stream of its own, whose n-th value is 64 random bits. There are
//! two sorts of streams:
//!
//! - *Sequences* are drawn one value after another: the dice of servers and clients, the test's
//!   workload, the standard library's entropy, and the others in [`Kind::is_sequence`]. A sequence
//!   is a ChaCha8 generator. Its seed is the kind's key, its stream number is `from << 32 | to`,
//!   and its n-th value consists of the words 2n and 2n + 1. The generator is kept for the whole
//!   run. It takes about 350 bytes and 9 ns a draw; creating or seeking one for each draw would
//!   take about 100 ns.
//! - All other decisions are *computed* from n: those about messages, about the order of ready
//!   tasks, and about faults under chaos. There are very many of these streams (one for each task),
//!   or they are used out of order (where n is a second of the run). Their values are those of a
//!   SplitMix64 sequence (Steele, Lea and Flood, OOPSLA 2014) whose start is mixed from the first
//!   eight bytes of the kind's key, `from` and `to`. Nothing is kept, and each value takes a few
//!   nanoseconds.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::hash::{GOLDEN, mix};
use crate::spec::{Address, KINDS, Kind};

/// The two parties of a decision: `from` and `to` of its [`Address`].
#[derive(Copy, Clone, Debug)]
pub(crate) struct Parties {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// A hash of both, kept because computing it takes longer than computing a value.
    mixed: u64,
}

impl Parties {
    pub(crate) fn new(from: u32, to: u32) -> Parties {
        Parties { from, to, mixed: mix(pair(from, to)) }
    }

    /// Packs both into one number.
    pub(crate) fn pair(self) -> u64 {
        pair(self.from, self.to)
    }
}

/// The subject of a decision, such as the n-th call on a link: an [`Address`] without its kind.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) parties: Parties,
    pub(crate) n: u64,
}

impl Subject {
    pub(crate) fn new(from: u32, to: u32, n: u64) -> Subject {
        Subject { parties: Parties::new(from, to), n }
    }

    pub(crate) fn address(self, kind: Kind) -> Address {
        let Parties { from, to, .. } = self.parties;
        Address { kind, from, to, n: self.n }
    }
}

fn pair(from: u32, to: u32) -> u64 {
    u64::from(from) << 32 | u64::from(to)
}

/// The keys of all [`Kind`]s, computed from one seed.
pub(crate) struct Keys {
    of_kinds: [[u8; 32]; KINDS],
    /// The first eight bytes of each key.
    words: [u64; KINDS],
}

impl Keys {
    pub(crate) fn new(seed: u64) -> Keys {
        let mut root = ChaCha8Rng::seed_from_u64(seed);
        let mut of_kinds = [[0; 32]; KINDS];
        for key in &mut of_kinds {
            root.fill_bytes(key);
        }
        let words = of_kinds.map(|key| {
            let (word, _) = key.split_first_chunk().expect("a key has 32 bytes");
            u64::from_le_bytes(*word)
        });
        Keys { of_kinds, words }
    }

    /// The start of a computed stream. The fingerprint identifies streams of both sorts by it.
    #[inline]
    pub(crate) fn start(&self, kind: Kind, parties: Parties) -> u64 {
        mix(self.words[kind as usize] ^ parties.mixed)
    }

    /// Creates the generator of a sequence, positioned before its `n`-th value.
    pub(crate) fn sequence(&self, kind: Kind, parties: Parties, n: u64) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::from_seed(self.of_kinds[kind as usize]);
        generator.set_stream(parties.pair());
        generator.set_word_pos(2 * u128::from(n));
        generator
    }
}

/// The `n`-th value of the computed stream with this start.
#[inline]
pub(crate) fn computed(start: u64, n: u64) -> u64 {
    mix(start.wrapping_add(n.wrapping_mul(GOLDEN)))
}
