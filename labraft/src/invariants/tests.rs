//! What becomes of what is found, and what is left out.

use super::stage::{CONTRACT, Stage, assert_broken};
use super::*;
use crate::property::Property;
use crate::raft::Role;
use crate::without::Without;

fn contract_without(name: &str) -> Contract {
    Contract { without: Without::NOTHING.and(name).unwrap(), ..CONTRACT }
}

#[test]
fn a_slip_is_put_aside_and_the_checks_go_on() {
    let mut stage = Stage::with_leader();
    stage.slips(0, |raft| raft.followers[1].next_index = 0);
    stage.breaks(Property::LeaderAppendOnly, "from entry 2 on", 0, |raft| raft.truncate(1));
}

#[test]
fn a_property_that_is_left_out_is_not_reported() {
    let mut stage = Stage::with_contract(contract_without("leader-append-only"));
    stage.holds(0, |raft| {
        raft.term = 1;
        raft.role = Some(Role::Leader);
        raft.write(1, (1, "a"));
    });
    stage.holds(0, |raft| raft.truncate(0));
    stage.breaks(Property::TermMonotone, "term 1", 0, |raft| raft.term = 0);
}

#[test]
fn a_probe_that_cannot_be_shows_nothing_if_that_is_not_to_be_reported() {
    let mut stage = Stage::with_contract(contract_without("probe-form"));
    stage.holds(0, |raft| raft.voted_for = Some(9));
    stage.holds(0, |raft| raft.truncate(0));
    stage.holds(0, |raft| raft.role = Some(Role::Leader));
    stage.breaks(Property::ElectionSafety, "term 0", 1, |raft| {
        raft.voted_for = Some(9);
        raft.role = Some(Role::Leader);
    });
}

#[test]
fn without_probes_a_raft_is_judged_as_if_it_had_none() {
    let mut stage = Stage::with_contract(contract_without("probe"));
    // A broken promise that only a probe shows.
    stage.holds(0, |raft| raft.term = 5);
    stage.holds(0, |raft| raft.term = 3);
    // One that shows from outside.
    stage.holds(0, |raft| raft.role = Some(Role::Leader));
    stage.breaks(Property::ElectionSafety, "term 3", 1, |raft| {
        raft.term = 3;
        raft.role = Some(Role::Leader);
    });
}

#[test]
fn internal_entries_have_their_turn_where_they_are_declared() {
    let internal = |index| HandedUp::Internal { index };
    let mut course = Invariants::new(2, CONTRACT);
    let undeclared = course.applied(0, &internal(1));
    assert_broken(undeclared, Property::ApplyOrder, "not declared to have internal entries");

    let mut declared = Invariants::new(2, Contract { has_internal_entries: true, ..CONTRACT });
    assert_eq!(declared.applied(0, &internal(1)), Ok(()));
    assert_eq!(declared.applied(0, &stage::command(2, "a")), Ok(()));
    assert_broken(declared.applied(0, &internal(4)), Property::ApplyOrder, "so 3 is due");
    let other = declared.applied(1, &stage::command(1, "a"));
    assert_broken(other, Property::StateMachineSafety, "server 0 applied an internal entry");
}
