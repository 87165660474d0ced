//! What the runs of a sweep came to: how many of them reached each waypoint.

use std::collections::BTreeMap;
use std::fmt::Write;

use labraft::{Part, Waypoint};
use serde_json::{Value, json};

use crate::records::RunRecord;

/// The waypoints of the runs of a test.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By waypoint: the number of runs that came to it.
    counts: BTreeMap<Waypoint, u64>,
    /// The number of runs that would have shown it.
    runs: u64,
    /// The number of runs whose Raft showed nothing of its inside.
    blind: u64,
}

impl Coverage {
    /// Adds a run. One that did not finish has nothing to say.
    pub(super) fn add(&mut self, record: &RunRecord) {
        if record.is_probe_missing || !record.without.has_probes() {
            self.blind += 1;
        } else if !record.fingerprint.is_empty() {
            self.runs += 1;
            for waypoint in record.waypoints.iter() {
                *self.counts.entry(waypoint).or_default() += 1;
            }
        }
    }

    fn count(&self, waypoint: Waypoint) -> u64 {
        self.counts.get(&waypoint).copied().unwrap_or(0)
    }

    /// The number of runs that came to each waypoint, by name; null if no run could show it.
    pub(super) fn json(&self) -> Value {
        if self.runs == 0 {
            return Value::Null;
        }
        let counts = Waypoint::all().map(|waypoint| (waypoint.name(), self.count(waypoint)));
        json!(counts.collect::<BTreeMap<_, _>>())
    }
}

/// How many tests are named for a waypoint.
const TESTS_NAMED: usize = 3;
/// The longest list of names of waypoints, in characters, that is shown without being asked for.
const LONGEST_LIST: usize = 160;
const BLIND: &str = "coverage needs a probe: without one, runs do not show what they came to";
const WRITING_TO_A_STRING: &str = "writing to a string cannot fail";

/// How many runs came to a waypoint, and in which tests.
struct Line<'a> {
    waypoint: Waypoint,
    count: u64,
    /// The runs of tests that can come to it.
    of: u64,
    /// The tests with such runs, those with the most first.
    tests: Vec<(&'a str, u64)>,
}

/// The coverage of one test: the part that it belongs to, its name, and what its runs came to.
pub(super) type OfTest<'a> = (Part, &'a str, &'a Coverage);

/// A line for each waypoint that one of the tests can come to.
fn lines<'a>(tests: &[OfTest<'a>]) -> Vec<Line<'a>> {
    let line = |waypoint: Waypoint| {
        let can = |&&(part, _, coverage): &&OfTest<'_>| {
            waypoint.is_possible_in(part) || coverage.count(waypoint) > 0
        };
        let of = tests.iter().filter(can).map(|(.., coverage)| coverage.runs).sum();
        let counts = tests.iter().map(|&(_, name, coverage)| (name, coverage.count(waypoint)));
        let mut reached: Vec<(&str, u64)> = counts.filter(|&(_, count)| count > 0).collect();
        reached.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let count = reached.iter().map(|(_, count)| count).sum();
        Line { waypoint, count, of, tests: reached }
    };
    Waypoint::all().map(line).filter(|line| line.of > 0).collect()
}

