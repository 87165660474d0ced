//! Markers in the sources around what is not handed out; the words are those of nbgrader.
//!
//! A region is left out, and a stub may take its place:
//!
//! ```text
//! // BEGIN SOLUTION 2A
//! //stub: None
//! self.the_real_thing()
//! // END SOLUTION
//! ```
//!
//! The name of the part is for readers, and optional. The stub consists of the `//stub:` lines at
//! the beginning of the region, without that word and one blank. Regions do not nest. In files
//! other than Rust sources, the markers begin with `#` instead of `//`.
//!
//! `// SOLUTION FILE` as the first line leaves out the whole file. In the place of
//! `raft/src/peer.rs`, for instance, `raft/skeleton/src/peer.rs` is handed out, if it exists.
//!
//! `// BEGIN LAB 4` and `// END LAB 4` enclose what a handout without lab 4 does not need. It is no
//! secret, and a handout with lab 4 has it instead of its stub.

use std::collections::BTreeSet;

use labraft::Part;

/// The words of markers, which must not appear anywhere else in a marked file.
const WORDS: [&str; 6] =
    ["BEGIN SOLUTION", "END SOLUTION", "SOLUTION FILE", "BEGIN LAB 4", "END LAB 4", "stub:"];
/// The length in bytes from which on a line counts as a sign of copying. A shorter line may well be
/// the same in an independent solution.
const MIN_DISTINCTIVE_LENGTH: usize = 24;

/// What a region holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Region {
    Solution,
    Lab4,
}

/// The regions of a file that are handed out, without their markers and stubs.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) solution: bool,
    pub(super) lab_4: bool,
}

impl Kept {
    fn has(self, region: Region) -> bool {
        match region {
            Region::Solution => self.solution,
            Region::Lab4 => self.lab_4,
        }
    }
}

/// What is left of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stripped {
    /// The text that is handed out; `None` when the whole file is left out.
    pub(super) text: Option<String>,
    /// The lines that are left out, without leading and trailing blanks.
    pub(super) removed: BTreeSet<String>,
}

/// A mistake in the markers of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MarkerError {
    /// The line number, counted from 1.
    pub(super) line: usize,
    pub(super) what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Begin(Region),
    End(Region),
    WholeFile,
    /// The text of the stub with its line end.
    Stub(&'a str),
    /// Not a marker.
    Other,
}

/// Removes everything that is marked from a file's text, but what is `kept`.
///
/// # Errors
/// If markers are nested, unclosed, or misspelt.
pub(super) fn strip(path: &str, text: &str, kept: Kept) -> Result<Stripped, MarkerError> {
    let comment = if path.ends_with(".rs") { "//" } else { "#" };
    if let Some(first) = text.split_inclusive('\n').next()
        && kind(first, comment) == Ok(Line::WholeFile)
    {
        return strip_all(text, first.len(), comment, kept);
    }
    let mut stripper = Stripper { kept, ..Stripper::default() };
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let number = i + 1;
        kind(line, comment)
            .and_then(|kind| stripper.add(line, number, kind))
            .map_err(|what| MarkerError { line: number, what })?;
    }
    stripper.finish()
}

/// The state while a file is stripped line by line.
#[derive(Default)]
struct Stripper {
    kept: Kept,
    text: String,
    removed: BTreeSet<String>,
    /// The current region, and the number of the line in which it began.
    begun: Option<(Region, usize)>,
    /// Whether a stub may follow: only after the beginning of a region, or another stub.
    may_stub: bool,
}

