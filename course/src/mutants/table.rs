//! The table of all bugs: its lines on the terminal, and its rows in a page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use labraft::{Profile, Property};

use super::finding::{Finding, How};
use super::patch::{Breaks, Patch};
use super::program::Program;
use super::reach::Reach;

/// The most tests that the table names for a bug.
const TESTS_NAMED: usize = 2;
/// The number of seeds within which a bug counts as found soon.
const SOON: u64 = 20;

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
    /// The reason that the first of them gave; for a bug that survived, whether its code did anything.
    reason: String,
    /// The commit of the sources to which the bug was applied.
    commit: String,
}

/// The entry in the column "how" for a bug that was not found.
const SURVIVED: &str = "**survived**";
const HEADER: &str = "| bug | breaks | seeds | how | found by | reason | commit |";

impl Row {
    /// The row as a line of Markdown.
    fn markdown(&self) -> String {
        let Row { id, breaks, seeds, how, tests, reason, commit } = self;
        let breaks = breaks.name();
        let how = how.map_or(SURVIVED, How::name);
        let reason = escaped(reason);
        format!("| {id} | {breaks} | {seeds} | {how} | {tests} | {reason} | {commit} |\n")
    }

    /// Reads a line that [`markdown`](Row::markdown) wrote; `None` when the line is not a row.
    fn parse(line: &str) -> Option<Row> {
        let cells = cells(line);
        let cells: Vec<&str> = cells.iter().map(|cell| cell.trim()).collect();
        let &["", id, breaks, seeds, how, tests, reason, commit, ""] = cells.as_slice() else {
            return None;
        };
        Some(Row {
            id: id.into(),
            breaks: Breaks::from_name(breaks)?,
            seeds: seeds.parse().ok()?,
            how: if how == SURVIVED { None } else { Some(How::from_name(how)?) },
            tests: tests.into(),
            reason: reason.into(),
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

/// A text as a cell of a table in Markdown.
fn escaped(text: &str) -> String {
    lab::plain::line(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// The cells of a line, with what [`escaped`] escaped as it was.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '|' => cells.push(String::new()),
            '\\' => cells.last_mut().into_iter().for_each(|cell| cell.extend(characters.next())),
            _ => cells.last_mut().into_iter().for_each(|cell| cell.push(character)),
        }
    }
    cells
}

/// The rows of a table in Markdown.
fn parse_rows(table: &str) -> Result<Vec<Row>, String> {
    let is_row = |line: &&str| line.starts_with("| ") && *line != HEADER;
    let parse =
        |line: &str| Row::parse(line).ok_or_else(|| format!("cannot read the row {line:?}"));
    table.lines().filter(is_row).map(parse).collect()
}

/// What a trial of a bug under one profile showed.
pub(super) struct Entry<'a> {
    pub(super) patch: &'a Patch,
    pub(super) finding: &'a Finding,
    /// The program with the bug.
    pub(super) program: &'a Program,
    /// Whether the code of a bug that survived did anything.
    pub(super) reach: Option<&'a Reach>,
}

/// The table of the bugs that were tried under one profile.
pub(super) struct Table {
    profile: Profile,
    /// The width of the column with the names.
    width: usize,
    /// The number of seeds after which a bug counts as having survived.
    seeds: u64,
    commit: String,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(profile: Profile, width: usize, seeds: u64, commit: String) -> Table {
        Table { profile, width, seeds, commit, rows: Vec::new() }
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// Adds a row, and returns lines about it to print.
    pub(super) fn add(&mut self, entry: &Entry<'_>) -> String {
        let Entry { patch, finding, program, reach } = entry;
        let mut row = Row {
            id: patch.id.clone(),
            breaks: patch.breaks,
            seeds: self.seeds,
            how: None,
            tests: String::new(),
            reason: reach.map_or_else(String::new, Reach::to_string),
            commit: self.commit.clone(),
        };
        let start = format!("{:<1$}  {2:<7}", patch.id, self.width, self.profile.name());
        let lines = match finding {
            Finding::Survived => {
                format!("{start}  {:>5}  SURVIVED\n    {}", self.seeds, row.reason)
            }
            Finding::Found { seeds, tests, how, profile, reason } => {
                let (tests, first, reason) = (named(tests), &tests[0], reason.clone());
                row = Row { seeds: *seeds, how: Some(*how), tests, reason, ..row };
                format!(
                    "{start}  {seeds:>5}  {:<20}  {}\n    {}\n{}",
                    how.name(),
                    row.tests,
                    lab::plain::block(&row.reason, "    "),
                    commands(program, first, seeds - 1, *profile)
                )
            }
        };
        self.rows.push(row);
        lines
    }

    /// The names of the bugs that were found.
    pub(super) fn found(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter(|row| row.how.is_some()).map(|row| row.id.as_str())
    }

    /// Writes the rows into a page, where they replace earlier rows of the same bugs. Rows of bugs
    /// that no longer exist are removed.
    pub(super) fn write_page(
        &self,
        path: &Path,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let profile = self.profile.name();
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
        let mut table = format!("\n{HEADER}\n|---|---|---|---|---|---|---|\n");
        table.extend(rows.iter().map(Row::markdown));
        table += &format!("\n{}\n", counts(&rows));
        let text =
            between(&page, profile).map(|(before, _, after)| before.to_string() + &table + after);
        fs::write(path, text.unwrap_or(page))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Sums up in one line how many bugs were found, and how.
    pub(super) fn counts(&self) -> String {
        format!("{}: {}", self.profile.name(), counts(&self.rows))
    }
}

/// The heading for the lines that [`Table::add`] returns.
pub(super) fn head(width: usize) -> String {
    format!("{:<width$}  profile  seeds  {:<20}  found by", "bug", "how")
}

/// A path as it can be written in the current directory.
fn from_here(path: PathBuf) -> PathBuf {
    let here = std::env::current_dir();
    let below = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    below.unwrap_or(path)
}

/// How to look at a failure with the program that made it.
fn commands(program: &Program, test: &str, seed: u64, profile: Profile) -> String {
    let mut run = format!("{test} --seed {seed}");
    if profile != Profile::default() {
        run += &format!(" --profile {}", profile.name());
    }
    let path = from_here(program.path());
    let out = from_here(program.results(profile));
    let path = path.display();
    let out = out.display();
    format!(
        "    replay: {path} replay {run} --out {out}\n    shrink: {path} shrink {run} --out {out}"
    )
}

fn counts(rows: &[Row]) -> String {
    let count = |is_such: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is_such(row)).count();
    let (all, found) = (rows.len(), count(&|row| row.how.is_some()));
    let soon = count(&|row| row.how.is_some() && row.seeds <= SOON);
    let safety = count(&|row| row.breaks.is_safety());
    let named = count(&|row| row.breaks.is_safety() && row.named().is_some());
    let is_exact = |row: &Row| row.named().map(Breaks::Property) == Some(row.breaks);
    let exactly = count(&|row| row.breaks.is_safety() && is_exact(row));
    let is_rule = |row: &Row| row.named().is_some_and(Property::is_rule);
    let by_rule = count(&|row| row.breaks.is_safety() && is_rule(row));
    format!(
        "{all} bugs: {found} found, {soon} of them within {SOON} seeds; {} survived. {safety} break \
         safety: {named} of these were reported as a broken property: {exactly} as the one that the patch names, \
         {by_rule} as a rule of figure 2, which its first wrong step breaks.",
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
    use super::super::patch::Subject;
    use super::*;

    #[test]
    fn a_page_keeps_the_rows_of_bugs_that_were_not_tried_out_again() {
        let breaks = Breaks::Property(Property::ElectionSafety);
        let row = |id: &str, seeds, how| Row {
            id: id.into(),
            breaks,
            seeds,
            how,
            tests: String::new(),
            reason: r"value 1 | \(2)".into(),
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
        let table = Table { rows, ..Table::new(Profile::Go, 1, 20, String::new()) };
        table.write_page(&path, |id| id != "gone").unwrap();
        let table = Table { profile: Profile::Chaos, ..table };
        assert!(table.write_page(&path, |_| true).unwrap_err().contains("--profile chaos"));
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
                      these were reported as a broken property: 1 as the one that the patch names, 0 as a \
                      rule of figure 2, which its first wrong step breaks.";
        assert!(page.contains(counts), "{page}");
    }

    fn patch() -> Patch {
        let breaks = Breaks::Property(Property::ElectionSafety);
        Patch { id: "no-vote".into(), breaks, subject: Subject::Raft, path: "no-vote.patch".into() }
    }

    #[test]
    fn a_bug_that_was_found_is_shown_with_its_whole_reason_and_how_to_look_at_it() {
        let reason = format!("two leaders: {}\nand more", "S1 ".repeat(60));
        let finding = Finding::Found {
            seeds: 4,
            tests: vec!["Rejoin2B".into(), "Backup2B".into()],
            how: How::Test,
            profile: Profile::Chaos,
            reason: reason.clone(),
        };
        let patch = patch();
        let program = Program::at("/place".into());
        let mut table = Table::new(Profile::Chaos, 7, 20, "1234".into());
        let entry = Entry { patch: &patch, finding: &finding, program: &program, reach: None };
        let shown = table.add(&entry);
        assert!(shown.starts_with("no-vote  chaos        4  test failed"), "{shown}");
        assert!(shown.contains(&"S1 ".repeat(60)) && shown.contains("\n    | and more"), "{shown}");
        let run = "/place/lab replay Rejoin2B --seed 3 --profile chaos --out /place/chaos";
        assert!(shown.contains(run), "{shown}");
        assert!(shown.contains(&run.replace("replay", "shrink")), "{shown}");
        assert_eq!(table.found().collect::<Vec<_>>(), ["no-vote"]);
        assert_eq!(
            Row::parse(table.rows[0].markdown().trim()).unwrap().reason,
            reason.replace('\n', " ")
        );
    }

    #[test]
    fn of_a_survivor_it_is_said_whether_its_code_did_anything() {
        let patch = patch();
        let program = Program::at("/place".into());
        let mut table = Table::new(Profile::Go, 7, 20, "1234".into());
        let reach = Reach::default();
        let finding = Finding::Survived;
        let entry =
            Entry { patch: &patch, finding: &finding, program: &program, reach: Some(&reach) };
        let shown = table.add(&entry);
        assert!(shown.contains("SURVIVED\n    the wrong code never had an effect"), "{shown}");
        assert_eq!(table.found().count(), 0);
        assert!(table.rows[0].markdown().contains(&reach.to_string()));
    }
}
