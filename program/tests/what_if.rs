//! What somebody does to a run from outside: it happens at its time, the run before it stays as it was, and a
//! file that says it gives the same run again.

use labraft::{HarnessEvent, Profile, Run, RunReport, Verdict, world_of};
use labrpc::{Act, Event, Node, RunSpec};

fn world(servers: usize, acts: &[&str]) -> RunReport {
    let acts: Vec<Act> = acts.iter().map(|act| act.parse().unwrap()).collect();
    let spec = RunSpec { acts, ..RunSpec::seed(1) };
    Run::new(world_of(servers).unwrap(), raft::REFERENCE, spec).record(true).run()
}

/// The servers that became leaders, with the times in seconds and the terms.
fn leaders(report: &RunReport) -> Vec<(usize, f64, u64)> {
    let mut leaders: Vec<(usize, f64, u64)> = Vec::new();
    for timed in &report.events {
        if let Some(HarnessEvent::State(state)) = HarnessEvent::of(timed)
            && state.role == labraft::Role::Leader
            && leaders.last().is_none_or(|last| last.2 != state.term)
        {
            let server = timed.node.as_server().unwrap();
            leaders.push((server, timed.at.as_secs_f64(), state.term));
        }
    }
    leaders
}

/// What the steps of the run say.
fn steps(report: &RunReport) -> Vec<&str> {
    let texts = report.events.iter().filter_map(|timed| match &timed.event {
        Event::Custom { kind, text, .. } if timed.node == Node::TESTER && kind == "test" => {
            Some(text.as_str())
        }
        _ => None,
    });
    texts.collect()
}

/// How many entries were applied by each server.
fn applied(report: &RunReport) -> Vec<usize> {
    let mut applied = vec![0; 5];
    for timed in &report.events {
        if let (Some(HarnessEvent::Applied { .. }), Some(server)) =
            (HarnessEvent::of(timed), timed.node.as_server())
        {
            applied[server] += 1;
        }
    }
    applied
}

/// A link that is cut in one direction carries nothing in it, neither requests nor replies; also if it was cut while
/// one of the servers was down.
#[test]
fn nothing_passes_a_cut_in_its_direction() {
    let (leader, ..) = leaders(&world(3, &[]))[0];
    let other = (leader + 1) % 3;
    let cut = format!("{other}->{leader}");
    let while_down = [
        format!("2s crash {other}"),
        format!("2.1s cut {cut}"),
        format!("2.2s restart {other}"),
        "4s wait".into(),
    ];
    for acts in [&[format!("2.2s cut {cut}"), "4s wait".into()][..], &while_down] {
        let acts: Vec<&str> = acts.iter().map(String::as_str).collect();
        let report = world(3, &acts);
        let answers = |from: f64, to: f64| {
            let is_one = |timed: &&labrpc::Timed| {
                let from_other = matches!(timed.event, Event::Answered { from, .. }
                    if from == Node::server(other));
                from_other
                    && timed.node == Node::server(leader)
                    && (from..to).contains(&timed.at.as_secs_f64())
            };
            report.events.iter().filter(is_one).count()
        };
        assert!(answers(1.0, 2.0) > 5, "{acts:?}");
        assert_eq!(answers(2.2, 4.0), 0, "{acts:?}");
        let heard = |timed: &&labrpc::Timed| {
            timed.node == Node::server(other)
                && timed.at.as_secs_f64() > 2.3
                && matches!(timed.event, Event::Delivered { from, .. } if from == Node::server(leader))
        };
        assert!(report.events.iter().filter(heard).count() > 5, "{acts:?}");
    }
}

#[test]
fn a_world_elects_a_leader_and_another_one_when_it_crashes() {
    let first = world(3, &[]);
    assert_eq!(first.verdict(), Verdict::Passed);
    let [(leader, at, term)] = leaders(&first)[..] else { panic!("{:?}", leaders(&first)) };
    let crashed = world(3, &[&format!("2s crash {leader}")]);
    let all = leaders(&crashed);
    assert_eq!(all[0], (leader, at, term), "what happens before the crash stays as it was");
    assert!(all[1].0 != leader && all[1].1 > 2.0 && all[1].2 > term, "{all:?}");
    let restarted =
        world(3, &[&format!("2s crash {leader}"), &format!("3s restart {leader}"), "6s wait"]);
    assert_eq!(restarted.verdict(), Verdict::Passed);
    let started = restarted.events.iter().filter_map(HarnessEvent::of);
    let started = started.filter(|event| matches!(event, HarnessEvent::Started { .. })).count();
    assert_eq!(started, 4);
}

