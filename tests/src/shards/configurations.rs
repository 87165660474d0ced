//! What must hold for the configurations of a shard controller, wherever they are seen.

use std::collections::BTreeMap;

use labraft::{Property, Violation};
use shardctrler::{Config, N_SHARDS};

/// What has been seen in a run of the configurations of one controller service.
#[derive(Default)]
pub(crate) struct Configurations {
    /// The configurations that anybody has seen, by number.
    seen: BTreeMap<u64, Config>,
    /// How many changes clients have asked for: Joins, Leaves and Moves.
    changes: u64,
}

/// A question for a configuration.
#[derive(Copy, Clone)]
pub(crate) struct Question {
    /// The number that was asked for; `None` for the latest.
    pub(crate) num: Option<u64>,
    /// The number of the latest configuration that anybody had seen when the question was put.
    pub(crate) latest: u64,
}

impl Configurations {
    /// A client is about to ask for a Join, a Leave or a Move.
    pub(crate) fn ask_for_change(&mut self) {
        self.changes += 1;
    }

    /// A client is about to ask for the configuration of this number, or for the latest.
    pub(crate) fn ask(&self, num: Option<u64>) -> Question {
        Question { num, latest: self.latest() }
    }

    /// The number of the latest configuration that anybody has seen.
    pub(crate) fn latest(&self) -> u64 {
        self.seen.last_key_value().map_or(0, |(&num, _)| num)
    }

    /// Adds a configuration that the client `who` was told.
    ///
    /// # Errors
    /// If it is not what was asked for, or if it cannot be, as in [`add`](Self::add).
    pub(crate) fn add_answer(
        &mut self,
        who: &str,
        Question { num, latest }: Question,
        config: &Config,
    ) -> Result<(), Violation> {
        let told = config.num;
        // A number that there is not yet stands for the latest.
        let wrong = match num {
            Some(num) if num <= latest => {
                (told != num).then(|| format!("{who} asked for configuration {num} and was told {told}"))
            }
            _ => (told < latest).then(|| {
                format!(
                    "{who} asked for the latest configuration and was told {told}, although there was \
                     a configuration {latest} before it asked"
                )
            }),
        };
        wrong.map_or(Ok(()), |what| Err(violation(Property::Linearizability, what)))?;
        self.add(who, config)
    }

    /// Adds a configuration that `who` has seen.
    ///
    /// # Errors
    /// If another one with its number was seen before, if it does not follow from the one before it, or if
    /// there are more than changes that were asked for.
    pub(crate) fn add(&mut self, who: &str, config: &Config) -> Result<(), Violation> {
        if let Some(known) = self.seen.get(&config.num) {
            if known == config {
                return Ok(());
            }
            let num = config.num;
            let what = format!("{who} has configuration {num} as {config:?}, which was {known:?}");
            return Err(violation(Property::ConfigurationSame, what));
        }
        let Config { num, .. } = *config;
        self.seen.insert(num, config.clone());
        if num > self.changes {
            let what = format!(
                "{who} has configuration {num}, and clients have asked for no more changes than {}: one \
                 of them was made more than once",
                self.changes
            );
            return Err(violation(Property::Linearizability, what));
        }
        let neighbours = [config.num.checked_sub(1), Some(config.num)];
        for first in neighbours.into_iter().flatten() {
            if let (Some(before), Some(after)) =
                (self.seen.get(&first), self.seen.get(&(first + 1)))
            {
                check_step(before, after)
                    .map_err(|what| violation(Property::MinimalMoves, what))?;
            }
        }
        Ok(())
    }

    /// The configuration of this number, if it has been seen.
    pub(crate) fn get(&self, num: u64) -> Option<&Config> {
        self.seen.get(&num)
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

    /// Nothing has been seen, and clients have asked for many changes.
    fn unseen() -> Configurations {
        Configurations { changes: 100, ..Configurations::default() }
    }

    fn broken(steps: [Config; 2]) -> (Property, String) {
        let mut seen = unseen();
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
        let mut seen = unseen();
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

    #[test]
    fn a_change_that_is_made_twice_is_found() {
        let mut seen = Configurations::default();
        seen.ask_for_change();
        assert_eq!(seen.add("a controller", &config(1, &[1], [1; 10])), Ok(()));
        let again = seen.add("a controller", &config(2, &[1], [1; 10])).unwrap_err();
        assert_eq!(again.property, Property::Linearizability);
        assert!(again.evidence.contains("no more changes than 1:"), "{again}");
    }

    #[test]
    fn an_answer_that_is_out_of_date_or_not_to_the_question_is_found() {
        let mut seen = unseen();
        let configs =
            [config(1, &[1], [1; 10]), config(2, &[1], [1; 10]), config(3, &[1], [1; 10])];
        let mut answer = |question: Question, config: &Config| {
            seen.add_answer("client 7", question, config).map_err(|broken| broken.evidence)
        };
        for (num, latest, told) in [
            (None, 0, 0),
            (None, 1, 2),
            (Some(1), 2, 0),
            // There was none of this number when it was asked for: either it has come, or it stands for the latest.
            (Some(3), 2, 1),
            (Some(3), 2, 2),
        ] {
            let told = &configs[told];
            assert_eq!(answer(Question { num, latest }, told), Ok(()), "{num:?} {latest} {told:?}");
        }
        let stale = answer(Question { num: None, latest: 3 }, &configs[1]).unwrap_err();
        assert!(stale.contains("was told 2, although there was a configuration 3"), "{stale}");
        let stale = answer(Question { num: Some(4), latest: 3 }, &configs[0]).unwrap_err();
        assert!(stale.contains("was told 1"), "{stale}");
        let other = answer(Question { num: Some(1), latest: 3 }, &configs[2]).unwrap_err();
        assert!(other.contains("asked for configuration 1 and was told 3"), "{other}");
    }
}
