//! What the groups of lab 4 do with their shards, at a given time of a recorded run.

use std::collections::BTreeMap;
use std::time::Duration;

use labrpc::{Node, Timed};

use super::words::seconds;
use labraft::{EventKind, GroupChange, HarnessEvent, shard_row};

/// Describes what every group of lab 4 does with its shards at a virtual time, one line each.
pub fn shards_at(events: &[Timed], at: Duration) -> Vec<String> {
    let mut groups: BTreeMap<u64, String> = BTreeMap::new();
    for (_, _, change) in shard_changes(events, at) {
        let GroupChange { group, config, now, .. } = change;
        groups.insert(group, format!("group {group}: config {config} {}", shard_row(&now)));
    }
    groups.into_values().collect()
}

/// The last `most` changes in what groups do with their shards, up to a virtual time, one line each.
pub fn last_shard_changes(events: &[Timed], at: Duration, most: usize) -> Vec<String> {
    let names = HarnessEvent::names_in(events);
    let told = shard_changes(events, at)
        .map(|(at, node, change)| format!("{}  {:<6}  {change}", seconds(at), names.node(node)));
    let mut told: Vec<String> = told.collect();
    told.drain(..told.len().saturating_sub(most));
    told
}

/// The changes in what groups do with their shards, up to a virtual time.
fn shard_changes(
    events: &[Timed],
    at: Duration,
) -> impl Iterator<Item = (Duration, Node, GroupChange)> {
    let until = events.iter().take_while(move |timed| timed.at <= at);
    // Reading an event is slow, and few are of this kind.
    let changes = until.filter(|timed| EventKind::of(&timed.event) == EventKind::Shard);
    changes.filter_map(|timed| match HarnessEvent::of(timed) {
        Some(HarnessEvent::Shards(change)) => Some((timed.at, timed.node, change)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use labraft::ShardState;

    use super::*;

    #[test]
    fn the_state_of_shards_is_what_their_group_told_last() {
        let change = |config, now| {
            HarnessEvent::Shards(GroupChange {
                group: 101,
                config,
                before: vec![ShardState::Absent; 2],
                now,
            })
        };
        let cluster = HarnessEvent::Cluster {
            servers: 3,
            first: 0,
            name: "group 101".into(),
            short: "101".into(),
        };
        let facts = [
            (Node::TESTER, cluster),
            (Node::server(1), change(1, vec![ShardState::Waiting; 2])),
            (Node::server(2), change(2, vec![ShardState::Serving, ShardState::Absent])),
        ];
        let timed = |(second, (node, fact)): (u64, (Node, HarnessEvent))| Timed {
            at: Duration::from_secs(second),
            node,
            event: fact.event(),
        };
        let events: Vec<Timed> = (0..).zip(facts).map(timed).collect();
        assert_eq!(shards_at(&events, Duration::from_secs(1)), ["group 101: config 1 [ww]"]);
        assert_eq!(shards_at(&events, Duration::MAX), ["group 101: config 2 [0.]"]);
        let last = last_shard_changes(&events, Duration::MAX, 1);
        assert_eq!(last, ["   2.000000  101/2   config 2 [0.] shard 0: absent -> serving"]);
        assert_eq!(last_shard_changes(&events, Duration::ZERO, 9), [""; 0]);
    }
}