#[test]
fn commands_are_applied_by_all_who_can_be_reached() {
    let (leader, ..) = leaders(&world(3, &[]))[0];
    let other = (leader + 1) % 3;
    let command = |at: &str, server: usize| format!("{at} command {server} x");
    let acts = [command("2s", leader), command("2.1s", other)];
    let all = world(3, &[&acts[0], &acts[1]]);
    assert_eq!(applied(&all), [1, 1, 1, 0, 0]);
    let refused = format!("server {other} does not lead, so it takes no command");
    assert!(steps(&all).contains(&&*refused), "{:?}", steps(&all));
    let third = (leader + 2) % 3;
    let part = format!("1.9s partition {leader} {third} | {other}");
    let reached = applied(&world(3, &[&part, &acts[0]]));
    assert_eq!((reached[leader], reached[third], reached[other]), (1, 1, 0));
}

#[test]
fn a_partition_holds_until_it_is_healed() {
    let (leader, _, term) = leaders(&world(5, &[]))[0];
    let others: Vec<usize> = (0..5).filter(|server| *server != leader).collect();
    let two = [leader, others[0]];
    let three = &others[1..];
    let words = |group: &[usize]| group.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    let part = format!("2s partition {} | {}", words(&two), words(three));
    let heal = format!("4s partition {} {}", words(&two), words(three));
    let report = world(5, &[&part, &heal, "6s wait"]);
    assert_eq!(report.verdict(), Verdict::Passed);
    let all = leaders(&report);
    assert!(three.contains(&all[1].0) && all[1].2 > term && all[1].1 < 4.0, "{all:?}");
    let links = report.events.iter().filter(|timed| {
        matches!(HarnessEvent::of(timed), Some(HarnessEvent::Links { .. }))
            && timed.at.as_secs() >= 2
    });
    let times: Vec<u64> = links.map(|timed| timed.at.as_secs()).collect();
    assert!(times.contains(&2) && times.last() == Some(&4), "{times:?}");
}

#[test]
fn what_cannot_be_done_is_said_in_the_run() {
    let report = world(3, &["1s crash 7", "1.1s crash 1", "1.2s crash 1", "1.3s pause 0 0.1s"]);
    let steps = steps(&report);
    assert!(steps.contains(&"what if: nothing happens, because there is no server 7"), "{steps:?}");
    assert!(steps.contains(&"what if: pause 0 0.1s"), "{steps:?}");
    let test = tests::SUITE.iter().find(|test| test.name == "BasicAgree2B").unwrap();
    let spec = RunSpec { acts: vec!["0.5s command 0 x".parse().unwrap()], ..RunSpec::seed(1) };
    let report = Run::new(test, raft::REFERENCE, spec).record(true).run();
    assert!(self::steps(&report).contains(&"this test takes no commands from outside"));
}

#[test]
fn a_kept_run_is_a_test() {
    let spec = |acts: &str| format!("{{\"seed\": 1, \"acts\": [{acts}]}}");
    let file = |acts: &str, more: &str| {
        format!(
            "{{\"format\": \"lab repro 2\", \"test\": \"InitialElection2A\", \"implementation\": \
             \"reference\", \"profile\": \"go\", \"spec\": {}, {more} \"fingerprint\": \"\", \
             \"build\": {}}}",
            spec(acts),
            serde_json::to_string(&tests::build()).unwrap()
        )
    };
    tests::kept(&file("", ""), &[raft::REFERENCE]).passes();
    // Two of three servers are down, so the test finds no leader.
    let down = "\"0.1s crash 0\", \"0.1s crash 1\"";
    let failing = tests::kept(&file(down, ""), &[raft::REFERENCE]);
    assert!(std::panic::catch_unwind(|| failing.passes()).is_err());
    assert!(
        std::panic::catch_unwind(|| failing.fails_as_kept()).is_err(),
        "it passed when it was kept"
    );
}

#[test]
fn an_act_changes_no_random_decision_that_is_made_for_others() {
    let test = tests::SUITE.iter().find(|test| test.name == "Backup2B").unwrap();
    let run = |acts: Vec<Act>| {
        let spec = RunSpec { acts, ..RunSpec::seed(2) };
        Run::new(test, raft::REFERENCE, spec).profile(Profile::Go).record_all_choices(true).run()
    };
    let plain = run(Vec::new());
    // A link that is open is opened: the act happens, and does nothing.
    let acted = run(vec!["0.3s heal 0->1".parse().unwrap()]);
    let others = |report: &RunReport| -> Vec<_> {
        let chosen =
            report.choices.iter().filter(|taken| taken.address.from != Node::OUTSIDE.raw());
        chosen.map(|taken| (taken.at, taken.address, taken.value)).collect()
    };
    assert!(others(&plain) == others(&acted));
    assert_ne!(plain.fingerprint, acted.fingerprint, "the act itself is part of the run");
}
