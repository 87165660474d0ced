//! The seeds under which a submission is run: public ones, and hidden ones derived from a secret.

use hmac::{Hmac, KeyInit, Mac};
use labraft::Test;
use sha2::Sha256;

use super::config::SeedCounts;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum SeedKind {
    /// Known to students.
    Public,
    /// Cannot be computed without the secret.
    Hidden,
}

impl SeedKind {
    pub(super) const ALL: [SeedKind; 2] = [SeedKind::Public, SeedKind::Hidden];

    pub(super) const fn name(self) -> &'static str {
        match self {
            SeedKind::Public => "public",
            SeedKind::Hidden => "hidden",
        }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Seed {
    pub(super) value: u64,
    pub(super) kind: SeedKind,
}

/// All seeds of a test: first the public ones, starting from 0, then the hidden ones.
///
/// The hidden seed `i` is the first eight bytes of HMAC-SHA256(secret, "part/test/i") as a
/// big-endian number. It cannot be guessed without the secret, and can be verified with it.
pub(super) fn seeds(secret: &[u8], test: &Test, counts: SeedCounts) -> Vec<Seed> {
    let public = (0..counts.public).map(|value| Seed { value, kind: SeedKind::Public });
    let hidden = (0..counts.hidden).map(|i| Seed {
        value: hidden(secret, test.part.name(), test.name, i),
        kind: SeedKind::Hidden,
    });
    public.chain(hidden).collect()
}

fn hidden(secret: &[u8], part: &str, test: &str, i: u64) -> u64 {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key may have any length");
    mac.update(format!("{part}/{test}/{i}").as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().take(8).fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use ::tests::SUITE;

    #[test]
    fn a_hidden_seed_is_what_openssl_computes_from_the_secret() {
        // printf 2A/InitialElection2A/0 | openssl dgst -sha256 -hmac key
        assert_eq!(hidden(b"key", "2A", "InitialElection2A", 0), 0x3df53f5bf646e88d);
    }

    #[test]
    fn hidden_seeds_differ_by_secret_test_and_number() {
        let counts = SeedCounts { public: 3, hidden: 50 };
        let mut all = BTreeSet::new();
        for secret in [b"one", b"two"] {
            for test in SUITE {
                let seeds = seeds(secret, test, counts);
                let (public, hidden) = seeds.split_at(3);
                assert!(public.iter().map(|seed| seed.value).eq(0..3));
                all.extend(hidden.iter().map(|seed| seed.value));
            }
        }
        assert_eq!(all.len(), 2 * SUITE.len() * 50);
    }
}
