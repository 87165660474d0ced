//! What found a bug, and the table of all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lab::records::RunRecord;
use labraft::{CauseKind, Property, Verdict};

use super::patch::{Breaks, Patch};

/// How many tests are named that find a bug.
const TESTS_NAMED: usize = 2;
/// Within so many seeds a bug is to be found.
const SOON: u64 = 20;

/// How a run shows that something is wrong, from the most telling way to the least.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// It names the property that was broken.
    Property(Property),
    /// A test did not get what it expects.
    Test,
    /// The code under test panicked.
    Panicked,
    Crashed,
    Hung,
}

impl How {
    /// `None` when the run shows nothing.
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

    /// As the tables have it.
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

/// What came of a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Found {
        /// How many seeds it took.
        seeds: u64,
        /// The tests that failed under the last of them, the most telling one first.
        tests: Vec<String>,
        how: How,
        /// What the first test said.
        reason: String,
    },
    Survived,
}

impl Finding {
    /// What the first seed shows that shows anything.
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

/// Tests that find a bug, as far as there is room.
fn named(tests: &[String]) -> String {
    let shown = tests[..tests.len().min(TESTS_NAMED)].join(", ");
    if tests.len() > TESTS_NAMED { shown + ", ..." } else { shown }
}

/// A bug in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    id: String,
    breaks: Breaks,
    /// How it was found; `None` when it survived.
    found: Option<Found>,
    /// The commit of the sources that it was put into.
    commit: String,
}

/// How a bug was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// The number of seeds that it took.
    seeds: u64,
    how: How,
    /// The tests that found it.
    tests: String,
}

impl Row {
    /// The row as a line of Markdown.
    fn markdown(&self) -> String {
        let Row { id, breaks, found, commit } = self;
        let breaks = breaks.name();
        match found {
            None => format!("| {id} | {breaks} | | **survived** | | {commit} |\n"),
            Some(Found { seeds, how, tests }) => {
                format!("| {id} | {breaks} | {seeds} | {} | {tests} | {commit} |\n", how.name())
            }
        }
    }

    /// Reads a line that [`markdown`](Row::markdown) wrote; `None` when the line is not a row.
    fn parse(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", id, breaks, seeds, how, tests, commit, ""] = cells.as_slice() else {
            return None;
        };
        let found = match seeds.parse() {
            Err(_) => None,
            Ok(seeds) => Some(Found { seeds, how: How::from_name(how)?, tests: tests.into() }),
        };
        let (id, commit) = (id.into(), commit.into());
        Some(Row { id, breaks: Breaks::from_name(breaks)?, found, commit })
    }

    /// The property that the lab named as broken, if it named one.
    fn named(&self) -> Option<Property> {
        match self.found.as_ref()?.how {
            How::Property(property) => Some(property),
            _ => None,
        }
    }

    fn seeds(&self) -> Option<u64> {
        self.found.as_ref().map(|found| found.seeds)
    }
}

/// All bugs that were tried out so far.
pub(super) struct Table {
    /// How wide a name is.
    width: usize,
    /// How many seeds each bug is given.
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

    /// Adds a row: what to print of it.
    pub(super) fn add(&mut self, patch: &Patch, finding: &Finding) -> String {
        let (id, width) = (patch.id.clone(), self.width);
        let (found, line) = match finding {
            Finding::Survived => (None, format!("{id:<width$}  {:>5}  SURVIVED", self.seeds)),
            Finding::Found { seeds, tests, how, reason } => {
                let (tests, name) = (named(tests), how.name());
                let reason: String = reason.chars().take(80).collect();
                let line = format!("{id:<width$}  {seeds:>5}  {name:<20}  {tests}: {reason}");
                (Some(Found { seeds: *seeds, how: *how, tests }), line)
            }
        };
        self.rows.push(Row { id, breaks: patch.breaks, found, commit: self.commit.clone() });
        line
    }

    pub(super) fn all_found(&self) -> bool {
        self.rows.iter().all(|row| row.found.is_some())
    }

