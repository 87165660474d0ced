//! Summary of many runs: counts, failure rates with confidence intervals, and failures grouped by
//! cause.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::coverage::{self, Coverage};
use crate::plain;
use crate::records::RunRecord;
use labraft::{CauseKind, Part, Test, Verdict, Without};

/// How many runs that did not pass are kept for each test: those with the lowest seeds.
const KEPT: usize = 10;
/// The maximum number of groups of failures. All further causes share one more group.
const MAX_GROUPS: usize = 100;
const WRITING_TO_A_STRING: &str = "writing to a string cannot fail";

/// The results of a sweep. Its size does not depend on the number of runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    tests: BTreeMap<String, TestSummary>,
    /// Failures by verdict and kind of cause. Once there are `MAX_GROUPS` groups, runs with any
    /// other cause go to `None`.
    groups: BTreeMap<Option<(Verdict, CauseKind)>, Group>,
    /// By what the runs are not judged: the same for all runs of a sweep.
    without: Without,
}

/// A column of the table, beside the test's name.
struct Column {
    heading: &'static str,
    /// The number of spaces before it.
    gap: usize,
    /// The number of characters; less than 0 to align to the left.
    width: isize,
    cell: fn(&TestSummary) -> String,
}

const COLUMNS: [Column; 5] = [
    Column { heading: "seeds", gap: 2, width: 8, cell: |test| test.runs().to_string() },
    Column { heading: "failed", gap: 1, width: 8, cell: |test| test.failures().to_string() },
    Column { heading: "rate", gap: 2, width: 8, cell: TestSummary::rate },
    Column { heading: "(95 % interval)", gap: 1, width: -17, cell: TestSummary::interval },
    Column { heading: "slowest", gap: 2, width: 0, cell: TestSummary::slowest },
];

impl Column {
    /// A heading or a cell with the spaces around it.
    fn pad(&self, text: &str) -> String {
        let (gap, width) = (self.gap, self.width.unsigned_abs());
        if self.width < 0 {
            format!("{:gap$}{text:<width$}", "")
        } else {
            format!("{:gap$}{text:>width$}", "")
        }
    }
}

/// The results of one test.
#[derive(Clone, Debug)]
pub struct TestSummary {
    /// The name of the test, such as `Backup2B`.
    pub name: String,
    /// The number of runs with each verdict.
    pub counts: BTreeMap<Verdict, u64>,
    /// The runs with the lowest seeds that did not pass, by seed.
    pub not_passed: BTreeMap<u64, RunRecord>,
    /// The number of runs in which an audit found something.
    pub audit_count: u64,
    /// The one of these runs with the lowest seed.
    pub audit_first: Option<RunRecord>,
    /// How often runs came to each waypoint, and how many runs would have shown it.
    pub coverage: Coverage,
    /// The CPU time of the slowest run in milliseconds, and its seed.
    pub slowest: (f64, u64),
    /// The CPU time of all runs together, in milliseconds.
    pub cpu_ms: f64,
    /// The virtual time of all runs together, in seconds.
    pub virtual_seconds: f64,
}

/// Runs that did not pass, with the same verdict and the same kind of cause.
#[derive(Clone, Debug)]
pub struct Group {
    /// The number of runs of each test.
    pub tests: BTreeMap<String, u64>,
    /// The run with the lowest seed.
    pub first: RunRecord,
    /// The run that failed soonest, in virtual time.
    pub shortest: RunRecord,
}

impl Group {
    /// The number of runs in this group.
    pub fn count(&self) -> u64 {
        self.tests.values().sum()
    }
}

impl TestSummary {
    /// The share of runs that failed, in percent.
    fn rate(&self) -> String {
        let rate = 100.0 * self.failures() as f64 / self.runs().max(1) as f64;
        format!("{rate:.2} %")
    }

    /// The interval in which the true rate lies with a probability of 95 %.
    fn interval(&self) -> String {
        let (low, high) = rate_interval(self.failures(), self.runs());
        format!("({:.2} to {:.2})", 100.0 * low, 100.0 * high)
    }

    /// The CPU time of the slowest run, and its seed.
    fn slowest(&self) -> String {
        let (milliseconds, seed) = self.slowest;
        format!("{milliseconds:.1} ms, seed {seed}")
    }

    fn new(name: &str) -> TestSummary {
        TestSummary {
            name: name.into(),
            counts: BTreeMap::new(),
            not_passed: BTreeMap::new(),
            audit_count: 0,
            audit_first: None,
            coverage: Coverage::default(),
            slowest: (0.0, 0),
            cpu_ms: 0.0,
            virtual_seconds: 0.0,
        }
    }

    fn add(&mut self, record: &RunRecord) {
        *self.counts.entry(record.verdict).or_default() += 1;
        self.cpu_ms += record.cpu_ms;
        self.virtual_seconds += record.virtual_seconds;
        self.coverage.add(record);
        if record.cpu_ms > self.slowest.0 {
            self.slowest = (record.cpu_ms, record.seed);
        }
        if !record.findings.is_empty() {
            self.audit_count += 1;
            if self.audit_first.as_ref().is_none_or(|first| record.seed < first.seed) {
                self.audit_first = Some(record.clone());
            }
        }
        if record.verdict > Verdict::Missed {
            self.not_passed.insert(record.seed, record.clone());
            if self.not_passed.len() > KEPT {
                self.not_passed.pop_last();
            }
        }
    }

