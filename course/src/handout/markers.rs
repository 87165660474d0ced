//! What of the reference is not handed out: markers in its sources, in nbgrader's words.
//!
//! A region is left out, and may leave something in its place:
//!
//! ```text
//! // BEGIN SOLUTION 2A
//! //stub: None
//! self.the_real_thing()
//! // END SOLUTION
//! ```
//!
//! The part is for the reader, and may be missing. The stub is the `//stub:` lines at the region's
//! beginning, without this word and one blank. Regions do not nest. In files other than Rust's, `#`
//! stands where `//` does here.
//!
//! `// SOLUTION FILE` as the first line leaves out the whole file. What is handed out in the place of
//! `raft/src/peer.rs`, if anything, is `raft/skeleton/src/peer.rs`.

use std::collections::BTreeSet;

use labraft::Part;

/// What the markers' lines say; nothing else in a marked file may say it.
const WORDS: [&str; 4] = ["BEGIN SOLUTION", "END SOLUTION", "SOLUTION FILE", "stub:"];
/// How short a line may be and still tell whose it is.
const SHORTEST_TELLING_LINE: usize = 24;

/// What is left of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stripped {
    /// What is handed out; `None` when the whole file is not.
    pub(super) text: Option<String>,
    /// Every line that is not, without the blanks around it.
    pub(super) removed: BTreeSet<String>,
}

/// Something is wrong with the markers of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MarkerError {
    pub(super) line: usize,
    pub(super) what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Begin,
    End,
    WholeFile,
    /// With the line end.
    Stub(&'a str),
    /// Of the file's own text.
    Other,
}

/// What is left of the text when all that is marked is taken out.
///
/// # Errors
/// When markers are nested, unclosed, or not quite markers.
pub(super) fn strip(path: &str, text: &str) -> Result<Stripped, MarkerError> {
    let comment = if path.ends_with(".rs") { "//" } else { "#" };
    let (mut kept, mut removed) = (String::new(), BTreeSet::new());
    let mut begun = None;
    let mut may_stub = false;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let wrong = |what: String| Err(MarkerError { line: i + 1, what });
        let kind = match kind(line, comment) {
            Ok(kind) => kind,
            Err(what) => return wrong(what),
        };
        match (kind, begun) {
            (Line::WholeFile, _) if i == 0 => return strip_all(text, comment),
            (Line::WholeFile, _) => {
                return wrong("SOLUTION FILE stands in another line than the first".into());
            }
            (Line::Begin, None) => begun = Some(i + 1),
            (Line::Begin, Some(first)) => {
                return wrong(format!(
                    "a solution begins within the one that begins in line {first}"
                ));
            }
            (Line::End, Some(_)) => begun = None,
            (Line::End, None) => return wrong("a solution ends that did not begin".into()),
            (Line::Stub(stub), Some(_)) if may_stub => {
                let indent = &line[..line.len() - line.trim_start().len()];
                kept += if stub.trim().is_empty() { "" } else { indent };
                kept += stub;
            }
            (Line::Stub(_), _) => {
                return wrong("a stub stands elsewhere than at a solution's beginning".into());
            }
            (Line::Other, Some(_)) => _ = removed.insert(line.trim().to_string()),
            (Line::Other, None) => kept += line,
        }
        may_stub = matches!(kind, Line::Begin | Line::Stub(_));
    }
    match begun {
        Some(line) => {
            Err(MarkerError { line, what: "the solution that begins here has no end".into() })
        }
        None if removed.is_empty() => Ok(Stripped { text: Some(kept), removed }),
        None => Ok(Stripped { text: Some(without_gaps(&kept)), removed }),
    }
}

/// The text without the blank lines that stand, now that something between them is gone, beside others,
/// before a closing brace or at the end: as rustfmt would have it.
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

/// Of a file that is not handed out at all: it has no other markers.
fn strip_all(text: &str, comment: &str) -> Result<Stripped, MarkerError> {
    let mut removed = BTreeSet::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        match kind(line, comment) {
            Ok(Line::Other) => _ = removed.insert(line.trim().to_string()),
            Ok(_) => {
                let what = "all of this file is solution already".into();
                return Err(MarkerError { line: i + 1, what });
            }
            Err(what) => return Err(MarkerError { line: i + 1, what }),
        }
    }
    Ok(Stripped { text: None, removed })
}

/// What a line is; what is wrong with it when it looks like a marker and is none.
fn kind<'a>(line: &'a str, comment: &str) -> Result<Line<'a>, String> {
    let Some(found) = WORDS.into_iter().find(|word| line.contains(word)) else {
        return Ok(Line::Other);
    };
    let said = line.trim();
    let rest = said.strip_prefix(comment).unwrap_or_default();
    let marked = rest.strip_prefix(' ').unwrap_or_default();
    let is_part = |name: &str| Part::COURSE.iter().any(|part| part.name() == name);
    match marked.strip_prefix("BEGIN SOLUTION") {
        Some("") => return Ok(Line::Begin),
        Some(part) if part.strip_prefix(' ').is_some_and(is_part) => return Ok(Line::Begin),
        Some(part) => return Err(format!("{:?} is no part of the course", part.trim())),
        None => {}
    }
    match marked {
        "END SOLUTION" => return Ok(Line::End),
        "SOLUTION FILE" => return Ok(Line::WholeFile),
        _ => {}
    }
    if rest.starts_with("stub:") {
        let (_, stub) = line.split_once("stub:").expect("it was just found");
        return Ok(Line::Stub(stub.strip_prefix(' ').unwrap_or(stub)));
    }
    let written = if found == "stub:" { "stub: ..." } else { found };
    let blank = if found == "stub:" { "" } else { " " };
    Err(format!("{said:?} looks like a marker; one is written \"{comment}{blank}{written}\""))
}

