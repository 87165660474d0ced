//! The properties of the sharded service, checked after each poll of a server's tasks, for any that answers
//! `ShardServer::probe`.
//!
//! What the servers of a group have applied is the same at each index of their log. So a group is known by its
//! *front*: the state of the server that has applied most, of all that there have been. Whatever a front
//! says is committed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use labraft::{Property, ShardProbe, ShardSet, Violation};
use shardctrler::Config;

use super::agreement::Agreement;
use super::configurations::{Configurations, violation};
use super::states;

/// What has been seen of the groups and the controllers of a run.
#[derive(Default)]
pub(crate) struct ShardChecks {
    configurations: Rc<RefCell<Configurations>>,
    fronts: BTreeMap<u64, Front>,
    /// The digest of each shard when its group stopped serving it, by the number of the configuration by
    /// which it did.
    left: BTreeMap<(u64, usize), u64>,
    /// The shards that have arrived, with the number of the configuration by which they were gained.
    arrived: BTreeSet<(u64, usize)>,
    agreement: Agreement,
}

/// How far a group has come, for scenarios that have something happen at a step of a migration.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The number of its configuration.
    pub(crate) config: u64,
    /// How often it began to serve shards.
    pub(crate) arrivals: u64,
    /// How often it deleted what it had kept for others.
    pub(crate) deletions: u64,
}

/// A group, as far as any of its servers has applied the log.
#[derive(Default)]
struct Front {
    probe: ShardProbe,
    /// The digests of the shards that the next configuration takes away.
    leaving: BTreeMap<usize, u64>,
    progress: Progress,
}

/// A server at one moment: its group, what it shows, and the digests of the shards that it serves.
pub(crate) struct Seen<'a> {
    pub(crate) gid: u64,
    pub(crate) server: usize,
    /// The names of servers.
    pub(crate) name: &'a dyn Fn(usize) -> String,
    pub(crate) probe: ShardProbe,
    pub(crate) config: &'a dyn Fn() -> Option<Config>,
    pub(crate) digest: &'a dyn Fn(usize) -> Option<u64>,
}

impl ShardChecks {
    /// Nothing has been seen of the groups. The configurations are those that anybody sees.
    pub(crate) fn new(configurations: Rc<RefCell<Configurations>>) -> ShardChecks {
        ShardChecks { configurations, ..ShardChecks::default() }
    }

    /// Looks at a server after a poll of one of its tasks. Returns every property that is broken by what it shows:
    /// a run may be made without some of them, and goes on then.
    pub(crate) fn look(&mut self, seen: Seen<'_>) -> Vec<Violation> {
        let Seen { gid, server, ref probe, .. } = seen;
        let mut broken = Vec::new();
        broken.extend(self.agreement.check(gid, (server, seen.name), probe).err());
        let applied = self.fronts.entry(gid).or_default().probe.applied;
        if probe.applied > applied {
            self.advance(&seen, &mut broken);
        }
        if probe.applied >= applied {
            self.note_leaving(&seen);
        }
        broken
    }

    /// What each group does with its shards, a line each.
    pub(crate) fn situation(&self) -> Vec<String> {
        let configurations = self.configurations.borrow();
        let line = |(gid, front): (&u64, &Front)| {
            states::describe(*gid, &front.probe, |shard| {
                configurations.owner(front.probe.config, shard)
            })
        };
        self.fronts.iter().map(line).collect()
    }

    /// How far a group has come.
    pub(crate) fn progress(&self, gid: u64) -> Progress {
        self.fronts.get(&gid).map(|front| front.progress).unwrap_or_default()
    }

    /// What keeps a group from having done all that a configuration asks of it; `None` if nothing does, or
    /// if the group shows nothing of itself. Not every service deletes what it has handed over.
    pub(crate) fn unfinished(&self, gid: u64, config: u64) -> Option<String> {
        let ShardProbe { config: present, ref kept, .. } = self.fronts.get(&gid)?.probe;
        if present < config {
            return Some(format!(
                "group {gid} is in configuration {present}, and there is a configuration {config}"
            ));
        }
        let deletes = self.fronts.values().any(|front| front.progress.deletions > 0);
        (deletes && !kept.is_empty()).then(|| {
            let shards: Vec<usize> = kept.iter().map(|&(_, shard)| shard).collect();
            format!("group {gid} keeps shards {shards:?} for others, which have them")
        })
    }

