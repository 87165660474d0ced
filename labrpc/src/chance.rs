//! Turns 64 random bits into a value with a given distribution.

/// A probability as a fraction, such as 100 of 1,000.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ratio {
    cases: u32,
    of: u32,
}

impl Ratio {
    /// A probability of zero.
    pub const ZERO: Ratio = Ratio { cases: 0, of: 1 };

    /// Creates the probability `cases / of`.
    ///
    /// # Panics
    /// Panics if `of` is 0.
    pub const fn new(cases: u32, of: u32) -> Ratio {
        assert!(of > 0, "the denominator of a ratio must not be 0");
        Ratio { cases, of }
    }

    /// Creates a probability of `cases` in 1,000.
    pub const fn per_thousand(cases: u32) -> Ratio {
        Ratio::new(cases, 1000)
    }

    /// The numerator.
    pub const fn cases(self) -> u32 {
        self.cases
    }

    /// The denominator.
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether the probability is zero.
    pub const fn is_zero(self) -> bool {
        self.cases == 0
    }

    /// Decides with this probability: returns true for that share of all `bits`.
    #[inline]
    pub(crate) fn contains(self, bits: u64) -> bool {
        scale(bits, u64::from(self.of)) < u64::from(self.cases)
    }

    /// Decides like [`contains`](Self::contains), and also returns random bits for another
    /// decision.
    #[inline]
    pub(crate) fn split(self, bits: u64) -> (bool, u64) {
        let (case, rest) = split(bits, u64::from(self.of));
        (case < u64::from(self.cases), rest)
    }
}

impl Default for Ratio {
    fn default() -> Ratio {
        Ratio::ZERO
    }
}

/// Writes the fraction, as in `100 of 1000`.
impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.cases, self.of)
    }
}

/// Maps random bits to a value in `0..bound`, where a `bound` of 0 stands for 2^64. All values are
/// equally likely: for bounds up to 2^33, to within one part in two thousand million.
#[inline]
pub(crate) fn scale(bits: u64, bound: u64) -> u64 {
    if bound == 0 { bits } else { split(bits, bound).0 }
}

/// Maps random bits to a value like [`scale`], and also returns random bits for a second value.
#[inline]
pub(crate) fn split(bits: u64, bound: u64) -> (u64, u64) {
    let product = u128::from(bits) * u128::from(bound);
    ((product >> 64) as u64, product as u64)
}