    /// The number of runs, whatever their verdict.
    pub fn runs(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The number of runs with this verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.counts.get(&verdict).copied().unwrap_or(0)
    }

    /// The number of runs that failed, crashed or hung.
    pub fn failures(&self) -> u64 {
        [Verdict::Failed, Verdict::Crashed, Verdict::Hung]
            .map(|verdict| self.count(verdict))
            .iter()
            .sum()
    }

    /// The lowest seeds that did not pass, separated by commas; `...` at the end if there are more.
    pub fn seeds(&self) -> String {
        let shown: Vec<String> = self.not_passed.keys().map(ToString::to_string).collect();
        let all = self.failures() + self.count(Verdict::Unknown);
        let more = if all > shown.len() as u64 { ", ..." } else { "" };
        shown.join(", ") + more
    }
}

/// The 95 % confidence interval of a rate, given `count` hits in `of` trials (Wilson's score
/// interval).
pub fn rate_interval(count: u64, of: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, count as f64 / of as f64);
    let middle = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    (((middle - spread) / whole).max(0.0), ((middle + spread) / whole).min(1.0))
}

impl Summary {
    /// Adds the result of a run to the counts of its test, and to a group if it did not pass.
    pub fn add(&mut self, record: &RunRecord) {
        self.without = record.without;
        let test = self.tests.entry(record.test.clone());
        test.or_insert_with(|| TestSummary::new(&record.test)).add(record);
        let Some(failure) = record.failure.as_ref().filter(|_| record.verdict > Verdict::Missed)
        else {
            return;
        };
        let mut key = Some((record.verdict, failure.cause.kind.clone()));
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&key) {
            key = None;
        }
        let new =
            || Group { tests: BTreeMap::new(), first: record.clone(), shortest: record.clone() };
        let group = self.groups.entry(key).or_insert_with(new);
        *group.tests.entry(record.test.clone()).or_default() += 1;
        if record.seed < group.first.seed {
            group.first = record.clone();
        }
        // Ties are broken by test and seed, so that the order in which runs finish does not matter.
        let is_shorter = |a: &RunRecord, b: &RunRecord| {
            (a.events, &a.test, a.seed) < (b.events, &b.test, b.seed)
        };
        if is_shorter(record, &group.shortest) {
            group.shortest = record.clone();
        }
    }

    /// The tests that have runs, in the order of the suite.
    pub fn tests(&self, suite: &[Test]) -> Vec<(Part, &TestSummary)> {
        let found = suite.iter().filter_map(|test| Some((test.part, self.tests.get(test.name)?)));
        found.collect()
    }

    /// The groups of runs that did not pass, largest first.
    pub fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count()));
        groups
    }

    /// The worst verdict of any run; [`Verdict::Passed`] if there are none.
    pub fn worst(&self) -> Verdict {
        let verdicts = self.tests.values().flat_map(|test| test.counts.keys());
        verdicts.max().copied().unwrap_or(Verdict::Passed)
    }

    /// The number of runs, and how many of them failed, crashed or hung.
    pub fn totals(&self) -> (u64, u64) {
        let tests = self.tests.values();
        tests
            .fold((0, 0), |(runs, failures), test| (runs + test.runs(), failures + test.failures()))
    }

    /// A table with one line per test.
    pub fn table(&self, suite: &[Test]) -> String {
        let tests = self.tests(suite);
        let width = super::name_width(tests.iter().map(|(_, test)| test.name.as_str())).max(4);
        let mut text = format!("{:<width$}", "test");
        for column in &COLUMNS {
            text += &column.pad(column.heading);
        }
        text.push('\n');
        for (_, test) in &tests {
            write!(text, "{:<width$}", test.name).expect(WRITING_TO_A_STRING);
            for column in &COLUMNS {
                text += &column.pad(&(column.cell)(test));
            }
            for verdict in [Verdict::Crashed, Verdict::Hung, Verdict::Unknown, Verdict::Missed] {
                let count = test.count(verdict);
                if count > 0 {
                    write!(text, "; {count} {}", verdict.name()).expect(WRITING_TO_A_STRING);
                }
            }
            if !test.not_passed.is_empty() {
                write!(text, "; seeds {}", test.seeds()).expect(WRITING_TO_A_STRING);
            }
            text.push('\n');
        }
        text + &super::left_out(self.without)
    }

    /// A table of all waypoints that the tests can come to: in how many runs they did, and in which tests.
    pub fn coverage(&self, suite: &[Test]) -> String {
        coverage::table(&self.coverages(suite))
    }

    /// A sentence about the waypoints that no run came to; empty if there are none, or runs cannot show it.
    pub fn never_reached(&self, suite: &[Test]) -> String {
        coverage::never_reached(&self.coverages(suite))
    }

    fn coverages(&self, suite: &[Test]) -> Vec<coverage::OfTest<'_>> {
        let tests = self.tests(suite).into_iter();
        tests.map(|(part, test)| (part, test.name.as_str(), &test.coverage)).collect()
    }

    /// What an audit of the runs has found: a paragraph for each test, with its first run.
    pub fn audit(&self) -> String {
        let mut text = String::new();
        for test in self.tests.values() {
            let Some(first) = &test.audit_first else { continue };
            let (name, count, runs, seed) = (&test.name, test.audit_count, test.runs(), first.seed);
            text += &format!(
                "audit: in {count} of {runs} runs of {name}, servers or clients know more than they \
                 were told, for example with seed {seed}\n"
            );
            for finding in &first.findings {
                text += &format!("  {finding}\n");
            }
        }
        if text.is_empty() {
            text = "audit: servers and clients know only what they were told\n".into();
        }
        text
    }

    /// The `most` largest groups of failures, each with its first run.
    pub fn reasons(&self, most: usize, replay: impl Fn(&RunRecord) -> String) -> String {
        let groups = self.groups();
        let mut text = String::new();
        for group in groups.iter().take(most) {
            let tests =
                group.tests.iter().map(|(test, count)| format!("{} {count}", plain::line(test)));
            let tests: Vec<String> = tests.collect();
            let count = group.count();
            let runs = if count == 1 { "run" } else { "runs" };
            text += &format!("{count} {runs} ({}), for example\n", tests.join(", "));
            text += &super::failed(&group.first, &replay(&group.first));
        }
        if groups.len() > most {
            text += &format!("and {} more reasons; see the results for all\n", groups.len() - most);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use labraft::{Finding, FindingKind};

    use super::*;
    use crate::failure_record::FailureRecord;
    use crate::records::Build;

    static SUITE: [Test; 1] = [Test {
        name: "Basic3A",
        part: Part::Kv3A,
        title: "one client",
        points: 1,
        cost: 1,
        run: |_| Box::pin(async { Ok(()) }),
    }];

    fn record(seed: u64, verdict: Verdict, reason: &str) -> RunRecord {
        let kind = CauseKind::expectation(reason);
        let failure =
            FailureRecord { at: Some(1.5), ..FailureRecord::new(format!("{reason} {seed}"), kind) };
        RunRecord::ended(("Basic3A", seed), "reference", verdict, failure, &Build::default())
    }

    #[test]
    fn the_interval_of_a_rate_is_wilsons() {
        let near =
            |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() < 1e-3 && (b - d).abs() < 1e-3;
        assert!(near(rate_interval(0, 1000), (0.0, 0.00383)));
        assert!(near(rate_interval(5, 10), (0.2366, 0.7634)));
        assert!(near(rate_interval(10, 10), (0.7225, 1.0)));
        assert_eq!(rate_interval(0, 0), (0.0, 1.0));
    }

    #[test]
    fn failures_are_counted_by_verdict_and_by_reason() {
        let mut summary = Summary::default();
        for seed in (0..30).rev() {
            summary.add(&record(seed, Verdict::Failed, if seed % 3 == 0 { "one" } else { "two" }));
        }
        summary.add(&record(40, Verdict::Hung, "one"));
        summary.add(&record(41, Verdict::Unknown, "three"));
        assert_eq!(summary.worst(), Verdict::Hung);
        assert_eq!(summary.totals(), (32, 31));
        let counts: Vec<u64> = summary.groups().iter().map(|group| group.count()).collect();
        assert_eq!(counts, [20, 10, 1, 1]);
        let table = summary.table(&SUITE);
        assert!(
            table.contains("1 hung; 1 unknown; seeds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."),
            "{table}"
        );
        let reasons = summary.reasons(2, |record| format!("replay {}", record.seed));
        assert!(
            reasons.contains("20 runs (Basic3A 20), for example\n  FAILED: two 1\n"),
            "{reasons}"
        );
        assert!(reasons.contains("and 2 more reasons"), "{reasons}");
    }

    #[test]
    fn an_audit_names_the_first_run_of_each_test_in_which_it_found_something() {
        let mut summary = Summary::default();
        assert_eq!(summary.audit(), "audit: servers and clients know only what they were told\n");
        for seed in [7, 4, 5] {
            let text = format!("server 2 hands up {seed}");
            let finding = Finding { kind: FindingKind::Command, at: 1.5, text };
            let findings = if seed == 5 { Vec::new() } else { vec![finding] };
            summary.add(&RunRecord { findings, ..record(seed, Verdict::Failed, "one") });
        }
        let text = summary.audit();
        assert!(text.starts_with("audit: in 2 of 3 runs of Basic3A, "), "{text}");
        assert!(text.ends_with("seed 4\n  at 1.500000 s, server 2 hands up 4\n"), "{text}");
    }

    #[test]
    fn a_summary_does_not_grow_with_the_number_of_reasons() {
        let mut summary = Summary::default();
        for seed in 0..1000 {
            summary.add(&record(seed, Verdict::Failed, &format!("reason {seed}")));
        }
        assert!(summary.groups.len() <= MAX_GROUPS + 1);
        assert_eq!(summary.groups().iter().map(|group| group.count()).sum::<u64>(), 1000);
    }
}
