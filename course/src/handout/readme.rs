//! The handout's `README.md`, which is made from a page of the course.

use labraft::Part;

use super::scope::Scope;
use ::tests::SUITE;

/// The page.
pub(super) const PAGE: &str = "docs/course/handout.md";

/// The `README.md` that the page becomes in a handout.
///
/// # Errors
/// If the page lacks a word that is to be replaced.
pub(super) fn of(page: &str, scope: Scope) -> Result<String, String> {
    let first = scope.parts.first;
    let test = SUITE.iter().find(|test| test.part == first).map_or("", |test| test.name);
    let packages: Vec<String> = scope.written().map(|name| format!("-p {name}")).collect();
    let mut text = page.to_string();
    for (word, what) in [
        ("<!-- the parts -->\n", parts(scope)),
        ("<!-- your folders -->\n", folders(scope)),
        ("FIRST_PART", first.name().into()),
        ("FIRST_TEST", test.into()),
        ("YOUR_PACKAGES", packages.join(" ")),
    ] {
        if !page.contains(word) {
            return Err(format!("{PAGE} has no {:?}", word.trim()));
        }
        // Links of the page are relative to docs/course, and the README is at the root.
        text = text.replace(word, &what);
    }
    Ok(text.replace("](", "](docs/course/"))
}

/// The list of the parts that are handed out.
fn parts(scope: Scope) -> String {
    let about = |part: Part| match part {
        Part::Raft2A => "leader election",
        Part::Raft2B => "the log",
        Part::Raft2C => "persistence, and a bad network",
        Part::Raft2D => "snapshots",
        Part::Raft2E => "a stable leader",
        Part::Raft2F => "leadership transfer",
        Part::Raft2G => "reads without the log",
        Part::Kv3A => "a key/value service",
        Part::Kv3B => "its snapshots",
        Part::Shard4A => "a shard controller",
        Part::Shard4B => "a sharded key/value service",
        Part::Shard4C => "its challenges",
        Part::Beyond => "generated scenarios",
        Part::Search => "short scenarios for a search",
    };
    let line = |part: Part| {
        let page = part.name().to_lowercase();
        format!("- [{part}]({page}.md): {}\n", about(part))
    };
    scope.parts.course().map(line).collect()
}

/// The rows of the table of folders that students write, or are given solved.
fn folders(scope: Scope) -> String {
    let about = |name: &str| match name {
        "raft" => "Raft",
        "kvraft" => "key/value service",
        "shardctrler" => "shard controller",
        _ => "sharded key/value service",
    };
    let written = scope.written().map(|name| {
        let how = match scope.is_of_earlier_part(name) {
            true => "put your files of the labs before in the place of these",
            false => "any Rust files",
        };
        format!("| `{name}/src/` | your {}: {how} |\n", about(name))
    });
    let solved = scope.solved().map(|name| {
        format!("| `{name}/` | a complete {}: to build on, not to change |\n", about(name))
    });
    written.chain(solved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "[s](s.md)\n<!-- the parts -->\n<!-- your folders -->\n\
                       lab run FIRST_PART; lab replay FIRST_TEST; cargo test YOUR_PACKAGES\n";

    fn scope(parts: &str, on_reference: bool) -> Scope {
        Scope { parts: parts.parse().unwrap(), on_reference }
    }

    #[test]
    fn a_readme_names_what_is_handed_out() {
        let readme = of(ALL, scope("2D..3A", false)).unwrap();
        let expected = "[s](docs/course/s.md)\n- [2D](docs/course/2d.md): snapshots\n\
                        - [3A](docs/course/3a.md): a key/value service\n\
                        | `raft/src/` | your Raft: any Rust files |\n\
                        | `kvraft/src/` | your key/value service: any Rust files |\n\
                        lab run 2D; lab replay SnapshotBasic2D; cargo test -p raft -p kvraft\n";
        assert_eq!(readme, expected);
    }

    #[test]
    fn earlier_labs_are_the_student_s_own_or_complete() {
        let own = of(ALL, scope("4A", false)).unwrap();
        assert!(own.contains("| `kvraft/src/` | your key/value service: put your files"), "{own}");
        let given = of(ALL, scope("4A", true)).unwrap();
        assert!(given.contains("| `kvraft/` | a complete key/value service"), "{given}");
        assert!(given.contains("cargo test -p shardctrler\n"), "{given}");
    }

    #[test]
    fn a_page_that_lacks_a_word_is_refused() {
        let error = of("FIRST_PART", scope("2A", false)).unwrap_err();
        assert!(error.contains("has no \"<!-- the parts -->\""), "{error}");
    }
}