/// Whether a text says what only a marker may say.
pub(super) fn is_marked(text: &str) -> bool {
    WORDS.iter().any(|word| text.contains(word))
}

/// Whether a line of a solution tells that it is one. Others are anybody's, such as `}`, what is
/// imported, and the head of a function that others call.
pub(super) fn is_telling(line: &str) -> bool {
    let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    let is_head = line.ends_with('{') && begins(&["pub fn ", "pub async fn ", "pub(crate) fn "]);
    let is_named = begins(&["use ", "pub use ", "#[", "#!["]);
    line.len() >= SHORTEST_TELLING_LINE && !is_named && !is_head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        strip("raft/src/a.rs", text).unwrap().text.unwrap()
    }

    #[test]
    fn what_is_left_has_no_gaps() {
        let text = "a\n\n// BEGIN SOLUTION\nb\n// END SOLUTION\n\nc {\n\n// BEGIN SOLUTION\nd\n\
                    // END SOLUTION\n}\n\n// BEGIN SOLUTION\ne\n// END SOLUTION\n";
        assert_eq!(stripped(text), "a\n\nc {\n}\n");
    }

    fn wrong(text: &str) -> (usize, String) {
        let error = strip("raft/src/a.rs", text).unwrap_err();
        (error.line, error.what)
    }

    #[test]
    fn what_is_marked_is_left_out_and_its_stub_put_in() {
        let text = "fn f() -> u8 {\n    // BEGIN SOLUTION 2A\n    //stub: // Yours.\n    //stub:\n    \
                    //stub:     0\n    let a = 1;\n    a + 1\n    // END SOLUTION\n}\n\
                    // BEGIN SOLUTION\nfn g() {}\n// END SOLUTION\n";
        assert_eq!(stripped(text), "fn f() -> u8 {\n    // Yours.\n\n        0\n}\n");
        let removed = strip("raft/src/a.rs", text).unwrap().removed;
        assert_eq!(removed.iter().collect::<Vec<_>>(), ["a + 1", "fn g() {}", "let a = 1;"]);
    }

    #[test]
    fn what_has_no_markers_stays_as_it_is() {
        for text in ["", "fn f() {}", "fn f() {}\n", "a\r\nb\r\n", "// The solution begins\n"] {
            assert_eq!(stripped(text), text);
        }
    }

    #[test]
    fn line_ends_of_windows_stay_as_they_are() {
        let text = "a\r\n// BEGIN SOLUTION 3B\r\n//stub: b\r\nc\r\n// END SOLUTION\r\nd\r\n";
        assert_eq!(stripped(text), "a\r\nb\r\nd\r\n");
        let removed = strip("raft/src/a.rs", text).unwrap().removed;
        assert!(removed.contains("c"), "{removed:?}");
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(stripped("a\n// BEGIN SOLUTION\nb\n// END SOLUTION"), "a\n");
    }

    #[test]
    fn a_whole_file_is_left_out() {
        let text = "// SOLUTION FILE\n//! What it is.\n\nfn f() {}\n";
        let Stripped { text, removed } = strip("raft/src/a.rs", text).unwrap();
        assert_eq!(text, None);
        assert!(removed.contains("fn f() {}") && removed.contains("//! What it is."));
    }

    #[test]
    fn other_files_have_other_comments() {
        let text = "a\n# BEGIN SOLUTION\n#stub: b\nc\n# END SOLUTION\n";
        assert_eq!(strip("raft/Cargo.toml", text).unwrap().text.unwrap(), "a\nb\n");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let nested = "// BEGIN SOLUTION\n// BEGIN SOLUTION 2A\n// END SOLUTION\n// END SOLUTION\n";
        for (text, line, hint) in [
            (nested, 2, "begins in line 1"),
            ("a\n// BEGIN SOLUTION 2A\nb\n", 2, "no end"),
            ("a\n// END SOLUTION\n", 2, "did not begin"),
            ("// BEGIN SOLUTION\n// END SOLUTION\n// END SOLUTION\n", 3, "did not begin"),
            ("// BEGIN SOLUTION 4A\n", 1, "\"4A\" is no part"),
            ("// BEGIN SOLUTION2A\n", 1, "\"2A\" is no part"),
            ("//BEGIN SOLUTION\n", 1, "\"// BEGIN SOLUTION\""),
            ("f(); // END SOLUTION\n", 1, "\"// END SOLUTION\""),
            ("// stub: a\n", 1, "\"//stub: ...\""),
            ("//stub: a\n", 1, "elsewhere"),
            ("// BEGIN SOLUTION\nb\n//stub: a\n// END SOLUTION\n", 3, "elsewhere"),
            ("a\n// SOLUTION FILE\n", 2, "than the first"),
            ("// SOLUTION FILE\n// BEGIN SOLUTION\n// END SOLUTION\n", 2, "already"),
            ("// SOLUTION FILE\n// SOLUTION FILE\n", 2, "already"),
        ] {
            let (found, what) = wrong(text);
            assert!(found == line && what.contains(hint), "{text:?}: {found}: {what}");
        }
    }

    #[test]
    fn only_long_lines_of_its_own_tell_whose_they_are() {
        assert!(is_telling("self.output.must_save = true;"));
        for line in [
            "}",
            "use std::cell::{Cell, RefCell};",
            "#[derive(Clone, Debug, Default)]",
            "pub async fn get(&mut self, key: &str) -> String {",
        ] {
            assert!(!is_telling(line), "{line}");
        }
    }
}
