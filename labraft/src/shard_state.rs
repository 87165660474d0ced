//! What a group of lab 4 does with its shards, and how people read it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a group does with a shard.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// It has nothing to do with it.
    #[default]
    Absent,
    /// Its configuration gives it the shard, which has not arrived yet.
    Waiting,
    /// It executes operations on it.
    Serving,
    /// It keeps the shard for its new owner, which does not have it yet as far as this group knows.
    HandingOver,
}

/// A change of a group: its configuration, or what it does with its shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChange {
    /// The number of the group.
    pub group: u64,
    /// The number of the configuration that the group is in now.
    pub config: u64,
    /// What the group did with each shard before.
    pub before: Vec<ShardState>,
    /// What it does with each shard now.
    pub now: Vec<ShardState>,
}

impl ShardState {
    /// The state as one character in a row of all shards; a shard that is served shows its number.
    fn sign(self, shard: usize) -> char {
        match self {
            ShardState::Absent => '.',
            ShardState::Waiting => 'w',
            ShardState::Serving => char::from(b'0' + (shard % 10) as u8),
            ShardState::HandingOver => 'h',
        }
    }
}

/// Shows the state of all shards in a row: `[01w...h.8.]` is a group that serves shards 0, 1 and 8, waits for
/// shard 2 and hands over shard 6.
pub fn shard_row(states: &[ShardState]) -> String {
    let signs = states.iter().enumerate().map(|(shard, state)| state.sign(shard));
    format!("[{}]", signs.collect::<String>())
}

impl GroupChange {
    /// The shards whose state has changed, with the state before and the state now.
    pub fn changes(&self) -> impl Iterator<Item = (usize, ShardState, ShardState)> {
        let states = self.before.iter().zip(&self.now).enumerate();
        states.filter(|(_, (before, now))| before != now).map(|(shard, (a, b))| (shard, *a, *b))
    }
}

/// Lists shards, as in `shard 3` or `shards 0-4, 7, 8`.
pub fn shard_list(shards: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &shard in shards {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == shard => *last = shard,
            _ => runs.push((shard, shard)),
        }
    }
    let told = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    });
    let plural = if shards.len() > 1 { "s" } else { "" };
    format!("shard{plural} {}", told.collect::<Vec<_>>().join(", "))
}

/// As in `config 5 [01w...h.8.] shard 2: absent -> waiting; shards 6, 7: serving -> handing over`.
impl fmt::Display for GroupChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "config {} {}", self.config, shard_row(&self.now))?;
        let mut told: Vec<(ShardState, ShardState, Vec<usize>)> = Vec::new();
        for (shard, before, now) in self.changes() {
            match told.iter_mut().find(|(a, b, _)| (*a, *b) == (before, now)) {
                Some((_, _, shards)) => shards.push(shard),
                None => told.push((before, now, vec![shard])),
            }
        }
        for (place, (before, now, shards)) in told.iter().enumerate() {
            let pause = if place == 0 { " " } else { "; " };
            write!(f, "{pause}{}: {before} -> {now}", shard_list(shards))?;
        }
        Ok(())
    }
}

impl fmt::Display for ShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShardState::Absent => "absent",
            ShardState::Waiting => "waiting",
            ShardState::Serving => "serving",
            ShardState::HandingOver => "handing over",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_the_shards_that_changed_together_once() {
        use ShardState::{Absent, HandingOver, Serving, Waiting};
        let change = GroupChange {
            group: 101,
            config: 5,
            before: vec![Serving, Absent, Serving, Serving, Absent],
            now: vec![Serving, Waiting, HandingOver, HandingOver, Absent],
        };
        assert_eq!(
            change.to_string(),
            "config 5 [0whh.] shard 1: absent -> waiting; shards 2, 3: serving -> handing over"
        );
        assert_eq!(shard_list(&[0, 1, 2, 4, 5, 8]), "shards 0-2, 4, 5, 8");
        assert_eq!(shard_list(&[7]), "shard 7");
        let same = GroupChange { config: 6, before: change.now.clone(), ..change };
        assert_eq!(same.to_string(), "config 6 [0whh.]");
    }
}
