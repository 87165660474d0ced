//! Tests of the reports for several situations.

use super::*;
use crate::raft::FollowerProbe;
use crate::server_names::Places;

const SECOND: Duration = Duration::from_secs(1);

fn probe(role: Role, term: u64, last_index: u64) -> Probe {
    Probe {
        term,
        role,
        voted_for: None,
        first_index: 1,
        last_index,
        commit_index: 1,
        last_applied: 1,
        lowest_written: None,
        followers: Vec::new(),
    }
}

fn view(probe: Option<&Probe>, last_term: u64) -> View<'_> {
    View { is_running: true, probe, last_term: Some(last_term) }
}

fn all(_: usize, _: usize) -> bool {
    true
}

#[track_caller]
fn says(lines: &[String], words: &str) {
    assert!(lines.iter().any(|line| line.contains(words)), "{words:?} is not in {lines:#?}");
}

#[test]
fn elections_since_the_last_commit_are_told_by_what_came_of_them() {
    let mut situation = Situation::new(3);
    let mut role = |at, server, role, term| {
        situation.elections.role_changed(at * SECOND, server, role, term);
    };
    // Before the commit, so left out.
    role(0, 0, Role::Candidate, 1);
    role(0, 0, Role::Leader, 1);
    role(3, 0, Role::Candidate, 2);
    role(3, 1, Role::Candidate, 2);
    role(4, 0, Role::Candidate, 3);
    role(5, 2, Role::Candidate, 4);
    role(5, 2, Role::Leader, 4);
    let committed = Probe { commit_index: 7, ..probe(Role::Follower, 1, 9) };
    situation.server_changed(2 * SECOND, 0, Some(&committed), &committed);
    situation.server_changed(4 * SECOND, 1, Some(&committed), &committed);
    let probes: Vec<Probe> = (0..3).map(|_| probe(Role::Follower, 4, 9)).collect();
    let views: Vec<View<'_>> = probes.iter().map(|probe| view(Some(probe), 1)).collect();
    let lines = situation.lines(12 * SECOND, &views, &all, &Places::default());
    says(&lines, "no commit for 10.0 s: the last one was of entry 7, at 2.000 s");
    says(
        &lines,
        "in the last 10.0 s, terms 2 to 4: 4 candidacies (server 0: 2, server 1: 1, server 2: 1)",
    );
    says(&lines, "1 won, 1 split between several candidates, 1 lost by a single candidate");
    says(&lines, "the last to win was server 2, in term 4");
    says(&lines, "servers [0, 1, 2] (a majority) reach one another");
    let quiet = Situation::new(3).lines(12 * SECOND, &views, &all, &Places::default());
    says(&quiet, "no commit for 12.0 s: nothing was ever committed");
    says(&quiet, "no server became a candidate");
}

#[test]
fn who_reaches_whom_is_told_by_groups_and_since_when() {
    let mut situation = Situation::new(5);
    situation.links_changed(2 * SECOND);
    let probes: Vec<Probe> = (0..5).map(|_| probe(Role::Follower, 4, 9)).collect();
    let mut views: Vec<View<'_>> = probes.iter().map(|probe| view(Some(probe), 1)).collect();
    views[4].is_running = false;
    // 0 and 1 and 2 in a row; what 3 sends gets through, and nothing gets to it.
    let reaches = |from: usize, to: usize| from.abs_diff(to) <= 1 && to != 3;
    let lines = situation.lines(5 * SECOND, &views, &reaches, &Places::default());
    says(&lines, "servers [0, 1, 2] (a majority) are partly connected; server 3 is cut off");
    says(&lines, "down: [4]; unchanged for 3.0 s");
    says(&lines, "server 4: down, was in term 4");
    let closed: Vec<View<'_>> = (0..2).map(|_| view(None, 0)).collect();
    let lines = situation.lines(5 * SECOND, &closed, &all, &Places::default());
    assert_eq!(lines, ["servers [0, 1] (a majority) reach one another; unchanged for 3.0 s"]);
    let alone = situation.lines(5 * SECOND, &closed[..1], &all, &Places::default());
    assert_eq!(alone, [""; 0]);
}

#[test]
fn it_is_told_whose_log_is_good_enough_to_be_elected_with() {
    let situation = Situation::new(3);
    let probes = [(9, 2), (4, 3), (9, 2)];
    let probes: Vec<(Probe, u64)> =
        probes.iter().map(|&(last, term)| (probe(Role::Candidate, 8, last), term)).collect();
    let views: Vec<View<'_>> = probes.iter().map(|(p, term)| view(Some(p), *term)).collect();
    // Servers 0 and 2 vote for one another: all can win. Without server 2 only server 1 can.
    assert!(
        !situation
            .lines(SECOND, &views, &all, &Places::default())
            .iter()
            .any(|line| line.contains("up-to-date"))
    );
    let lines =
        situation.lines(SECOND, &views, &|from, to| from != 2 && to != 2, &Places::default());
    says(
        &lines,
        "server 1 has the most up-to-date log, up to entry 4 of term 3; servers [1] can win",
    );
    says(&lines, "servers [0] cannot");
}

#[test]
fn a_leader_that_looks_for_a_log_back_and_forth_is_told_of() {
    let mut situation = Situation::new(2);
    let at = |next_index, match_index| FollowerProbe { next_index, match_index };
    let moves = |situation: &mut Situation, old: FollowerProbe, new: FollowerProbe| {
        let leader = |follower| {
            let followers = vec![at(9, 8), follower];
            Probe { followers, ..probe(Role::Leader, 5, 8) }
        };
        situation.server_changed(SECOND, 0, Some(&leader(old)), &leader(new));
    };
    for _ in 0..3 {
        moves(&mut situation, at(9, 2), at(4, 2));
        moves(&mut situation, at(4, 2), at(9, 2));
    }
    let mut leader = probe(Role::Leader, 5, 8);
    leader.followers = vec![at(9, 8), at(9, 2)];
    let follower = probe(Role::Follower, 5, 8);
    let views = [view(Some(&leader), 5), view(Some(&follower), 4)];
    let words = "nextIndex for server 1 has gone down 3 times and up 3 times, between 4 and 9; its \
                 matchIndex stays 2";
    says(&situation.lines(SECOND, &views, &all, &Places::default()), words);
    // That it has found something makes it begin anew; and so does another term.
    moves(&mut situation, at(9, 2), at(9, 8));
    let lines = situation.lines(SECOND, &views, &all, &Places::default());
    assert!(!lines.iter().any(|line| line.contains("nextIndex")), "{lines:#?}");
    for next in (10..20).rev() {
        moves(&mut situation, at(next, 8), at(next - 1, 8));
    }
    says(
        &situation.lines(SECOND, &views, &all, &Places::default()),
        "has gone down 10 times, from 19 to 9",
    );
}
