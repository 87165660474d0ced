//! Whether the wrong code of a bug that nothing found did anything at all.
//!
//! A run has a fingerprint of all that happened in it. If it is that of the reference's run of the
//! same test and seed, the wrong code was not reached, or did what the right code does.

use std::collections::BTreeMap;
use std::fmt;

use ::tests::SUITE;
use lab::outcome::CommandError;
use lab::records::RunRecord;
use labraft::{Profile, Test};

use super::program::Program;
use super::trial;

/// How many runs with a bug differ from those without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    runs: usize,
    differ: usize,
    /// The first run that differs, by its seed: test and seed.
    first: Option<(String, u64)>,
}

impl Reach {
    /// Compares runs with the reference's runs of the same tests and seeds. Runs without a fingerprint
    /// are left out.
    fn of(records: &[RunRecord], reference: &[RunRecord]) -> Reach {
        fn key(record: &RunRecord) -> (Profile, &str, u64) {
            (record.profile, record.test.as_str(), record.seed)
        }
        let known: BTreeMap<(&str, &str, u64), &RunRecord> = reference
            .iter()
            .map(|record| {
                let (profile, test, seed) = key(record);
                ((profile.name(), test, seed), record)
            })
            .collect();
        let mut reach = Reach::default();
        for record in records {
            let (profile, test, seed) = key(record);
            let Some(right) = known.get(&(profile.name(), test, seed)) else { continue };
            if record.fingerprint.is_empty() || right.fingerprint.is_empty() {
                continue;
            }
            reach.runs += 1;
            if record.fingerprint != right.fingerprint {
                reach.differ += 1;
                let is_earlier = |(name, first): &(String, u64)| (seed, test) < (*first, name);
                if reach.first.as_ref().is_none_or(is_earlier) {
                    reach.first = Some((test.into(), seed));
                }
            }
        }
        reach
    }

    /// Compares the runs with those of the reference, of which the missing ones are made; `None` if
    /// interrupted.
    pub(super) fn measure(
        records: &[RunRecord],
        reference: &Program,
        jobs: usize,
    ) -> Result<Option<Reach>, CommandError> {
        let mut known = Vec::new();
        for profile in [Profile::Go, Profile::Chaos] {
            let of_profile = || records.iter().filter(|record| record.profile == profile);
            let Some(last) = of_profile().map(|record| record.seed).max() else { continue };
            let is_wanted = |test: &&Test| of_profile().any(|record| record.test == test.name);
            let tests: Vec<&'static Test> = SUITE.iter().filter(is_wanted).collect();
            if !trial::run(reference, &tests, &(0..last + 1), profile, jobs, None)? {
                return Ok(None);
            }
            known.extend(trial::results(reference, profile)?);
        }
        Ok(Some(Reach::of(records, &known)))
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reach { runs, differ, first } = self;
        match first {
            None => write!(
                f,
                "the wrong code never had an effect: none of {runs} runs differs from the reference's"
            ),
            Some((test, seed)) => write!(
                f,
                "the wrong code had an effect: {differ} of {runs} runs differ from the reference's, \
                 {test} under seed {seed} first"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use lab::failure_record::FailureRecord;
    use lab::records::Build;
    use labraft::{CauseKind, Verdict};

    use super::*;

    fn record(test: &str, seed: u64, fingerprint: &str) -> RunRecord {
        let failure = FailureRecord::new("", CauseKind::Undecided);
        let build = Build::default();
        let ended = RunRecord::ended((test, seed), "reference", Verdict::Unknown, failure, &build);
        RunRecord { fingerprint: fingerprint.into(), ..ended }
    }

    #[test]
    fn runs_are_compared_with_those_of_the_reference() {
        let reference = [
            record("Backup2B", 0, "a"),
            record("Backup2B", 1, "b"),
            record("Rejoin2B", 1, "c"),
            record("Rejoin2B", 2, ""),
        ];
        let none = Reach::of(&reference, &reference);
        assert_eq!(none, Reach { runs: 3, differ: 0, first: None });
        assert!(none.to_string().contains("never had an effect: none of 3 runs"), "{none}");
        let runs = [
            record("Rejoin2B", 1, "x"),
            record("Backup2B", 1, "x"),
            record("Backup2B", 0, "a"),
            record("Rejoin2B", 2, "x"),
            // Another profile's run is another run.
            RunRecord { profile: Profile::Chaos, ..record("Backup2B", 0, "y") },
        ];
        let some = Reach::of(&runs, &reference);
        assert_eq!(some, Reach { runs: 3, differ: 2, first: Some(("Backup2B".into(), 1)) });
        assert!(some.to_string().contains("2 of 3 runs differ"), "{some}");
        assert!(some.to_string().contains("Backup2B under seed 1 first"), "{some}");
    }
}
