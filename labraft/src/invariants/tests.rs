//! Each property, and the facts that break it.

use std::cell::RefCell;

use bytes::Bytes;

use super::*;
use crate::raft::{FollowerProbe, RaftState, Started};

/// A Raft that is what the test says.
struct Puppet(RefCell<State>);

#[derive(Clone, Default)]
struct State {
    term: u64,
    role: Option<Role>,
    voted_for: Option<usize>,
    /// Terms and commands, from index 1 on.
    log: Vec<(u64, &'static str)>,
    /// How many of them a snapshot covers.
    covered: u64,
    lowest_written: Option<u64>,
    commit_index: u64,
    last_applied: u64,
    followers: Vec<FollowerProbe>,
}

impl Raft for Puppet {
    fn start(&self, _: Bytes) -> Option<Started> {
        None
    }

    fn state(&self) -> RaftState {
        let state = self.0.borrow();
        RaftState { term: state.term, is_leader: state.role == Some(Role::Leader) }
    }

    fn snapshot(&self, _: u64, _: Bytes) {}

    fn kill(&self) {}

    fn probe(&self) -> Option<Probe> {
        let mut state = self.0.borrow_mut();
        Some(Probe {
            term: state.term,
            role: state.role.unwrap_or(Role::Follower),
            voted_for: state.voted_for,
            first_index: state.covered + 1,
            last_index: state.log.len() as u64,
            commit_index: state.commit_index,
            last_applied: state.last_applied,
            lowest_written: state.lowest_written.take(),
            followers: state.followers.clone(),
        })
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        let state = self.0.borrow();
        if index <= state.covered {
            return None;
        }
        let &(term, command) = state.log.get(index as usize - 1)?;
        Some(EntryProbe { term, command: Bytes::from_static(command.as_bytes()) })
    }
}

/// Three servers.
struct Stage {
    rafts: Vec<Rc<Puppet>>,
    invariants: Invariants,
    traffic: Traffic,
    now: Duration,
}

impl Stage {
    fn new() -> Stage {
        let rafts = (0..3).map(|_| Rc::new(Puppet(RefCell::default()))).collect();
        let (traffic, now) = (Traffic::default(), Duration::from_secs(1));
        let mut stage = Stage { rafts, invariants: Invariants::new(3, true), traffic, now };
        (0..3).for_each(|i| stage.holds(i, |_| ()));
        stage
    }

    fn change(&mut self, i: usize, change: impl FnOnce(&mut State)) -> Checked {
        change(&mut self.rafts[i].0.borrow_mut());
        let rafts = self.rafts.clone();
        let raft = |j: usize| Some(rafts[j].clone() as Rc<dyn Raft>);
        self.invariants.check(i, &*self.rafts[i], self.traffic, self.now, &raft)
    }

    /// After this change everything is as it should be.
    #[track_caller]
    fn holds(&mut self, i: usize, change: impl FnOnce(&mut State)) {
        assert_eq!(self.change(i, change), Ok(()));
    }

    /// After this change that property does not hold, and the report has these words.
    #[track_caller]
    fn breaks(
        &mut self,
        property: Property,
        words: &str,
        i: usize,
        change: impl FnOnce(&mut State),
    ) {
        let violation = self.change(i, change).expect_err("it is to be noticed");
        assert_eq!(violation.property, property, "{violation}");
        assert!(violation.facts.contains(words), "{violation}");
    }

    /// Server `i` crashed and came up again like this.
    fn restart(&mut self, i: usize, change: impl FnOnce(&mut State)) -> Checked {
        self.invariants.started(i, &Bytes::new());
        self.change(i, change)
    }

    /// Server 0 leads term 1; all have its two entries.
    fn with_leader() -> Stage {
        let mut stage = Stage::new();
        for i in 0..3 {
            stage.holds(i, |state| {
                state.term = 1;
                state.voted_for = Some(0);
                state.log = vec![(1, "a"), (1, "b")];
                state.lowest_written = Some(1);
                if i == 0 {
                    state.role = Some(Role::Leader);
                    state.followers = vec![FollowerProbe { next_index: 3, match_index: 0 }; 3];
                }
            });
        }
        stage
    }

