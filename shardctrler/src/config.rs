// BEGIN SOLUTION 4A
//stub: //! One configuration: who has which shard. Begin here.
//stub:
//! A configuration: which group has which shard. And how the next one follows from it.

use std::cmp::Reverse;
// END SOLUTION
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The number of shards, as in the course.
pub const N_SHARDS: usize = 10;

/// Which group of servers has which shard, from one change to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The number of the configuration. They are counted from 0, which has no groups.
    pub num: u64,
    /// For each shard the group that has it; 0 stands for none.
    pub shards: [u64; N_SHARDS],
    /// The names of the servers of each group.
    pub groups: BTreeMap<u64, Vec<String>>,
}

// BEGIN SOLUTION 4A
//stub: // 4A: the configuration that follows from this one by a Join, a Leave or a Move. All servers must make the
//stub: // same one.
impl Config {
    /// The next configuration, with these groups added, and the shards divided evenly. A group that is there
    /// already gets the new servers.
    pub fn with_groups(&self, joined: BTreeMap<u64, Vec<String>>) -> Config {
        let mut next = self.next();
        next.groups.extend(joined);
        next.balance();
        next
    }

    /// The next configuration, without these groups, and their shards divided evenly among the others.
    pub fn without_groups(&self, left: &[u64]) -> Config {
        let mut next = self.next();
        next.groups.retain(|gid, _| !left.contains(gid));
        next.balance();
        next
    }

    /// The next configuration, in which this group has this shard; `None` if there is no such group or shard.
    pub fn with_moved(&self, shard: usize, gid: u64) -> Option<Config> {
        let mut next = self.next();
        next.groups.contains_key(&gid).then_some(())?;
        *next.shards.get_mut(shard)? = gid;
        Some(next)
    }

    fn next(&self) -> Config {
        Config { num: self.num + 1, ..self.clone() }
    }

    /// Gives every group its target number of shards, and moves as few as possible for that.
    fn balance(&mut self) {
        let targets = self.targets();
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for owner in &mut self.shards {
            let target = targets.get(owner).copied().unwrap_or(0);
            let count = counts.entry(*owner).or_default();
            if *count < target {
                *count += 1;
            } else {
                *owner = 0;
            }
        }
        let lacking = targets.iter().flat_map(|(&gid, &target)| {
            let has = counts.get(&gid).copied().unwrap_or(0);
            std::iter::repeat_n(gid, target - has)
        });
        let free = self.shards.iter_mut().filter(|owner| **owner == 0);
        free.zip(lacking).for_each(|(owner, gid)| *owner = gid);
    }

    /// How many shards each group is to have. They differ by one at most, and the groups that have most now are
    /// to have the larger numbers, so that they keep what they have.
    fn targets(&self) -> BTreeMap<u64, usize> {
        let count = |gid: u64| self.shards.iter().filter(|&&owner| owner == gid).count();
        let mut gids: Vec<u64> = self.groups.keys().copied().collect();
        gids.sort_by_key(|&gid| (Reverse(count(gid)), gid));
        let all = gids.len();
        let target = |place| N_SHARDS / all + usize::from(place < N_SHARDS % all);
        gids.into_iter().enumerate().map(|(place, gid)| (gid, target(place))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(gids: impl IntoIterator<Item = u64>) -> BTreeMap<u64, Vec<String>> {
        gids.into_iter().map(|gid| (gid, vec![format!("{gid}/0")])).collect()
    }

    fn of(shards: [u64; N_SHARDS], gids: impl IntoIterator<Item = u64>) -> Config {
        Config { num: 7, shards, groups: groups(gids) }
    }

    #[test]
    fn the_first_group_gets_everything_and_the_last_one_leaves_everything() {
        let one = Config::default().with_groups(groups([5]));
        assert_eq!((one.num, one.shards), (1, [5; N_SHARDS]));
        let none = one.without_groups(&[5]);
        assert_eq!((none.num, none.shards, none.groups.len()), (2, [0; N_SHARDS], 0));
    }

    #[test]
    fn a_join_takes_only_what_the_new_groups_are_to_have() {
        let two = of([1; N_SHARDS], [1]).with_groups(groups([2]));
        assert_eq!(two.shards, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        let three = two.with_groups(groups([3]));
        assert_eq!(three.shards, [1, 1, 1, 1, 3, 2, 2, 2, 3, 3]);
    }

    #[test]
    fn a_leave_moves_only_the_shards_of_those_that_leave() {
        let left = of([1, 1, 1, 1, 3, 2, 2, 2, 3, 3], [1, 2, 3]).without_groups(&[1]);
        assert_eq!(left.shards, [2, 2, 3, 3, 3, 2, 2, 2, 3, 3]);
    }

    #[test]
    fn groups_beyond_the_number_of_shards_have_none_and_take_none_away() {
        let shards = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        let more = of(shards, 1..=10).with_groups(groups([11, 12]));
        assert_eq!(more.shards, shards);
        let fewer = more.without_groups(&[1]);
        assert_eq!(fewer.shards, [11, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn a_move_is_undone_by_the_next_join_or_leave() {
        let moved = of([1, 1, 1, 1, 1, 2, 2, 2, 2, 2], [1, 2]).with_moved(0, 2).unwrap();
        assert_eq!(moved.shards, [2, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        assert_eq!(moved.without_groups(&[9]).shards, [2, 1, 1, 1, 1, 2, 2, 2, 2, 1]);
        assert_eq!((moved.with_moved(0, 9), moved.with_moved(N_SHARDS, 1)), (None, None));
    }
}
// END SOLUTION
