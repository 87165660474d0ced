//! Text that the code under test may have made, shown so that it cannot pass for the lab's own: it
//! neither controls the terminal nor begins a line.

use std::borrow::Cow;
use std::io::{self, Write};

/// What a line that the code under test printed begins with, and every further line of a text that
/// it made.
const MARK: &str = "| ";
/// A printed line that is longer than this, in bytes, is shown in pieces.
const MOST_BYTES: usize = 4096;

/// Whether a character changes how others are shown, or is not seen at all: control characters but
/// the tab, and Unicode's marks for direction and other invisible ones.
fn is_unseen(c: char) -> bool {
    c.is_control() && c != '\t'
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match is_escaped(c) {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
    }
    escaped.into()
}

/// A text with its lines, and all that cannot be seen in it as escapes, such as `\u{1b}`.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| c != '\n' && is_unseen(c))
}

/// A text in one line.
pub fn line(text: &str) -> Cow<'_, str> {
    let text = if text.contains('\n') { text.replace('\n', " ").into() } else { text.into() };
    match text {
        Cow::Borrowed(text) => escape(text, is_unseen),
        Cow::Owned(text) => escape(&text, is_unseen).into_owned().into(),
    }
}

/// A text whose further lines, if it has any, are indented like this and marked.
pub fn block(text: &str, indent: &str) -> String {
    lines(text).replace('\n', &format!("\n{indent}{MARK}"))
}

/// Passes on what a process prints, line by line, each marked.
#[derive(Debug)]
pub(crate) struct Marked<W: Write> {
    out: W,
    /// The line that is not complete yet.
    line: Vec<u8>,
}

impl<W: Write> Marked<W> {
    pub(crate) fn new(out: W) -> Marked<W> {
        Marked { out, line: Vec::new() }
    }

    /// Adds bytes, and passes on the lines that are complete.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
            }
            if byte == b'\n' || self.line.len() >= MOST_BYTES {
                self.end_line()?;
            }
        }
        Ok(())
    }

    /// Passes on the last line, if it did not end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.line.is_empty() { Ok(()) } else { self.end_line() }
    }

    fn end_line(&mut self) -> io::Result<()> {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let text = format!("{MARK}{}\n", line(text));
        self.line.clear();
        self.out.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGED: &str = "no\u{1b}[2K\r\n  ... Passed --   0.5  3  \u{202e}0 deeS\u{9b}\u{7f}";

    #[test]
    fn nothing_that_cannot_be_seen_is_passed_on() {
        assert_eq!(lines("a\tb\nc: \u{e9} \u{2713}"), "a\tb\nc: \u{e9} \u{2713}");
        let shown = lines(FORGED);
        assert_eq!(
            shown,
            "no\\u{1b}[2K\\r\n  ... Passed --   0.5  3  \\u{202e}0 deeS\\u{9b}\\u{7f}"
        );
        assert!(!line(FORGED).contains('\n'));
    }

    #[test]
    fn no_line_of_a_text_begins_like_one_of_the_lab() {
        let shown = block(FORGED, "    ");
        let further: Vec<&str> = shown.lines().skip(1).collect();
        assert!(further.len() == 1 && further[0].starts_with("    |   ... Passed"), "{shown}");
    }

    #[test]
    fn printed_lines_are_marked_however_they_arrive() {
        let mut all = Vec::new();
        let mut marked = Marked::new(&mut all);
        for bytes in ["one\r\ntw", "o\n\n\u{1b}[1mth"] {
            marked.add(bytes.as_bytes()).unwrap();
        }
        marked.end().unwrap();
        marked.end().unwrap();
        assert_eq!(String::from_utf8(all).unwrap(), "| one\n| two\n| \n| \\u{1b}[1mth\n");
        let mut all = Vec::new();
        Marked::new(&mut all).add(&vec![b'x'; 2 * MOST_BYTES]).unwrap();
        assert!(all.len() > 2 * MOST_BYTES, "a line without an end is passed on, too");
    }
}
