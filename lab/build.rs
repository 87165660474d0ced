//! Embeds the course's pages in the program, for `lab hint`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in a workspace");
    list_pages(&workspace.join("docs/course"));
}

/// Lists the parts that have a page (`2a.md` and so on) as a Rust expression. A course may hand out
/// only some of them.
fn list_pages(directory: &Path) {
    println!("cargo::rerun-if-changed={}", directory.display());
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut pages: Vec<(String, PathBuf)> = entries
        .map(|entry| (entry.file_name().to_string_lossy().to_uppercase(), entry.path()))
        .filter_map(|(name, path)| Some((name.strip_suffix(".MD")?.to_string(), path)))
        .filter(|(part, _)| matches!(part.as_bytes(), [b'0'..=b'9', b'A'..=b'Z']))
        .collect();
    pages.sort();
    let mut list = String::from("&[");
    for (part, path) in pages {
        write!(list, "({part:?}, include_str!({path:?})), ").expect("it is a string");
    }
    let out = std::env::var("OUT_DIR").expect("cargo says where to write");
    std::fs::write(Path::new(&out).join("course_pages.rs"), list + "]").expect("it can be written");
}
