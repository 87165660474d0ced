//! The patches, and what they say of themselves in their first four lines.

use std::fs;
use std::path::{Path, PathBuf};

use labraft::Property;

/// What a bug breaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Breaks {
    /// A property that the lab checks.
    Property(Property),
    /// Progress.
    Liveness,
    /// Speed or size.
    Performance,
    /// What the harness's interface promises.
    Contract,
}

impl Breaks {
    /// The values that are not properties.
    const OTHER: [Breaks; 3] = [Breaks::Liveness, Breaks::Performance, Breaks::Contract];

    fn all() -> impl Iterator<Item = Breaks> {
        Property::all().map(Breaks::Property).chain(Breaks::OTHER)
    }

    /// As patches and the tables have it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Breaks::Property(property) => property.name(),
            Breaks::Liveness => "liveness",
            Breaks::Performance => "performance",
            Breaks::Contract => "contract",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Breaks> {
        Breaks::all().find(|breaks| breaks.name() == name)
    }

    /// Whether committed data can be lost or contradicted, so that the lab should name a property.
    pub(super) const fn is_safety(self) -> bool {
        matches!(self, Breaks::Property(property) if property.is_safety())
    }
}

/// One bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// Its name, and its file's.
    pub(super) id: String,
    /// What it breaks.
    pub(super) breaks: Breaks,
    /// Whether it is in the key/value service.
    pub(super) is_kv: bool,
    pub(super) path: PathBuf,
}

impl Patch {
    fn parse(path: &Path, text: &str) -> Result<Patch, String> {
        let wrong = |what: String| format!("{}: {what}", path.display());
        let mut lines = text.lines();
        let mut field = |name: &str| {
            let line = lines.next().unwrap_or_default();
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
            let value = value.map(str::trim).filter(|value| !value.is_empty());
            value.map(String::from).ok_or_else(|| {
                wrong(format!("where {name:?} and a value should stand, there is {line:?}"))
            })
        };
        let (id, _what, _source) = (field("id")?, field("what")?, field("source")?);
        let property = field("property")?;
        if path.file_stem().is_none_or(|stem| stem != id.as_str()) {
            return Err(wrong(format!("it calls itself {id:?}")));
        }
        let breaks = Breaks::from_name(&property).ok_or_else(|| {
            let known: Vec<&str> = Breaks::all().map(Breaks::name).collect();
            wrong(format!("{property:?} is not one of: {}", known.join(", ")))
        })?;
        let changed: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
        let is_in =
            |place: &str| !changed.is_empty() && changed.iter().all(|p| p.starts_with(place));
        let is_kv = is_in("kvraft/src/");
        if !is_kv && !is_in("raft/src/") {
            return Err(wrong(format!("it changes neither raft nor kvraft alone: {changed:?}")));
        }
        Ok(Patch { id, breaks, is_kv, path: path.into() })
    }
}

/// All patches of a directory, by name.
pub(super) fn read_all(directory: &Path) -> Result<Vec<Patch>, String> {
    let cannot = |path: &Path, error| format!("{} cannot be read: {error}", path.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| cannot(directory, error))? {
        let path = entry.map_err(|error| cannot(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            paths.push(path);
        }
    }
    paths.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    let read = |path: &PathBuf| {
        Patch::parse(path, &fs::read_to_string(path).map_err(|error| cannot(path, error))?)
    };
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "id: no-vote\nwhat: It forgets.\nsource: student notes\n\
                        property: election-safety\n\ndiff --git a/raft/src/core.rs b/raft/src/core.rs\n\
                        --- a/raft/src/core.rs\n+++ b/raft/src/core.rs\n@@ -1 +1 @@\n-a\n+b\n";

    fn parse(text: &str) -> Result<Patch, String> {
        Patch::parse(Path::new("course/mutants/no-vote.patch"), text)
    }

    #[test]
    fn a_header_says_what_a_patch_is() {
        let patch = parse(GOOD).unwrap();
        assert_eq!(patch.id, "no-vote");
        let safety = Breaks::Property(Property::ElectionSafety);
        assert_eq!((patch.breaks, patch.is_kv), (safety, false));
        assert!(parse(&GOOD.replace("raft/src/core", "kvraft/src/store")).unwrap().is_kv);
    }

    #[test]
    fn what_is_wrong_with_a_header_is_said() {
        for (from, to, hint) in [
            ("source: student notes\n", "", "\"source\""),
            ("what: It forgets.", "what: ", "\"what\""),
            ("no-vote", "yes-vote", "calls itself \"yes-vote\""),
            ("election-safety", "safety", "not one of: election-safety"),
            ("raft/src/core.rs", "labraft/src/lab.rs", "neither raft nor kvraft"),
            ("+++ b/raft/src/core.rs\n", "", "neither raft nor kvraft"),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains("no-vote.patch") && error.contains(hint), "{error}");
        }
    }
}
