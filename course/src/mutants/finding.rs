//! How a bug was found, and the table of all bugs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lab::records::RunRecord;
use labraft::{CauseKind, Property, Verdict};

use super::patch::{Breaks, Patch};

/// The most tests that the table names for a bug.
const TESTS_NAMED: usize = 2;
/// The number of seeds within which a bug counts as found soon.
const SOON: u64 = 20;

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
    fn of(record: &RunRecord) -> Option<How> {
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
    const fn name(self) -> &'static str {
        match self {
            How::Property(property) => property.name(),
            How::Test => "test failed",
            How::Panicked => "panicked",
            How::Crashed => "crashed",
            How::Hung => "hung",
        }
    }

    fn from_name(name: &str) -> Option<How> {
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
            reason: record.failure.as_ref().map_or_else(String::new, |p| p.reason.clone()),
        }
    }
}

/// The first of the tests that find a bug, with `...` for the others.
fn named(tests: &[String]) -> String {
    let shown = tests[..tests.len().min(TESTS_NAMED)].join(", ");
    if tests.len() > TESTS_NAMED { shown + ", ..." } else { shown }
}

/// A row of the table: a bug, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    id: String,
    breaks: Breaks,
    /// The number of seeds that it took, or that the bug survived.
    seeds: u64,
    /// How it was found; `None` when it survived.
    how: Option<How>,
    /// The tests that found it.
    tests: String,
    /// The commit of the sources to which the bug was applied.
    commit: String,
}

/// The entry in the column "how" for a bug that was not found.
const SURVIVED: &str = "**survived**";
const HEADER: &str = "| bug | breaks | seeds | how | found by | commit |";

impl Row {
    /// The row as a line of Markdown.
    fn markdown(&self) -> String {
        let Row { id, breaks, seeds, how, tests, commit } = self;
        let (breaks, how) = (breaks.name(), how.map_or(SURVIVED, How::name));
        format!("| {id} | {breaks} | {seeds} | {how} | {tests} | {commit} |\n")
    }

    /// Reads a line that [`markdown`](Row::markdown) wrote; `None` when the line is not a row.
    fn parse(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", id, breaks, seeds, how, tests, commit, ""] = cells.as_slice() else {
            return None;
        };
        Some(Row {
            id: id.into(),
            breaks: Breaks::from_name(breaks)?,
            seeds: seeds.parse().ok()?,
            how: if how == SURVIVED { None } else { Some(How::from_name(how)?) },
            tests: tests.into(),
            commit: commit.into(),
        })
    }

    /// The property that the lab named as broken, if it named one.
    fn named(&self) -> Option<Property> {
        match self.how {
            Some(How::Property(property)) => Some(property),
            _ => None,
        }
    }
}

/// The rows of a table in Markdown.
fn parse_rows(table: &str) -> Result<Vec<Row>, String> {
    let is_row = |line: &&str| line.starts_with("| ") && *line != HEADER;
    let parse =
        |line: &str| Row::parse(line).ok_or_else(|| format!("cannot read the row {line:?}"));
    table.lines().filter(is_row).map(parse).collect()
}

/// The table of all bugs tried so far.
pub(super) struct Table {
    /// The width of the column with the names.
    width: usize,
    /// The number of seeds after which a bug counts as having survived.
    seeds: u64,
    commit: String,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new<'a>(ids: impl Iterator<Item = &'a str>, seeds: u64, commit: String) -> Table {
        Table { width: ids.map(str::len).max().unwrap_or(0), seeds, commit, rows: Vec::new() }
    }

    pub(super) fn head(&self) -> String {
        format!("{:<1$}  seeds  {2:<20}  found by", "bug", self.width, "how")
    }

    /// Adds a row, and returns a line about it to print.
    pub(super) fn add(&mut self, patch: &Patch, finding: &Finding) -> String {
        let mut row = Row {
            id: patch.id.clone(),
            breaks: patch.breaks,
            seeds: self.seeds,
            how: None,
            tests: String::new(),
            commit: self.commit.clone(),
        };
        let (id, width) = (&patch.id, self.width);
        let line = match finding {
            Finding::Survived => format!("{id:<width$}  {:>5}  SURVIVED", self.seeds),
            Finding::Found { seeds, tests, how, reason } => {
                row = Row { seeds: *seeds, how: Some(*how), tests: named(tests), ..row };
                let reason: String = reason.chars().take(80).collect();
                format!("{id:<width$}  {seeds:>5}  {:<20}  {}: {reason}", how.name(), row.tests)
            }
        };
        self.rows.push(row);
        line
    }

    pub(super) fn all_found(&self) -> bool {
        self.rows.iter().all(|row| row.how.is_some())
    }

    /// Writes the rows into a page, where they replace earlier rows of the same bugs. Rows of bugs
    /// that no longer exist are removed.
    pub(super) fn write_page(
        &self,
        path: &Path,
        profile: &str,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let page = check_page(path, profile)?;
        let old = between(&page, profile).map_or("", |(_, old, _)| old);
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        let earlier = parse_rows(old).map_err(|error| format!("{}: {error}", path.display()))?;
        for row in earlier.into_iter().chain(self.rows.iter().cloned()) {
            if is_known(&row.id) {
                rows.insert(row.id.clone(), row);
            }
        }
        let rows: Vec<Row> = rows.into_values().collect();
        let mut table = format!("\n{HEADER}\n|---|---|---|---|---|---|\n");
        table.extend(rows.iter().map(Row::markdown));
        table += &format!("\n{}\n", counts(&rows));
        let text =
            between(&page, profile).map(|(before, _, after)| before.to_string() + &table + after);
        fs::write(path, text.unwrap_or(page))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Sums up in one line how many bugs were found, and how.
    pub(super) fn counts(&self) -> String {
        counts(&self.rows)
    }
}

