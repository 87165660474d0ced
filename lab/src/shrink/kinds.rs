//! Leaves out whole kinds of decisions, and steps of generated schedules. All other decisions still follow
//! from the seed.

use std::collections::BTreeSet;

use labrpc::{Address, Kind, RunSpec};

use super::draws::Dice;
use super::search::{FEW, Search, Stop};

/// Kinds of decisions that affect only time and order. They are left out first, the least
/// informative kind before the others.
pub(super) const TIMING: [Kind; 5] =
    [Kind::Order, Kind::RequestTransit, Kind::ReplyTransit, Kind::Unreachable, Kind::RequestDelay];
/// The share of the budget after which random attempts end if none has succeeded since.
const PATIENCE: u64 = 20;

/// What is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Out {
    kinds: BTreeSet<Kind>,
    steps: BTreeSet<Address>,
}

impl Out {
    /// The specification of the seed's run without all this.
    fn spec(&self, seed: u64) -> RunSpec {
        let neutral = self.kinds.iter().map(|&kind| (kind, BTreeSet::new())).collect();
        let overrides = self.steps.iter().map(|&step| (step, 0)).collect();
        RunSpec { neutral, overrides, ..RunSpec::seed(seed) }
    }
}

impl Search<'_> {
    /// Leaves out all kinds at once, those that affect only time, then one kind at a time, and then
    /// random ones together.
    pub(super) fn leave_out_kinds(&mut self) -> Result<(), Stop> {
        let all: BTreeSet<Kind> = Kind::ALL.into_iter().filter(|kind| kind.has_neutral()).collect();
        if self.fails_without(&Out { kinds: all.clone(), ..Out::default() })? {
            return Ok(());
        }
        let mut out = Out { kinds: BTreeSet::from(TIMING), ..Out::default() };
        if !self.fails_without(&out)? {
            out = Out::default();
        }
        let others = all.iter().copied().filter(|kind| !TIMING.contains(kind));
        for kind in TIMING.into_iter().chain(others) {
            let mut more = out.clone();
            if !more.kinds.insert(kind) {
                continue;
            }
            let is_there = self.best.decisions.iter().any(|taken| taken.address.kind == kind);
            if !is_there || self.fails_without(&more)? {
                out = more;
            }
        }
        self.leave_out_drawn(out)
    }

    /// Leaves out random kinds, and random steps of schedules, in addition to what is left out already.
    /// Where a failure depends on everything before it, this succeeds more often than one kind at a
    /// time does.
    fn leave_out_drawn(&mut self, mut out: Out) -> Result<(), Stop> {
        let mut dice = Dice::new(0);
        let mut in_vain = 0;
        let mut tried = BTreeSet::from([out.clone()]);
        while in_vain < self.budget.runs / PATIENCE && self.best.decisions.len() > FEW {
            in_vain += 1;
            let more = self.draw_more(&out, dice.throw());
            if !tried.insert(more.clone()) {
                continue;
            }
            let before = self.best.decisions.len();
            if self.fails_and(more.spec(self.seed), |now| now < before)? {
                (out, in_vain) = (more, 0);
            }
        }
        Ok(())
    }

    /// What is left out, and more.
    fn draw_more(&self, out: &Out, dice: Dice) -> Out {
        let mut more = out.clone();
        let number = |what: u64, bound: u64| dice.below([u64::MAX, what, 0, 0], bound);
        if number(0, 2) == 0 {
            more.kinds.extend(TIMING);
        }
        let others = Kind::ALL.into_iter().filter(|kind| kind.has_neutral());
        let others = others.filter(|&kind| kind != Kind::Schedule);
        more.kinds.extend(others.filter(|&kind| number(2 + kind as u64, 4) == 0));
        // None, a quarter or half of the steps.
        let quarters = number(1, 3);
        let steps = self.best.decisions.iter().map(|taken| taken.address);
        more.steps.extend(steps.filter(|step| {
            let subject = [step.kind as u64, step.from.into(), step.to.into(), step.n];
            step.kind == Kind::Schedule && dice.below(subject, 4) < quarters
        }));
        more
    }

    fn fails_without(&mut self, out: &Out) -> Result<bool, Stop> {
        self.fails(out.spec(self.seed))
    }
}
