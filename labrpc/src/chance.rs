//! From 64 random bits to a value.

/// A share of all cases, such as 100 of 1,000.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ratio {
    cases: u32,
    of: u32,
}

impl Ratio {
    /// No case at all.
    pub const ZERO: Ratio = Ratio { cases: 0, of: 1 };

    /// So many cases of so many.
    ///
    /// # Panics
    /// If `of` is 0.
    pub const fn new(cases: u32, of: u32) -> Ratio {
        assert!(of > 0, "a share of no cases");
        Ratio { cases, of }
    }

    /// How many cases of a thousand.
    pub const fn per_thousand(cases: u32) -> Ratio {
        Ratio::new(cases, 1000)
    }

    /// The cases, of as many as [`of`](Self::of) says.
    pub const fn cases(self) -> u32 {
        self.cases
    }

    /// All cases.
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether there are no cases.
    pub const fn is_zero(self) -> bool {
        self.cases == 0
    }

    /// Whether these random bits are one of the cases.
    #[inline]
    pub(crate) fn contains(self, bits: u64) -> bool {
        scale(bits, u64::from(self.of)) < u64::from(self.cases)
    }

    /// Like [`contains`](Self::contains), and the random bits that are left over.
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

/// `100 of 1000`.
impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.cases, self.of)
    }
}

/// A value in `0..bound` in proportion to `bits`; a `bound` of 0 stands for 2^64. For the bounds in use
/// (below 2^33) every value's chance is right to one part in two thousand million.
#[inline]
pub(crate) fn scale(bits: u64, bound: u64) -> u64 {
    if bound == 0 { bits } else { split(bits, bound).0 }
}

/// Like [`scale`], and the random bits that are left over, for a second question to the same bits.
#[inline]
pub(crate) fn split(bits: u64, bound: u64) -> (u64, u64) {
    let product = u128::from(bits) * u128::from(bound);
    ((product >> 64) as u64, product as u64)
}