fn counts(rows: &[Row]) -> String {
    let count = |is_such: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is_such(row)).count();
    let (all, found) = (rows.len(), count(&|row| row.how.is_some()));
    let soon = count(&|row| row.how.is_some() && row.seeds <= SOON);
    let safety = count(&|row| row.breaks.is_safety());
    let named = count(&|row| row.breaks.is_safety() && row.named().is_some());
    let is_exact = |row: &Row| row.named().map(Breaks::Property) == Some(row.breaks);
    let exactly = count(&|row| row.breaks.is_safety() && is_exact(row));
    format!(
        "{all} bugs: {found} found, {soon} of them within {SOON} seeds; {} survived. {safety} break \
         safety: {named} of these were reported as a broken property, {exactly} as the right one.",
        all - found
    )
}

/// Reads a page, and checks that it has a place for the table of this profile.
pub(super) fn check_page(path: &Path, profile: &str) -> Result<String, String> {
    let page = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if between(&page, profile).is_none() {
        let [begin, end] = marks(profile);
        return Err(format!("{} has no lines {begin:?} and {end:?}", path.display()));
    }
    Ok(page)
}

fn marks(profile: &str) -> [String; 2] {
    ["begin", "end"].map(|which| format!("<!-- {which}: course mutants --profile {profile} -->\n"))
}

/// Splits a page into the text before the table, the table, and the text after it.
fn between<'a>(page: &'a str, profile: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let [begin, end] = marks(profile);
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find(&end)?;
    Some((&page[..from], &page[from..to], &page[to..]))
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

    #[test]
    fn a_page_keeps_the_rows_of_bugs_that_were_not_tried_out_again() {
        let breaks = Breaks::Property(Property::ElectionSafety);
        let row = |id: &str, seeds, how| Row {
            id: id.into(),
            breaks,
            seeds,
            how,
            tests: String::new(),
            commit: "1234".into(),
        };
        let test = Some(How::Test);
        let old = [row("a", 3, test), row("b", 20, None), row("gone", 20, None)];
        let old: String = old.iter().map(Row::markdown).collect();
        let [begin, end] = marks("go");
        let path = std::env::temp_dir().join(format!("lab-finding-{}.md", std::process::id()));
        fs::write(&path, format!("before\n{begin}{old}{end}after\n")).unwrap();
        let named = How::Property(Property::ElectionSafety);
        let rows = vec![row("b", 7, Some(named))];
        let table = Table { width: 1, seeds: 20, commit: String::new(), rows };
        table.write_page(&path, "go", |id| id != "gone").unwrap();
        assert!(
            table.write_page(&path, "chaos", |_| true).unwrap_err().contains("--profile chaos")
        );
        let page = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(page.starts_with(&format!("before\n{begin}")), "{page}");
        assert!(page.ends_with(&format!("{end}after\n")), "{page}");
        let rows = parse_rows(&page).unwrap();
        assert_eq!(rows, [row("a", 3, test), row("b", 7, Some(named))]);
        assert_eq!(parse_rows(&old).unwrap().len(), 3);
        let error = parse_rows(&old.replace("test failed", "a test failed")).unwrap_err();
        assert!(error.contains("| a | election-safety | 3 |"), "{error}");
        let counts = "2 bugs: 2 found, 2 of them within 20 seeds; 0 survived. 2 break safety: 1 of \
                      these were reported as a broken property, 1 as the right one.";
        assert!(page.contains(counts), "{page}");
    }
}
