//! What becomes of a violation: a broken promise ends the run, a slip is put aside, and what is left out does not
//! count.

use crate::property::{Holds, Severity, Violation};
use crate::without::Without;

/// What a run reports and goes on.
pub(crate) enum News {
    /// A server has made this slip.
    Slip(Violation),
    /// A server did not answer when it was asked for a probe. This is reported once.
    NoProbe,
}

/// Decides what happens to a violation that a check has found.
pub(super) struct Judge {
    pub(super) without: Without,
    /// What nobody has taken yet.
    pub(super) news: Vec<News>,
}

impl Judge {
    /// Returns what a check has found, unless its property is left out. A slip is put aside. Nearly all
    /// checks find nothing, so that case costs one comparison.
    #[inline]
    pub(super) fn rule_on(&mut self, checked: Holds) -> Holds {
        match checked {
            Ok(()) => Ok(()),
            Err(violation) => self.sentence(violation),
        }
    }

    /// Rules on several violations, up to the first that ends the run.
    #[inline]
    pub(super) fn rule_on_all(&mut self, found: Vec<Violation>) -> Holds {
        if found.is_empty() { Ok(()) } else { self.sentence_all(found) }
    }

    #[cold]
    fn sentence_all(&mut self, found: Vec<Violation>) -> Holds {
        found.into_iter().try_for_each(|violation| self.sentence(violation))
    }

    #[cold]
    fn sentence(&mut self, violation: Violation) -> Holds {
        if !self.without.includes(violation.property) {
            return Ok(());
        }
        match violation.property.severity() {
            Severity::Promise => Err(violation),
            Severity::Slip => {
                self.news.push(News::Slip(violation));
                Ok(())
            }
        }
    }
}