impl Stripper {
    fn add(&mut self, line: &str, number: usize, kind: Line<'_>) -> Result<(), String> {
        match (kind, self.begun) {
            (Line::WholeFile, _) => {
                return Err("SOLUTION FILE must be the first line of the file".into());
            }
            (Line::Begin(region), None) => self.begun = Some((region, number)),
            (Line::Begin(_), Some((_, first))) => {
                return Err(format!("a region begins within the one that begins in line {first}"));
            }
            (Line::End(region), Some((begun, _))) if region == begun => self.begun = None,
            (Line::End(_), _) => return Err("this region has no beginning".into()),
            (Line::Stub(stub), Some((region, _))) if self.may_stub => {
                if !self.kept.has(region) {
                    let indent = &line[..line.len() - line.trim_start().len()];
                    self.text += if stub.trim().is_empty() { "" } else { indent };
                    self.text += stub;
                }
            }
            (Line::Stub(_), _) => {
                return Err("a stub must be at the beginning of a region".into());
            }
            (Line::Other, Some((region, _))) if !self.kept.has(region) => {
                _ = self.removed.insert(line.trim().to_string());
            }
            (Line::Other, _) => self.text += line,
        }
        self.may_stub = matches!(kind, Line::Begin(_) | Line::Stub(_));
        Ok(())
    }

    fn finish(self) -> Result<Stripped, MarkerError> {
        if let Some((_, line)) = self.begun {
            return Err(MarkerError {
                line,
                what: "the region that begins here has no end".into(),
            });
        }
        let text = if self.removed.is_empty() { self.text } else { without_gaps(&self.text) };
        Ok(Stripped { text: Some(text), removed: self.removed })
    }
}

/// Removes blank lines that follow a blank line, precede a closing brace, or end the file. Removing
/// a region leaves such lines behind, and rustfmt would complain.
fn without_gaps(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        let closes = line.trim().is_empty() || line.trim_start().starts_with('}');
        if closes && kept.last().is_none_or(|last| last.trim().is_empty()) {
            kept.pop();
        }
        kept.push(line);
    }
    while kept.last().is_some_and(|last| last.trim().is_empty()) {
        kept.pop();
    }
    kept.concat()
}

/// Strips a file that is left out as a whole, unless solutions are kept. It may have no other markers
/// than its first line, which is `first` bytes long.
fn strip_all(text: &str, first: usize, comment: &str, kept: Kept) -> Result<Stripped, MarkerError> {
    let mut removed = BTreeSet::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        match kind(line, comment) {
            Ok(Line::Other) => _ = removed.insert(line.trim().to_string()),
            Ok(_) => {
                let what = "the whole file is already left out".into();
                return Err(MarkerError { line: i + 1, what });
            }
            Err(what) => return Err(MarkerError { line: i + 1, what }),
        }
    }
    match kept.solution {
        true => Ok(Stripped { text: Some(text[first..].into()), removed: BTreeSet::new() }),
        false => Ok(Stripped { text: None, removed }),
    }
}

/// Which marker a line is, if any. A line that only looks like a marker is an error.
fn kind<'a>(line: &'a str, comment: &str) -> Result<Line<'a>, String> {
    let Some(found) = WORDS.into_iter().find(|word| line.contains(word)) else {
        return Ok(Line::Other);
    };
    let trimmed = line.trim();
    let rest = trimmed.strip_prefix(comment).unwrap_or_default();
    let marked = rest.strip_prefix(' ').unwrap_or_default();
    let is_part = |name: &str| Part::COURSE.iter().any(|part| part.name() == name);
    match marked.strip_prefix("BEGIN SOLUTION") {
        Some("") => return Ok(Line::Begin(Region::Solution)),
        Some(part) if part.strip_prefix(' ').is_some_and(is_part) => {
            return Ok(Line::Begin(Region::Solution));
        }
        Some(part) => return Err(format!("unknown part {:?}", part.trim())),
        None => {}
    }
    match marked {
        "END SOLUTION" => return Ok(Line::End(Region::Solution)),
        "BEGIN LAB 4" => return Ok(Line::Begin(Region::Lab4)),
        "END LAB 4" => return Ok(Line::End(Region::Lab4)),
        "SOLUTION FILE" => return Ok(Line::WholeFile),
        _ => {}
    }
    if rest.starts_with("stub:") {
        let (_, stub) = line.split_once("stub:").expect("the line has this word");
        return Ok(Line::Stub(stub.strip_prefix(' ').unwrap_or(stub)));
    }
    let written = if found == "stub:" { "stub: ..." } else { found };
    let blank = if found == "stub:" { "" } else { " " };
    Err(format!(
        "{trimmed:?} looks like a marker, but must be written \"{comment}{blank}{written}\""
    ))
}

