// SOLUTION FILE
//! The replicated state: every configuration that there has been.

use std::collections::BTreeMap;

use kvraft::StateMachine;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::message::{Action, Answer, Operation};

/// All configurations up to some index of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// By number.
    configs: Vec<Config>,
    /// For each clerk the number of the last change that it made.
    last_changes: BTreeMap<u64, u64>,
}

impl Default for History {
    fn default() -> History {
        let configs = vec![Config::default()];
        History { configs, last_changes: BTreeMap::new() }
    }
}

impl History {
    /// The latest configuration.
    pub fn latest(&self) -> &Config {
        self.configs.last().expect("configuration 0 is always there")
    }

    /// The configuration of this number, if it has been made.
    pub fn get(&self, num: u64) -> Option<&Config> {
        self.configs.get(usize::try_from(num).ok()?)
    }

    /// The answer to a Query: the configuration of this number, or the latest one if there is none yet.
    pub(crate) fn query(&self, num: Option<u64>) -> &Config {
        num.and_then(|num| self.get(num)).unwrap_or(self.latest())
    }

    /// Adds the configuration to which a change leads, if it leads to one.
    fn change(&mut self, action: Action) {
        let latest = self.latest();
        let next = match action {
            Action::Join { groups } => Some(latest.with_groups(groups)),
            Action::Leave { gids } => Some(latest.without_groups(&gids)),
            Action::Move { shard, gid } => latest.with_moved(shard, gid),
            Action::Query { .. } => None,
        };
        self.configs.extend(next);
    }
}

impl StateMachine for History {
    type Command = Operation;
    type Answer = Answer;

    fn apply(&mut self, _: u64, Operation { id, action }: Operation) -> Answer {
        if let Action::Query { num } = action {
            return Answer::Config(self.query(num).clone());
        }
        let last = self.last_changes.entry(id.clerk).or_default();
        // Another copy of it may have been applied before.
        if id.number > *last {
            *last = id.number;
            self.change(action);
        }
        Answer::Changed
    }
}

#[cfg(test)]
mod tests {
    use kvraft::message::OperationId;

    use super::*;

    fn apply(history: &mut History, clerk: u64, number: u64, action: Action) -> Answer {
        let operation = Operation { id: OperationId { clerk, number }, action };
        history.apply(1, operation)
    }

    fn join(gid: u64) -> Action {
        Action::Join { groups: BTreeMap::from([(gid, vec![format!("{gid}/0")])]) }
    }

    fn query(history: &mut History, num: Option<u64>) -> Config {
        match apply(history, 9, 0, Action::Query { num }) {
            Answer::Config(config) => config,
            Answer::Changed => panic!("a query changes nothing"),
        }
    }

    #[test]
    fn a_change_makes_one_configuration_however_often_it_is_in_the_log() {
        let mut history = History::default();
        for (number, gid) in [(1, 1), (1, 1), (2, 2), (1, 1)] {
            assert_eq!(apply(&mut history, 7, number, join(gid)), Answer::Changed);
        }
        apply(&mut history, 8, 1, join(3));
        assert_eq!(history.latest().num, 3);
    }

    #[test]
    fn every_configuration_can_be_asked_for_and_the_latest_stands_for_those_to_come() {
        let mut history = History::default();
        apply(&mut history, 7, 1, join(1));
        apply(&mut history, 7, 2, Action::Move { shard: 3, gid: 2 });
        apply(&mut history, 7, 3, join(2));
        assert_eq!(query(&mut history, Some(0)), Config::default());
        assert_eq!(query(&mut history, Some(1)).shards, [1; 10]);
        for num in [None, Some(2), Some(3), Some(u64::MAX)] {
            assert_eq!(query(&mut history, num).num, 2, "nobody has joined as group 2 before");
        }
    }
}