    /// A group has applied one more entry.
    fn advance(&mut self, seen: &Seen<'_>, broken: &mut Vec<Violation>) {
        let Seen { gid, ref probe, config, digest, .. } = *seen;
        let front = self.fronts.entry(gid).or_default();
        let before = std::mem::replace(&mut front.probe, probe.clone());
        let left = std::mem::take(&mut front.leaving);
        let lost = before.served.without(probe.served);
        let gained = probe.served.without(before.served);
        front.progress.config = probe.config;
        front.progress.arrivals += u64::from(gained != ShardSet::default());
        front.progress.deletions += u64::from(!before.kept.is_subset(&probe.kept));
        if probe.config != before.config {
            broken.extend(check_order(gid, before.config, probe.config).err());
            if let Some(config) = config() {
                let mut configurations = self.configurations.borrow_mut();
                broken.extend(configurations.add(&format!("group {gid}"), &config).err());
            }
        }
        broken.extend(self.check_lost(gid, lost, probe.config).err());
        let left = left.into_iter().filter(|(shard, _)| lost.contains(*shard));
        self.left.extend(left.map(|(shard, digest)| ((probe.config, shard), digest)));
        for shard in gained.iter() {
            broken.extend(self.check_owner(gid, shard, probe.config).err());
            broken.extend(self.check_arrival(gid, shard, probe.config, digest(shard)).err());
        }
        broken.extend(self.check_kept(gid, &before, probe, lost).err());
    }

    /// A group stops serving shards: the configuration must have taken them away.
    fn check_lost(&self, gid: u64, lost: ShardSet, config: u64) -> Result<(), Violation> {
        let configurations = self.configurations.borrow();
        let is_own = |shard: &usize| configurations.owner(config, *shard) == Some(gid);
        match lost.iter().find(is_own) {
            None => Ok(()),
            Some(shard) => {
                let what = format!(
                    "group {gid} no longer has shard {shard}, which configuration {config} gives to it"
                );
                Err(violation(Property::ShardDeletion, what))
            }
        }
    }

    /// A group begins to serve a shard: the configuration must give it the shard, and nobody else may serve
    /// it still.
    fn check_owner(&self, gid: u64, shard: usize, config: u64) -> Result<(), Violation> {
        let owner = self.configurations.borrow().owner(config, shard);
        if let Some(owner) = owner.filter(|&owner| owner != gid) {
            let what = format!(
                "group {gid} begins to serve shard {shard} in configuration {config}, which gives the \
                 shard to group {owner}"
            );
            return Err(violation(Property::OneOwner, what));
        }
        let serves = |other: &&u64| self.fronts[other].probe.served.contains(shard);
        if let Some(other) = self.fronts.keys().filter(|&&other| other != gid).find(serves) {
            let since = self.fronts[other].probe.config;
            let what = format!(
                "group {gid} begins to serve shard {shard} in configuration {config}, and group {other} \
                 serves it in configuration {since}"
            );
            return Err(violation(Property::OneOwner, what));
        }
        Ok(())
    }

    /// A group begins to serve a shard: it must be as it was when the old owner stopped serving it.
    fn check_arrival(
        &mut self,
        gid: u64,
        shard: usize,
        config: u64,
        digest: Option<u64>,
    ) -> Result<(), Violation> {
        self.arrived.insert((config, shard));
        match (self.left.remove(&(config, shard)), digest) {
            (Some(left), Some(digest)) if left != digest => {
                let what = format!(
                    "group {gid} begins to serve shard {shard} in configuration {config}, with other data \
                     than the old owner had when it stopped serving it"
                );
                Err(violation(Property::ShardTransfer, what))
            }
            _ => Ok(()),
        }
    }

    /// What a group has lost or kept for another group must still be there, unless it has arrived.
    fn check_kept(
        &self,
        gid: u64,
        before: &ShardProbe,
        now: &ShardProbe,
        lost: ShardSet,
    ) -> Result<(), Violation> {
        // Nobody will ask for the shards that no group has.
        let configurations = self.configurations.borrow();
        let is_owned = |shard: &usize| configurations.owner(now.config, *shard) != Some(0);
        let lost = lost.iter().filter(is_owned).map(|shard| (now.config, shard));
        for (config, shard) in lost.chain(before.kept.iter().copied()) {
            let place = (config, shard);
            if !now.kept.contains(&place) && !self.arrived.contains(&place) {
                let what = format!(
                    "group {gid} deletes shard {shard}, which it lost by configuration {config} and which \
                     has not arrived at its new owner"
                );
                return Err(violation(Property::ShardDeletion, what));
            }
        }
        Ok(())
    }