/// Whether the file may have markers: the files of the crates that a student writes, those that
/// name crates that are not handed out, and those of the lab that are about lab 4.
pub(super) fn may_be_marked(path: &str) -> bool {
    may_hold_solution(path)
        || ["lab/src/", "labraft/src/", "program/src/", "tests/src/"]
            .iter()
            .any(|place| path.starts_with(place))
}

/// Whether the file may have a piece of the solution in it.
pub(super) fn may_hold_solution(path: &str) -> bool {
    ["raft/", "kvraft/", "shardctrler/", "shardkv/", ".cargo/"]
        .iter()
        .any(|place| path.starts_with(place))
        || path.ends_with("Cargo.toml")
}

/// Whether a text has words of markers.
pub(super) fn is_marked(text: &str) -> bool {
    WORDS.iter().any(|word| text.contains(word))
}

/// Whether a line shows that it was copied from a solution. Lines such as `}`, imports, and the
/// first lines of public functions and types are the same in any solution.
pub(super) fn is_distinctive(line: &str) -> bool {
    let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    let heads = ["pub fn ", "pub async fn ", "pub(crate) fn ", "pub struct ", "pub enum "];
    let is_head = line.ends_with('{') && begins(&heads);
    let is_named = begins(&["use ", "pub use ", "#[", "#!["]);
    line.len() >= MIN_DISTINCTIVE_LENGTH && !is_named && !is_head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        strip("raft/src/a.rs", text, Kept::default()).unwrap().text.unwrap()
    }

    #[test]
    fn no_gaps_are_left() {
        let text = "a\n\n// BEGIN SOLUTION\nb\n// END SOLUTION\n\nc {\n\n// BEGIN SOLUTION\nd\n\
                    // END SOLUTION\n}\n\n// BEGIN SOLUTION\ne\n// END SOLUTION\n";
        assert_eq!(stripped(text), "a\n\nc {\n}\n");
    }

    fn wrong(text: &str) -> (usize, String) {
        let error = strip("raft/src/a.rs", text, Kept::default()).unwrap_err();
        (error.line, error.what)
    }

    #[test]
    fn a_region_is_replaced_by_its_stub() {
        let text = "fn f() -> u8 {\n    // BEGIN SOLUTION 2A\n    //stub: // Yours.\n    //stub:\n    \
                    //stub:     0\n    let a = 1;\n    a + 1\n    // END SOLUTION\n}\n\
                    // BEGIN SOLUTION\nfn g() {}\n// END SOLUTION\n";
        assert_eq!(stripped(text), "fn f() -> u8 {\n    // Yours.\n\n        0\n}\n");
        let removed = strip("raft/src/a.rs", text, Kept::default()).unwrap().removed;
        assert_eq!(removed.iter().collect::<Vec<_>>(), ["a + 1", "fn g() {}", "let a = 1;"]);
    }

    #[test]
    fn a_text_without_markers_is_unchanged() {
        for text in ["", "fn f() {}", "fn f() {}\n", "a\r\nb\r\n", "// The solution begins\n"] {
            assert_eq!(stripped(text), text);
        }
    }

    #[test]
    fn windows_line_ends_are_kept() {
        let text = "a\r\n// BEGIN SOLUTION 3B\r\n//stub: b\r\nc\r\n// END SOLUTION\r\nd\r\n";
        assert_eq!(stripped(text), "a\r\nb\r\nd\r\n");
        let removed = strip("raft/src/a.rs", text, Kept::default()).unwrap().removed;
        assert!(removed.contains("c"), "{removed:?}");
    }

    #[test]
    fn the_last_line_needs_no_line_end() {
        assert_eq!(stripped("a\n// BEGIN SOLUTION\nb\n// END SOLUTION"), "a\n");
    }

    #[test]
    fn a_whole_file_is_left_out() {
        let text = "// SOLUTION FILE\n//! What it is.\n\nfn f() {}\n";
        let Stripped { text, removed } = strip("raft/src/a.rs", text, Kept::default()).unwrap();
        assert_eq!(text, None);
        assert!(removed.contains("fn f() {}") && removed.contains("//! What it is."));
    }

    #[test]
    fn what_is_kept_stays_without_its_markers_and_stubs() {
        let text = "a\n// BEGIN LAB 4\n//stub: b\nc\n// END LAB 4\n// BEGIN SOLUTION 2A\nd\n\
                    // END SOLUTION\n";
        let with = |solution, lab_4| {
            let kept = Kept { solution, lab_4 };
            let Stripped { text, removed } = strip("tests/src/a.rs", text, kept).unwrap();
            (text.unwrap(), removed.into_iter().collect::<Vec<_>>().concat())
        };
        assert_eq!(with(false, false), ("a\nb\n".into(), "cd".into()));
        assert_eq!(with(false, true), ("a\nc\n".into(), "d".into()));
        assert_eq!(with(true, true), ("a\nc\nd\n".into(), String::new()));
        let whole = "// SOLUTION FILE\n//! What it is.\n";
        let kept = Kept { solution: true, lab_4: false };
        let Stripped { text, removed } = strip("raft/src/a.rs", whole, kept).unwrap();
        assert_eq!((text.unwrap().as_str(), removed.len()), ("//! What it is.\n", 0));
    }

    #[test]
    fn other_files_have_other_comments() {
        let text = "a\n# BEGIN SOLUTION\n#stub: b\nc\n# END SOLUTION\n";
        assert_eq!(
            strip("raft/Cargo.toml", text, Kept::default()).unwrap().text.unwrap(),
            "a\nb\n"
        );
    }

    #[test]
    fn errors_name_the_line() {
        let nested = "// BEGIN SOLUTION\n// BEGIN SOLUTION 2A\n// END SOLUTION\n// END SOLUTION\n";
        for (text, line, hint) in [
            (nested, 2, "begins in line 1"),
            ("a\n// BEGIN SOLUTION 2A\nb\n", 2, "no end"),
            ("a\n// END SOLUTION\n", 2, "has no beginning"),
            ("// BEGIN SOLUTION\n// END SOLUTION\n// END SOLUTION\n", 3, "has no beginning"),
            ("// BEGIN LAB 4\na\n// END SOLUTION\n", 3, "has no beginning"),
            ("// BEGIN LAB 4A\n", 1, "\"// BEGIN LAB 4\""),
            ("// BEGIN SOLUTION 5A\n", 1, "unknown part \"5A\""),
            ("// BEGIN SOLUTION2A\n", 1, "unknown part \"2A\""),
            ("//BEGIN SOLUTION\n", 1, "\"// BEGIN SOLUTION\""),
            ("f(); // END SOLUTION\n", 1, "\"// END SOLUTION\""),
            ("// stub: a\n", 1, "\"//stub: ...\""),
            ("//stub: a\n", 1, "must be at the beginning"),
            ("// BEGIN SOLUTION\nb\n//stub: a\n// END SOLUTION\n", 3, "must be at the beginning"),
            ("a\n// SOLUTION FILE\n", 2, "must be the first line"),
            ("// SOLUTION FILE\n// BEGIN SOLUTION\n// END SOLUTION\n", 2, "already"),
            ("// SOLUTION FILE\n// SOLUTION FILE\n", 2, "already"),
        ] {
            let (found, what) = wrong(text);
            assert!(found == line && what.contains(hint), "{text:?}: {found}: {what}");
        }
    }

    #[test]
    fn only_long_lines_other_than_imports_and_signatures_are_distinctive() {
        assert!(is_distinctive("self.output.must_save = true;"));
        for line in [
            "}",
            "use std::cell::{Cell, RefCell};",
            "#[derive(Clone, Debug, Default)]",
            "pub async fn get(&mut self, key: &str) -> String {",
            "pub struct ServerOfSomething {",
        ] {
            assert!(!is_distinctive(line), "{line}");
        }
    }
}
