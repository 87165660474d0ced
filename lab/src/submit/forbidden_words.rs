//! Words that a submission's sources may not use, and words that a teacher should look at.
//!
//! To forbid another word, add it to `FORBIDDEN` with the reason that students are given, and
//! name it in `docs/course/grading.md`.
//!
//! The compiler forbids `unsafe` too, and a build cannot read anything secret. This check is one more
//! layer, and works on every kernel. It sees all words, since a macro cannot produce one that is not in
//! the sources.

use std::collections::BTreeMap;

use proc_macro2::{LineColumn, Spacing, TokenStream, TokenTree};

const NOT_NEEDED: &str = "a Raft does not need it";
/// The token of `thread::park` is a bit that all servers of a run can set and read.
const NO_THREADS: &str = "a simulation has one thread";
const NO_OTHER_FILES: &str = "a submission may read no files other than its own modules";

/// The words that a submission may not use, each with the reason.
const FORBIDDEN: [(&str, &str); 11] = [
    ("unsafe", NOT_NEEDED),
    ("asm", NOT_NEEDED),
    ("global_asm", NOT_NEEDED),
    ("naked_asm", NOT_NEEDED),
    ("park", NO_THREADS),
    ("park_timeout", NO_THREADS),
    ("unpark", NO_THREADS),
    ("include", NO_OTHER_FILES),
    ("include_str", NO_OTHER_FILES),
    ("include_bytes", NO_OTHER_FILES),
    // An attribute that embeds a file for debuggers.
    ("debugger_visualizer", NO_OTHER_FILES),
];
/// Forbidden only in attributes and macros, where `#[path = ".."]` could be written.
const FORBIDDEN_IN_ATTRIBUTES: &str = "path";
/// Names through which the servers of a run could share state, or escape the simulation.
const SUSPICIOUS: [&str; 11] = [
    "static",
    "thread_local",
    "OnceLock",
    "LazyLock",
    "fs",
    "net",
    "process",
    "os",
    "set_hook",
    "set_global_default",
    "black_box",
];
/// The maximum number of forbidden words that are listed.
const MAX_LISTED: usize = 20;
/// The maximum number of places that are listed for a suspicious word in a file.
const MAX_PLACES: usize = 5;

/// The places where forbidden and suspicious words were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Why the submission is refused, one line per place.
    pub forbidden: Vec<String>,
    /// Words that a teacher should look at: a line for each word in each file, with all or the first
    /// of its places and their number. No word is left out, however many others there are.
    pub suspicious: Vec<String>,
}

/// Searches the sources, which are indexed by path.
pub fn find(files: &BTreeMap<String, Vec<u8>>) -> Words {
    let mut words = Words::default();
    for (path, content) in files {
        let Ok(text) = std::str::from_utf8(content) else {
            words.forbidden.push(format!("{path}: not valid UTF-8"));
            continue;
        };
        // The compiler skips a byte order mark, and the tokenizer does not.
        match text.trim_start_matches('\u{feff}').parse::<TokenStream>() {
            Ok(tokens) => find_in_file(path, tokens, &mut words),
            Err(error) => {
                let at = error.span().start();
                let line = at.line;
                let column = at.column + 1;
                words.forbidden.push(format!("{path}:{line}:{column}: not valid Rust"));
            }
        }
    }
    let count = words.forbidden.len();
    words.forbidden.truncate(MAX_LISTED);
    if count > MAX_LISTED {
        words.forbidden.push(format!("and {} more", count - MAX_LISTED));
    }
    // Otherwise the sources of all submissions would be kept, for the places of their words.
    proc_macro2::extra::invalidate_current_thread_spans();
    words
}

/// The places of each suspicious word in a file.
type Places = BTreeMap<String, Vec<LineColumn>>;

/// A line for each word.
fn list_suspicious(path: &str, found: Places) -> impl Iterator<Item = String> {
    found.into_iter().map(move |(word, mut places)| {
        places.sort();
        let shown = places.iter().take(MAX_PLACES);
        let shown: Vec<String> = shown.map(|at| format!("{}:{}", at.line, at.column + 1)).collect();
        let more = match places.len().saturating_sub(MAX_PLACES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{path}: `{word}` at {}{more}", shown.join(", "))
    })
}

/// Keeps a stack of its own: nesting in a submission may be deep enough to overflow the thread's.
fn find_in_file(path: &str, tokens: TokenStream, words: &mut Words) {
    // Each stream, and whether it is inside an attribute or a macro's arguments.
    let mut streams = vec![(tokens, false)];
    let mut suspicious = Places::new();
    while let Some((tokens, in_attribute)) = streams.pop() {
        // Whether the next group belongs to a `#` or a `!`.
        let mut is_marked = false;
        // Whether a macro is being defined: its name then stands between the `!` and the group.
        let mut is_definition = false;
        let mut is_lifetime = false;
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    streams.push((group.stream(), in_attribute || is_marked));
                    is_marked = false;
                    is_definition = false;
                }
                TokenTree::Punct(mark) => {
                    is_lifetime = mark.as_char() == '\'' && mark.spacing() == Spacing::Joint;
                    is_marked = matches!(mark.as_char(), '#' | '!');
                }
                TokenTree::Ident(ident) => {
                    let word = ident.to_string();
                    let word = word.strip_prefix("r#").unwrap_or(&word);
                    let at = ident.span().start();
                    if let Some(why) = why_forbidden(word, in_attribute) {
                        let place = format!("{path}:{}:{}", at.line, at.column + 1);
                        words.forbidden.push(format!("{place}: `{word}` is not allowed{why}"));
                    } else if !is_lifetime && SUSPICIOUS.contains(&word) {
                        suspicious.entry(word.into()).or_default().push(at);
                    }
                    is_definition = word == "macro_rules" || (is_definition && is_marked);
                    is_marked = is_definition && is_marked;
                    is_lifetime = false;
                }
                TokenTree::Literal(_) => is_marked = false,
            }
        }
    }
    words.suspicious.extend(list_suspicious(path, suspicious));
}

