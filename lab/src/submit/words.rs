//! What a submission's sources say that they must not, or that a person should look at, word by word.
//!
//! The compiler forbids `unsafe`, and the building process can read nothing that is secret. This is one
//! wall more, which needs no kernel: a word that is not written anywhere cannot be made by a macro.

use std::collections::BTreeMap;

use proc_macro2::{Spacing, TokenStream, TokenTree};

/// What a submission may not say, and why not.
const FORBIDDEN: [(&str, &str); 7] = [
    ("unsafe", "a Raft needs none"),
    ("asm", "a Raft needs none"),
    ("global_asm", "a Raft needs none"),
    ("naked_asm", "a Raft needs none"),
    ("include", "a submission is its own sources, and no other files"),
    ("include_str", "a submission is its own sources, and no other files"),
    ("include_bytes", "a submission is its own sources, and no other files"),
];
/// What servers of one simulation could share, or what reaches out of it.
const TO_LOOK_AT: [&str; 10] = [
    "static",
    "thread_local",
    "OnceLock",
    "LazyLock",
    "fs",
    "net",
    "process",
    "os",
    "set_hook",
    "black_box",
];
/// How many places are named.
const NAMED: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Why it is not built; a line each.
    pub forbidden: Vec<String>,
    /// What a teacher should look at; a line each.
    pub to_look_at: Vec<String>,
}

/// Reads all words of all files.
pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Words {
    let mut words = Words::default();
    for (path, content) in files {
        let Ok(text) = std::str::from_utf8(content) else {
            words.forbidden.push(format!("{path}: it is no UTF-8"));
            continue;
        };
        // A mark of the byte order is no word.
        match text.trim_start_matches('\u{feff}').parse::<TokenStream>() {
            Ok(tokens) => read_file(path, tokens, &mut words),
            Err(error) => {
                let at = error.span().start();
                let (line, column) = (at.line, at.column + 1);
                words.forbidden.push(format!("{path}:{line}:{column}: this is no Rust"));
            }
        }
    }
    for found in [&mut words.forbidden, &mut words.to_look_at] {
        let count = found.len();
        found.truncate(NAMED);
        if count > NAMED {
            found.push(format!("and {} more", count - NAMED));
        }
    }
    words
}

/// Not recursive: sources may be nested as deep as anybody likes.
fn read_file(path: &str, tokens: TokenStream, words: &mut Words) {
    // Each with whether it stands in an attribute or in what a macro is given.
    let mut streams = vec![(tokens, false)];
    while let Some((tokens, is_given)) = streams.pop() {
        // Whether the next group belongs to a `#` or a `!`.
        let mut is_marked = false;
        // Whether a macro is being defined, whose name stands before the group.
        let mut is_definition = false;
        let mut is_lifetime = false;
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    streams.push((group.stream(), is_given || is_marked));
                    (is_marked, is_definition) = (false, false);
                }
                TokenTree::Punct(mark) => {
                    is_lifetime = mark.as_char() == '\'' && mark.spacing() == Spacing::Joint;
                    is_marked = matches!(mark.as_char(), '#' | '!');
                }
                TokenTree::Ident(ident) => {
                    let at = ident.span().start();
                    let word = ident.to_string();
                    let word = word.strip_prefix("r#").unwrap_or(&word);
                    let place = format!("{path}:{}:{}: `{word}`", at.line, at.column + 1);
                    if let Some((_, why)) = FORBIDDEN.iter().find(|(each, _)| *each == word) {
                        words.forbidden.push(format!("{place} is not allowed: {why}"));
                    } else if is_given && word == "path" {
                        words.forbidden.push(format!(
                            "{place} is not allowed in attributes and macros: modules stand where they \
                             are looked for"
                        ));
                    } else if !is_lifetime && TO_LOOK_AT.contains(&word) {
                        words.to_look_at.push(place);
                    }
                    is_definition = word == "macro_rules" || (is_definition && is_marked);
                    (is_marked, is_lifetime) = (is_definition && is_marked, false);
                }
                TokenTree::Literal(_) => is_marked = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        read(&BTreeMap::from([("raft/src/lib.rs".to_string(), text.as_bytes().to_vec())]))
    }

    #[test]
    fn the_reference_says_nothing_that_is_forbidden() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = BTreeMap::new();
        for directory in ["raft/src", "kvraft/src"] {
            for entry in std::fs::read_dir(root.join(directory)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    files.insert(path.display().to_string(), std::fs::read(&path).unwrap());
                }
            }
        }
        assert!(files.len() > 8);
        assert_eq!(read(&files).forbidden, [""; 0]);
    }

    #[test]
    fn no_way_to_write_a_forbidden_word_is_overlooked() {
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
        ] {
            assert_eq!(words(text).forbidden.len(), 1, "{text}");
        }
        assert_eq!(words("fn f( {").forbidden, ["raft/src/lib.rs:1:7: this is no Rust"]);
        let deep = format!("fn f() {{ {}{} }}", "(".repeat(200_000), ")".repeat(200_000));
        assert_eq!(words(&deep), Words::default());
    }

    #[test]
    fn words_in_texts_and_comments_are_no_words() {
        let text = "//! unsafe\n/* include */ fn f(path: &'static str) { let path = \"unsafe\"; }";
        assert_eq!(words(text), Words::default());
        assert_eq!(words("fn f() { if !done { g(path) } }"), Words::default());
    }

    #[test]
    fn what_servers_could_share_is_to_be_looked_at() {
        let found = words("static A: u8 = 0;\nthread_local! {}\nfn f() { std::fs::read(\"x\"); }");
        assert_eq!(found.forbidden, [""; 0]);
        assert_eq!(found.to_look_at.len(), 3);
        assert_eq!(found.to_look_at[0], "raft/src/lib.rs:1:1: `static`");
    }
}
