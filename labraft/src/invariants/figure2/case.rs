//! A step together with what it is judged by: the server's memory and debts, and the messages.

use std::time::Duration;

use super::debts::{Debt, Debts};
use super::memory::Memory;
use super::messages::Messages;
use super::step::Step;
use crate::offer::Offers;
use crate::property::{Holds, Violation};

/// What a rule works on.
pub(super) struct Case<'a> {
    pub(super) step: &'a Step<'a>,
    /// What the Raft offers.
    pub(super) offers: Offers,
    pub(super) memory: &'a mut Memory,
    pub(super) debts: &'a mut Debts,
    pub(super) messages: &'a Messages,
    pub(super) found: &'a mut Vec<Violation>,
}

impl Case<'_> {
    /// Keeps what a rule has found.
    pub(super) fn note(&mut self, checked: Holds) {
        self.found.extend(checked.err());
    }

    /// Notes that the server has to do something from now on, unless it has done it already.
    pub(super) fn owe(&mut self, debt: Debt) {
        self.owe_since(debt, self.step.at);
    }

    /// Notes that the server has to do something since then.
    pub(super) fn owe_since(&mut self, debt: Debt, since: Duration) {
        self.debts.owe(debt, since, self.step, self.memory);
    }
}
