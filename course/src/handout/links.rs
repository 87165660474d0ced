//! Links of pages to what is not handed out: their words stay, and the link goes.

/// A Markdown page without those of its links that point at files which are not there. `path` is where
/// the page is, and `is_there` knows paths that begin at the same root.
pub(super) fn without_dangling(path: &str, page: &str, is_there: impl Fn(&str) -> bool) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    // Every other piece is a block of code.
    let pieces = page.split("```").enumerate().map(|(i, piece)| match i % 2 {
        0 => in_prose(directory, piece, &is_there),
        _ => piece.to_string(),
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

/// Where a relative path leads from a directory; `None` when it leads out of the tree.
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
    fn only_links_to_what_is_not_there_go() {
        let is_there = |path: &str| ["docs/course/2a.md", "labraft/src/raft.rs"].contains(&path);
        let page = "See [2A](2a.md#hints), [the\nstory](../stories/old.md), [a page](#here),\n```\na[0](1)\n```\n\
                    [`Raft`](../../labraft/src/raft.rs), [out](../../../x) and [w](https://e.org).";
        let left = "See [2A](2a.md#hints), the\nstory, [a page](#here),\n```\na[0](1)\n```\n\
                    [`Raft`](../../labraft/src/raft.rs), out and [w](https://e.org).";
        assert_eq!(without_dangling("docs/course/b.md", page, is_there), left);
    }

    #[test]
    fn what_only_looks_like_a_link_stays() {
        for page in ["", "no link", "a [b] (c)", "[a](b", "](", "a](b)"] {
            assert_eq!(without_dangling("a.md", page, |_| false), page);
        }
    }

    #[test]
    fn a_page_at_the_root_is_at_the_root() {
        let is_there = |path: &str| path == "docs/a.md";
        assert_eq!(without_dangling("R.md", "[a](docs/a.md) [b](b)", is_there), "[a](docs/a.md) b");
    }
}
