//! `lab hint`: the hints of a part's page, one at a time.

use std::io::{self, Write};

use clap::Args;
use labraft::Verdict;

use crate::outcome::{CommandError, Outcome};
use crate::session::program;

/// The course's pages by part, as listed by the build script.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/course_pages.rs"));

/// The arguments of `lab hint`.
#[derive(Args)]
pub(crate) struct Hint {
    /// Which part, such as 2A.
    part: String,
    /// The number of the hint, from 1. Hints are in the order in which you are likely to need them.
    #[arg(default_value_t = 1)]
    number: usize,
}

impl Hint {
    /// Prints one hint, and the command that shows the next one.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let text = self.text(&program()).map_err(CommandError::Usage)?;
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(Outcome::Judged(Verdict::Passed))
    }

    fn text(&self, program: &str) -> Result<String, String> {
        let page = PAGES.iter().find(|(part, _)| part.eq_ignore_ascii_case(&self.part));
        let &(part, page) = page.ok_or_else(|| {
            let known: Vec<&str> = PAGES.iter().map(|&(part, _)| part).collect();
            format!(
                "there are no hints for {:?}; the parts with hints are {}",
                self.part,
                known.join(", ")
            )
        })?;
        let hints = hints(page);
        let (number, count) = (self.number, hints.len());
        let Some(hint) = number.checked_sub(1).and_then(|place| hints.get(place)) else {
            return Err(format!(
                "part {part} has no hint {number}; they are numbered 1 to {count}"
            ));
        };
        let next = if number == count {
            format!("That was the last one. The whole page: docs/course/{}.md", part.to_lowercase())
        } else {
            format!("The next one: {program} hint {part} {}", number + 1)
        };
        Ok(format!("Part {part}, hint {number} of {count}\n\n{hint}\n\n{next}\n"))
    }
}

/// The numbered list under the heading `## Hints`: each item's lines without their indentation.
fn hints(page: &str) -> Vec<String> {
    let section = page.lines().skip_while(|line| *line != "## Hints").skip(1);
    let mut hints: Vec<String> = Vec::new();
    for line in section.take_while(|line| !line.starts_with("## ")) {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match line.split_once(". ") {
            Some((number, text)) if is_number(number) => hints.push(text.into()),
            _ => {
                // Text before the first item is not a hint.
                if let Some(hint) = hints.last_mut() {
                    hint.push('\n');
                    hint.push_str(line.trim_start());
                }
            }
        }
    }
    hints.iter().map(|hint| hint.trim_end().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(part: &str, number: usize) -> Result<String, String> {
        Hint { part: part.into(), number }.text("lab")
    }

    #[test]
    fn each_part_has_hints_numbered_as_on_its_page() {
        assert!(PAGES.is_sorted() && !PAGES.is_empty());
        for (part, page) in PAGES {
            let hints = hints(page);
            assert!(hints.len() >= 8, "{part} has {} hints", hints.len());
            for (place, hint) in hints.iter().enumerate() {
                let first = hint.lines().next().unwrap();
                assert!(page.contains(&format!("\n{}. {first}", place + 1)), "{part}: {first}");
                assert!(hint.len() > 40, "{part}: {hint}");
            }
        }
    }

    #[test]
    fn a_hint_ends_where_the_next_one_or_another_section_begins() {
        let page = "## Task\n1. No hint.\n\n## Hints\n\nIn order.\n\n1. One,\n   on two lines. \n2. Two. \n\n## Next\n3. x\n";
        assert_eq!(hints(page), ["One,\non two lines.", "Two."]);
    }

    #[test]
    fn one_hint_is_shown_and_how_to_see_the_next() {
        let (part, page) = PAGES[0];
        let count = hints(page).len();
        let first = text(&part.to_lowercase(), 1).unwrap();
        assert!(first.starts_with(&format!("Part {part}, hint 1 of {count}\n\n")), "{first}");
        assert!(first.ends_with(&format!("\nThe next one: lab hint {part} 2\n")), "{first}");
        let last = text(part, count).unwrap();
        let file = part.to_lowercase();
        assert!(last.ends_with(&format!("The whole page: docs/course/{file}.md\n")), "{last}");
    }

    #[test]
    fn what_does_not_exist_is_said_and_what_does() {
        let (part, page) = PAGES[0];
        let error = text("2X", 1).unwrap_err();
        let right = format!("there are no hints for \"2X\"; the parts with hints are {part}");
        assert!(error.starts_with(&right), "{error}");
        let count = hints(page).len();
        for number in [0, count + 1, usize::MAX] {
            let error = text(part, number).unwrap_err();
            let right = format!("part {part} has no hint {number}; they are numbered 1 to {count}");
            assert_eq!(error, right);
        }
    }
}
