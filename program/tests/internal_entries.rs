//! A Raft whose leaders begin each term with an entry of their own, as many real ones do: the
//! reference, with tasks beside it that propose these entries and hand them up as internal.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    ApplyMsg, ApplyReceiver, ApplySender, Env, Implementation, Property, Raft, RaftState,
    apply_channel, run_test,
};
use labrpc::{RunSpec, Runtime};

use crate::common::test_named;

const DECLARED: Implementation = Implementation::new("declared", make).with_internal_entries();
/// The same Raft, which does not say that it has internal entries.
const UNDECLARED: Implementation = Implementation::new("undeclared", make);

/// The content of an internal entry. No test proposes such a command.
const INTERNAL: Bytes = Bytes::from_static(b"\xff internal");
/// How often a server looks whether it has become leader.
const POLL: Duration = Duration::from_millis(2);

fn make(env: Env) -> Rc<dyn Raft> {
    let Env { me, peers, persister, apply: outer, server, rt } = env;
    let (apply, applied) = apply_channel();
    rt.spawn_detached("hand up", hand_up(applied, outer));
    let inner = (raft::REFERENCE.make)(Env { me, peers, persister, apply, server, rt: rt.clone() });
    rt.spawn_detached("begin terms", begin_terms(inner.clone(), rt.clone()));
    inner
}

async fn hand_up(mut applied: ApplyReceiver, mut outer: ApplySender) {
    while let Some(message) = applied.receive().await {
        match message {
            ApplyMsg::Command { index, command } if command == INTERNAL => {
                outer.send_internal(index).await
            }
            message => outer.send(message).await,
        };
    }
}

/// Proposes an entry in each term that the server leads.
async fn begin_terms(inner: Rc<dyn Raft>, rt: Runtime) {
    let mut last_term = 0;
    loop {
        let RaftState { term, is_leader } = inner.state();
        if is_leader && term != last_term {
            last_term = term;
            inner.start(INTERNAL);
        }
        rt.sleep(POLL).await;
    }
}

#[test]
fn every_test_passes_with_a_raft_that_declares_internal_entries() {
    for test in tests::SUITE.iter().filter(|test| !test.part.is_optional()) {
        for seed in 0..2 {
            let report = run_test(test, DECLARED, RunSpec::seed(seed), false);
            let details = report.result.as_ref().err().map(labraft::Failure::details);
            assert_eq!(report.result, Ok(()), "{}, seed {seed}: {details:#?}", test.name);
        }
    }
}

#[test]
fn internal_entries_that_are_not_declared_are_reported() {
    let report = run_test(test_named("BasicAgree2B"), UNDECLARED, RunSpec::seed(0), false);
    let failure = report.result.unwrap_err();
    assert_eq!(failure.cause().kind.property(), Some(Property::StartedIndex));
    assert!(failure.to_string().contains("with_internal_entries"), "{failure}");
}
