//! Nothing of a run outlives it, so that thousands of runs in one process need no more memory than
//! one.

use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};

use labraft::{Env, Implementation, Profile, Raft, Run};
use labrpc::RunSpec;

use crate::common::HookedReference;

/// The number of Rafts that have been made and not yet dropped.
static ALIVE: AtomicI64 = AtomicI64::new(0);

/// The reference Raft, counted in [`ALIVE`].
fn make_counted(env: Env) -> Rc<dyn Raft> {
    ALIVE.fetch_add(1, Ordering::SeqCst);
    HookedReference::new(env, |raft| raft.kill(), || _ = ALIVE.fetch_sub(1, Ordering::SeqCst))
}

#[test]
fn no_raft_outlives_its_run() {
    let counted = Implementation::new("counted", make_counted);
    for profile in [Profile::Go, Profile::Chaos] {
        for test in tests::SUITE {
            let run = Run::new(test, counted, RunSpec::seed(2)).profile(profile).run();
            let alive = ALIVE.load(Ordering::SeqCst);
            assert_eq!(alive, 0, "{} {} {:?}", test.name, profile.name(), run.result);
        }
    }
}