    /// Keeps the digests of the shards that the next configuration takes away from a group, as long as the
    /// group has not gone to it.
    fn note_leaving(&mut self, seen: &Seen<'_>) {
        let configurations = self.configurations.borrow();
        let Some(next) = configurations.get(seen.probe.config + 1) else { return };
        let is_lost = |shard: &usize| next.shards.get(*shard) != Some(&seen.gid);
        let lost: Vec<usize> = seen.probe.served.iter().filter(is_lost).collect();
        let leaving = &mut self.fronts.entry(seen.gid).or_default().leaving;
        if leaving.is_empty() {
            leaving.extend(lost.iter().filter_map(|&shard| Some((shard, (seen.digest)(shard)?))));
        }
    }
}

fn check_order(gid: u64, before: u64, now: u64) -> Result<(), Violation> {
    if now == before + 1 {
        return Ok(());
    }
    let what = format!("group {gid} goes from configuration {before} to configuration {now}");
    Err(violation(Property::ConfigurationOrder, what))
}

#[cfg(test)]
mod tests {
    use shardctrler::N_SHARDS;

    use super::*;

    /// Two groups that are seen step by step.
    #[derive(Default)]
    struct Stage {
        checks: ShardChecks,
        probes: BTreeMap<u64, ShardProbe>,
    }

    impl Stage {
        /// Shard 0 belongs to group 1, then to group 2, and then to nobody.
        fn new() -> Stage {
            let stage = Stage::default();
            let groups = |gids: &[u64]| gids.iter().map(|&gid| (gid, Vec::new())).collect();
            let mut two = [1; N_SHARDS];
            two[..N_SHARDS / 2].fill(2);
            for (num, shards, gids) in
                [(0, [0; N_SHARDS], &[][..]), (1, [1; N_SHARDS], &[1]), (2, two, &[1, 2])]
            {
                let config = Config { num, shards, groups: groups(gids) };
                stage.checks.configurations.borrow_mut().ask_for_change();
                stage.checks.configurations.borrow_mut().add("a test", &config).unwrap();
            }
            stage
        }

        fn step(
            &mut self,
            gid: u64,
            digest: u64,
            change: impl FnOnce(&mut ShardProbe),
        ) -> Result<(), Violation> {
            let probe = self.probes.entry(gid).or_default();
            probe.applied += 1;
            change(probe);
            let probe = probe.clone();
            self.look(gid, gid as usize, probe, digest)
        }

        /// A server of a group is seen.
        fn look(
            &mut self,
            gid: u64,
            server: usize,
            probe: ShardProbe,
            digest: u64,
        ) -> Result<(), Violation> {
            let digest = |_| Some(digest);
            let name = |server| format!("server {server}");
            let config = || None;
            let seen = Seen { gid, server, name: &name, probe, config: &config, digest: &digest };
            self.checks.look(seen).into_iter().next().map_or(Ok(()), Err)
        }

        /// Group 1 serves everything, whose digest is 7.
        fn first_serves(&mut self) {
            self.step(1, 7, |probe| {
                probe.config = 1;
                probe.served = (0..N_SHARDS).collect();
            })
            .unwrap();
        }

        /// Group 1 goes to configuration 2, and keeps what it loses.
        fn first_hands_over(&mut self) -> Result<(), Violation> {
            self.step(1, 8, |probe| {
                probe.config = 2;
                probe.served = (N_SHARDS / 2..N_SHARDS).collect();
                probe.kept = (0..N_SHARDS / 2).map(|shard| (2, shard)).collect();
            })
        }

        /// Group 2, which is in configuration 2, gets what it is to have.
        fn second_serves(&mut self, digest: u64) -> Result<(), Violation> {
            self.step(2, digest, |probe| probe.config = 1).unwrap();
            self.step(2, digest, |probe| probe.config = 2).unwrap();
            self.step(2, digest, |probe| probe.served = (0..N_SHARDS / 2).collect())
        }
    }

    #[track_caller]
    fn assert_broken(checked: Result<(), Violation>, property: Property, hint: &str) {
        let violation = checked.expect_err("a property is broken");
        assert_eq!(violation.property, property, "{violation}");
        assert!(violation.evidence.contains(hint), "{violation}");
    }

    #[test]
    fn a_shard_goes_from_one_group_to_another() {
        let mut stage = Stage::new();
        stage.first_serves();
        assert_eq!(stage.first_hands_over(), Ok(()));
        assert_eq!(stage.second_serves(7), Ok(()));
        assert_eq!(stage.step(1, 8, |probe| probe.kept.clear()), Ok(()));
        // A server that lags behind is not judged.
        let served = (0..N_SHARDS).collect();
        let late = ShardProbe { applied: 1, config: 1, served, kept: BTreeSet::new() };
        assert_eq!(stage.look(1, 9, late, 0), Ok(()));
    }