    /// Puts the rows into a page, in the place of earlier ones of the same bugs. Rows of bugs that
    /// there are no more go.
    pub(super) fn write_page(
        &self,
        path: &Path,
        profile: &str,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let page = check_page(path, profile)?;
        let old = between(&page, profile).map_or("", |(_, old, _)| old);
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for row in old.lines().filter_map(Row::parse).chain(self.rows.iter().cloned()) {
            if is_known(&row.id) {
                rows.insert(row.id.clone(), row);
            }
        }
        let rows: Vec<Row> = rows.into_values().collect();
        let mut table = String::from(
            "\n| bug | breaks | seeds | how | found by | commit |\n|---|---|---|---|---|---|\n",
        );
        table.extend(rows.iter().map(Row::markdown));
        table += &format!("\n{}\n", counts(&rows));
        let text =
            between(&page, profile).map(|(before, _, after)| before.to_string() + &table + after);
        fs::write(path, text.unwrap_or(page))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// What it all comes to.
    pub(super) fn counts(&self) -> String {
        counts(&self.rows)
    }
}

fn counts(rows: &[Row]) -> String {
    let count = |is_such: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is_such(row)).count();
    let (all, found) = (rows.len(), count(&|row| row.found.is_some()));
    let soon = count(&|row| row.seeds().is_some_and(|seeds| seeds <= SOON));
    let safety = count(&|row| row.breaks.is_safety());
    let named = count(&|row| row.breaks.is_safety() && row.named().is_some());
    let is_exact = |row: &Row| row.named().map(Breaks::Property) == Some(row.breaks);
    let exactly = count(&|row| row.breaks.is_safety() && is_exact(row));
    format!(
        "{all} bugs: {found} found, {soon} of them within {SOON} seeds; {} survived. {safety} break \
         safety: {named} of these were named as a broken property, {exactly} as the very one.",
        all - found
    )
}

/// The text of a page that has a place for the table of a profile.
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

/// A page up to its table, the table, and the rest.
fn between<'a>(page: &'a str, profile: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let [begin, end] = marks(profile);
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find(&end)?;
    Some((&page[..from], &page[from..to], &page[to..]))
}

#[cfg(test)]
mod tests {
    use lab::records::{Build, FailureRecord};
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
    fn the_first_seed_that_shows_anything_counts_and_in_it_the_most_telling_test() {
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
        let row = |id: &str, found: Option<(u64, How)>| Row {
            id: id.into(),
            breaks,
            found: found.map(|(seeds, how)| Found { seeds, how, tests: String::new() }),
            commit: "1234".into(),
        };
        let old = [row("a", Some((3, How::Test))), row("b", None), row("gone", None)];
        let old: String = old.iter().map(Row::markdown).collect();
        let [begin, end] = marks("go");
        let path = std::env::temp_dir().join(format!("lab-finding-{}.md", std::process::id()));
        fs::write(&path, format!("before\n{begin}{old}{end}after\n")).unwrap();
        let named = How::Property(Property::ElectionSafety);
        let rows = vec![row("b", Some((7, named)))];
        let table = Table { width: 1, seeds: 20, commit: String::new(), rows };
        table.write_page(&path, "go", |id| id != "gone").unwrap();
        assert!(
            table.write_page(&path, "chaos", |_| true).unwrap_err().contains("--profile chaos")
        );
        let page = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(page.starts_with(&format!("before\n{begin}")), "{page}");
        assert!(page.ends_with(&format!("{end}after\n")), "{page}");
        let rows: Vec<Row> = page.lines().filter_map(Row::parse).collect();
        assert_eq!(rows, [row("a", Some((3, How::Test))), row("b", Some((7, named)))]);
        let counts = "2 bugs: 2 found, 2 of them within 20 seeds; 0 survived. 2 break safety: 1 of \
                      these were named as a broken property, 1 as the very one.";
        assert!(page.contains(counts), "{page}");
    }
}
