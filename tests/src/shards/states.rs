//! What groups do with their shards, for recordings and reports.
//!
//! As for the checks, a group is known by the server that has applied most, of all that there have been.

use std::collections::BTreeMap;

use labraft::{GroupChange, ShardProbe, ShardState, shard_list, shard_row};
use shardctrler::{Config, N_SHARDS};

/// The groups of a run, as they were recorded last.
#[derive(Default)]
pub(crate) struct GroupRecorder(BTreeMap<u64, Recorded>);

/// A group as it was recorded last.
#[derive(Default)]
struct Recorded {
    probe: ShardProbe,
    states: Vec<ShardState>,
}

impl GroupRecorder {
    /// Compares what a server of a group shows with what was recorded of the group. Returns what has changed, if
    /// anything has.
    ///
    /// `config` is the configuration that the server is in, if it tells.
    pub(crate) fn change(
        &mut self,
        gid: u64,
        probe: &ShardProbe,
        config: impl FnOnce() -> Option<Config>,
    ) -> Option<GroupChange> {
        let recorded = self.0.entry(gid).or_default();
        // A server that is behind shows what the group was.
        if probe.applied <= recorded.probe.applied {
            return None;
        }
        let last = std::mem::replace(&mut recorded.probe, probe.clone());
        let ShardProbe { config: num, served, kept, .. } = probe;
        if (last.config, last.served, &last.kept) == (*num, *served, kept) {
            return None;
        }
        let config = config();
        let owner = |shard: usize| config.as_ref().map(|config| config.shards[shard]);
        let now = states(gid, probe, owner);
        let mut before = std::mem::replace(&mut recorded.states, now.clone());
        before.resize(N_SHARDS, ShardState::Absent);
        Some(GroupChange { group: gid, config: *num, before, now })
    }
}

/// What a group does with each shard. `owner` is the group to which its configuration gives a shard.
fn states(gid: u64, probe: &ShardProbe, owner: impl Fn(usize) -> Option<u64>) -> Vec<ShardState> {
    let state = |shard| {
        let is_kept = probe.kept.iter().any(|(_, kept)| *kept == shard);
        if probe.served.contains(shard) {
            ShardState::Serving
        } else if owner(shard) == Some(gid) {
            ShardState::Waiting
        } else if is_kept {
            ShardState::HandingOver
        } else {
            ShardState::Absent
        }
    };
    (0..N_SHARDS).map(state).collect()
}

/// A group's shards in words, as in `group 101: config 5 [.1w...h...]: serves shard 1; waits for shard 2; hands over shard
/// 6`.
pub(crate) fn describe(
    gid: u64,
    probe: &ShardProbe,
    owner: impl Fn(usize) -> Option<u64>,
) -> String {
    let states = states(gid, probe, owner);
    let those = |what: &str, state: ShardState| {
        let shards = states.iter().enumerate().filter(|(_, each)| **each == state);
        let shards: Vec<usize> = shards.map(|(shard, _)| shard).collect();
        (!shards.is_empty()).then(|| format!("{what} {}", shard_list(&shards)))
    };
    let parts = [
        those("serves", ShardState::Serving),
        those("waits for", ShardState::Waiting),
        those("hands over", ShardState::HandingOver),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let parts = if parts.is_empty() { "has no shards".into() } else { parts.join("; ") };
    format!("group {gid}: config {} {}: {parts}", probe.config, shard_row(&states))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A group that has applied so many entries and serves these shards.
    fn probe(applied: u64, config: u64, served: &[usize], kept: &[(u64, usize)]) -> ShardProbe {
        let served = served.iter().copied().collect();
        ShardProbe { applied, config, served, kept: kept.iter().copied().collect() }
    }

    /// A configuration that gives these shards to group 7 and the others to group 8.
    fn config(num: u64, shards: &[usize]) -> Config {
        let mut config = Config { num, ..Config::default() };
        config.shards = [8; N_SHARDS];
        shards.iter().for_each(|&shard| config.shards[shard] = 7);
        config
    }

    #[test]
    fn a_migration_is_told_step_by_step() {
        let mut recorder = GroupRecorder::default();
        let mut told = |probe: ShardProbe, mine: &[usize]| {
            let change = recorder.change(7, &probe, || Some(config(probe.config, mine)));
            change.map(|change| change.to_string())
        };
        let first = told(probe(1, 1, &[], &[]), &[0, 1]).unwrap();
        assert_eq!(first, "config 1 [ww........] shards 0, 1: absent -> waiting");
        assert_eq!(told(probe(2, 1, &[], &[]), &[0, 1]), None, "an operation changes nothing");
        let arrived = told(probe(3, 1, &[0, 1], &[]), &[0, 1]).unwrap();
        assert_eq!(arrived, "config 1 [01........] shards 0, 1: waiting -> serving");
        assert_eq!(told(probe(1, 1, &[], &[]), &[0, 1]), None, "this server is behind");
        let lost = told(probe(4, 2, &[1], &[(2, 0)]), &[1, 2]).unwrap();
        assert_eq!(
            lost,
            "config 2 [h1w.......] shard 0: serving -> handing over; shard 2: absent -> waiting"
        );
        let deleted = told(probe(5, 2, &[1], &[]), &[1, 2]).unwrap();
        assert_eq!(deleted, "config 2 [.1w.......] shard 0: handing over -> absent");
        assert_eq!(told(probe(6, 3, &[1], &[]), &[1, 2]).unwrap(), "config 3 [.1w.......]");
    }

    #[test]
    fn the_configuration_is_asked_for_only_when_something_has_changed() {
        let mut recorder = GroupRecorder::default();
        let asked = Cell::new(0);
        for applied in 1..5 {
            recorder.change(7, &probe(applied, 1, &[3], &[]), || {
                asked.set(asked.get() + 1);
                None
            });
        }
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn a_report_says_what_a_group_does_with_which_shards() {
        let probe = probe(4, 2, &[1, 3], &[(2, 0)]);
        let owner = |shard| Some(if [1, 2, 3].contains(&shard) { 7 } else { 8 });
        assert_eq!(
            describe(7, &probe, owner),
            "group 7: config 2 [h1w3......]: serves shards 1, 3; waits for shard 2; hands over shard 0"
        );
        assert!(describe(9, &ShardProbe::default(), |_| None).ends_with(": has no shards"));
    }
}