    #[test]
    fn a_report_says_what_each_group_does_with_its_shards() {
        let mut stage = Stage::new();
        stage.first_serves();
        stage.first_hands_over().unwrap();
        stage.step(2, 7, |probe| probe.config = 1).unwrap();
        stage.step(2, 7, |probe| probe.config = 2).unwrap();
        assert_eq!(
            stage.checks.situation(),
            [
                "group 1: config 2 [hhhhh56789]: serves shards 5-9; hands over shards 0-4",
                "group 2: config 2 [wwwww.....]: waits for shards 0-4",
            ]
        );
    }

    #[test]
    fn a_group_that_serves_before_the_old_owner_has_stopped_is_found() {
        let mut stage = Stage::new();
        stage.first_serves();
        let hint = "group 1 serves it in configuration 1";
        assert_broken(stage.second_serves(7), Property::OneOwner, hint);
    }

    #[test]
    fn a_group_that_serves_a_shard_of_another_is_found() {
        let mut stage = Stage::new();
        stage.step(1, 7, |probe| probe.config = 1).unwrap();
        stage.step(1, 7, |probe| probe.config = 2).unwrap();
        let all = stage.step(1, 7, |probe| probe.served = (0..N_SHARDS).collect());
        assert_broken(all, Property::OneOwner, "which gives the shard to group 2");
    }

    #[test]
    fn a_group_that_leaves_a_configuration_out_is_found() {
        let mut stage = Stage::new();
        let leap = stage.step(2, 7, |probe| probe.config = 2);
        assert_broken(
            leap,
            Property::ConfigurationOrder,
            "from configuration 0 to configuration 2",
        );
    }

    #[test]
    fn data_that_has_changed_on_its_way_is_found() {
        let mut stage = Stage::new();
        stage.first_serves();
        assert_eq!(stage.first_hands_over(), Ok(()));
        let hint = "group 2 begins to serve shard 0 in configuration 2, with other data";
        assert_broken(stage.second_serves(9), Property::ShardTransfer, hint);
    }

    #[test]
    fn data_that_is_deleted_before_it_has_arrived_is_found() {
        let mut stage = Stage::new();
        stage.first_serves();
        assert_eq!(stage.first_hands_over(), Ok(()));
        let later = stage.step(1, 8, |probe| probe.kept.clear());
        assert_broken(later, Property::ShardDeletion, "which it lost by configuration 2");

        let mut stage = Stage::new();
        stage.first_serves();
        let at_once = stage.step(1, 8, |probe| {
            probe.config = 2;
            probe.served = (N_SHARDS / 2..N_SHARDS).collect();
        });
        assert_broken(at_once, Property::ShardDeletion, "deletes shard 0");
    }

    #[test]
    fn a_shard_that_is_lost_without_a_configuration_is_found() {
        let mut stage = Stage::new();
        stage.first_serves();
        let lost = stage.step(1, 8, |probe| probe.served = (1..N_SHARDS).collect());
        assert_broken(lost, Property::ShardDeletion, "no longer has shard 0");
    }

    #[test]
    fn what_is_not_judged_spoils_nothing_that_comes_after() {
        let mut stage = Stage::new();
        stage.first_serves();
        stage.first_hands_over().unwrap();
        assert_broken(stage.second_serves(8), Property::ShardTransfer, "with other data");
        assert_eq!(stage.step(2, 8, |_| ()), Ok(()));
        assert_eq!(stage.step(1, 8, |probe| probe.kept.clear()), Ok(()));
    }

    #[test]
    fn how_far_groups_have_come_is_known() {
        let mut stage = Stage::new();
        assert_eq!(stage.checks.unfinished(1, 2), None, "it shows nothing");
        stage.first_serves();
        stage.first_hands_over().unwrap();
        stage.second_serves(7).unwrap();
        assert_eq!(stage.checks.unfinished(1, 2), None, "nobody has deleted anything yet");
        assert_eq!(stage.checks.progress(2), Progress { config: 2, arrivals: 1, deletions: 0 });
        stage.step(1, 8, |probe| _ = probe.kept.pop_last()).unwrap();
        assert_eq!(stage.checks.progress(1).deletions, 1);
        let keeps = stage.checks.unfinished(1, 2).unwrap();
        assert!(keeps.contains("group 1 keeps shards [0, 1, 2, 3]"), "{keeps}");
        let behind = stage.checks.unfinished(2, 3).unwrap();
        assert!(behind.contains("group 2 is in configuration 2"), "{behind}");
        stage.step(1, 8, |probe| probe.kept.clear()).unwrap();
        assert_eq!(stage.checks.unfinished(1, 2), None);
    }
}
