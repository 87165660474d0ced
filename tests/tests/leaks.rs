//! Nothing of a run outlives it: thousands of them in one process need no more memory than one.

use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use labraft::{Env, Implementation, Profile, Raft, RaftState, Run, Started};
use labrpc::RunSpec;

/// How many Rafts there are.
static ALIVE: AtomicI64 = AtomicI64::new(0);

/// The reference Raft, counted.
struct Counted(Rc<dyn Raft>);

fn make(env: Env) -> Rc<dyn Raft> {
    ALIVE.fetch_add(1, Ordering::SeqCst);
    Rc::new(Counted((raft::REFERENCE.make)(env)))
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Raft for Counted {
    fn start(&self, command: Bytes) -> Option<Started> {
        self.0.start(command)
    }

    fn state(&self) -> RaftState {
        self.0.state()
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.0.snapshot(index, snapshot);
    }

    fn kill(&self) {
        self.0.kill();
    }
}

#[test]
fn no_raft_outlives_its_run() {
    let counted = Implementation::new("counted", make);
    for profile in [Profile::Go, Profile::Chaos] {
        for test in tests::SUITE {
            let run = Run::new(test, counted, RunSpec::seed(2)).profile(profile).run();
            let alive = ALIVE.load(Ordering::SeqCst);
            assert_eq!(alive, 0, "{} {} {:?}", test.name, profile.name(), run.result);
        }
    }
}