/// A table of all waypoints that the tests can come to: in how many runs they did, and in which tests.
pub(super) fn table(tests: &[OfTest<'_>]) -> String {
    let lines = lines(tests);
    if lines.is_empty() {
        return format!("{BLIND}\n");
    }
    let name_width = super::name_width(lines.iter().map(|line| line.waypoint.name()));
    let of_width = lines.iter().map(|line| line.of.to_string().len()).max().unwrap_or(0);
    let mut text = String::from("what the runs came to, and in which tests\n");
    for Line { waypoint, count, of, tests } in &lines {
        let named = tests.iter().take(TESTS_NAMED);
        let named: Vec<String> = named.map(|(test, count)| format!("{test} {count}")).collect();
        let named = if named.is_empty() { "never".into() } else { named.join(", ") };
        let more = match tests.len().saturating_sub(TESTS_NAMED) {
            0 => String::new(),
            more => format!(", {more} more"),
        };
        let name = waypoint.name();
        writeln!(
            text,
            "{count:>of_width$} of {of:<of_width$}  {name:<name_width$}  {waypoint}: {named}{more}"
        )
        .expect(WRITING_TO_A_STRING);
    }
    let blind: u64 = tests.iter().map(|(.., coverage)| coverage.blind).sum();
    if blind > 0 {
        writeln!(text, "{blind} runs are not in this table; {BLIND}").expect(WRITING_TO_A_STRING);
    }
    text
}

/// A sentence about the waypoints that no run came to; empty if there are none, or runs cannot show it.
pub(super) fn never_reached(tests: &[OfTest<'_>]) -> String {
    let never = lines(tests).into_iter().filter(|line| line.count == 0);
    let names: Vec<&str> = never.map(|line| line.waypoint.name()).collect();
    if names.is_empty() {
        return String::new();
    }
    let mut list = String::new();
    for (place, name) in names.iter().enumerate() {
        if list.len() + name.len() > LONGEST_LIST {
            write!(list, " and {} more", names.len() - place).expect(WRITING_TO_A_STRING);
            break;
        }
        list += if place == 0 { "" } else { ", " };
        list += name;
    }
    format!("no run came to: {list} (--coverage says what that is)\n")
}

#[cfg(test)]
mod tests {
    use labraft::{CauseKind, Verdict, Waypoints, Without};

    use super::*;
    use crate::failure_record::FailureRecord;
    use crate::records::Build;

    fn record(test: &str, reached: &[Waypoint]) -> RunRecord {
        let failure = FailureRecord::new("", CauseKind::expectation(""));
        let record =
            RunRecord::ended((test, 1), "mine", Verdict::Passed, failure, &Build::default());
        let waypoints = Waypoints::from_iter(reached.iter().copied());
        RunRecord { failure: None, fingerprint: "1".into(), waypoints, ..record }
    }

    fn coverage(records: &[RunRecord]) -> Coverage {
        let mut coverage = Coverage::default();
        records.iter().for_each(|record| coverage.add(record));
        coverage
    }

    #[test]
    fn runs_are_counted_for_each_waypoint_that_their_tests_can_come_to() {
        let one = coverage(&[record("One2A", &[Waypoint::SplitVote])]);
        let two = coverage(&[
            record("Two2B", &[Waypoint::SplitVote, Waypoint::OldTermEntries]),
            record("Two2B", &[Waypoint::SplitVote]),
        ]);
        let tests = [(Part::Raft2A, "One2A", &one), (Part::Raft2B, "Two2B", &two)];
        let table = table(&tests);
        let line = |name: &str| {
            let found = table.lines().find(|line| line.contains(&format!(" {name} ")));
            found.map(|line| line.trim().to_string())
        };
        let split = line("split-vote").unwrap();
        assert!(split.starts_with("3 of 3 ") && split.ends_with(": Two2B 2, One2A 1"), "{table}");
        let old = line("old-term-entries").unwrap();
        assert!(old.starts_with("1 of 2 ") && old.ends_with(": Two2B 1"), "{table}");
        assert!(line("leads-again").unwrap().ends_with("led before: never"), "{table}");
        assert_eq!(line("snapshot-installed"), None, "no test of 2B makes snapshots");

        let never = never_reached(&tests);
        assert!(never.contains("leads-again") && !never.contains("split-vote"), "{never}");
        assert!(never.contains(" more (--coverage") && never.len() < 2 * 120, "{never}");
        assert_eq!(two.json()["old-term-entries"], 1);
        assert_eq!(two.json()["leads-again"], 0);
    }

    #[test]
    fn without_a_probe_there_is_no_coverage() {
        let blind = coverage(&[
            RunRecord { is_probe_missing: true, ..record("One2A", &[]) },
            RunRecord { without: Without::probe(), ..record("One2A", &[]) },
        ]);
        let tests = [(Part::Raft2A, "One2A", &blind)];
        assert_eq!(table(&tests), format!("{BLIND}\n"));
        assert_eq!(never_reached(&tests), "");
        assert_eq!(blind.json(), Value::Null);
    }
}
