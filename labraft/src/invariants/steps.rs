//! What is checked of a step: all that figure 2 says of it, and little else if little has changed.

use std::time::Duration;

use super::change::{Change, LogChange};
use super::figure2::Step;
use super::history::Traffic;
use super::{Invariants, commit_monotone, probe_form, saved_first};
use crate::property::Holds;
use crate::raft::{Probe, Raft};

impl Invariants {
    /// Judges a step that has changed a server.
    pub(super) fn check_step(&mut self, change: &Change<'_>) -> Holds {
        let Invariants { judge, history, figure2: Some(figure2), transfers, .. } = self else {
            return Ok(());
        };
        let step = Step {
            before: change.before.unwrap_or(change.now),
            is_first: change.before.is_none(),
            log_change: Some(change.log),
            has_saved: change.saved,
            ..Step::idle(history, transfers.as_ref(), change.server, change.now, change.at)
        };
        judge.rule_on_all(figure2.check(&step))
    }

    /// Judges a step after which a server is what it was, if it has read or sent anything, or owes
    /// something.
    #[inline]
    pub(super) fn check_step_without_change(
        &mut self,
        server: usize,
        now: &Probe,
        earlier: Traffic,
        at: Duration,
    ) -> Holds {
        let Invariants { judge, history, figure2: Some(figure2), transfers, .. } = self else {
            return Ok(());
        };
        if !figure2.is_due(server, at) {
            return Ok(());
        }
        let step = Step {
            has_saved: history.servers[server].traffic.saves != earlier.saves,
            ..Step::idle(history, transfers.as_ref(), server, now, at)
        };
        judge.rule_on_all(figure2.check(&step))
    }

    /// Checks a server of which nothing has changed but `last_applied`: what the other properties compare is as it
    /// was at the last check.
    pub(super) fn check_applied(
        &mut self,
        server: usize,
        raft: &dyn Raft,
        probe: Option<Probe>,
        earlier: Traffic,
        at: Duration,
    ) -> Holds {
        let before = std::mem::replace(&mut self.history.servers[server].last, probe);
        let Invariants { judge, history, figure2, accepted, transfers, waypoints, .. } = self;
        let known = &history.servers[server];
        let Some(now) = &known.last else { return Ok(()) };
        let change = Change {
            server,
            before: before.as_ref(),
            now,
            raft,
            at,
            log: LogChange::NOTHING,
            saved: known.traffic.saves != earlier.saves,
            answered: known.traffic.answers != earlier.answers,
        };
        waypoints.may_have_saved(history, &change);
        if let Some(figure2) = figure2 {
            let idle = Step::idle(history, transfers.as_ref(), server, now, at);
            judge.rule_on_all(figure2.check(&Step { has_saved: change.saved, ..idle }))?;
        }
        judge.rule_on(probe_form::check_told(server, raft.state(), now))?;
        judge.rule_on(commit_monotone::check(&change))?;
        judge.rule_on(saved_first::check_late_answer(history, server, earlier))?;
        match accepted {
            Some(accepted) => judge.rule_on(accepted.check(&change, &known.log)),
            None => Ok(()),
        }
    }
}
