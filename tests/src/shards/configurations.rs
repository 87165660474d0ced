//! What must hold for the configurations of a shard controller, wherever they are seen.

use std::collections::BTreeMap;

use labraft::{Property, Violation};
use shardctrler::{Config, N_SHARDS};

/// The configurations that anybody has seen in a run, by number.
#[derive(Default)]
pub(crate) struct Configurations(BTreeMap<u64, Config>);

impl Configurations {
    /// Adds a configuration that `who` has seen.
    ///
    /// # Errors
    /// If another one with its number was seen before, or if it does not follow from the one before it.
    pub(crate) fn add(&mut self, who: &str, config: &Config) -> Result<(), Violation> {
        if let Some(known) = self.0.get(&config.num) {
            if known == config {
                return Ok(());
            }
            let num = config.num;
            let what = format!("{who} has configuration {num} as {config:?}, which was {known:?}");
            return Err(violation(Property::ConfigurationSame, what));
        }
        self.0.insert(config.num, config.clone());
        let neighbours = [config.num.checked_sub(1), Some(config.num)];
        for first in neighbours.into_iter().flatten() {
            if let (Some(before), Some(after)) = (self.0.get(&first), self.0.get(&(first + 1))) {
                check_step(before, after)
                    .map_err(|what| violation(Property::MinimalMoves, what))?;
            }
        }
        Ok(())
    }

    /// The configuration of this number, if it has been seen.
    pub(crate) fn get(&self, num: u64) -> Option<&Config> {
        self.0.get(&num)
    }

    /// The group that a configuration gives a shard to, if it has been seen.
    pub(crate) fn owner(&self, num: u64, shard: usize) -> Option<u64> {
        self.get(num)?.shards.get(shard).copied()
    }
}

/// A violation that names no servers.
pub(crate) fn violation(property: Property, evidence: String) -> Violation {
    Violation { property, servers: Vec::new(), evidence }
}

/// Checks that a configuration follows from the one before it: by a Move, if the groups are the same, or by a Join
/// or a Leave. These divide the shards anew even if they name groups that are there, or are gone, already.
fn check_step(before: &Config, after: &Config) -> Result<(), String> {
    let moved: Vec<usize> =
        (0..N_SHARDS).filter(|&shard| before.shards[shard] != after.shards[shard]).collect();
    let shown = || {
        let Config { num, shards, .. } = after;
        format!("configuration {num} gives the shards to {shards:?}, before: {:?}", before.shards)
    };
    if moved.len() <= 1 && before.groups.keys().eq(after.groups.keys()) {
        return Ok(());
    }
    let owners = |shard: &u64| after.groups.contains_key(shard);
    let is_owned = match after.groups.is_empty() {
        true => after.shards == [0; N_SHARDS],
        false => after.shards.iter().all(owners),
    };
    if !is_owned {
        let gids: Vec<&u64> = after.groups.keys().collect();
        return Err(format!("{}; its groups are {gids:?}", shown()));
    }
    let counts: Vec<usize> = after.groups.keys().map(|&gid| count(after, gid)).collect();
    if let (Some(most), Some(least)) = (counts.iter().max(), counts.iter().min())
        && most - least > 1
    {
        return Err(format!("{}; one group has {most}, another {least}", shown()));
    }
    let least = least_moves(before, after);
    if moved.len() > least {
        return Err(format!("{}; {} have moved, and {least} would do", shown(), moved.len()));
    }
    Ok(())
}

/// The number of shards that have to move so that the groups of `after` have shares that differ by one at
/// most: all but those that can stay. The larger shares go to the groups that have most.
fn least_moves(before: &Config, after: &Config) -> usize {
    let mut had: Vec<usize> = after.groups.keys().map(|&gid| count(before, gid)).collect();
    had.sort_unstable_by(|a, b| b.cmp(a));
    let groups = had.len();
    let share = |place: usize| N_SHARDS / groups + usize::from(place < N_SHARDS % groups);
    let stay: usize = had.iter().enumerate().map(|(place, &had)| had.min(share(place))).sum();
    match groups {
        0 => before.shards.iter().filter(|&&owner| owner != 0).count(),
        _ => N_SHARDS - stay,
    }
}

fn count(config: &Config, gid: u64) -> usize {
    config.shards.iter().filter(|&&owner| owner == gid).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(num: u64, gids: &[u64], shards: [u64; N_SHARDS]) -> Config {
        let groups = gids.iter().map(|&gid| (gid, vec![format!("{gid}/0")])).collect();
        Config { num, shards, groups }
    }

    fn broken(steps: [Config; 2]) -> (Property, String) {
        let mut seen = Configurations::default();
        let checked = steps.iter().try_for_each(|config| seen.add("somebody", config));
        let violation = checked.expect_err("the second does not follow from the first");
        (violation.property, violation.evidence)
    }

    #[test]
    fn each_step_moves_as_few_shards_as_it_must() {
        let two = [1, 1, 1, 1, 1, 2, 2, 2, 2, 2];
        let steps = [
            config(0, &[], [0; 10]),
            config(1, &[1], [1; 10]),
            config(2, &[1, 2], two),
            config(3, &[1, 2], [2, 1, 1, 1, 1, 2, 2, 2, 2, 2]),
            config(4, &[1, 2], [2, 2, 1, 1, 1, 2, 2, 2, 2, 2]),
            // A Join of group 2, which is there already, after two Moves.
            config(5, &[1, 2], two),
            config(6, &[1, 2, 3], [3, 1, 1, 1, 1, 3, 3, 2, 2, 2]),
            config(7, &[3], [3; 10]),
            config(8, &[], [0; 10]),
        ];
        let mut seen = Configurations::default();
        // In any order, and seen again.
        for config in steps.iter().rev().chain(&steps) {
            assert_eq!(seen.add("somebody", config), Ok(()), "{config:?}");
        }
    }

    #[test]
    fn a_step_that_moves_more_is_found() {
        let before = config(7, &[1, 2], [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        for (after, hint) in [
            // Shuffled.
            (
                config(8, &[1, 2, 3], [2, 2, 2, 3, 3, 3, 1, 1, 1, 1]),
                "10 have moved, and 3 would do",
            ),
            // One too many.
            (config(8, &[1, 2, 3], [3, 1, 1, 2, 1, 3, 3, 2, 2, 1]), "5 have moved, and 3 would do"),
            (config(8, &[1, 2, 3], [3, 1, 1, 1, 1, 2, 2, 2, 2, 2]), "one group has 5, another 1"),
            (config(8, &[2], [1, 2, 2, 2, 2, 2, 2, 2, 2, 2]), "its groups are [2]"),
            (config(8, &[], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]), "its groups are []"),
            // Two Moves at once.
            (config(8, &[1, 2], [2, 2, 1, 1, 1, 2, 2, 2, 2, 2]), "one group has 7, another 3"),
            (config(8, &[1, 2], [2, 1, 1, 1, 1, 1, 2, 2, 2, 2]), "2 have moved, and 0 would do"),
        ] {
            let (property, evidence) = broken([before.clone(), after]);
            assert_eq!(property, Property::MinimalMoves, "{evidence}");
            assert!(evidence.contains(hint), "{evidence}");
        }
    }

    #[test]
    fn two_configurations_of_one_number_are_found() {
        let one = config(7, &[1], [1; 10]);
        let mut other = one.clone();
        other.groups.insert(1, vec!["1/1".into()]);
        let (property, evidence) = broken([one, other]);
        assert_eq!(property, Property::ConfigurationSame);
        assert!(evidence.contains("somebody has configuration 7"), "{evidence}");
    }
}
