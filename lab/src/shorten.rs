//! Bounds the length of texts that the code under test has a say in, and says how much was cut.

/// The text itself, or its beginning with a note if it has more than `most` bytes. The note is not
/// counted.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    // A text that was shortened before is longer by its note, and stays as it is.
    if text.len() <= most + MAX_NOTE_BYTES {
        return text.into();
    }
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}... ({} more bytes)", &text[..end], text.len() - end)
}

/// The first of these lines, up to `most` bytes, with a note if that is not all.
pub(crate) fn shorten_lines(lines: Vec<String>, most: usize) -> Vec<String> {
    let mut left = most;
    let mut kept = Vec::new();
    let count = lines.len();
    for (i, line) in lines.into_iter().enumerate() {
        if left == 0 {
            kept.push(format!("... ({} more lines)", count - i));
            return kept;
        }
        let line = shorten(&line, left);
        // Empty lines count as well.
        left = left.saturating_sub(line.len() + 1);
        kept.push(line);
    }
    kept
}

const MAX_NOTE_BYTES: usize = "... (18446744073709551615 more bytes)".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_says_by_how_much_and_is_not_cut_again() {
        let text = "é".repeat(100);
        let short = shorten(&text, 51);
        assert_eq!(short, format!("{}... (150 more bytes)", "é".repeat(25)));
        assert_eq!(shorten(&short, 51), short);
        assert_eq!(shorten("short", 5), "short");
    }

    #[test]
    fn lines_are_cut_together() {
        let lines = |count| vec!["12345".to_string(); count];
        assert_eq!(shorten_lines(lines(3), 100), lines(3));
        let cut = shorten_lines(lines(100), 12);
        assert_eq!(cut, ["12345", "12345", "... (98 more lines)"]);
        assert_eq!(shorten_lines(vec![String::new(); 100], 12).len(), 13);
    }
}
