//! Tests: how the views show a run of several clusters.

use std::time::Duration;

use labraft::{GroupChange, HarnessEvent, Role, ServerState, ShardState};
use labrpc::{Event, Node, Timed};
use serde_json::Value;

use super::samples::answer_of;
use super::{Columns, Filter, columns, page_data, perfetto, servers_at, shiviz};
use crate::workers::Answer;

/// A run of two clusters of three servers, of which the first server of the second one leads, asks for a vote, and
/// tells what its group does with its shards.
fn answer() -> Answer {
    let cluster = |first: usize, name: &str, short: &str| HarnessEvent::Cluster {
        servers: first + 3,
        first,
        name: name.into(),
        short: short.into(),
    };
    let (leader, tester) = (Node::server(3), Node::TESTER);
    let state = ServerState { term: 2, role: Role::Leader, ..ServerState::default() };
    let change = GroupChange {
        group: 101,
        config: 5,
        before: vec![ShardState::Serving, ShardState::Waiting],
        now: vec![ShardState::Serving; 2],
    };
    let asked = Event::Sent {
        call: 1,
        to: Node::server(4),
        method: "Raft.RequestVote".into(),
        bytes: 1,
        content: "Args { term: 2 }".into(),
    };
    let rows = [
        (tester, cluster(0, "controllers", "ctrl").event()),
        (tester, cluster(3, "group 101", "101").event()),
        (tester, HarnessEvent::Started { server: 3 }.event()),
        (leader, asked),
        (leader, HarnessEvent::State(state).event()),
        (leader, HarnessEvent::Shards(change).event()),
    ];
    let timed = |(i, (node, event))| Timed { at: Duration::from_micros(i), node, event };
    answer_of((0..).zip(rows).map(timed).collect())
}

/// The log of the run, as far as the filter lets it through.
fn log(filter: Filter) -> String {
    let mut log = Vec::new();
    let how = Columns { filter, width: 0, colours: false };
    columns(&answer(), &how, &mut log).unwrap();
    String::from_utf8(log).unwrap()
}

#[test]
fn a_line_of_the_log_has_the_name_of_its_server_and_the_columns_of_its_cluster() {
    let log = log(Filter::default());
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "       time  server  /0    /1    /2");
    assert_eq!(lines[1], "   0.000000  == controllers: ctrl/0 to ctrl/2");
    for (line, words) in [
        (4, "   0.000003  101/0   ?     --    --    -> 101/1: RequestVote #1 term=2"),
        (5, "   0.000004  101/0   L2    --    --    leader of term 2"),
        (6, "   0.000005  101/0   L2    --    --    config 5 [01] shard 1: waiting -> serving"),
    ] {
        assert_eq!(lines[line], words);
    }
}

#[test]
fn changes_of_shards_are_a_kind_of_their_own() {
    let kinds = ["shard".parse().unwrap()].into();
    let log = log(Filter { kinds, ..Filter::default() });
    let events: Vec<&str> = log.lines().filter(|line| line.contains("101/0")).collect();
    assert_eq!(events.len(), 1, "{log}");
    assert!(events[0].ends_with("shard 1: waiting -> serving"), "{log}");
}

#[test]
fn the_page_is_given_the_names_of_servers_and_the_states_of_shards() {
    let data: Value = serde_json::from_slice(&page_data(&answer(), "", &[], 0)).unwrap();
    let names = ["ctrl/0", "ctrl/1", "ctrl/2", "101/0", "101/1", "101/2"];
    assert_eq!(data["names"], serde_json::json!(names));
    assert_eq!(data["nodes"], serde_json::json!(["tester", "101/0", "101/1"]));
    assert_eq!(data["servers"], serde_json::json!([-1, 3, 4]));
    let facts = data["facts"].as_array().unwrap();
    let shards = &facts.last().unwrap()[1];
    assert_eq!((&shards["fact"], &shards["group"]), (&"shards".into(), &101.into()));
    assert_eq!(shards["before"], serde_json::json!(["serving", "waiting"]));
}

#[test]
fn other_views_call_servers_by_their_names() {
    let answer = answer();
    let [line] = &servers_at(&answer.events, Duration::MAX)[..] else { panic!("one has started") };
    assert!(line.starts_with("101/0: leader of term 2"), "{line}");
    let trace = perfetto(&answer);
    assert!(trace.contains("Raft.RequestVote to 101/1"), "{trace}");
    assert!(trace.contains(r#"{"name":"101/0"}"#), "{trace}");
    assert!(!trace.contains("cut 0 to 3"), "there are no links between clusters");
    let log = shiviz(&answer, &Filter::default(), 100);
    assert!(log.contains("\n101/0 {"), "{log}");
}
