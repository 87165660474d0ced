//! What the compiler says about a submission, without what it says about other files.
//!
//! Sources that name a file of the grader's machine are refused before they are built, and a build can
//! read few files. Yet the compiler's words about a file depend on whether it exists and what is in it.
//! This is the last layer: whatever a submission gets the compiler to open, its student reads the same.

use lab::submit::submission::DIRECTORIES;

/// What stands in place of an error about a file that is not the submission's.
const HIDDEN: &str =
    "error: here the compiler shows or reads a file that is not part of the submission";
/// What the compiler says about files that it cannot read, and what the system says about why.
const UNREADABLE: [&str; 3] = ["couldn't read", "wasn't a utf-8 file", "(os error "];

/// Replaces each of the compiler's messages that is about a file outside the submission, whose directories
/// are `own`, or that shows one of those that the lab has put in the place of the student's.
pub(super) fn without_other_files(output: &str, own: &[&str]) -> String {
    let messages = output.split("\n\n").map(|message| match is_about_other_file(message, own) {
        true => HIDDEN,
        false => message,
    });
    messages.collect::<Vec<_>>().join("\n\n")
}

/// Whether a message says that a file cannot be read, or has its place in a file of somebody else.
fn is_about_other_file(message: &str, own: &[&str]) -> bool {
    let places: Vec<&str> = message.lines().filter_map(place).collect();
    // The first place is that of the mistake; others may be in the lab's own files, as when a trait's
    // definition is shown.
    let is_elsewhere = places.first().is_some_and(|place| !is_in(own, place));
    let is_solution = |place: &&str| is_in(&DIRECTORIES, place) && !is_in(own, place);
    is_elsewhere
        || places.iter().any(is_solution)
        || UNREADABLE.iter().any(|words| message.contains(words))
}

/// The place that a line of a message names, if it does.
fn place(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("--> ").or_else(|| line.strip_prefix("::: "))
}

/// Whether a place is in one of these directories.
fn is_in(directories: &[&str], place: &str) -> bool {
    let is_below = |directory: &&str| {
        let rest = place.strip_prefix(directory.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    directories.iter().any(is_below) && !place.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_other_files(output: &str) -> String {
        super::without_other_files(output, &["raft/src/"])
    }

    /// What rustc says about `include_str!` of a file.
    fn unreadable(why: &str) -> String {
        format!(
            "error: couldn't read `/etc/x`: {why}\n --> raft/src/lib.rs:1:17\n  |\n1 | const S: &str = \
             include_str!(\"/etc/x\");\n  |                 ^^^^^^^^^^^^^^^^^^^^^^\n\nerror: could not \
             compile `raft` (lib) due to 1 previous error"
        )
    }

    /// The output with its first line replaced.
    fn with_first_line(output: &str, first: &str) -> String {
        let rest = output.split_once('\n').map_or("", |(_, rest)| rest);
        format!("{first}\n{rest}")
    }

    #[test]
    fn files_that_exist_are_not_told_from_those_that_do_not() {
        let absent = without_other_files(&unreadable("No such file or directory (os error 2)"));
        let denied = without_other_files(&unreadable("Permission denied (os error 13)"));
        // The end of a long output is cut off.
        let cut = unreadable("Perm");
        let content = "error: expected one of `!` or `::`, found `:`\n --> /etc/x:1:5\n  |\n1 | \
                       root:x:0:0\n  |     ^ expected one of `!` or `::`\n\nerror: could not compile \
                       `raft` (lib) due to 1 previous error";
        assert!(absent.starts_with(HIDDEN) && !absent.contains("/etc/x"), "{absent}");
        assert_eq!(denied, absent);
        assert_eq!(without_other_files(&cut), absent);
        let binary = with_first_line(&unreadable(""), "error: `/etc/x` wasn't a utf-8 file");
        assert_eq!(without_other_files(&binary), absent);
        assert_eq!(without_other_files(content), absent);
        let above = content.replace("/etc/x:", "raft/src/../../secret:");
        assert_eq!(without_other_files(&above), absent);
    }

    #[test]
    fn mistakes_in_the_submission_are_shown_as_they_are() {
        let output = "error[E0046]: not all trait items implemented, missing: `kill`\n  --> \
                      raft/src/peer.rs:9:1\n   |\n9  | impl Raft for Peer {\n   | ^ missing `kill`\n   \
                      |\n  ::: labraft/src/raft.rs:80:5\n\nerror: linking with `cc` failed";
        assert_eq!(without_other_files(output), output);
    }
    #[test]
    fn what_the_lab_has_put_in_the_place_of_the_student_s_is_not_shown() {
        let output = "error[E0624]: method `x` is private\n  --> raft/src/peer.rs:9:1\n   |\n9  | a.x()\n   \
                      |\n  ::: kvraft/src/store.rs:80:5\n   |\n80 |     fn x(&self) {";
        assert_eq!(without_other_files(output), HIDDEN);
        let own = &["raft/src/", "kvraft/src/"];
        assert_eq!(super::without_other_files(output, own), output);
    }
}
