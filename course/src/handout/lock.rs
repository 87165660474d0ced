//! `Cargo.lock` for a workspace that has lost members: without the packages that only these needed.
//!
//! A handout is built with `--locked`, which refuses a lock file that names more than there is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// How a package begins in the file.
const HEAD: &str = "[[package]]\n";

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Absent for members of the workspace.
    source: Option<String>,
    /// Each a name, followed by a version where several packages have the name.
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The lock file `text` without the members for which `is_member` is false, and without what only they
/// depend on.
///
/// # Errors
/// When the text is not a lock file: why.
pub(super) fn without_others(
    text: &str,
    is_member: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let lock: Lock = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, package) in lock.package.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(place);
    }
    let is_root = |package: &Package| package.source.is_none() && is_member(&package.name);
    let mut next: Vec<usize> =
        (0..lock.package.len()).filter(|&place| is_root(&lock.package[place])).collect();
    let mut kept = BTreeSet::new();
    while let Some(place) = next.pop() {
        if !kept.insert(place) {
            continue;
        }
        for dependency in &lock.package[place].dependencies {
            let mut words = dependency.split(' ');
            let name = words.next().unwrap_or_default();
            let version = words.next();
            let found = by_name.get(name).into_iter().flatten().copied();
            next.extend(found.filter(|&found| {
                version.is_none_or(|version| lock.package[found].version == version)
            }));
        }
    }
    // The blocks stand in the order in which they were parsed.
    let mut blocks = text.split(HEAD);
    let head = blocks.next().unwrap_or_default();
    let kept: Vec<&str> = blocks
        .enumerate()
        .filter(|(place, _)| kept.contains(place))
        .map(|(_, block)| block.trim_end())
        .collect();
    let packages = kept.iter().map(|block| format!("{HEAD}{block}\n"));
    Ok(format!("{head}{}", packages.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_lost_members_need_is_gone() {
        let text = r#"# @generated
version = 4

[[package]]
name = "a"
version = "1.0.0"
source = "registry"
dependencies = [
 "b 1.0.0",
]

[[package]]
name = "b"
version = "1.0.0"
source = "registry"

[[package]]
name = "b"
version = "2.0.0"
source = "registry"

[[package]]
name = "course"
version = "0.1.0"
dependencies = [
 "b 2.0.0",
 "lab",
]

[[package]]
name = "lab"
version = "0.1.0"
dependencies = [
 "a",
]
"#;
        let kept = without_others(text, |name| name != "course").unwrap();
        let left: Vec<&str> = kept.lines().filter(|line| line.starts_with("name")).collect();
        assert_eq!(left, [r#"name = "a""#, r#"name = "b""#, r#"name = "lab""#]);
        assert!(kept.starts_with("# @generated\nversion = 4\n\n[[package]]\n"), "{kept}");
        assert!(!kept.contains("2.0.0"), "{kept}");
        assert_eq!(without_others(text, |_| true).unwrap(), text);
    }
}
