//! Carries out the acts of a run: what somebody does to its servers and links from outside.

use labrpc::{Act, Deed};

use super::Cluster;
use crate::harness_event::HarnessEvent;

impl Cluster {
    /// Has the acts of the run carried out when their times come. They have a task outside of the test, so that
    /// an act changes nothing but what it does.
    pub(super) fn expect_acts(&self) {
        let acts = self.0.lab.world().acts();
        let acts: Vec<Act> = acts.iter().filter(|act| act.at >= self.0.made).cloned().collect();
        if acts.is_empty() {
            return;
        }
        for act in &acts {
            if let Deed::Leap(server, _) | Deed::Stand(server, _) | Deed::Rate(server, _) = act.deed
                && let Some(i) = self.place_of(server)
            {
                self.0.invariants.borrow_mut().bend_clock(i, act.at);
            }
        }
        let outside = self.0.lab.world().outside();
        let rt = outside.clone();
        let cluster = self.downgrade();
        outside.spawn_detached("acts", async move {
            for act in acts {
                rt.sleep_until(act.at).await;
                let Some(cluster) = cluster.upgrade() else { return };
                cluster.carry_out(&act);
            }
        });
    }

    /// Sets the function that proposes a command of an act to a server. To avoid a reference cycle, it should
    /// hold only a [`WeakCluster`](super::WeakCluster).
    pub fn propose_with(&self, propose: impl Fn(usize, &str) + 'static) {
        self.0.propose.replace(Some(std::rc::Rc::new(propose)));
    }

    fn carry_out(&self, act: &Act) {
        self.announce(act);
        // Each cluster does what concerns its own servers.
        let places: Vec<usize> =
            act.servers().into_iter().filter_map(|server| self.place_of(server)).collect();
        match (&act.deed, &places[..]) {
            (Deed::Crash(_), &[i]) if self.is_running(i) => self.crash_keeping_links(i),
            (Deed::Restart(_), &[i]) => self.restart_from_outside(i),
            (Deed::Cut(..), &[from, to]) => self.mute(from, [to]),
            (Deed::Heal(..), &[from, to]) => self.set_way_from_outside(from, to, true),
            (Deed::Partition(groups), _) => self.part(groups),
            (Deed::Command(_, command), &[i]) => self.propose_from_outside(i, command),
            // Time, messages and luck look these up themselves.
            _ => {}
        }
    }

    /// Records an act in the run's log. The first cluster does so for all.
    fn announce(&self, act: &Act) {
        let all = self.0.lab.servers();
        if self.servers().start > 0 || act.deed == Deed::Wait {
            return;
        }
        match act.servers().into_iter().find(|server| *server >= all) {
            Some(server) => self.record(|| HarnessEvent::Ignored {
                why: format!("what if: nothing happens, because there is no server {server}"),
            }),
            None => self.step(|| {
                format!("what if: {}", act.deed.told(&|server| self.lab().names().name("", server)))
            }),
        }
    }

    fn restart_from_outside(&self, server: usize) {
        let Some(restart) = self.0.restart.borrow().clone() else { return };
        if self.is_running(server) {
            self.crash_keeping_links(server);
        }
        restart(server);
        self.restore_links(server);
    }

    /// Opens or cuts a link in one direction. The links of a server that is down are cut in any case: what is
    /// set here then holds once it runs again.
    fn set_way_from_outside(&self, from: usize, to: usize, enabled: bool) {
        match self.is_running(from) && self.is_running(to) {
            true => self.set_ways(vec![(from, to, enabled)]),
            false => self.0.enabled.borrow_mut()[from][to] = enabled,
        }
    }

    fn part(&self, groups: &[Vec<usize>]) {
        let group_of = |i: usize| groups.iter().position(|group| group.contains(&self.number(i)));
        for from in 0..self.n() {
            for to in 0..self.n() {
                let together =
                    from == to || group_of(from).is_some_and(|g| group_of(to) == Some(g));
                self.set_way_from_outside(from, to, together);
            }
        }
    }

    fn propose_from_outside(&self, server: usize, command: &str) {
        match self.0.propose.borrow().clone() {
            Some(propose) => propose(server, command),
            None => self.record(|| HarnessEvent::Ignored {
                why: "this test takes no commands from outside".into(),
            }),
        }
    }
}
