//! What found a bug, and the table of all.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use lab::records::{Problem, Record};
use labraft::Verdict;

use super::patch::{Patch, SAFETY};

/// How many tests are named that find a bug.
const TESTS_NAMED: usize = 2;
/// Within so many seeds a bug is to be found.
const SOON: u64 = 20;

/// How a run shows that something is wrong, from the most telling way to the least.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// It names the property that was broken.
    Property(String),
    /// A test did not get what it expects.
    Test,
    /// The code under test panicked.
    Panicked,
    Crashed,
    Hung,
}

impl How {
    /// `None` when the run shows nothing.
    fn of(record: &Record) -> Option<How> {
        let problem = record.problem.as_ref();
        Some(match record.verdict {
            Verdict::Passed | Verdict::Missed | Verdict::Unknown => return None,
            Verdict::Crashed => How::Crashed,
            Verdict::Hung => How::Hung,
            Verdict::Failed => match problem.and_then(Problem::property_name) {
                Some(name) => How::Property(name.into()),
                None if problem.is_some_and(|p| p.reason.starts_with("panicked")) => How::Panicked,
                None => How::Test,
            },
        })
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Property(name) => f.write_str(name),
            How::Test => f.write_str("test failed"),
            How::Panicked => f.write_str("panicked"),
            How::Crashed => f.write_str("crashed"),
            How::Hung => f.write_str("hung"),
        }
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
    pub(super) fn of(records: &[Record]) -> Finding {
        let mut all: Vec<(u64, How, &Record)> = Vec::new();
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
            how: how.clone(),
            reason: record.problem.as_ref().map_or_else(String::new, |p| p.reason.clone()),
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
    /// The property that the bug breaks.
    property: String,
    /// How many seeds it took to find it; `None` when it survived.
    seeds: Option<u64>,
    how: String,
    /// The tests that found it.
    tests: String,
    /// The commit of the sources that it was put into.
    commit: String,
}

impl Row {
    /// As in a page.
    fn markdown(&self) -> String {
        let Row { id, property, how, tests, commit, .. } = self;
        let seeds = self.seeds.map_or_else(String::new, |seeds| seeds.to_string());
        format!("| {id} | {property} | {seeds} | {how} | {tests} | {commit} |\n")
    }

    /// From a page; `None` when the line is no row.
    fn parse(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", id, property, seeds, how, tests, commit, ""] = cells.as_slice() else {
            return None;
        };
        let [id, property, how, tests, commit] =
            [id, property, how, tests, commit].map(String::from);
        Some(Row { id, property, seeds: seeds.parse().ok(), how, tests, commit })
    }

    fn is_safety(&self) -> bool {
        SAFETY.contains(&self.property.as_str())
    }

    /// Whether the lab named a property that was broken.
    fn is_named(&self) -> bool {
        let unnamed = [How::Test, How::Panicked, How::Crashed, How::Hung];
        self.seeds.is_some() && unnamed.iter().all(|how| how.to_string() != self.how)
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
        format!("{:<1$}  seeds  {2:<37}  found by", "bug", self.width, "how")
    }

    /// Adds a row: what to print of it.
    pub(super) fn add(&mut self, patch: &Patch, finding: &Finding) -> String {
        let (seeds, how, tests, reason) = match finding {
            Finding::Survived => {
                (None, format!("**survived** {} seeds", self.seeds), String::new(), String::new())
            }
            Finding::Found { seeds, tests, how, reason } => {
                let reason: String = reason.chars().take(80).collect();
                (Some(*seeds), how.to_string(), named(tests), format!(": {reason}"))
            }
        };
        let (id, property, commit) = (&patch.id, &patch.property, &self.commit);
        let (width, shown) = (self.width, seeds.unwrap_or(self.seeds));
        let line = match finding {
            Finding::Survived => format!("{id:<width$}  {shown:>5}  SURVIVED"),
            _ => format!("{id:<width$}  {shown:>5}  {how:<37}  {tests}{reason}"),
        };
        let [id, property, commit] = [id, property, commit].map(String::from);
        self.rows.push(Row { id, property, seeds, how, tests, commit });
        line
    }

