//! A Raft that forgets its vote or its log when it restarts is found by what it does: none of the
//! Rafts here has a probe.

use std::rc::Rc;

use labraft::{Env, Implementation, Property, Raft, run_test};
use labrpc::RunSpec;
use raft::log::{PersistentState, decode_state, encode_state};

use crate::common::{HookedReference, test_named};

/// Within this many seeds a scenario must find a Raft that forgets.
const SEEDS: u64 = 20;

/// The reference without its probe. `forget` removes something from what it finds on its disk when
/// it starts.
fn forgetful(env: Env, forget: fn(&mut PersistentState)) -> Rc<dyn Raft> {
    let state = env.persister.read_state();
    if !state.is_empty() {
        let mut saved = decode_state(&state).unwrap();
        forget(&mut saved);
        let PersistentState { current_term, voted_for, log } = saved;
        let snapshot = env.persister.read_snapshot();
        env.persister.save(encode_state(current_term, voted_for, &log), snapshot);
    }
    HookedReference::new(env, |raft| raft.kill(), || ())
}

/// The first property that a scenario finds broken, among those of all its seeds.
fn found(scenario: &str, make: fn(Env) -> Rc<dyn Raft>) -> Option<Property> {
    let implementation = Implementation::new("forgetful", make);
    (0..SEEDS).find_map(|seed| {
        let run = run_test(test_named(scenario), implementation, RunSpec::seed(seed), false);
        run.result.err()?.cause().kind.property()
    })
}

#[test]
fn a_forgotten_vote_leads_to_two_leaders_of_one_term() {
    let found = found("RestartedVoters", |env| forgetful(env, |saved| saved.voted_for = None));
    assert_eq!(found, Some(Property::ElectionSafety));
}

#[test]
fn a_forgotten_term_and_its_vote_lead_to_two_leaders_of_one_term() {
    let found = found("RestartedVoters", |env| {
        forgetful(env, |saved| {
            saved.voted_for = None;
            saved.current_term = saved.log.last_term();
        })
    });
    assert_eq!(found, Some(Property::ElectionSafety));
}

#[test]
fn a_forgotten_entry_leads_to_another_command_at_its_index() {
    let found = found("RestartedFollowers", |env| {
        forgetful(env, |saved| {
            let last = saved.log.last_index();
            if last >= saved.log.first_index() {
                saved.log.truncate_from(last);
            }
        })
    });
    assert_eq!(found, Some(Property::LeaderCompleteness));
}

#[test]
fn a_forgotten_log_leads_to_another_command_at_its_index() {
    let found = found("RestartedFollowers", |env| {
        forgetful(env, |saved| {
            let first = saved.log.first_index();
            if saved.log.last_index() >= first {
                saved.log.truncate_from(first);
            }
        })
    });
    assert_eq!(found, Some(Property::LeaderCompleteness));
}

#[test]
fn a_raft_that_remembers_everything_passes() {
    for scenario in ["RestartedVoters", "RestartedFollowers"] {
        for seed in 0..SEEDS {
            let implementation = Implementation::new("remembers", |env| forgetful(env, |_| ()));
            let run = run_test(test_named(scenario), implementation, RunSpec::seed(seed), false);
            assert_eq!(run.result.map(|_| ()), Ok(()), "{scenario}, seed {seed}");
        }
    }
}