/// The end of the sentence "`word` is not allowed"; `None` when it is allowed.
fn why_forbidden(word: &str, in_attribute: bool) -> Option<String> {
    if let Some((_, why)) = FORBIDDEN.iter().find(|(each, _)| *each == word) {
        return Some(format!(": {why}"));
    }
    (in_attribute && word == FORBIDDEN_IN_ATTRIBUTES)
        .then(|| " in attributes and macros: every module must be in its default place".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        find(&BTreeMap::from([("raft/src/lib.rs".to_string(), text.as_bytes().to_vec())]))
    }

    #[test]
    fn neither_the_reference_nor_the_skeleton_has_a_forbidden_word() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = BTreeMap::new();
        let names = ["raft", "kvraft", "shardctrler", "shardkv"];
        // A handout has only what its students begin with.
        let mut folders: Vec<_> = names
            .iter()
            .flat_map(|name| ["src", "skeleton"].map(|folder| root.join(name).join(folder)))
            .filter(|it| it.is_dir())
            .collect();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.display().to_string(), std::fs::read(&path).unwrap());
                }
            }
        }
        assert!(files.len() > 12, "{files:?}");
        assert_eq!(find(&files).forbidden, [""; 0]);
    }

    #[test]
    fn a_forbidden_word_is_found_however_it_is_written() {
        for text in [
            "fn f() { unsafe { g() } }",
            "const S: &str = include_str!(\"/etc/passwd\");",
            "const S: &str = core::include_bytes!(\"../../secret\");",
            "#![doc = include_str!(\"/etc/passwd\")]",
            "macro_rules! m { ($a:ident) => { $a!(\"x\") } } m!(include);",
            "use std::include_str as harmless;",
            "#[path = \"../../tests/src/lib.rs\"] mod a;",
            "#[cfg_attr(all(), path = \"/etc/x.rs\")] mod a;",
            "macro_rules! m { ($a:ident) => { #[$a = \"x\"] mod a; } } m!(path);",
            "fn f() { r#unsafe(); }",
            "core::arch::global_asm!(\"nop\");",
            "fn f() { std::thread::current().unpark(); }",
            "use std::thread::park_timeout as wait;",
            "#![debugger_visualizer(gdb_script_file = \"/etc/passwd\")]",
        ] {
            assert_eq!(words(text).forbidden.len(), 1, "{text}");
        }
        assert_eq!(words("fn f( {").forbidden, ["raft/src/lib.rs:1:7: not valid Rust"]);
        let deep = format!("fn f() {{ {}{} }}", "(".repeat(200_000), ")".repeat(200_000));
        assert_eq!(words(&deep), Words::default());
    }

    #[test]
    fn words_in_strings_and_comments_are_allowed() {
        let text = "//! unsafe\n/* include */ fn f(path: &'static str) { let path = \"unsafe\"; }";
        assert_eq!(words(text), Words::default());
        assert_eq!(words("fn f() { if !done { g(path) } }"), Words::default());
    }

    #[test]
    fn state_that_servers_could_share_is_suspicious() {
        let found = words("static A: u8 = 0;\nthread_local! {}\nfn f() { std::fs::read(\"x\"); }");
        assert_eq!(found.forbidden, [""; 0]);
        let places = ["`fs` at 3:15", "`static` at 1:1", "`thread_local` at 2:1"];
        assert_eq!(found.suspicious, places.map(|place| format!("raft/src/lib.rs: {place}")));
        let found = words("fn f() { tracing::subscriber::set_global_default(Mine(log)); }");
        assert_eq!(found.suspicious, ["raft/src/lib.rs: `set_global_default` at 1:31"]);
    }

    #[test]
    fn no_suspicious_word_is_hidden_by_others() {
        let decoys = "fn f() { fs(); os(); }\n".repeat(1000);
        let found = words(&format!("{decoys}static A: u8 = 0;\n")).suspicious;
        assert_eq!(found.len(), 3);
        assert!(
            found[0].ends_with("`fs` at 1:10, 2:10, 3:10, 4:10, 5:10 and 995 more"),
            "{found:?}"
        );
        assert_eq!(found[2], "raft/src/lib.rs: `static` at 1001:1");
    }

    #[test]
    fn the_text_of_one_submission_is_not_kept_while_the_next_is_read() {
        words("fn f() {}");
        let start =
            |text: &str| text.parse::<TokenStream>().unwrap().into_iter().next().unwrap().span();
        let first = start("a").byte_range();
        words(&"static A: u8 = 0;".repeat(1000));
        assert_eq!(start("a").byte_range(), first);
    }
}
