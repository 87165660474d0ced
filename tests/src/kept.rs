//! Runs that were kept with `lab open` or `lab shrink`, as tests of a crate.

use std::time::Duration;

use lab::failure_record::FailureRecord;
use lab::records::{Build, RunRecord};
use lab::repro::Repro;
use labraft::{Implementation, Run, test_or_world};

use crate::SUITE;

/// A kept run, which was made again.
#[derive(Debug)]
pub struct Kept {
    /// How it ended when it was kept; `None` if it passed.
    then: Option<FailureRecord>,
    /// How it ends now.
    now: Option<FailureRecord>,
    /// The test and the seed, for messages.
    run: String,
}

/// Makes a kept run again, in this process. `text` is the text of its file, and one of the implementations is
/// the one that it was made with.
///
/// # Panics
/// If the text is no such file, or if its test or implementation is not there.
pub fn kept(text: &str, implementations: &[Implementation]) -> Kept {
    let repro = Repro::parse(text).unwrap_or_else(|what| panic!("this is no kept run: {what}"));
    let test = test_or_world(SUITE, &repro.test);
    let test = test.unwrap_or_else(|| panic!("no test is called {:?}", repro.test));
    let known = implementations.iter().find(|known| known.name == repro.implementation);
    let implementation = *known.unwrap_or_else(|| {
        panic!("the run was made with implementation {:?}", repro.implementation)
    });
    let run = format!("{}, seed {}", repro.test, repro.spec.seed);
    let made = Run::new(test, implementation, repro.spec);
    let report = made.profile(repro.profile).without(repro.without).run();
    let record = RunRecord::new(&report, implementation.name, Duration::ZERO, &Build::default());
    Kept { then: repro.failure, now: record.failure, run }
}

impl Kept {
    /// Checks that the run passes.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn passes(&self) {
        if let Some(failure) = &self.now {
            panic!("{}: {}\n{}", self.run, failure.headline(), failure.details.join("\n"));
        }
    }

    /// Checks that the run fails in the same way as when it was kept.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn fails_as_kept(&self) {
        let then = self.then.as_ref().expect("the run passed when it was kept");
        match &self.now {
            None => {
                panic!("{}: it passes, and failed when it was kept: {}", self.run, then.headline())
            }
            Some(now) if now.is_same(then) => {}
            Some(now) => panic!(
                "{}: it fails in another way than when it was kept: {} (then: {})",
                self.run,
                now.headline(),
                then.headline()
            ),
        }
    }
}