    fn matched(&mut self, follower: usize, match_index: u64) -> Checked {
        self.change(0, |state| state.followers[follower].match_index = match_index)
    }
}

#[test]
fn two_leaders_of_one_term_are_noticed_whenever_they_led() {
    let mut stage = Stage::with_leader();
    stage.holds(0, |state| (state.term, state.role, state.voted_for) = (2, None, None));
    stage.breaks(Property::ElectionSafety, "so did server 0", 1, |state| {
        state.role = Some(Role::Leader);
    });
}

#[test]
fn a_leader_that_changes_its_log_is_noticed() {
    let mut stage = Stage::with_leader();
    stage.holds(0, |state| {
        state.log.push((1, "c"));
        state.lowest_written = Some(3);
    });
    stage.breaks(Property::LeaderAppendOnly, "from entry 2 on", 0, |state| {
        state.log[1] = (1, "b");
        state.lowest_written = Some(2);
    });
}

#[test]
fn one_entry_with_two_commands_or_two_pasts_is_noticed() {
    let mut stage = Stage::with_leader();
    stage.breaks(Property::LogMatching, "entry 2 of term 1", 1, |state| {
        state.log[1] = (1, "x");
        state.lowest_written = Some(2);
    });
    let mut stage = Stage::with_leader();
    stage.holds(1, |state| {
        state.log.push((3, "c"));
        (state.term, state.voted_for) = (3, None);
        state.lowest_written = Some(3);
    });
    stage.breaks(Property::LogMatching, "entry 2 before it is of term 2", 2, |state| {
        state.log = vec![(1, "a"), (2, "y"), (3, "c")];
        (state.term, state.voted_for) = (3, None);
        state.lowest_written = Some(2);
    });
}

#[test]
fn a_leader_without_a_committed_entry_is_noticed() {
    let mut stage = Stage::with_leader();
    stage.holds(0, |state| state.commit_index = 2);
    stage.holds(1, |state| {
        state.log.pop();
        (state.term, state.voted_for) = (2, Some(1));
        state.lowest_written = Some(2);
    });
    stage.breaks(Property::LeaderCompleteness, "a log that ends at 1", 1, |state| {
        state.role = Some(Role::Leader);
    });
}

#[test]
fn two_entries_committed_at_one_index_are_noticed() {
    let mut stage = Stage::with_leader();
    stage.holds(1, |state| (state.commit_index, state.last_applied) = (2, 2));
    stage.holds(2, |state| {
        state.log[1] = (2, "z");
        (state.term, state.voted_for) = (2, None);
        state.lowest_written = Some(2);
    });
    stage.breaks(Property::StateMachineSafety, "index 2", 2, |state| state.commit_index = 2);
}

#[test]
fn a_commit_without_a_majority_or_of_an_older_term_is_noticed() {
    let mut stage = Stage::with_leader();
    stage.holds(0, |state| {
        state.log.push((1, "c"));
        state.lowest_written = Some(3);
    });
    stage.breaks(Property::CommitRule, "only servers [0] of 3 have", 0, |state| {
        state.commit_index = 3;
    });
    // Figure 8: an entry of term 1 on a majority, counted by the leader of term 2.
    let mut stage = Stage::with_leader();
    stage.holds(2, |state| {
        state.log.pop();
        state.lowest_written = Some(2);
    });
    stage.holds(0, |state| {
        state.term = 2;
        state.followers[1].match_index = 0;
    });
    stage.breaks(Property::CommitRule, "a later leader may replace it", 0, |state| {
        state.commit_index = 2;
    });
}

#[test]
fn a_term_that_falls_and_a_vote_that_changes_are_noticed_also_after_a_restart() {
    let mut stage = Stage::with_leader();
    stage.breaks(Property::TermMonotone, "is in term 0", 1, |state| state.term = 0);
    let mut stage = Stage::with_leader();
    stage.breaks(Property::OneVote, "now its vote is server 2's", 1, |state| {
        state.voted_for = Some(2);
    });
    let mut stage = Stage::with_leader();
    let violation = stage.restart(1, |state| state.voted_for = None).unwrap_err();
    assert_eq!(violation.property, Property::OneVote);
    assert!(violation.facts.contains("after a restart it has no vote"), "{violation}");
    let mut stage = Stage::with_leader();
    let violation = stage.restart(1, |state| *state = State::default()).unwrap_err();
    assert_eq!(violation.property, Property::TermMonotone);
}

#[test]
fn what_is_committed_and_applied_grows_only_but_for_restarts() {
    let mut stage = Stage::with_leader();
    stage.holds(1, |state| (state.commit_index, state.last_applied) = (2, 1));
    assert_eq!(stage.restart(1, |state| (state.commit_index, state.last_applied) = (0, 0)), Ok(()));
    stage.holds(1, |state| (state.commit_index, state.last_applied) = (2, 1));
    stage.breaks(Property::CommitMonotone, "had committed 2", 1, |state| state.commit_index = 1);
    let mut stage = Stage::with_leader();
    stage.breaks(Property::CommitMonotone, "its log ends at 2", 1, |state| state.commit_index = 3);
}

#[test]
fn what_was_acknowledged_must_stay_in_the_term_and_through_restarts() {
    let mut stage = Stage::with_leader();
    assert_eq!(stage.matched(1, 2), Ok(()));
    stage.breaks(Property::Acknowledged, "taken it back", 1, |state| {
        state.log.pop();
        state.lowest_written = Some(2);
    });
    let mut stage = Stage::with_leader();
    assert_eq!(stage.matched(1, 2), Ok(()));
    let violation = stage.restart(1, |state| _ = state.log.pop()).unwrap_err();
    assert_eq!(violation.property, Property::Acknowledged);
    // A later leader may replace it.
    let mut stage = Stage::with_leader();
    assert_eq!(stage.matched(1, 2), Ok(()));
    stage.holds(1, |state| {
        state.log[1] = (2, "z");
        (state.term, state.voted_for) = (2, None);
        state.lowest_written = Some(2);
    });
    assert_eq!(stage.restart(1, |_| ()), Ok(()));
}

#[test]
fn a_belief_in_what_is_not_replicated_is_noticed() {
    let mut stage = Stage::with_leader();
    stage.holds(1, |state| {
        state.log.pop();
        state.lowest_written = Some(2);
    });
    let violation = stage.matched(1, 2).unwrap_err();
    assert_eq!(violation.property, Property::MatchIndex);
    assert!(violation.facts.contains("a log that ends at 1"), "{violation}");
    let mut stage = Stage::with_leader();
    assert_eq!(stage.matched(2, 2), Ok(()));
    assert_eq!(stage.matched(2, 1).unwrap_err().property, Property::MatchIndex);
}

#[test]
fn without_a_probe_two_leaders_are_still_noticed() {
    struct Closed(u64);
    impl Raft for Closed {
        fn start(&self, _: Bytes) -> Option<Started> {
            None
        }
        fn state(&self) -> RaftState {
            RaftState { term: self.0, is_leader: true }
        }
        fn snapshot(&self, _: u64, _: Bytes) {}
        fn kill(&self) {}
    }
    let mut invariants = Invariants::new(2, true);
    let mut leads =
        |i, term| invariants.check(i, &Closed(term), Traffic::default(), Duration::ZERO, &|_| None);
    assert_eq!((leads(0, 1), leads(1, 2), leads(0, 1)), (Ok(()), Ok(()), Ok(())));
    assert_eq!(leads(0, 2).unwrap_err().property, Property::ElectionSafety);
}

#[test]
fn an_answer_that_leaves_before_what_it_says_is_saved_is_noticed() {
    let vote = |state: &mut State| (state.term, state.voted_for) = (2, Some(2));
    let mut stage = Stage::with_leader();
    stage.traffic.answers += 1;
    stage.breaks(Property::SavedFirst, "server 1 adopted term 2 and answered", 1, vote);
    let mut stage = Stage::with_leader();
    stage.traffic.answers += 1;
    stage.breaks(Property::SavedFirst, "took entries up to 3 in term 1", 1, |state| {
        state.log.push((1, "c"));
        state.lowest_written = Some(3);
    });
    // Nobody saves before lab 2C.
    let mut stage = Stage::with_leader();
    stage.invariants.must_save = false;
    stage.traffic.answers += 1;
    stage.holds(1, vote);
    // Saved as well; no answer; nothing new.
    let mut stage = Stage::with_leader();
    stage.traffic = Traffic { saves: 1, answers: 1 };
    stage.holds(1, vote);
    stage.holds(2, vote);
    stage.traffic.answers += 1;
    stage.holds(1, |state| state.lowest_written = Some(2));
}

#[test]
fn whoever_gave_its_vote_or_took_a_snapshot_does_not_stand_for_election_at_once() {
    let stand = |state: &mut State| {
        (state.term, state.voted_for, state.role) = (3, Some(1), Some(Role::Candidate));
    };
    let vote = |state: &mut State| (state.term, state.voted_for) = (2, Some(2));
    let install = |state: &mut State| {
        (state.covered, state.commit_index, state.lowest_written) = (2, 2, Some(2));
    };
    let later = |stage: &mut Stage, ms| stage.now += Duration::from_millis(ms);
    let mut stage = Stage::with_leader();
    stage.holds(1, vote);
    later(&mut stage, 10);
    stage.breaks(Property::ElectionTimer, "10.0 ms after it gave its vote to server 2", 1, stand);
    let mut stage = Stage::with_leader();
    later(&mut stage, 100);
    stage.holds(1, install);
    later(&mut stage, 10);
    stage.breaks(Property::ElectionTimer, "its leader's snapshot up to 2", 1, stand);
    // A whole time-out later; and a snapshot of its own says nothing.
    let mut stage = Stage::with_leader();
    stage.holds(1, vote);
    later(&mut stage, 150);
    stage.holds(1, stand);
    let mut stage = Stage::with_leader();
    later(&mut stage, 100);
    assert_eq!(stage.invariants.applied(1, &command(1, "a")), Ok(()));
    assert_eq!(stage.invariants.applied(1, &command(2, "b")), Ok(()));
    assert_eq!(stage.invariants.makes_snapshot(1, 2, &Bytes::from_static(b"ab")), Ok(()));
    stage.holds(1, install);
    later(&mut stage, 10);
    stage.holds(1, stand);
}

fn command(index: u64, text: &'static str) -> ApplyMsg {
    ApplyMsg::Command { index, command: Bytes::from_static(text.as_bytes()) }
}

fn snapshot(index: u64, text: &'static str) -> ApplyMsg {
    ApplyMsg::Snapshot { index, term: 1, snapshot: Bytes::from_static(text.as_bytes()) }
}

#[test]
fn what_a_service_is_given_out_of_order_or_against_another_is_noticed() {
    let mut invariants = Invariants::new(2, true);
    assert_eq!(invariants.applied(0, &command(1, "a")), Ok(()));
    let breaks = |checked: Checked, property, words: &str| {
        let violation = checked.expect_err("it is to be noticed");
        assert_eq!(violation.property, property, "{violation}");
        assert!(violation.facts.contains(words), "{violation}");
    };
    let order = Property::ApplyOrder;
    breaks(invariants.applied(0, &command(1, "a")), order, "so 2 is due");
    breaks(invariants.applied(0, &command(3, "c")), order, "so 2 is due");
    let safety = Property::StateMachineSafety;
    breaks(invariants.applied(1, &command(1, "x")), safety, "where server 0 applied");
    assert_eq!(invariants.applied(0, &snapshot(5, "abcde")), Ok(()));
    assert_eq!(invariants.applied(0, &command(6, "f")), Ok(()));
    breaks(invariants.applied(0, &snapshot(5, "abcde")), Property::Snapshot, "takes it back");
    let made = invariants.makes_snapshot(0, 7, &Bytes::from_static(b"abcdefg"));
    breaks(made, Property::Snapshot, "has applied 6 only");
    // A service starts from the snapshot that was saved.
    invariants.started(0, &Bytes::from_static(b"abcde"));
    breaks(invariants.applied(0, &command(1, "a")), order, "so 6 is due");
    invariants.started(0, &Bytes::new());
    assert_eq!(invariants.applied(0, &command(1, "a")), Ok(()));
}

#[test]
fn a_log_that_does_not_go_on_from_its_snapshot_is_noticed() {
    let covers = |covered, commit_index, last_applied| {
        move |state: &mut State| {
            (state.covered, state.commit_index, state.last_applied) =
                (covered, commit_index, last_applied);
        }
    };
    let restart = |snapshot: &'static str, change: &dyn Fn(&mut State)| {
        let mut stage = Stage::with_leader();
        let made = stage.invariants.applied(0, &self::snapshot(2, "ab"));
        assert_eq!(made, Ok(()));
        stage.invariants.started(1, &Bytes::from_static(snapshot.as_bytes()));
        stage.change(1, change)
    };
    assert_eq!(restart("ab", &covers(2, 2, 2)), Ok(()));
    for (snapshot, change, property, words) in [
        ("", covers(2, 2, 2), Property::Snapshot, "what is between them is lost"),
        ("ab", covers(2, 2, 0), Property::ApplyOrder, "takes 0 for applied"),
        ("", covers(0, 2, 2), Property::ApplyOrder, "up to 0"),
        ("ab", covers(2, 0, 0), Property::Snapshot, "it takes 0 for committed"),
    ] {
        let violation = restart(snapshot, &change).unwrap_err();
        assert_eq!(violation.property, property, "{violation}");
        assert!(violation.facts.contains(words), "{violation}");
    }
    let mut stage = Stage::with_leader();
    stage.holds(1, covers(2, 2, 2));
    stage.breaks(Property::Snapshot, "an older snapshot", 1, covers(1, 2, 2));
}
