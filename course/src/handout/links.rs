//! Removes links from pages if their target is not handed out. The text of a link remains.

/// The Markdown page at `path` without its links to files that do not exist. `is_there` says
/// whether a file exists at a path from the root.
pub(super) fn without_dangling(path: &str, page: &str, is_there: impl Fn(&str) -> bool) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    // Every second piece is a code block.
    let pieces = page.split("```").enumerate().map(|(i, piece)| {
        if i % 2 == 0 { in_prose(directory, piece, &is_there) } else { piece.to_string() }
    });
    pieces.collect::<Vec<_>>().join("```")
}

fn in_prose(directory: &str, prose: &str, is_there: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut rest = prose;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target, behind)) = after.split_once(')') else { break };
        rest = behind;
        let file = target.split_once('#').map_or(target, |(file, _)| file);
        let is_kept = file.is_empty()
            || file.contains("://")
            || file.starts_with("mailto:")
            || resolve(directory, file).is_some_and(|file| is_there(&file));
        match before.rsplit_once('[') {
            Some((before, words)) if !is_kept => text.extend([before, words]),
            _ => text.extend([before, "](", target, ")"]),
        }
    }
    text + rest
}

/// A path relative to a directory, as a path from the root; `None` when it leads out of the tree.
fn resolve(directory: &str, file: &str) -> Option<String> {
    let mut pieces: Vec<&str> = directory.split('/').filter(|piece| !piece.is_empty()).collect();
    for piece in file.split('/') {
        match piece {
            "" | "." => {}
            ".." => _ = pieces.pop()?,
            piece => pieces.push(piece),
        }
    }
    Some(pieces.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dangling_links_are_removed() {
        let is_there = |path: &str| ["docs/course/2a.md", "labraft/src/raft.rs"].contains(&path);
        let page = "See [2A](2a.md#hints), [the\nstory](../stories/old.md), [a page](#here),\n```\na[0](1)\n```\n\
                    [`Raft`](../../labraft/src/raft.rs), [out](../../../x) and [w](https://e.org).";
        let left = "See [2A](2a.md#hints), the\nstory, [a page](#here),\n```\na[0](1)\n```\n\
                    [`Raft`](../../labraft/src/raft.rs), out and [w](https://e.org).";
        assert_eq!(without_dangling("docs/course/b.md", page, is_there), left);
    }

    #[test]
    fn text_that_only_looks_like_a_link_is_kept() {
        for page in ["", "no link", "a [b] (c)", "[a](b", "](", "a](b)"] {
            assert_eq!(without_dangling("a.md", page, |_| false), page);
        }
    }

    #[test]
    fn links_of_a_page_at_the_root_start_there() {
        let is_there = |path: &str| path == "docs/a.md";
        assert_eq!(without_dangling("R.md", "[a](docs/a.md) [b](b)", is_there), "[a](docs/a.md) b");
    }
}
