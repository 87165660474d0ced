//! Whether and how a bug was found.

use lab::records::RunRecord;
use labraft::{CauseKind, Profile, Property, Verdict};

/// How a run shows that something is wrong, most informative first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// The run names the property that was broken.
    Property(Property),
    /// An expectation of the test was not met.
    Test,
    /// The code under test panicked.
    Panicked,
    Crashed,
    Hung,
}

impl How {
    /// How this run shows a failure; `None` if it does not.
    pub(super) fn of(record: &RunRecord) -> Option<How> {
        let kind = record.failure.as_ref().map(|failure| &failure.cause.kind);
        Some(match record.verdict {
            Verdict::Passed | Verdict::Missed | Verdict::Unknown => return None,
            Verdict::Crashed => How::Crashed,
            Verdict::Hung => How::Hung,
            Verdict::Failed => match kind {
                Some(CauseKind::Property { property }) => How::Property(*property),
                Some(CauseKind::Panic { .. }) => How::Panicked,
                _ => How::Test,
            },
        })
    }

    /// The name in the tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            How::Property(property) => property.name(),
            How::Test => "test failed",
            How::Panicked => "panicked",
            How::Crashed => "crashed",
            How::Hung => "hung",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<How> {
        let properties = Property::all().map(How::Property);
        let mut all = properties.chain([How::Test, How::Panicked, How::Crashed, How::Hung]);
        all.find(|how| how.name() == name)
    }
}

/// Whether and how a bug was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Found {
        /// The number of seeds up to and including the first that found it.
        seeds: u64,
        /// The tests that failed under that seed, most informative first.
        tests: Vec<String>,
        how: How,
        /// The profile under which the first of these tests was run.
        profile: Profile,
        /// The reason that the first of these tests gave.
        reason: String,
    },
    Survived,
}

impl Finding {
    /// Evaluates the results of all seeds. Only the first seed with a failure counts.
    pub(super) fn of(records: &[RunRecord]) -> Finding {
        let mut all: Vec<(u64, How, &RunRecord)> = Vec::new();
        for record in records {
            all.extend(How::of(record).map(|how| (record.seed, how, record)));
        }
        let Some(first) = all.iter().map(|(seed, ..)| *seed).min() else {
            return Finding::Survived;
        };
        all.retain(|(seed, ..)| *seed == first);
        all.sort_by(|a, b| (&a.1, &a.2.test).cmp(&(&b.1, &b.2.test)));
        let (_, how, record) = &all[0];
        Finding::Found {
            seeds: first + 1,
            tests: all.iter().map(|(_, _, record)| record.test.clone()).collect(),
            how: *how,
            profile: record.profile,
            reason: record.failure.as_ref().map_or_else(String::new, |p| p.reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use lab::failure_record::FailureRecord;
    use lab::records::Build;
    use labraft::Crash;

    use super::*;

    fn record(test: &str, seed: u64, verdict: Verdict, kind: CauseKind) -> RunRecord {
        let failure = FailureRecord::new("it broke", kind);
        RunRecord::ended((test, seed), "reference", verdict, failure, &Build::default())
    }

    fn broken(property: Property) -> CauseKind {
        CauseKind::Property { property }
    }

    #[test]
    fn a_failed_run_is_named_by_its_property_or_by_what_happened() {
        let how = |verdict, kind| How::of(&record("Backup2B", 0, verdict, kind));
        let failed = |kind| how(Verdict::Failed, kind);
        let order = Property::ApplyOrder;
        assert_eq!(failed(broken(order)), Some(How::Property(order)));
        assert_eq!(failed(CauseKind::Panic { at: None }), Some(How::Panicked));
        assert_eq!(failed(CauseKind::expectation("one leader")), Some(How::Test));
        let crash = CauseKind::Crash { crash: Crash::Signal(11) };
        assert_eq!(how(Verdict::Crashed, crash), Some(How::Crashed));
        assert_eq!(how(Verdict::Hung, CauseKind::Hang), Some(How::Hung));
        assert_eq!(how(Verdict::Unknown, CauseKind::Undecided), None);
        assert_eq!(how(Verdict::Missed, CauseKind::expectation("soon")), None);
        for how in [How::Test, How::Hung, How::Property(Property::Linearizability)] {
            assert_eq!(How::from_name(how.name()), Some(how));
        }
    }

    #[test]
    fn the_first_seed_with_a_failure_counts_and_its_most_informative_test() {
        let failed = |test, seed, kind| record(test, seed, Verdict::Failed, kind);
        let finding = Finding::of(&[
            record("Backup2B", 1, Verdict::Unknown, CauseKind::Undecided),
            failed("Backup2B", 4, broken(Property::LogMatching)),
            failed("Figure8_2C", 3, broken(Property::LogMatching)),
            failed("Backup2B", 3, CauseKind::expectation("agreement")),
        ]);
        let Finding::Found { seeds, tests, how, .. } = finding else { panic!("{finding:?}") };
        assert_eq!((seeds, how), (4, How::Property(Property::LogMatching)));
        assert_eq!(tests, ["Figure8_2C", "Backup2B"]);
        let passed = record("Backup2B", 0, Verdict::Unknown, CauseKind::Undecided);
        assert_eq!(Finding::of(&[passed]), Finding::Survived);
    }
}