    pub(super) fn all_found(&self) -> bool {
        self.rows.iter().all(|row| row.seeds.is_some())
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
    let (all, found) = (rows.len(), count(&|row| row.seeds.is_some()));
    let soon = count(&|row| row.seeds.is_some_and(|seeds| seeds <= SOON));
    let safety = count(&|row| row.is_safety());
    let named = count(&|row| row.is_safety() && row.is_named());
    let exactly = count(&|row| row.is_safety() && row.how == row.property);
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
    use lab::records::Build;

    use super::*;

    /// As where a reason begins with the property.
    fn record(test: &str, seed: u64, verdict: Verdict, reason: &str) -> Record {
        let property = reason.split_once("): ").map(|(property, _)| format!("{property})"));
        let problem = Problem { property, ..Problem::new(reason) };
        Record::ended((test, seed), "reference", verdict, problem, &Build::default())
    }

    fn how(verdict: Verdict, reason: &str) -> Option<How> {
        How::of(&record("Backup2B", 0, verdict, reason))
    }

    #[test]
    fn a_failed_run_is_named_by_its_property_or_by_what_happened() {
        let property = |name: &str| Some(How::Property(name.into()));
        let failed = |reason| how(Verdict::Failed, reason);
        let leaders = "Election Safety (paper, figure 3): term 2 has leaders [0, 1]";
        assert_eq!(failed(leaders), property("Election Safety"));
        let order = "apply order (paper, section 5.3): server 1 hands its service ...";
        assert_eq!(failed(order), property("apply order"));
        assert_eq!(failed("panicked at raft/src/core.rs:1:2: what"), Some(How::Panicked));
        assert_eq!(failed("expected one leader, got none"), Some(How::Test));
        assert_eq!(how(Verdict::Crashed, "signal 11"), Some(How::Crashed));
        assert_eq!(how(Verdict::Hung, ""), Some(How::Hung));
        assert_eq!(how(Verdict::Unknown, "it is not known"), None);
        assert_eq!(how(Verdict::Missed, "too slow"), None);
    }

    #[test]
    fn the_first_seed_that_shows_anything_counts_and_in_it_the_most_telling_test() {
        let failed = |test, seed, reason| record(test, seed, Verdict::Failed, reason);
        let finding = Finding::of(&[
            record("Backup2B", 1, Verdict::Unknown, ""),
            failed("Backup2B", 4, "Log Matching (paper, figure 3): ..."),
            failed("Figure8_2C", 3, "Log Matching (paper, figure 3): ..."),
            failed("Backup2B", 3, "one(1) failed to reach agreement"),
        ]);
        let Finding::Found { seeds, tests, how, .. } = finding else { panic!("{finding:?}") };
        assert_eq!((seeds, how), (4, How::Property("Log Matching".into())));
        assert_eq!(tests, ["Figure8_2C", "Backup2B"]);
        let passed = record("Backup2B", 0, Verdict::Unknown, "");
        assert_eq!(Finding::of(&[passed]), Finding::Survived);
    }

    #[test]
    fn a_page_keeps_the_rows_of_bugs_that_were_not_tried_out_again() {
        let row = |id: &str, seeds, how: &str| Row {
            id: id.into(),
            property: "Election Safety".into(),
            seeds,
            how: how.into(),
            tests: String::new(),
            commit: "1234".into(),
        };
        let old = [row("a", Some(3), "test failed"), row("b", None, "-"), row("gone", None, "-")];
        let old: String = old.iter().map(Row::markdown).collect();
        let [begin, end] = marks("go");
        let path = std::env::temp_dir().join(format!("lab-finding-{}.md", std::process::id()));
        fs::write(&path, format!("before\n{begin}{old}{end}after\n")).unwrap();
        let rows = vec![row("b", Some(7), "Election Safety")];
        let table = Table { width: 1, seeds: 20, commit: String::new(), rows };
        table.write_page(&path, "go", |id| id != "gone").unwrap();
        assert!(
            table.write_page(&path, "chaos", |_| true).unwrap_err().contains("--profile chaos")
        );
        let page = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(page.starts_with(&format!("before\n{begin}")), "{page}");
        assert!(page.ends_with(&format!("{end}after\n")), "{page}");
        let rows: Vec<Row> = page.lines().filter_map(Row::parse).skip(2).collect();
        let expected = [row("a", Some(3), "test failed"), row("b", Some(7), "Election Safety")];
        assert_eq!(rows, expected);
        let counts = "2 bugs: 2 found, 2 of them within 20 seeds; 0 survived. 2 break safety: 1 of \
                      these were named as a broken property, 1 as the very one.";
        assert!(page.contains(counts), "{page}");
    }
}
